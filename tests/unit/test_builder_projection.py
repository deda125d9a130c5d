"""The projection: one test for each rule, and Open edX's default where nothing is stored."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Int64, ObjectId

from lms_integration.data import CourseOverviewProjectionData
from overview_worker.builder.fields import DEEPEST_JSON, LONGEST_JSON_NAME
from tests.builder_courses import build, degraded_fields

BOOLEANS = {
    "allow_public_wiki_access": False,
    "hide_progress_tab": None,
    "edxnotes": False,
    "enable_ccx": False,
    "show_calculator": False,
    "edxnotes_visibility": True,
}
TEXTBOOK_LISTS = ("textbooks", "pdf_textbooks", "html_textbooks")
PDF_BOOK = {"tab_title": "Book", "id": "0", "chapters": [{"title": "One", "url": "/static/1.pdf"}]}


def projected(name: str, value: Any) -> Any:
    return getattr(build({name: value}).projection, name)


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_a_course_that_stores_nothing_has_open_edx_s_defaults():
    assert build().projection == CourseOverviewProjectionData()
    assert build().degradations == ()


# Booleans


@pytest.mark.parametrize("name", BOOLEANS)
@pytest.mark.parametrize(
    ("stored", "shown"),
    [(True, True), (False, False), ("TRUE", True), ("yes", False), (1, True), (None, False)],
)
def test_a_boolean_is_read_as_xblock_reads_it(name, stored, shown):
    assert projected(name, stored) is shown


@pytest.mark.parametrize("name", BOOLEANS)
def test_an_absent_boolean_takes_its_default(name):
    assert getattr(build().projection, name) is BOOLEANS[name]


# Who sees content


@pytest.mark.parametrize("stored", ["private", "public_outline", "public", "odd", "", None])
def test_the_visibility_of_a_course_is_kept_as_it_is_stored(stored):
    assert projected("course_visibility", stored) == stored


def test_a_visibility_that_is_no_text_closes_the_course_and_is_told():
    built = build({"course_visibility": ["public"]})

    assert built.projection.course_visibility == "private"
    assert degraded_fields(built) == ["course_visibility"]


# Textbooks


def test_textbooks_are_read_from_the_definition():
    books = [["Calculus", "https://books.example.org/calculus/"], ["Algebra", "/algebra/"]]

    assert build(definition={"textbooks": books}).projection.textbooks == books


@pytest.mark.parametrize(
    "stored", [None, "Book", {"title": "Book"}, [["Book"]], ["ab"], [["a", "b", "c"]], [None]]
)
def test_textbooks_of_another_shape_are_left_out_and_told(stored):
    built = build(definition={"textbooks": stored})

    assert built.projection.textbooks == []
    assert degraded_fields(built) == ["textbooks"]


@pytest.mark.parametrize("name", ["pdf_textbooks", "html_textbooks"])
def test_other_textbooks_are_kept_as_they_are_stored(name):
    assert projected(name, [PDF_BOOK, "odd", None, 1.5]) == [PDF_BOOK, "odd", None, 1.5]
    assert projected(name, None) == []


@pytest.mark.parametrize("name", TEXTBOOK_LISTS)
@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 1, tzinfo=UTC),
        ObjectId("5" * 24),
        b"bytes",
        float("nan"),
        float("inf"),
        2**63,
        "\ud800",
        {"\ud800": 1},
        {1: 2},
        {"x" * (LONGEST_JSON_NAME + 1): 1},
        nested(DEEPEST_JSON),
    ],
)
def test_a_list_that_no_json_column_takes_is_left_out_and_told(name, value):
    built = build({name: [["Title", value]]})

    assert getattr(built.projection, name) == []
    assert degraded_fields(built) == [name]


def test_a_list_keeps_its_default_when_the_stored_one_is_bad():
    built = build({"pdf_textbooks": "none"}, defaults={"pdf_textbooks": [PDF_BOOK]})

    assert built.projection.pdf_textbooks == [PDF_BOOK]


def test_lists_hold_plain_values_as_deep_as_a_column_takes():
    (number,) = projected("pdf_textbooks", [Int64(7)])

    assert type(number) is int
    assert projected("html_textbooks", nested(DEEPEST_JSON)) == nested(DEEPEST_JSON)


# Teams


@pytest.mark.parametrize(
    "configuration",
    [
        {"team_sets": [{"id": "lab", "name": "Lab"}]},
        {"topics": [{"id": "social.2 x-y_z"}], "max_team_size": 10},
        {"team_sets": [{"id": ""}, None, {"id": 7}]},
        {"enabled": True},
        {"enabled": True, "team_sets": []},
        {"enabled": None, "team_sets": [{"id": "lab"}]},
    ],
)
def test_teams_are_enabled_by_a_team_set_or_by_name(configuration):
    built = build({"teams_configuration": configuration})

    assert built.projection.teams_enabled is True
    assert built.degradations == ()


@pytest.mark.parametrize(
    "configuration",
    [
        {},
        None,
        "teams",
        [{"id": "lab"}],
        {"max_team_size": 10},
        {"team_sets": []},
        {"team_sets": {"id": "lab"}},
        {"team_sets": [], "topics": [{"id": "social"}]},
        {"team_sets": [{"id": "a/b"}, {"id": None}, {"name": "Lab"}, "lab"]},
        {"enabled": False, "team_sets": [{"id": "lab"}]},
    ],
)
def test_teams_are_off_without_a_team_set_that_has_an_id(configuration):
    built = build({"teams_configuration": configuration})

    assert built.projection.teams_enabled is False
    assert built.degradations == ()


# The about page


def test_the_about_page_is_kept_as_it_is_stored():
    html = '<section class="about">\n  <p>Tides &amp; dunes 🌊</p>\n</section>\n'

    assert build(about={"overview": html}).projection.overview_html == html


def test_a_course_without_an_about_page_has_none():
    assert build(about={"short_description": "Short"}).projection.overview_html is None


def test_an_about_page_that_is_no_text_is_left_out_and_told():
    built = build(about={"overview": ["<p>"]})

    assert built.projection.overview_html is None
    assert degraded_fields(built) == ["about/overview/data"]
