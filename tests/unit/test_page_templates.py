"""The pages' templates: courses' URLs are Django's, values are escaped, mistakes are seen."""

import pytest
from django.core.paginator import Paginator
from django.urls import NoReverseMatch, reverse
from django.utils import translation
from jinja2 import UndefinedError

from lms_integration.dashboard import templates, words
from lms_integration.dashboard.sentences import gettext

KEYS = [
    "course-v1:Org+Course+Run",
    "Org/Course/Run",
    "no course key at all",
    'course-v1:"><script>+100%+é',
    "course-v1:Org+any-course+Run",
    "a?b#c;d=e&f",
    "~._-:@!$'()*,",
    "../../etc",
]


@pytest.mark.parametrize("name", ["course_about", "course_enroll", "course_unenroll"])
@pytest.mark.parametrize("key", KEYS)
def test_the_url_of_a_course_is_the_one_that_django_gives(name: str, key: str):
    assert templates._course_url(name)(key) == reverse(name, args=[key])


@pytest.mark.parametrize("key", ["", "two\nlines"])
def test_a_key_that_can_stand_in_no_url_has_none(key: str):
    with pytest.raises(NoReverseMatch):
        reverse("course_unenroll", args=[key])

    assert templates._course_url("course_unenroll")(key) == ""


def test_what_a_context_lacks_is_an_error_and_not_an_empty_page():
    with pytest.raises(UndefinedError, match="is undefined"):
        templates.render("error.html", {})


def test_values_are_escaped():
    template = templates._environment().from_string("{{ a }} {{ a|shortened }}")

    assert "<" not in template.render(a='<b title="x">')


@pytest.mark.parametrize(
    ("number", "shown"), [("MATH101", "MATH101"), ("A" * 12, "A" * 12), ("A" * 13, "A" * 11 + "…")]
)
def test_a_long_number_is_cut(number: str, shown: str):
    assert templates._shortened(number) == shown


def test_a_sentence_is_remembered_for_each_language_by_itself():
    for _ in range(2):
        with translation.override("fr"):
            assert gettext("Yes") == translation.gettext("Yes") == "Oui"
        with translation.override("en"):
            assert gettext("Yes") == "Yes"


@pytest.mark.parametrize(
    ("count", "number", "sentence"),
    [
        (0, 1, "No course matches."),
        (1, 1, "One course"),
        (30, 2, "Courses 25–30 of 30"),  # noqa: RUF001 - a dash between numbers
    ],
)
def test_a_page_says_which_courses_it_shows(count: int, number: int, sentence: str):
    page = Paginator(range(count), 24).get_page(number)

    with translation.override("en"):
        assert words.found_in_words(page) == sentence
