"""Every branch of a rebuild, on the in-memory twins."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.documents import BuiltOverview, PublishedCourse, PublishedPointer
from overview_worker.errors import ModulestoreUnavailable, StoreUnavailable
from overview_worker.ports import (
    LockedCourse,
    MarkNotes,
    Modulestore,
    OverviewStore,
    ReadResult,
    StoredState,
)
from overview_worker.rebuild import (
    DISBELIEVE_AFTER_LOOKS,
    DISBELIEVE_AFTER_SECONDS,
    MAX_ROUNDS,
    Build,
    RebuildDepth,
    RebuildOutcome,
    RebuildReport,
    content_hash_of,
    lag_reason,
    projection_hash_of,
    rebuild_overviews,
    tabs_hash_of,
)
from overview_worker.testing import InMemoryModulestore, InMemoryOverviewStore

KEY = "course-v1:Org+Course+Run"
OTHER = "course-v1:Org+Course+Run2"
THIRD = "course-v1:Org+Course+Run3"
UNKNOWN_VERSION = "f" * 24
T0 = datetime(2026, 1, 1, tzinfo=UTC)

build: Build = partial(build_overview, settings=BuilderSettings())


@pytest.fixture
def modulestore() -> InMemoryModulestore:
    return InMemoryModulestore()


@pytest.fixture
def store() -> InMemoryOverviewStore:
    return InMemoryOverviewStore()


Run = Callable[..., RebuildReport]


@pytest.fixture
def rebuild(modulestore: InMemoryModulestore, store: InMemoryOverviewStore) -> Run:
    def run(
        *course_keys: str,
        depth: RebuildDepth = RebuildDepth.DIRTY,
        build: Build = build,
        modulestore: Modulestore = modulestore,
        store: OverviewStore = store,
    ) -> RebuildReport:
        return rebuild_overviews(
            course_keys or [KEY],
            modulestore=modulestore,
            store=store,
            build=build,
            depth=depth,
        )

    return run


def outcome(report: RebuildReport, course_key: str = KEY) -> RebuildOutcome:
    return report.outcomes[course_key]


def display_name(store: InMemoryOverviewStore, course_key: str = KEY) -> str | None:
    row = store.course(course_key).row
    assert row is not None
    return row.overview.display_name


class MarkingModulestore(InMemoryModulestore):
    """Somebody marks the course while a rebuild reads it, so many times."""

    def __init__(self, store: InMemoryOverviewStore, *, times: int) -> None:
        super().__init__()
        self._store = store
        self._times = times
        self.read_count = 0

    def read_published(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, ReadResult]:
        read = super().read_published(pointers)
        self.read_count += 1
        if self._times:
            self._times -= 1
            for pointer in pointers:
                self.publish(pointer.course_key, display_name=f"after read {self.read_count}")
                self._store.mark(pointer.course_key)
        return read


# What is dirty is rebuilt


def test_a_published_course_is_written(modulestore, store, rebuild):
    pointer = modulestore.publish(KEY, display_name="Tides")
    store.mark(KEY, announced_version=pointer.structure_id, announced_at=pointer.updated_at)

    report = rebuild()

    assert outcome(report) is RebuildOutcome.WRITTEN
    assert report.still_dirty == ()
    assert display_name(store) == "Tides"
    assert store.course(KEY).state.source_version == pointer.structure_id
    assert store.course(KEY).state.source_updated_at == pointer.updated_at
    assert not store.course(KEY).is_dirty


def test_a_clean_course_is_left_alone_without_a_look_at_the_source(modulestore, store, rebuild):
    modulestore.outage = ModulestoreUnavailable("must not be asked")

    assert outcome(rebuild()) is RebuildOutcome.CLEAN


def test_many_marks_cost_one_rebuild(modulestore, store, rebuild):
    modulestore.publish(KEY)
    for _ in range(1000):
        store.mark(KEY)

    rebuild()
    rebuild()

    assert store.course(KEY).done == 1000
    assert store.course(KEY).write_count == 1


def test_a_busy_course_is_left_to_its_holder(modulestore, store, rebuild):
    modulestore.publish(KEY)
    modulestore.publish(OTHER)
    store.mark(KEY)
    store.mark(OTHER)

    with store.transaction([KEY]):
        report = rebuild(KEY, OTHER)

    assert outcome(report) is RebuildOutcome.BUSY
    assert outcome(report, OTHER) is RebuildOutcome.WRITTEN
    assert report.still_dirty == ()


def test_unchanged_content_writes_nothing_but_the_version(modulestore, store, rebuild):
    modulestore.publish(KEY, display_name="Tides")
    store.mark(KEY)
    rebuild()
    pointer = modulestore.publish(KEY, display_name="Tides")
    store.mark(KEY)

    report = rebuild()

    assert outcome(report) is RebuildOutcome.UNCHANGED
    assert store.course(KEY).write_count == 1
    assert store.course(KEY).state.row_seq == 1
    assert store.course(KEY).state.source_version == pointer.structure_id


def test_changed_tabs_leave_the_row_alone(modulestore, store, rebuild):
    modulestore.publish(KEY, tabs=[{"type": "courseware", "name": "Course"}])
    store.mark(KEY)
    rebuild()
    modulestore.publish(KEY, tabs=[{"type": "courseware", "name": "Lessons"}])
    store.mark(KEY)

    report = rebuild()

    assert outcome(report) is RebuildOutcome.WRITTEN
    assert store.course(KEY).write_count == 1
    assert store.course(KEY).tabs_write_count == 2


def test_a_changed_projection_leaves_row_and_tabs_alone_but_counts(modulestore, store, rebuild):
    modulestore.publish(KEY, about={"overview": "<p>Tides</p>"})
    store.mark(KEY)
    rebuild()
    modulestore.publish(KEY, about={"overview": "<p>Dunes</p>"})
    store.mark(KEY)

    report = rebuild()

    course = store.course(KEY)
    assert outcome(report) is RebuildOutcome.WRITTEN
    assert (course.write_count, course.tabs_write_count) == (1, 1)
    assert course.projection_write_count == 2
    assert course.state.row_seq == 2
    assert course.row.projection.overview_html == "<p>Dunes</p>"


def test_a_row_from_before_there_were_projections_gets_one(modulestore, store, rebuild):
    modulestore.publish(KEY)
    store.mark(KEY)
    rebuild()
    store.course(KEY).state = replace(store.course(KEY).state, projection_hash="")
    store.mark(KEY)

    report = rebuild()

    assert outcome(report) is RebuildOutcome.WRITTEN
    assert store.course(KEY).write_count == 1
    assert store.course(KEY).projection_write_count == 2


def test_a_degraded_projection_is_told(modulestore, store, rebuild, caplog):
    modulestore.publish(KEY)
    store.mark(KEY)
    rebuild()
    modulestore.publish(KEY, course_visibility=5, show_calculator=True)
    store.mark(KEY)

    with caplog.at_level(logging.WARNING):
        rebuild()

    assert "course_visibility" in caplog.text


def test_a_row_that_has_vanished_is_written_again(modulestore, store, rebuild):
    modulestore.publish(KEY)
    store.mark(KEY)
    rebuild()
    store.course(KEY).row = None
    store.mark(KEY)

    assert outcome(rebuild()) is RebuildOutcome.WRITTEN
    assert store.course(KEY).row is not None


def test_a_rewrite_writes_clean_and_unchanged_courses(modulestore, store, rebuild):
    modulestore.publish(KEY)
    store.mark(KEY)
    rebuild()

    report = rebuild(depth=RebuildDepth.REWRITE)

    assert outcome(report) is RebuildOutcome.WRITTEN
    assert store.course(KEY).write_count == 2
    assert store.course(KEY).tabs_write_count == 2
    assert store.course(KEY).projection_write_count == 2


def test_a_key_that_is_named_twice_is_rebuilt_once(modulestore, store, rebuild):
    modulestore.publish(KEY)
    store.mark(KEY)

    report = rebuild(KEY, KEY)

    assert outcome(report) is RebuildOutcome.WRITTEN
    assert store.course(KEY).write_count == 1


def test_a_degraded_course_is_written_and_its_fields_are_told(modulestore, store, rebuild, caplog):
    modulestore.publish(KEY, display_name="Tides", days_early_for_beta="soon")
    store.mark(KEY)

    with caplog.at_level(logging.WARNING):
        report = rebuild()

    assert outcome(report) is RebuildOutcome.WRITTEN
    row = store.course(KEY).row
    assert row is not None
    assert [degradation.field for degradation in row.degradations] == ["days_early_for_beta"]
    assert "days_early_for_beta" in caplog.text


# Deleted courses


def test_a_deleted_course_leaves_a_tombstone(modulestore, store, rebuild):
    modulestore.publish(KEY)
    store.mark(KEY)
    rebuild()
    modulestore.delete(KEY)
    store.mark(KEY, announced_version="", announced_at=T0 + timedelta(hours=1))

    report = rebuild()

    assert outcome(report) is RebuildOutcome.DELETED
    assert store.course(KEY).row is None
    assert store.course(KEY).state.deleted
    assert not store.course(KEY).is_dirty


def test_a_late_event_does_not_bring_a_deleted_course_back(modulestore, store, rebuild):
    pointer = modulestore.publish(KEY)
    store.mark(KEY)
    rebuild()
    modulestore.delete(KEY)
    store.mark(KEY)
    rebuild()
    store.mark(
        KEY,
        announced_version=pointer.structure_id,
        announced_at=pointer.updated_at - timedelta(minutes=1),
    )

    report = rebuild()

    assert outcome(report) is RebuildOutcome.ABSENT
    assert store.course(KEY).row is None


def test_a_course_that_never_was_leaves_nothing(store, rebuild):
    store.mark(KEY)

    assert outcome(rebuild()) is RebuildOutcome.ABSENT
    assert not store.course(KEY).state.deleted
    assert not store.course(KEY).is_dirty


def test_a_row_without_a_state_is_removed_with_its_course(modulestore, store, rebuild):
    modulestore.publish(KEY)
    store.mark(KEY)
    rebuild()
    store.course(KEY).state = StoredState()
    modulestore.delete(KEY)
    store.mark(KEY)

    assert outcome(rebuild()) is RebuildOutcome.DELETED


def test_a_course_that_is_created_again_comes_back(modulestore, store, rebuild):
    modulestore.publish(KEY, display_name="Before")
    store.mark(KEY)
    rebuild()
    modulestore.delete(KEY)
    store.mark(KEY)
    rebuild()
    modulestore.publish(KEY, display_name="After")
    store.mark(KEY)

    assert outcome(rebuild()) is RebuildOutcome.WRITTEN
    assert display_name(store) == "After"
    assert not store.course(KEY).state.deleted


# A source that is behind


def test_a_newer_announcement_than_the_index_is_waited_for(modulestore, store, rebuild):
    pointer = modulestore.publish(KEY, display_name="Old")
    store.mark(
        KEY,
        announced_version=UNKNOWN_VERSION,
        announced_at=pointer.updated_at + timedelta(seconds=1),
    )

    report = rebuild()

    assert outcome(report) is RebuildOutcome.LAGGING
    assert store.course(KEY).row is None
    assert store.course(KEY).is_dirty
    assert store.course(KEY).next_attempt_at == pytest.approx(0.1)


def test_it_is_waited_for_also_where_the_row_has_what_the_index_says(modulestore, store, rebuild):
    pointer = modulestore.publish(KEY)
    store.mark(KEY)
    rebuild()
    store.mark(
        KEY,
        announced_version=UNKNOWN_VERSION,
        announced_at=pointer.updated_at + timedelta(seconds=1),
    )

    assert outcome(rebuild()) is RebuildOutcome.LAGGING
    assert store.course(KEY).is_dirty


def test_an_announced_delete_that_the_index_does_not_show_is_waited_for(
    modulestore, store, rebuild
):
    pointer = modulestore.publish(KEY)
    store.mark(KEY)
    rebuild()
    store.mark(KEY, announced_version="", announced_at=pointer.updated_at + timedelta(seconds=1))

    assert outcome(rebuild()) is RebuildOutcome.LAGGING


def test_an_announced_course_that_the_index_does_not_have_is_waited_for(store, rebuild):
    store.mark(KEY, announced_version=UNKNOWN_VERSION, announced_at=T0)

    report = rebuild()

    assert outcome(report) is RebuildOutcome.LAGGING
    assert store.course(KEY).is_dirty


def wait_long(store: InMemoryOverviewStore, rebuild: Run, *keys: str) -> None:
    """Look as often, and let as much time pass, as it takes until an announcement is disbelieved."""
    for _ in range(DISBELIEVE_AFTER_LOOKS):
        assert set(rebuild(*keys).outcomes.values()) == {RebuildOutcome.LAGGING}
    store.pass_time(DISBELIEVE_AFTER_SECONDS)


def test_the_first_look_after_a_long_backlog_believes_the_announcement(modulestore, store, rebuild):
    pointer = modulestore.publish(KEY)
    store.mark(
        KEY,
        announced_version=UNKNOWN_VERSION,
        announced_at=pointer.updated_at + timedelta(seconds=1),
    )
    store.pass_time(10 * DISBELIEVE_AFTER_SECONDS)

    assert outcome(rebuild()) is RebuildOutcome.LAGGING


def test_an_announcement_is_disbelieved_after_a_minute(modulestore, store, rebuild):
    pointer = modulestore.publish(KEY)
    store.mark(
        KEY,
        announced_version=UNKNOWN_VERSION,
        announced_at=pointer.updated_at + timedelta(seconds=1),
    )
    store.mark(OTHER, announced_version=UNKNOWN_VERSION, announced_at=T0)
    wait_long(store, rebuild, KEY, OTHER)

    report = rebuild(KEY, OTHER)

    assert outcome(report) is RebuildOutcome.WRITTEN
    assert outcome(report, OTHER) is RebuildOutcome.ABSENT
    assert store.course(KEY).state.source_version == pointer.structure_id


def test_nobody_postpones_that_by_marking_without_pause(modulestore, store, rebuild):
    pointer = modulestore.publish(KEY)
    far = datetime(2999, 1, 1, tzinfo=UTC)
    for _ in range(int(DISBELIEVE_AFTER_SECONDS)):
        store.mark(KEY, announced_version=UNKNOWN_VERSION, announced_at=far)
        assert outcome(rebuild()) is RebuildOutcome.LAGGING
        store.pass_time(1)
    store.mark(KEY, announced_version=UNKNOWN_VERSION, announced_at=far)

    assert outcome(rebuild()) is RebuildOutcome.WRITTEN
    assert store.course(KEY).state.source_version == pointer.structure_id


def test_what_came_to_nothing_because_a_server_was_away_was_no_look(modulestore, store, rebuild):
    pointer = modulestore.publish(KEY)
    at = pointer.updated_at + timedelta(seconds=1)
    store.mark(KEY, announced_version=UNKNOWN_VERSION, announced_at=at)
    modulestore.outage = ModulestoreUnavailable("gone")
    for _ in range(DISBELIEVE_AFTER_LOOKS):
        assert outcome(rebuild()) is RebuildOutcome.UNAVAILABLE
    modulestore.outage = None
    store.pass_time(DISBELIEVE_AFTER_SECONDS)

    assert outcome(rebuild()) is RebuildOutcome.LAGGING


def test_looks_are_counted_anew_when_the_course_has_been_clean(modulestore, store, rebuild):
    pointer = modulestore.publish(KEY)
    at = pointer.updated_at + timedelta(seconds=1)
    store.mark(KEY, announced_version=UNKNOWN_VERSION, announced_at=at)
    wait_long(store, rebuild, KEY)
    assert outcome(rebuild()) is RebuildOutcome.WRITTEN

    store.mark(KEY, announced_version=UNKNOWN_VERSION, announced_at=at)
    store.pass_time(DISBELIEVE_AFTER_SECONDS)

    assert outcome(rebuild()) is RebuildOutcome.LAGGING


def test_an_index_older_than_the_row_is_waited_for(modulestore, store, rebuild):
    old = modulestore.publish(KEY, display_name="Old")
    modulestore.publish(KEY, display_name="New")
    store.mark(KEY)
    rebuild()
    modulestore.point_at(old)
    store.mark(KEY)

    report = rebuild()

    assert outcome(report) is RebuildOutcome.LAGGING
    assert display_name(store) == "New"


def test_a_restored_backup_is_believed_after_a_minute(modulestore, store, rebuild):
    old = modulestore.publish(KEY, display_name="Old")
    modulestore.publish(KEY, display_name="New")
    store.mark(KEY)
    rebuild()
    modulestore.point_at(old)
    store.mark(KEY)
    wait_long(store, rebuild, KEY)

    assert outcome(rebuild()) is RebuildOutcome.WRITTEN
    assert display_name(store) == "Old"


def test_a_structure_that_is_not_there_yet_is_waited_for(modulestore, store, rebuild):
    pointer = modulestore.publish(KEY)
    modulestore.lose_structure(pointer.structure_id)
    store.mark(KEY)

    assert outcome(rebuild()) is RebuildOutcome.LAGGING
    assert store.course(KEY).fault is None


def test_a_structure_that_never_comes_is_a_fault(modulestore, store, rebuild):
    pointer = modulestore.publish(KEY)
    modulestore.lose_structure(pointer.structure_id)
    store.mark(KEY)
    wait_long(store, rebuild, KEY)

    assert outcome(rebuild()) is RebuildOutcome.FAULTY
    assert pointer.structure_id in (store.course(KEY).fault or "")


def test_the_back_off_doubles_and_a_new_mark_starts_it_again(modulestore, store, rebuild):
    store.mark(KEY, announced_version=UNKNOWN_VERSION, announced_at=T0)
    rebuild()
    rebuild()
    rebuild()

    assert store.course(KEY).next_attempt_at == pytest.approx(0.4)
    store.mark(KEY)
    rebuild()
    assert store.course(KEY).next_attempt_at == pytest.approx(0.1)


# lag_reason: version ids are compared for equality only, times to the millisecond


def locked(
    *,
    announced_version: str | None = None,
    announced_at: datetime | None = None,
    built_from: str = "",
    built_at: datetime | None = None,
    dirty_seconds: float = 0.0,
    looks: int = 0,
) -> LockedCourse:
    return LockedCourse(
        course_key=KEY,
        wanted=1,
        done=0,
        announced_version=announced_version,
        announced_at=announced_at,
        dirty_seconds=dirty_seconds,
        state=StoredState(source_version=built_from, source_updated_at=built_at),
        notes=MarkNotes(looks=looks),
    )


def pointer_of(structure_id: str, updated_at: datetime | None) -> PublishedPointer:
    return PublishedPointer(course_key=KEY, structure_id=structure_id, updated_at=updated_at)


A, B = "a" * 24, "b" * 24
LATER = T0 + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("course", "pointer", "is_behind"),
    [
        pytest.param(locked(), pointer_of(A, T0), False, id="nothing announced"),
        pytest.param(locked(), None, False, id="nothing announced, absent"),
        pytest.param(
            locked(announced_version=A, announced_at=LATER),
            pointer_of(A, T0),
            False,
            id="the very version that was announced",
        ),
        pytest.param(
            locked(announced_version=B, announced_at=LATER),
            pointer_of(A, T0),
            True,
            id="an older version than announced",
        ),
        pytest.param(
            locked(announced_version=B, announced_at=T0),
            pointer_of(A, LATER),
            False,
            id="a newer version than announced",
        ),
        pytest.param(
            locked(announced_version=B, announced_at=T0 + timedelta(microseconds=999)),
            pointer_of(A, T0),
            False,
            id="another version of the same millisecond",
        ),
        pytest.param(
            locked(announced_version=B, announced_at=LATER, built_from=A, built_at=T0),
            pointer_of(A, T0),
            True,
            id="what the row has, but newer was announced",
        ),
        pytest.param(
            locked(announced_version="", announced_at=LATER, built_from=A, built_at=T0),
            pointer_of(A, T0),
            True,
            id="still there after an announced delete",
        ),
        pytest.param(
            locked(announced_version="", announced_at=T0),
            pointer_of(A, LATER),
            False,
            id="there again after an announced delete",
        ),
        pytest.param(
            locked(announced_version="", announced_at=LATER, built_from=A, built_at=T0),
            None,
            False,
            id="absent, as announced",
        ),
        pytest.param(
            locked(announced_version=A, announced_at=LATER, built_from=B, built_at=T0),
            None,
            True,
            id="announced, and absent",
        ),
        pytest.param(
            locked(announced_version=A, announced_at=T0, built_from=B, built_at=LATER),
            None,
            False,
            id="announced before the row was built, and absent",
        ),
        pytest.param(
            locked(built_from=B, built_at=LATER),
            pointer_of(A, T0),
            True,
            id="older than the row",
        ),
        pytest.param(
            locked(built_from=A, built_at=LATER),
            pointer_of(A, T0),
            False,
            id="the version of the row with an older time",
        ),
        pytest.param(
            locked(announced_version=B, announced_at=LATER, built_from=B, built_at=LATER),
            pointer_of(A, None),
            False,
            id="an index without times",
        ),
        pytest.param(
            locked(announced_version=B, announced_at=LATER, dirty_seconds=60.0, looks=3),
            pointer_of(A, T0),
            False,
            id="disbelieved",
        ),
        pytest.param(
            locked(announced_version=B, announced_at=LATER, dirty_seconds=60.0, looks=2),
            pointer_of(A, T0),
            True,
            id="not looked at often enough",
        ),
        pytest.param(
            locked(announced_version=B, announced_at=LATER, dirty_seconds=59.9, looks=3),
            pointer_of(A, T0),
            True,
            id="not yet disbelieved",
        ),
    ],
)
def test_lag_reason(course, pointer, is_behind):
    assert (lag_reason(course, pointer) is not None) is is_behind


def test_a_course_that_was_faulty_for_long_is_waited_for_when_it_is_mended(
    modulestore, store, rebuild
):
    modulestore.publish(KEY, start="soon")
    store.mark(KEY)
    rebuild()
    store.pass_time(7200)
    mended = modulestore.publish(KEY, start=None)
    modulestore.lose_structure(mended.structure_id)
    store.mark(KEY)

    assert outcome(rebuild()) is RebuildOutcome.LAGGING


# Faults cost their own course only


def test_a_malformed_course_keeps_its_last_good_row(modulestore, store, rebuild):
    modulestore.publish(KEY, display_name="Good")
    store.mark(KEY)
    rebuild()
    modulestore.publish_malformed(KEY)
    store.mark(KEY)

    report = rebuild()

    assert outcome(report) is RebuildOutcome.FAULTY
    assert display_name(store) == "Good"
    assert "structure.blocks" in (store.course(KEY).fault or "")
    assert store.course(KEY).is_dirty


def test_a_bad_field_that_decides_access_is_a_fault(modulestore, store, rebuild):
    modulestore.publish(KEY, start="soon")
    store.mark(KEY)

    assert outcome(rebuild()) is RebuildOutcome.FAULTY
    assert "start" in (store.course(KEY).fault or "")


def test_a_mended_course_forgets_its_fault(modulestore, store, rebuild):
    modulestore.publish(KEY, start="soon")
    store.mark(KEY)
    rebuild()
    modulestore.publish(KEY, start=None)
    store.mark(KEY)

    assert outcome(rebuild()) is RebuildOutcome.WRITTEN
    assert store.course(KEY).fault is None


def test_a_faulty_course_that_is_deleted_forgets_its_fault(modulestore, store, rebuild):
    modulestore.publish(KEY, start="soon")
    store.mark(KEY)
    rebuild()
    modulestore.delete(KEY)
    store.mark(KEY)

    assert outcome(rebuild()) is RebuildOutcome.ABSENT
    assert store.course(KEY).fault is None


def test_a_fault_is_not_looked_at_again_in_the_same_call(modulestore, store, rebuild):
    modulestore.publish_malformed(KEY)
    store.mark(KEY)

    report = rebuild()

    assert store.course(KEY).fault_count == 1
    assert report.still_dirty == ()


def test_a_bug_of_the_builder_costs_only_the_course_that_meets_it(
    modulestore, store, rebuild, caplog
):
    for key in (KEY, OTHER, THIRD):
        modulestore.publish(key)
        store.mark(key)

    def build_with_bug(course: PublishedCourse) -> BuiltOverview:
        if course.course_key == OTHER:
            raise ZeroDivisionError("a bug")
        return build(course)

    report = rebuild(KEY, OTHER, THIRD, build=build_with_bug)

    assert outcome(report) is RebuildOutcome.WRITTEN
    assert outcome(report, OTHER) is RebuildOutcome.FAULTY
    assert outcome(report, THIRD) is RebuildOutcome.WRITTEN
    assert "a bug" in (store.course(OTHER).fault or "")
    assert "Traceback" in caplog.text


def test_a_refused_row_costs_only_its_own_course(modulestore, store, rebuild):
    for key in (KEY, OTHER, THIRD):
        modulestore.publish(key)
        store.mark(key)
    store.refused.add(OTHER)

    report = rebuild(KEY, OTHER, THIRD)

    assert outcome(report) is RebuildOutcome.WRITTEN
    assert outcome(report, OTHER) is RebuildOutcome.FAULTY
    assert outcome(report, THIRD) is RebuildOutcome.WRITTEN
    assert store.course(OTHER).fault_count == 1
    assert store.course(OTHER).row is None


def test_a_refused_removal_is_a_fault_and_keeps_the_row(modulestore, store, rebuild):
    modulestore.publish(KEY)
    store.mark(KEY)
    rebuild()
    modulestore.delete(KEY)
    store.mark(KEY)
    store.refused.add(KEY)

    assert outcome(rebuild()) is RebuildOutcome.FAULTY
    assert store.course(KEY).row is not None
    assert not store.course(KEY).state.deleted


class BetweenTransactions(InMemoryOverviewStore):
    """Something happens after a refused transaction, before its fault is recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.happens: Callable[[], None] = lambda: None

    def transaction(self, course_keys):
        if self.transaction_count == 1:
            self.happens()
        self.transaction_count += 1
        return super().transaction(course_keys)

    transaction_count = 0


