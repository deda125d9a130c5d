"""Which texts name a course of a Split modulestore."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opaque_keys.edx.keys import CourseKey

from lms_integration.course_keys import (
    CourseKeyParts,
    InvalidCourseKey,
    is_course_key,
    parse_course_key,
)


def test_a_course_key_gives_its_three_parts():
    parts = parse_course_key("course-v1:OpenedX+DemoX+DemoCourse")

    assert parts == CourseKeyParts(org="OpenedX", course="DemoX", run="DemoCourse")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a course key"),
        ("DemoX", "not a course key"),
        ("course-v1:a+b", "not a course key"),
        ("course-v1:a+b+c d", "not a course key"),
        ("course-v1:a+b+c\n", "not a course key"),
        ("course-v1:a+b+" + "c" * 242, "256 characters"),
        ("library-v1:LibOrg+LIB0", "names a library"),
        ("ccx-v1:a+b+c+ccx@1", "not a course"),
        ("Org/Course/Run", "old modulestore"),
        ("course-v1:a+b+c+branch@published-branch", "without branch or version"),
    ],
)
def test_a_text_that_names_no_split_course_is_refused_with_its_reason(text, reason):
    with pytest.raises(InvalidCourseKey, match=reason):
        parse_course_key(text)

    assert not is_course_key(text)


_PART = st.text("ABCabc019_-~.:", min_size=1, max_size=20)


@given(_PART, _PART, _PART)
def test_an_ordinary_key_has_the_parts_that_open_edx_finds_in_it(org, course, run):
    text = f"course-v1:{org}+{course}+{run}"

    parts = parse_course_key(text)

    expected = CourseKey.from_string(text)
    assert (parts.org, parts.course, parts.run) == (expected.org, expected.course, expected.run)


def test_keys_that_differ_by_case_or_look_alikes_are_all_keys():
    assert is_course_key("course-v1:CaseOrg+CASE101+Run1")
    assert is_course_key("course-v1:caseorg+case101+run1")
    assert is_course_key("course-v1:\uff43aseorg+case101+run1")


def test_a_key_of_255_characters_is_accepted():
    assert is_course_key("course-v1:a+b+" + "c" * 241)
