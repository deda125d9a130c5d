"""The sample catalogue: how many courses, how varied, and the same at every call."""

from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions

from dev.authoring.catalogue import SampleCourse, sample_catalogue
from lms_integration.course_keys import is_course_key

#: Near the middle of the dates of the catalogue.
TODAY = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def courses() -> tuple[SampleCourse, ...]:
    return sample_catalogue()


def values(courses: tuple[SampleCourse, ...], name: str) -> list[Any]:
    return [course.settings[name] for course in courses if name in course.settings]


def test_there_are_more_than_200_courses_with_keys_of_their_own(courses):
    keys = {course.course_key for course in courses}

    assert len(courses) == len(keys) > 200
    assert len({key.lower() for key in keys}) == len(keys)


def test_the_catalogue_is_the_same_at_every_call(courses):
    assert sample_catalogue() == courses


def test_every_key_is_one_that_the_pipeline_accepts(courses):
    for course in courses:
        assert is_course_key(course.course_key)


def test_every_value_can_be_stored_without_loss(courses):
    options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
    for course in courses:
        stored = {"settings": course.settings, "content": course.content, "about": course.about}
        assert bson.decode(bson.encode(stored), options) == stored


def test_most_courses_are_small_a_few_large_and_one_very_large(courses):
    counts = sorted(course.block_count for course in courses)

    assert sum(5 <= count <= 60 for count in counts) > 0.9 * len(counts)
    assert sum(200 <= count <= 600 for count in counts) >= 3
    assert counts[-1] == 1200


def test_some_courses_are_over_some_run_and_some_are_to_come(courses):
    ends = values(courses, "end")
    starts = values(courses, "start")

    assert sum(end < TODAY for end in ends) > 20
    assert sum(start > TODAY for start in starts) > 20
    assert len(starts) < len(courses)


def test_there_are_courses_in_many_languages_with_titles_in_their_scripts(courses):
    assert len(set(values(courses, "language"))) >= 10
    assert sum(not str(title).isascii() for title in values(courses, "display_name")) > 50


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("self_paced", True),
        ("self_paced", False),
        ("invitation_only", True),
        ("visible_to_staff_only", True),
        ("mobile_available", True),
        ("mobile_available", False),
        ("catalog_visibility", "about"),
        ("catalog_visibility", "none"),
        ("certificates_display_behavior", "early_no_info"),
        ("entrance_exam_enabled", True),
        ("enable_proctored_exams", True),
        ("highlights_enabled_for_messaging", True),
    ],
)
def test_each_kind_of_course_is_there(courses, setting, value):
    assert value in values(courses, setting)


def test_prerequisites_are_courses_of_the_catalogue(courses):
    keys = {course.course_key for course in courses}
    required = [key for keys_ in values(courses, "pre_requisite_courses") for key in keys_]

    assert required
    assert set(required) <= keys


def test_tabs_begin_with_the_courseware(courses):
    lists = values(courses, "tabs")

    assert lists
    assert all(tabs[0]["type"] == "courseware" for tabs in lists)