def test_a_mark_that_comes_after_a_refusal_is_served_in_the_same_call(modulestore, rebuild):
    store = BetweenTransactions()
    modulestore.publish(KEY)
    store.mark(KEY)
    store.refused.add(KEY)

    def mend() -> None:
        store.refused.discard(KEY)
        store.mark(KEY)

    store.happens = mend
    report = rebuild(store=store)

    assert outcome(report) is RebuildOutcome.WRITTEN
    assert store.course(KEY).fault_count == 1
    assert not store.course(KEY).is_dirty


def test_a_refusal_is_left_to_the_rebuild_that_has_the_course_now(modulestore, rebuild):
    store = BetweenTransactions()
    modulestore.publish(KEY)
    store.mark(KEY)
    store.refused.add(KEY)
    other = InMemoryOverviewStore.transaction(store, [KEY])
    store.happens = lambda: held.append(other.__enter__())
    held: list[object] = []

    report = rebuild(store=store)
    other.__exit__(None, None, None)

    assert outcome(report) is RebuildOutcome.BUSY
    assert store.course(KEY).fault is None


def test_a_course_whose_row_is_anothers_is_a_fault_that_names_the_other(
    modulestore, store, rebuild
):
    modulestore.publish(KEY)
    store.mark(KEY)
    store.collisions[KEY] = KEY.upper()

    assert outcome(rebuild()) is RebuildOutcome.FAULTY
    assert KEY.upper() in (store.course(KEY).fault or "")
    assert store.course(KEY).row is None


