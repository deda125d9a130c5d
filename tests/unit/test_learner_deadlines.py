"""Modes that can still be chosen, upgrade deadlines, and the end of audit access."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lms_integration.learners.access import Standing
from lms_integration.learners.deadlines import (
    AUDIT_ACCESS_DURATION,
    audit_access_expires,
    upgrade_deadline,
)
from lms_integration.learners.modes import Mode, default_mode, unexpired, verified_mode

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = "course-v1:Org+C+R"


def mode(slug: str, expires: datetime | None = None) -> Mode:
    return replace(default_mode(), slug=slug, expiration_datetime=expires)


AUDIT, VERIFIED = mode("audit"), mode("verified", NOW + 100 * DAY)


@dataclass(kw_only=True)
class Course:
    id: str = KEY
    org: str = "Org"
    start: datetime | None = None
    self_paced: bool = True


@dataclass(kw_only=True)
class OwnTime:
    active: bool = True
    start_date: datetime | None = None
    upgrade_deadline: datetime | None = None


# --- modes


def test_expired_modes_cannot_be_chosen() -> None:
    over, today = mode("verified", NOW - DAY), mode("verified", NOW)

    assert unexpired([AUDIT, over, today], now=NOW) == [AUDIT, today]


def test_a_course_of_which_no_mode_is_left_has_the_default_mode() -> None:
    assert unexpired([mode("verified", NOW - DAY)], now=NOW) == [default_mode()]
    assert default_mode().slug == "audit"


def test_the_verified_mode_is_found_among_others() -> None:
    assert verified_mode([AUDIT, VERIFIED]) is VERIFIED
    assert verified_mode([AUDIT]) is None


# --- upgrading


def deadline(course: Course | None = None, **facts: Any) -> datetime | None:
    given = {
        "mode": "audit",
        "offered": [AUDIT, VERIFIED],
        "schedule": None,
        "is_dynamic": False,
        "now": NOW,
    }
    return upgrade_deadline(course or Course(), **{**given, **facts})


def test_the_deadline_is_the_end_of_the_verified_mode() -> None:
    assert deadline() == deadline(mode="honor") == VERIFIED.expiration_datetime


@pytest.mark.parametrize("slug", ["verified", "professional", "credit", "masters", "odd"])
def test_other_modes_have_no_deadline(slug: str) -> None:
    assert deadline(mode=slug) is None


def test_without_a_verified_mode_there_is_no_deadline() -> None:
    own = OwnTime(upgrade_deadline=NOW + DAY)

    assert deadline(offered=[AUDIT], schedule=own, is_dynamic=True) is None


def test_a_learner_has_a_deadline_of_their_own() -> None:
    own = OwnTime(upgrade_deadline=NOW + DAY)

    assert deadline(schedule=own, is_dynamic=True) == NOW + DAY
    assert deadline(schedule=own) == VERIFIED.expiration_datetime
    assert deadline(Course(self_paced=False), schedule=own, is_dynamic=True) == (
        VERIFIED.expiration_datetime
    )


def test_an_own_deadline_that_has_passed_is_none() -> None:
    assert deadline(schedule=OwnTime(upgrade_deadline=NOW), is_dynamic=True) is None


def test_an_own_deadline_is_not_later_than_the_course_s() -> None:
    own = OwnTime(upgrade_deadline=NOW + 200 * DAY)

    assert deadline(schedule=own, is_dynamic=True) == VERIFIED.expiration_datetime
    endless = [mode("verified")]
    assert deadline(schedule=own, is_dynamic=True, offered=endless) == NOW + 200 * DAY


def test_an_inactive_schedule_counts_for_nothing() -> None:
    own = OwnTime(active=False, upgrade_deadline=NOW + DAY)

    assert deadline(schedule=own, is_dynamic=True) == VERIFIED.expiration_datetime


# --- audit access


def end_of_access(course: Course | None = None, **facts: Any) -> datetime | None:
    given: dict[str, Any] = {
        "mode": "audit",
        "enrolled_at": NOW,
        "modes": [AUDIT, VERIFIED],
        "schedule": None,
        "limited_since": NOW - DAY,
    }
    standing = facts.pop("standing", Standing(user_id=1))
    return audit_access_expires(course or Course(), standing, **{**given, **facts})


def test_audit_access_ends_some_weeks_after_enrolling_or_the_start() -> None:
    assert end_of_access() == NOW + AUDIT_ACCESS_DURATION
    assert end_of_access(Course(start=NOW - DAY)) == NOW + AUDIT_ACCESS_DURATION
    assert end_of_access(Course(start=NOW + DAY)) == NOW + DAY + AUDIT_ACCESS_DURATION


def test_audit_access_runs_from_the_learner_s_own_start() -> None:
    own = OwnTime(start_date=NOW + DAY)

    assert end_of_access(Course(start=NOW - DAY), schedule=own) == NOW + DAY + AUDIT_ACCESS_DURATION


def test_a_mode_that_has_expired_limits_access_all_the_same() -> None:
    assert end_of_access(modes=[AUDIT, mode("verified", NOW - DAY)]) is not None


@pytest.mark.parametrize(
    "facts",
    [
        {"limited_since": None},
        {"limited_since": NOW + DAY},
        {"enrolled_at": None},
        {"mode": "verified"},
        {"modes": [AUDIT]},
        {"modes": [VERIFIED]},
        {"standing": Standing(is_global_staff=True)},
        {"standing": Standing(staff_courses={KEY})},
        {"standing": Standing(beta_courses={KEY})},
    ],
)
def test_access_is_not_limited(facts: dict[str, Any]) -> None:
    assert end_of_access(**facts) is None
