"""The database's clock is set back by minutes: what was written before lies in the future, and waits for nobody."""

from datetime import UTC, datetime, timedelta

import pytest

from lms_integration.models import (
    HELD_BACK_SECONDS,
    OverviewJob,
    OverviewMark,
    OverviewSuspect,
)
from overview_worker.inspector import LEASE_SECONDS as INSPECTOR_LEASE_SECONDS
from overview_worker.rebuild import BUILDER_VERSION
from overview_worker.store import mark_statements
from overview_worker.store.conf import StoreConf
from overview_worker.store.due_marks import LONGEST_HOLD_SECONDS, LONGEST_LEASE_SECONDS
from overview_worker.store.inspection_store import DjangoInspectionStore
from overview_worker.store.jobs import take_slot
from overview_worker.store.thumbnail_register import REBUILD_LEASE_SECONDS
from tests.race_scene import real_store

pytestmark = [pytest.mark.service, pytest.mark.django_db(transaction=True)]

KEY = "course-v1:TestX+Clock+R1"
JOB = "inspect"
FIVE_MINUTES = 300
HOUR = 3600


def from_now(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def mark(**values) -> None:
    defaults = {"wanted": 2, "done": 1, "dirty_since": from_now(-10)}
    OverviewMark.objects.create(course_key=KEY, **{**defaults, **values})


def is_due() -> bool:
    return real_store().take_due(limit=10) == [KEY]


def test_a_job_that_was_begun_in_the_future_was_not_begun():
    OverviewJob.objects.create(name=JOB, started_at=from_now(FIVE_MINUTES))

    assert take_slot("default", JOB, period_seconds=55)
    assert not take_slot("default", JOB, period_seconds=55)


def test_a_job_that_another_beat_has_just_begun_is_not_begun_again():
    OverviewJob.objects.create(name=JOB, started_at=from_now(5))

    assert not take_slot("default", JOB, period_seconds=55)


def test_a_course_that_is_dirty_since_the_future_is_swept():
    mark(dirty_since=from_now(FIVE_MINUTES))

    assert is_due()


def test_a_lease_that_is_longer_than_leases_are_is_over():
    mark(next_attempt_at=from_now(FIVE_MINUTES), last_error="from an earlier attempt")

    assert is_due()


def test_a_lease_from_an_hour_ahead_is_over_where_nobody_says_why_the_course_is_held_back():
    mark(next_attempt_at=from_now(HOUR))

    assert is_due()


def test_what_is_held_back_for_longer_than_anybody_holds_courses_back_is_due():
    mark(next_attempt_at=datetime(9000, 1, 1, tzinfo=UTC), last_error="a fault")

    assert is_due()


@pytest.mark.parametrize("seconds", [20, LONGEST_LEASE_SECONDS])
def test_a_lease_is_left_alone(seconds):
    mark(next_attempt_at=from_now(seconds))

    assert not is_due()


@pytest.mark.parametrize("seconds", [HELD_BACK_SECONDS + 60, HOUR, LONGEST_HOLD_SECONDS])
def test_a_course_that_is_held_back_for_hours_stays_so(seconds):
    mark(next_attempt_at=from_now(seconds), last_error="a fault")

    assert not is_due()


def test_nothing_is_leased_or_held_back_for_longer_than_the_limits_say():
    leases = (INSPECTOR_LEASE_SECONDS, REBUILD_LEASE_SECONDS, mark_statements.LEASE_SECONDS)

    assert max(*leases, mark_statements.BACKOFF_CAP_MS / 1000) <= LONGEST_LEASE_SECONDS
    assert (
        max(mark_statements.FAULT_RETRY_SECONDS, mark_statements.FAULT_RETRY_SECONDS)
        <= LONGEST_HOLD_SECONDS
    )
    assert LONGEST_LEASE_SECONDS < HELD_BACK_SECONDS < LONGEST_HOLD_SECONDS


def test_a_difference_that_was_seen_in_the_future_begins_its_grace_now():
    OverviewSuspect.objects.create(
        course_key=KEY, fingerprint="stale", seen_at=from_now(FIVE_MINUTES)
    )
    store = DjangoInspectionStore(StoreConf(builder_version=BUILDER_VERSION))

    store.keep_suspects({KEY: "stale"})

    assert 0 <= store.suspects()[KEY].age_seconds < 60