# Servers that do not answer


def test_a_modulestore_that_is_out_postpones_all_courses(modulestore, store, rebuild):
    for key in (KEY, OTHER):
        modulestore.publish(key)
        store.mark(key)
    modulestore.outage = ModulestoreUnavailable("gone")

    report = rebuild(KEY, OTHER)

    assert set(report.outcomes.values()) == {RebuildOutcome.UNAVAILABLE}
    assert report.still_dirty == ()
    for key in (KEY, OTHER):
        assert store.course(key).next_attempt_at == pytest.approx(0.1)
        assert store.course(key).last_error == "gone"


def test_a_store_that_is_out_is_told_to_the_caller(modulestore, store, rebuild):
    modulestore.publish(KEY)
    store.mark(KEY)
    store.outage = StoreUnavailable("gone")

    with pytest.raises(StoreUnavailable):
        rebuild()

    assert store.course(KEY).is_dirty


def test_the_lock_is_free_after_whatever_happened(modulestore, store, rebuild):
    modulestore.publish(KEY)
    store.mark(KEY)
    modulestore.outage = ModulestoreUnavailable("gone")
    rebuild()
    modulestore.outage = None

    assert outcome(rebuild()) is RebuildOutcome.WRITTEN


# Look again


def test_a_mark_that_comes_while_the_source_is_read_is_served_in_the_same_call(store, rebuild):
    modulestore = MarkingModulestore(store, times=1)
    modulestore.publish(KEY, display_name="first")
    store.mark(KEY)

    report = rebuild(modulestore=modulestore)

    assert modulestore.read_count == 2
    assert outcome(report) is RebuildOutcome.WRITTEN
    assert display_name(store) == "after read 1"
    assert not store.course(KEY).is_dirty


