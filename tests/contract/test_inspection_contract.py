"""What every ``inspection_ports.InspectionStore`` promises: the twin and the real one keep it alike."""

from datetime import timedelta

import pytest
from django.utils import timezone

from lms_integration.models import (
    CourseOverview,
    OverviewJob,
    OverviewRemoval,
    OverviewState,
    OverviewSuspect,
)
from overview_worker.inspection_ports import FindingKind, InspectionReport, Repair
from overview_worker.inspection_testing import InMemoryInspectionStore
from overview_worker.rebuild import BUILDER_VERSION
from overview_worker.store.conf import StoreConf
from overview_worker.store.inspection_store import DjangoInspectionStore
from overview_worker.testing import InMemoryOverviewStore
from tests.race_scene import real_store
from tests.written_overviews import apply, locked, removed, written

KEY = "course-v1:Org+Course+Run"
OTHER = "course-v1:Org+Course+Run2"
THIRD = "course-v1:Org+Course+Run3"


class InMemory:
    """The twin, and what the tests need beside the port."""

    def __init__(self) -> None:
        self.store = InMemoryOverviewStore()
        self.inspection = InMemoryInspectionStore(self.store)

    def pass_time(self, seconds):
        self.store.pass_time(seconds)

    def drop_state(self, key):
        self.store.course(key).has_state = False

    def change_row(self, key):
        course = self.store.course(key)
        course.row = None

    def hold(self, key, status):
        self.store.course(key).removal = {status: 0.0}


class Real:
    """The real store, and the same beside it."""

    def __init__(self) -> None:
        self.store = real_store()
        self.inspection = DjangoInspectionStore(StoreConf(builder_version=BUILDER_VERSION))

    def pass_time(self, seconds):
        shift = timedelta(seconds=seconds)
        for suspect in OverviewSuspect.objects.all():
            OverviewSuspect.objects.filter(pk=suspect.pk).update(seen_at=suspect.seen_at - shift)
        for job in OverviewJob.objects.all():
            OverviewJob.objects.filter(pk=job.pk).update(
                started_at=job.started_at and job.started_at - shift
            )

    def drop_state(self, key):
        OverviewState.objects.filter(course_key=key).delete()

    def change_row(self, key):
        CourseOverview.objects.filter(id=key).delete()

    def hold(self, key, status):
        OverviewRemoval.objects.create(course_key=key, status=status, changed_at=timezone.now())


@pytest.fixture(
    params=[
        pytest.param(InMemory, id="in memory"),
        pytest.param(
            Real, id="real", marks=[pytest.mark.service, pytest.mark.django_db(transaction=True)]
        ),
    ]
)
def harness(request):
    return request.param()


def mark(harness, key, **changes):
    repair = Repair(course_key=key, kind=FindingKind.STALE, **changes)
    harness.inspection.mark([repair], lease_seconds=60)


def test_stored_courses_come_in_the_order_of_their_keys_with_what_they_have(harness):
    apply(harness.store, written(display_name="Tides"), OTHER)
    (change,) = apply(harness.store, written(display_name="Dunes"), KEY)
    locked(harness.store, THIRD)
    mark(harness, KEY)

    courses = list(harness.inspection.iter_stored())

    assert [course.course_key for course in courses] == [KEY, OTHER, THIRD]
    first, _, never_built = courses
    assert first.source_version == change.pointer.structure_id
    assert (first.has_row, first.has_projection, first.deleted) == (True, True, False)
    assert (first.has_tombstone, first.collides_with, first.wanted) == (False, None, 1)
    assert (never_built.source_version, never_built.has_row) == ("", False)


def test_a_deleted_course_has_a_tombstone_and_no_row(harness):
    apply(harness.store, written(display_name="Tides"), KEY)
    apply(harness.store, removed, KEY)

    (course,) = harness.inspection.iter_stored()

    assert (course.deleted, course.has_row, course.has_tombstone) == (True, False, True)


def test_a_row_without_a_state_is_stateless(harness):
    apply(harness.store, written(display_name="Tides"), KEY)
    apply(harness.store, written(display_name="Dunes"), OTHER)
    harness.drop_state(KEY)

    (course,) = harness.inspection.find_stateless()

    assert (course.course_key, course.has_state, course.has_row) == (KEY, False, True)
    assert [each.course_key for each in harness.inspection.iter_stored()] == [OTHER]


