"""Who may open a course, and who sees it in the apps."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lms_integration.learners.access import (
    ANONYMOUS,
    GRANTED,
    NOT_VISIBLE,
    UNFULFILLED_MILESTONES,
    Access,
    Standing,
    audit_expired,
    is_mobile_available,
    load_access,
)

NOW = datetime(2026, 11, 22, 20, 30, tzinfo=UTC)
KEY = "course-v1:Org+C+R"


@dataclass(kw_only=True)
class Course:
    id: str = KEY
    org: str = "Org"
    start: datetime | None = NOW - timedelta(days=1)
    visible_to_staff_only: bool = False
    mobile_available: bool = False
    days_early_for_beta: float | None = None


LEARNER = Standing(user_id=1)
TEAM = (
    Standing(is_global_staff=True),
    Standing(staff_courses={KEY}),
    Standing(limited_staff_courses={KEY}),
    Standing(instructor_courses={KEY}),
    Standing(staff_orgs={"Org"}),
    Standing(instructor_orgs={"Org"}),
)
OTHERS = (
    ANONYMOUS,
    LEARNER,
    Standing(staff_courses={"course-v1:Org+Other+R"}),
    Standing(limited_staff_courses={"course-v1:Org+Other+R"}),
    Standing(staff_orgs={"org"}),
)


def access_to(course: Course, standing: Standing = LEARNER, **conditions: Any) -> Access:
    return load_access(course, standing, **{"unfulfilled": frozenset(), "now": NOW, **conditions})


@pytest.mark.parametrize("standing", TEAM)
def test_the_team_of_a_course_is_always_let_in(standing: Standing) -> None:
    course = Course(start=NOW + timedelta(days=1), visible_to_staff_only=True)

    assert access_to(course, standing, unfulfilled={KEY}) is GRANTED


@pytest.mark.parametrize("standing", OTHERS)
def test_a_hidden_course_is_refused_before_anything_else(standing: Standing) -> None:
    course = Course(start=NOW + timedelta(days=1), visible_to_staff_only=True)

    assert access_to(course, standing, unfulfilled={KEY}) is NOT_VISIBLE


def test_a_course_without_a_start_has_begun() -> None:
    assert access_to(Course(start=None)) is GRANTED


def test_a_course_that_starts_now_has_not_begun() -> None:
    access = access_to(Course(start=NOW), unfulfilled={KEY})

    assert access.error_code == "course_not_started"
    assert access.user_message == "Course does not start until November 22, 2026"
    assert access.developer_message == "Course does not start until 2026-11-22 20:30:00+00:00"


def test_the_default_start_is_not_named() -> None:
    access = access_to(Course(start=datetime(2030, 1, 1, tzinfo=UTC)))

    assert access.user_message == access.developer_message == "Course has not started"


def test_start_dates_count_for_nothing_where_the_site_says_so() -> None:
    assert access_to(Course(start=NOW + timedelta(days=1)), start_dates_count=False) is GRANTED


@pytest.mark.parametrize(
    ("days", "is_let_in"), [(2, True), (0.5, False), (None, False), (1e9, True)]
)
def test_a_beta_tester_begins_some_days_early(days: float | None, is_let_in: bool) -> None:
    course = Course(start=NOW + timedelta(days=1), days_early_for_beta=days)

    assert access_to(course, Standing(beta_courses={KEY})).has_access is is_let_in
    assert not access_to(course).has_access


def test_prerequisites_have_to_be_passed() -> None:
    assert access_to(Course(), unfulfilled={KEY}) is UNFULFILLED_MILESTONES
    assert access_to(Course(), unfulfilled={"course-v1:Org+Other+R"}) is GRANTED


def test_expired_access_names_the_day_and_the_course() -> None:
    expires = datetime(2026, 3, 9, tzinfo=UTC)

    access = audit_expired(username="u", course_id=KEY, name="Name", expires=expires)

    assert access.user_message == "Access expired on Mar 9, 2026"
    assert access.additional_context_user_message == "Access to Name expired on Mar 9, 2026"
    assert access.developer_message == f"User u had access to {KEY} until 2026-03-09 00:00:00+00:00"


@pytest.mark.parametrize("standing", [*TEAM, Standing(beta_courses={KEY})])
def test_the_apps_show_testers_what_is_not_flagged(standing: Standing) -> None:
    assert is_mobile_available(Course(), standing, flag_counts=True)


def test_the_apps_show_everybody_else_what_is_flagged() -> None:
    assert not is_mobile_available(Course(), LEARNER, flag_counts=True)
    assert is_mobile_available(Course(mobile_available=True), LEARNER, flag_counts=True)
    assert is_mobile_available(Course(), LEARNER, flag_counts=False)