def test_a_course_that_is_marked_without_pause_is_left_to_others_in_the_end(store, rebuild):
    modulestore = MarkingModulestore(store, times=MAX_ROUNDS + 5)
    modulestore.publish(KEY, display_name="first")
    store.mark(KEY)

    report = rebuild(modulestore=modulestore)

    assert modulestore.read_count == MAX_ROUNDS
    assert report.still_dirty == (KEY,)


@pytest.mark.parametrize("first", [RebuildOutcome.FAULTY, RebuildOutcome.LAGGING])
def test_a_mark_that_comes_during_a_rebuild_that_fails_is_served_in_the_same_call(
    store, rebuild, first
):
    modulestore = MarkingModulestore(store, times=1)
    pointer = modulestore.publish(KEY, start="soon" if first is RebuildOutcome.FAULTY else None)
    if first is RebuildOutcome.LAGGING:
        structure = modulestore._structures.pop(pointer.structure_id)
    store.mark(KEY)

    report = rebuild(modulestore=modulestore)

    if first is RebuildOutcome.LAGGING:
        modulestore._structures[pointer.structure_id] = structure
    assert modulestore.read_count == 2
    assert outcome(report) is RebuildOutcome.WRITTEN
    assert display_name(store) == "after read 1"


def test_what_fails_without_a_new_mark_is_not_looked_at_again(store, rebuild):
    modulestore = MarkingModulestore(store, times=0)
    modulestore.publish(KEY, start="soon")
    store.mark(KEY)

    rebuild(modulestore=modulestore)

    assert modulestore.read_count == 1