def test_a_job_begins_once_a_period(harness):
    slots = []
    for _ in range(3):
        slots.append(harness.inspection.take_slot("any", period_seconds=60))
        harness.pass_time(40)

    assert slots == [True, False, True]
    assert harness.inspection.take_slot("another", period_seconds=60)


def test_suspects_keep_their_age_while_the_difference_is_the_same(harness):
    harness.inspection.keep_suspects({KEY: "a", OTHER: "a", THIRD: "a"})
    harness.pass_time(100)
    harness.inspection.keep_suspects({KEY: "a", OTHER: "b"})

    suspects = harness.inspection.suspects()

    assert set(suspects) == {KEY, OTHER}
    assert suspects[KEY].age_seconds == pytest.approx(100, abs=5)
    assert (suspects[OTHER].fingerprint, suspects[OTHER].age_seconds) == (
        "b",
        pytest.approx(0, abs=5),
    )


def test_a_repair_is_a_mark_that_says_who_made_it(harness):
    apply(harness.store, written(display_name="Tides"), KEY)
    mark(harness, KEY, rewrite=True)

    course = locked(harness.store, KEY)

    assert course.is_dirty
    assert course.rewrite
    assert course.notes.event_type == "inspector: stale"
    assert course.published_seconds is None
    assert harness.inspection.find_dirty([KEY, OTHER]) == {KEY}
    assert harness.store.take_due(limit=10) == []


def test_a_lost_publish_has_been_waiting_for_as_long_as_is_known(harness):
    mark(harness, KEY, lost_for_seconds=120)

    assert locked(harness.store, KEY).published_seconds == pytest.approx(120, abs=5)


def test_a_rewrite_is_over_when_it_is_done(harness):
    mark(harness, KEY, rewrite=True)
    apply(harness.store, written(display_name="Tides"), KEY)
    assert not locked(harness.store, KEY).rewrite

    mark(harness, KEY)
    assert not locked(harness.store, KEY).rewrite


def test_what_is_held_is_told_with_whether_it_waits(harness):
    for key in (KEY, OTHER, THIRD):
        apply(harness.store, written(display_name="Tides"), key)
    harness.hold(KEY, "held")
    harness.hold(OTHER, "refused")
    harness.hold(THIRD, "removed")

    assert harness.inspection.find_held() == {KEY: True, OTHER: False}

    harness.inspection.release_held([KEY])
    assert harness.inspection.find_held() == {OTHER: False}
    assert harness.inspection.find_dirty([KEY, OTHER]) == {KEY}


def test_the_deep_check_takes_live_courses_in_turns(harness):
    keys = [f"{KEY}{number}" for number in range(5)]
    for key in keys:
        apply(harness.store, written(display_name="Tides"), key)
    apply(harness.store, removed, keys[3])

    turns = [harness.inspection.deep_check_keys(limit=3) for _ in range(3)]
    everything = harness.inspection.deep_check_keys(limit=100)

    live = [*keys[:3], keys[4]]
    assert turns == [live[:3], [live[3], *live[:2]], [*live[2:], live[0]]]
    assert sorted(everything) == live


def test_all_that_is_stored_is_read(harness):
    (change,) = apply(harness.store, written(display_name="Tides"), KEY)
    mark(harness, KEY)

    stored = harness.inspection.read_stored([KEY, OTHER])

    course = stored[KEY]
    assert course.row is not None
    assert course.projection is not None
    assert course.row["display_name"] == "Tides"
    assert course.projection["course_key"] == KEY
    assert tuple(course.tabs) == change.built.tabs
    assert (course.content_hash, course.tabs_hash) == (change.content_hash, change.tabs_hash)
    assert (course.row_seq, course.wanted, course.is_dirty) == (1, 1, True)
    assert (stored[OTHER].row, stored[OTHER].source_version, stored[OTHER].tabs) == (None, "", ())


def test_a_pass_is_opened_and_completed_or_fails(harness):
    number = harness.inspection.begin()
    harness.inspection.finish(number, InspectionReport(course_count=3, findings={"stale": 1}))
    harness.inspection.finish(harness.inspection.begin(), InspectionReport())
    assert len(harness.inspection.pass_ages(limit=1)) == 1
    assert 0 <= harness.inspection.pass_ages(limit=10)[0] < 60
    harness.inspection.fail(harness.inspection.begin(), InspectionReport(), "gone")

    assert harness.inspection.now() is not None
    assert harness.inspection.count_served() == 0
