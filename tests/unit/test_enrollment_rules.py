"""When a course takes everybody, which modes can be chosen, and what a staff list is filtered by."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from lms_integration.enrollments.filters import EnrollmentFilters, filters_of
from lms_integration.enrollments.rules import (
    default_slug,
    is_offered,
    is_open_to_all,
    unexpired_modes,
)
from lms_integration.http.developer_errors import FieldErrors, in_developer_words
from lms_integration.learners.modes import Mode, default_mode

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@dataclass
class Course:
    enrollment_start: datetime | None = None
    enrollment_end: datetime | None = None
    invitation_only: bool = False


def mode(slug: str, *, until: datetime | None = None) -> Mode:
    return replace(default_mode(), slug=slug, expiration_datetime=until)


@pytest.mark.parametrize(
    ("course", "expected"),
    [
        (Course(), True),
        (Course(enrollment_start=NOW - SECOND, enrollment_end=NOW + SECOND), True),
        (Course(enrollment_start=NOW), False),
        (Course(enrollment_end=NOW), False),
        (Course(invitation_only=True), False),
    ],
)
def test_a_course_is_open_between_its_dates_and_without_invitation(course: Course, expected: bool):
    assert is_open_to_all(course, now=NOW) is expected


def test_a_mode_can_be_chosen_up_to_its_last_moment():
    modes = [mode("audit"), mode("verified", until=NOW), mode("credit", until=NOW - SECOND)]

    assert [each.slug for each in unexpired_modes(modes, now=NOW)] == ["audit", "verified"]


def test_where_no_mode_is_left_there_is_the_default_one():
    assert unexpired_modes([mode("verified", until=NOW - SECOND)], now=NOW) == [default_mode()]


@pytest.mark.parametrize(
    ("slugs", "expected"),
    [
        (["verified", "honor", "audit"], "audit"),
        (["verified", "honor"], "honor"),
        (["professional"], None),
    ],
)
def test_who_names_no_mode_gets_a_free_one(slugs: list[str], expected: str | None):
    assert default_slug(map(mode, slugs)) == expected


def test_a_mode_is_offered_under_its_exact_name():
    assert is_offered("audit", [mode("audit")])
    assert not is_offered("AUDIT", [mode("audit")])
    assert not is_offered(None, [mode("audit")])


def test_empty_values_do_not_filter():
    query = {"course_id": "", "course_ids": "a,,b,", "username": ",", "email": ""}

    assert filters_of(query) == EnrollmentFilters(parts=["a", "b"], usernames=[], emails=[])


def test_every_bad_parameter_is_named():
    many = ",".join(f"v{number}" for number in range(101))

    with pytest.raises(FieldErrors) as errors:
        filters_of(
            {"course_id": "nope", "username": "bad name!", "course_ids": many, "email": many}
        )

    found = errors.value.detail["field_errors"]  # type: ignore[index, call-overload]
    assert {name: error["developer_message"] for name, error in found.items()} == {  # type: ignore[union-attr, index, call-overload]
        "course_id": "'nope' is not a valid course id.",
        "username": "Usernames can only contain letters (A-Z, a-z), numerals (0-9), "
        "underscores (_), and hyphens (-).",
        "course_ids": "Too many course_ids in a single request - 101. A maximum of 100 is allowed",
        "email": "Too many emails in a single request - 101. A maximum of 100 is allowed",
    }


def test_one_message_is_told_to_developers():
    assert in_developer_words({"detail": "no"}) == {"developer_message": "no"}
    assert in_developer_words({"field_errors": {}}) == {"field_errors": {}}