def test_a_course_whose_lock_was_taken_is_tried_again_in_a_second(modulestore, store, rebuild):
    modulestore.publish(KEY)
    store.mark(KEY)
    store.pass_time(10)
    assert store.take_due(limit=1) == [KEY]

    with store.transaction([KEY]):
        report = rebuild()

    assert outcome(report) is RebuildOutcome.BUSY
    assert store.course(KEY).next_attempt_at == store.seconds + 1


class MarkedAfterTheCheck(InMemoryOverviewStore):
    """Marks the course at the end of the first transaction: after it was found clean."""

    has_marked = False

    def still_dirty(self, seen: Mapping[str, int]) -> list[str]:
        if not self.has_marked:
            self.has_marked = True
            self.mark(KEY)
        return super().still_dirty(seen)


def test_a_course_that_was_clean_is_looked_at_again_too(modulestore, rebuild):
    store = MarkedAfterTheCheck()
    modulestore.publish(KEY)

    report = rebuild(store=store)

    assert outcome(report) is RebuildOutcome.WRITTEN
    assert not store.course(KEY).is_dirty


def test_the_last_word_on_a_course_is_not_that_it_was_clean(modulestore, rebuild):
    store = MarkedAfterTheCheck()
    modulestore.publish(KEY)
    store.mark(KEY)

    report = rebuild(store=store)

    assert outcome(report) is RebuildOutcome.UNCHANGED
    assert store.course(KEY).done == 2


# Hashes


def test_the_hashes_know_every_part_of_what_is_written(modulestore):
    pointer = modulestore.publish(KEY, display_name="Tides")
    course = modulestore.read_published([pointer])[KEY]
    built = build(course)
    renamed = replace(built, overview=replace(built.overview, display_name="Tide"))
    without_tabs = replace(built, tabs=())
    reversed_tabs = replace(built, tabs=tuple(reversed(built.tabs)))
    with_notes = replace(built, projection=replace(built.projection, edxnotes=True))

    assert content_hash_of(renamed) != content_hash_of(built)
    assert content_hash_of(without_tabs) == content_hash_of(built)
    assert tabs_hash_of(renamed) == tabs_hash_of(built)
    assert len({tabs_hash_of(each) for each in (built, without_tabs, reversed_tabs)}) == 3
    assert content_hash_of(with_notes) == content_hash_of(built)
    assert len({projection_hash_of(each) for each in (built, renamed, with_notes)}) == 3
    assert projection_hash_of(without_tabs) == projection_hash_of(built)
