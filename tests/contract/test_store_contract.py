"""What every ``ports.OverviewStore`` promises: the twin in memory and the real one keep it alike."""

import queue
import threading
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from lms_integration.events import CourseDeleted, CoursePublished
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    CourseOverview,
    OverviewMark,
    OverviewProjection,
    OverviewRemoval,
)
from overview_worker.documents import BuiltOverview
from overview_worker.errors import ModulestoreUnavailable, RowRefused
from overview_worker.ports import HoldRemoval, OverviewStore, RemoveOverview, WriteOverview
from overview_worker.testing import InMemoryOverviewStore
from tests.race_scene import PATIENCE_SECONDS, Crew, real_store
from tests.written_overviews import (
    MakeChange,
    absent,
    apply,
    faulty,
    locked,
    postponed,
    removed,
    written,
)

KEY = "course-v1:Org+Course+Run"
OTHER = "course-v1:Org+Course+Run2"
THIRD = "course-v1:Org+Course+Run3"
VERSION = "a" * 24
T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3600.0
DELETED, PUBLISHED = CourseDeleted.type_name, CoursePublished.type_name


class InMemory:
    """The twin, and what the tests need beside the port."""

    def __init__(self) -> None:
        self.store = InMemoryOverviewStore()

    def mark(self, *course_keys, version=None, at=None, **values):
        for course_key in course_keys:
            self.store.mark(course_key, announced_version=version, announced_at=at, **values)

    def pass_time(self, seconds):
        self.store.pass_time(seconds)

    def decide(self, key, status):
        self.store.course(key).removal = {status: 0.0}

    @contextmanager
    def hold(self, *course_keys):
        """Be another worker that rebuilds these courses."""
        with self.store.transaction(course_keys):
            yield

    def row(self, course_key):
        row = self.store.course(course_key).row
        return None if row is None else (row.overview.display_name, [t.name for t in row.tabs])

    def projection(self, course_key):
        row = self.store.course(course_key).row
        return row and (row.overview.self_paced, row.projection.overview_html)

    def attempts(self, course_key):
        course = self.store.course(course_key)
        return course.attempts, course.last_error

    def set_counts(self, course_key, *, wanted, done):
        course = self.store.course(course_key)
        course.wanted, course.done = wanted, done

    def refuse(self, course_key):
        """Refuse the row of this course; the real store refuses ``unstorable`` by itself."""
        self.store.refused.add(course_key)


class Real:
    """The real store, and the same beside it."""

    def __init__(self) -> None:
        self.store = real_store()

    def mark(self, *course_keys, version=None, at=None, **values):
        mark_courses(
            [
                CourseMark(
                    course_key=course_key, announced_version=version, announced_at=at, **values
                )
                for course_key in course_keys
            ]
        )

    def pass_time(self, seconds):
        """Make all marks older, as the database's clock cannot be set."""
        shift = timedelta(seconds=seconds)
        for mark in OverviewMark.objects.exclude(Q(dirty_since=None) & Q(next_attempt_at=None)):
            OverviewMark.objects.filter(course_key=mark.course_key).update(
                dirty_since=mark.dirty_since and mark.dirty_since - shift,
                next_attempt_at=mark.next_attempt_at and mark.next_attempt_at - shift,
                published_since=mark.published_since and mark.published_since - shift,
            )

    def decide(self, key, status):
        OverviewRemoval.objects.create(course_key=key, status=status, changed_at=timezone.now())

    @contextmanager
    def hold(self, *course_keys):
        held: queue.SimpleQueue[set[str]] = queue.SimpleQueue()
        over = threading.Event()

        def hold_until_over() -> None:
            with self.store.transaction(course_keys) as transaction:
                held.put(set(transaction.locked))
                over.wait(PATIENCE_SECONDS)

        with Crew() as crew:
            crew.start(hold_until_over)
            assert held.get(timeout=PATIENCE_SECONDS) == set(course_keys)
            try:
                yield
            finally:
                over.set()

    def row(self, course_key):
        row = CourseOverview.objects.filter(id=course_key).first()
        if row is None:
            return None
        return row.display_name, [tab.name for tab in row.tab_set.order_by("id")]

    def projection(self, course_key):
        found = OverviewProjection.objects.filter(course_key=course_key)
        return found.values_list("self_paced", "overview_html").first()

    def attempts(self, course_key):
        mark = OverviewMark.objects.get(course_key=course_key)
        return mark.attempts, mark.last_error

    def set_counts(self, course_key, *, wanted, done):
        OverviewMark.objects.filter(course_key=course_key).update(wanted=wanted, done=done)

    def refuse(self, course_key):
        pass


needs_row_locks = pytest.mark.skipif(
    connection.vendor != "mysql", reason="SQLite locks the whole database"
)


@pytest.fixture(
    params=[
        pytest.param(InMemory, id="in memory"),
        pytest.param(
            Real,
            id="real",
            marks=[pytest.mark.service, pytest.mark.django_db(transaction=True), needs_row_locks],
        ),
    ]
)
def harness(request: pytest.FixtureRequest) -> InMemory | Real:
    made: InMemory | Real = request.param()
    return made


def unstorable(built: BuiltOverview) -> BuiltOverview:
    return replace(built, overview=replace(built.overview, location="x" * 256))


def dirty(harness: InMemory | Real, course_keys: Sequence[str]) -> list[str]:
    return harness.store.still_dirty(dict.fromkeys(course_keys, 0))


def transaction_keys(harness: InMemory | Real, course_keys: Sequence[str]) -> list[str]:
    with harness.store.transaction(course_keys) as transaction:
        return list(transaction.locked)


# Locks


def test_a_course_that_nobody_knows_can_be_locked_and_is_clean(harness):
    course = locked(harness.store, KEY)

    assert not course.is_dirty
    assert course.announced_version is None
    assert not course.state.has_row
    assert course.state.source_version == ""
    assert course.state.collides_with is None


def test_courses_are_locked_in_the_order_of_their_keys(harness):
    assert transaction_keys(harness, [THIRD, KEY, OTHER]) == [KEY, OTHER, THIRD]


def test_a_course_that_another_rebuild_holds_is_absent(harness):
    locked(harness.store, OTHER)

    with harness.hold(OTHER):
        alone = transaction_keys(harness, [OTHER])
        together = transaction_keys(harness, [KEY, OTHER, THIRD])

    assert alone == []
    assert together == [KEY, THIRD]
    assert transaction_keys(harness, [OTHER]) == [OTHER]


def test_an_error_frees_the_lock_and_undoes_everything(harness):
    harness.mark(KEY)

    def fail_after_writing():
        with harness.store.transaction([KEY]) as transaction:
            transaction.apply([written(display_name="Tides")(transaction.locked[KEY])])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_writing()

    assert harness.row(KEY) is None
    assert locked(harness.store, KEY).is_dirty
    assert locked(harness.store, KEY).state.source_version == ""


def test_the_mark_is_read_under_the_lock(harness):
    harness.mark(KEY)
    harness.mark(KEY, version=VERSION, at=T0)
    harness.pass_time(40)

    course = locked(harness.store, KEY)

    assert (course.wanted, course.done) == (2, 0)
    assert course.announced_version == VERSION
    assert course.announced_at == T0
    assert course.dirty_seconds == pytest.approx(40, abs=5)


def test_an_older_announcement_never_hides_a_newer_one(harness):
    harness.mark(KEY, version=VERSION, at=T0)
    harness.mark(KEY, version="b" * 24, at=T0 - timedelta(seconds=1))
    harness.mark(KEY)

    assert locked(harness.store, KEY).announced_version == VERSION


# Changes


def test_a_written_overview_is_there_with_its_state(harness):
    harness.mark(KEY, version=VERSION, at=T0)

    (change,) = apply(harness.store, written(display_name="Tides", tabs=TABS), KEY)
    course = locked(harness.store, KEY)

    assert harness.row(KEY) == ("Tides", ["Lessons", "Progress"])
    assert course.state.has_row
    assert course.state.source_version == change.pointer.structure_id
    assert course.state.source_updated_at == change.pointer.updated_at
    assert course.state.content_hash == change.content_hash
    assert course.state.tabs_hash == change.tabs_hash
    assert course.state.projection_hash == change.projection_hash
    assert course.state.row_seq == 1
    assert not course.state.deleted
    assert not course.is_dirty
    assert course.announced_version is None
    assert course.dirty_seconds == 0.0


TABS = [{"type": "courseware", "name": "Lessons"}, {"type": "progress", "name": "Progress"}]


def test_an_unchanged_overview_moves_the_version_but_not_the_sequence(harness):
    apply(harness.store, written(display_name="Tides"), KEY)

    (change,) = apply(harness.store, written(display_name="Tides"), KEY)
    state = locked(harness.store, KEY).state

    assert not change.row_changed
    assert state.source_version == change.pointer.structure_id
    assert state.row_seq == 1


def test_a_projection_is_written_beside_its_overview(harness):
    apply(harness.store, written(self_paced=True, about={"overview": "<p>Tides</p>"}), KEY)

    assert harness.projection(KEY) == (True, "<p>Tides</p>")


def test_a_change_of_the_projection_alone_moves_the_sequence(harness):
    apply(harness.store, written(display_name="Tides"), KEY)

    (change,) = apply(
        harness.store, written(display_name="Tides", about={"overview": "<p>Dunes</p>"}), KEY
    )

    assert not change.row_changed
    assert not change.tabs_changed
    assert locked(harness.store, KEY).state.row_seq == 2
    assert harness.projection(KEY) == (False, "<p>Dunes</p>")


def test_a_projection_goes_and_comes_with_its_course(harness):
    make = written(about={"overview": "<p>Tides</p>"})
    apply(harness.store, make, KEY)

    apply(harness.store, removed, KEY)
    gone, state = harness.projection(KEY), locked(harness.store, KEY).state
    apply(harness.store, make, KEY)

    assert gone is None
    assert state.projection_hash == ""
    assert harness.projection(KEY) == (False, "<p>Tides</p>")


def test_what_changes_something_or_fails_for_good_counts_as_a_record(harness):
    harness.mark(KEY)

    def record_seq(make: MakeChange) -> int:
        apply(harness.store, make, KEY)
        return locked(harness.store, KEY).state.record_seq

    assert record_seq(postponed) == 0
    assert record_seq(written(display_name="Tides")) == 1
    assert record_seq(written(display_name="Tides")) == 1
    assert record_seq(written(display_name="Dunes")) == 2
    harness.mark(KEY)
    assert record_seq(faulty) == 3
    assert record_seq(removed) == 4
    assert record_seq(absent) == 4


def test_the_digests_of_the_columns_are_kept_with_the_row(harness):
    digests = "0123ab"

    def write(course):
        change = written(display_name="Tides")(course)
        assert isinstance(change, WriteOverview)
        return replace(change, column_digests=digests)

    apply(harness.store, write, KEY)
    kept = locked(harness.store, KEY).state.column_digests
    apply(harness.store, removed, KEY)

    assert kept == digests
    assert locked(harness.store, KEY).state.column_digests == ""


def test_the_notes_of_the_mark_are_read_under_the_lock(harness):
    harness.mark(KEY)
    before = locked(harness.store, KEY).notes

    apply(harness.store, postponed, KEY)
    after = locked(harness.store, KEY).notes

    assert (before.attempts, before.last_error) == (0, "")
    assert (after.attempts, after.last_error) == (1, "behind")


def test_a_mark_that_comes_while_the_lock_is_held_stays(harness):
    harness.mark(KEY)

    with harness.store.transaction([KEY]) as transaction:
        # Publishers are never kept waiting by a lock.
        with Crew() as crew:
            crew.start(harness.mark, KEY, version=VERSION, at=T0)
        transaction.apply([written()(transaction.locked[KEY])])

    assert dirty(harness, [KEY]) == [KEY]
    assert locked(harness.store, KEY).announced_version == VERSION


def test_a_removed_overview_leaves_its_state(harness):
    (change,) = apply(harness.store, written(display_name="Tides"), KEY)

    apply(harness.store, removed, KEY)
    state = locked(harness.store, KEY).state

    assert harness.row(KEY) is None
    assert state.deleted
    assert not state.has_row
    assert state.source_version == change.pointer.structure_id
    assert state.row_seq == 2


def test_a_removed_overview_can_be_written_again(harness):
    apply(harness.store, written(display_name="Tides", tabs=TABS), KEY)
    apply(harness.store, removed, KEY)

    apply(harness.store, written(display_name="Tides", tabs=TABS), KEY)

    assert harness.row(KEY) == ("Tides", ["Lessons", "Progress"])
    assert not locked(harness.store, KEY).state.deleted


def test_where_nothing_is_to_be_built_only_the_mark_is_done(harness):
    harness.mark(KEY)

    apply(harness.store, absent, KEY)

    assert not locked(harness.store, KEY).is_dirty
    assert locked(harness.store, KEY).state.row_seq == 0


def test_a_fault_keeps_the_row_and_the_mark(harness):
    apply(harness.store, written(display_name="Good"), KEY)
    harness.mark(KEY)

    apply(harness.store, faulty, KEY)

    assert harness.row(KEY) == ("Good", harness.row(KEY)[1])
    assert dirty(harness, [KEY]) == [KEY]
    attempts, error = harness.attempts(KEY)
    assert attempts == 1
    assert "not a date" in error


def test_a_refused_row_refuses_the_whole_transaction(harness):
    harness.mark(KEY, OTHER)
    harness.refuse(OTHER)

    def write_both():
        with harness.store.transaction([KEY, OTHER]) as transaction:
            changes = [
                written()(transaction.locked[KEY]),
                written(alter=unstorable)(transaction.locked[OTHER]),
            ]
            transaction.apply(changes)

    with pytest.raises(RowRefused):
        write_both()

    assert harness.row(KEY) is None
    assert dirty(harness, [KEY, OTHER]) == [KEY, OTHER]


def test_different_changes_can_share_a_transaction(harness):
    apply(harness.store, written(display_name="Old"), OTHER)
    harness.mark(KEY, OTHER, THIRD)

    with harness.store.transaction([KEY, OTHER, THIRD]) as transaction:
        makes: dict[str, MakeChange]
        makes = {KEY: faulty, OTHER: removed, THIRD: written(display_name="New")}
        transaction.apply([make(transaction.locked[key]) for key, make in makes.items()])

    assert dirty(harness, [KEY, OTHER, THIRD]) == [KEY]
    assert harness.row(OTHER) is None
    assert harness.row(THIRD)[0] == "New"


# Still dirty, due


def test_still_dirty_names_the_dirty_ones_in_order(harness):
    harness.mark(THIRD, KEY, OTHER)
    apply(harness.store, absent, OTHER)

    assert dirty(harness, [THIRD, OTHER, KEY, "course-v1:O+C+R"]) == [KEY, THIRD]
    assert dirty(harness, []) == []


def test_a_transaction_of_no_course_locks_none(harness):
    with harness.store.transaction([]) as transaction:
        assert transaction.locked == {}


def test_still_dirty_names_those_that_were_marked_since(harness):
    harness.mark(KEY, OTHER)
    harness.mark(OTHER)

    assert harness.store.still_dirty({KEY: 1, OTHER: 1}) == [OTHER]


def test_a_course_whose_lock_was_taken_is_due_in_a_second_whatever_its_lease(harness):
    harness.mark(KEY, OTHER)
    harness.pass_time(10)
    assert harness.store.take_due(limit=10) == [KEY, OTHER]

    harness.store.retry_soon([KEY])

    assert harness.store.take_due(limit=10) == []
    harness.pass_time(1.1)
    assert harness.store.take_due(limit=10) == [KEY]


def test_a_course_that_is_held_back_clean_or_due_is_not_tried_sooner(harness):
    harness.mark(KEY, OTHER, THIRD)
    harness.pass_time(10)
    apply(harness.store, faulty, KEY)
    apply(harness.store, absent, OTHER)

    harness.store.retry_soon([KEY, OTHER, THIRD])

    assert harness.store.take_due(limit=10) == [THIRD]
    harness.pass_time(2)
    assert harness.store.take_due(limit=10) == []


def test_a_fresh_mark_is_left_to_its_event_at_first(harness):
    harness.mark(KEY)

    assert harness.store.take_due(limit=10) == []
    harness.pass_time(3)
    assert harness.store.take_due(limit=10) == [KEY]


def test_due_courses_come_oldest_first_and_not_more_than_asked_for(harness):
    for key in (OTHER, KEY, THIRD):
        harness.mark(key)
        harness.pass_time(10)

    assert harness.store.take_due(limit=2) == [OTHER, KEY]
    assert harness.store.take_due(limit=2) == [THIRD]


def test_what_has_failed_before_and_what_has_not_are_taken_apart(harness):
    harness.mark(KEY, OTHER)
    harness.store.postpone([KEY], ModulestoreUnavailable("gone"))
    harness.pass_time(10)

    assert harness.store.take_due(limit=1, failed=False) == [OTHER]
    assert harness.store.take_due(limit=10, failed=False) == []
    assert harness.store.take_due(limit=10, failed=True) == [KEY]


def test_a_course_that_was_taken_is_leased_for_half_a_minute(harness):
    harness.mark(KEY)
    harness.pass_time(10)
    harness.store.take_due(limit=10)

    assert harness.store.take_due(limit=10) == []
    harness.pass_time(31)
    assert harness.store.take_due(limit=10) == [KEY]


def test_a_new_mark_ends_the_lease(harness):
    harness.mark(KEY)
    harness.pass_time(10)
    harness.store.take_due(limit=10)

    harness.mark(KEY)

    assert harness.store.take_due(limit=10) == [KEY]


def test_no_mark_is_swallowed_by_a_count_that_is_behind_what_is_done(harness):
    harness.mark(KEY)
    apply(harness.store, absent, KEY)
    harness.set_counts(KEY, wanted=2, done=7)  # a hand, or a backup

    harness.mark(KEY)
    harness.pass_time(3)

    assert dirty(harness, [KEY]) == [KEY]
    assert harness.store.take_due(limit=10) == [KEY]
    apply(harness.store, absent, KEY)
    assert not locked(harness.store, KEY).is_dirty


def test_clean_courses_are_never_due(harness):
    harness.mark(KEY)
    apply(harness.store, absent, KEY)
    harness.pass_time(HOUR)

    assert harness.store.take_due(limit=10) == []


def test_a_mark_that_came_during_the_rebuild_is_due_again(harness):
    harness.mark(KEY)
    harness.pass_time(HOUR)
    with harness.store.transaction([KEY]) as transaction:
        with Crew() as crew:
            crew.start(harness.mark, KEY)
        transaction.apply([absent(transaction.locked[KEY])])

    assert locked(harness.store, KEY).dirty_seconds < 60.0
    harness.pass_time(3)
    assert harness.store.take_due(limit=10) == [KEY]


def test_a_postponed_course_is_due_after_its_back_off(harness):
    harness.mark(KEY)
    harness.pass_time(10)
    for _ in range(6):
        apply(harness.store, postponed, KEY)

    assert harness.attempts(KEY) == (6, "behind")
    assert harness.store.take_due(limit=10) == []  # 100 ms, doubled five times: 3.2 s
    harness.pass_time(3.3)
    assert harness.store.take_due(limit=10) == [KEY]


def test_looks_are_counted_as_long_as_the_course_is_dirty_however_often_it_is_marked(harness):
    for _ in range(3):
        harness.mark(KEY)
        apply(harness.store, postponed, KEY)
    harness.store.postpone([KEY], ModulestoreUnavailable("gone"))  # that was no look
    harness.mark(KEY)

    assert locked(harness.store, KEY).notes.looks == 3
    assert harness.attempts(KEY)[0] == 0
    apply(harness.store, absent, KEY)
    harness.mark(KEY)
    assert locked(harness.store, KEY).notes.looks == 0


def test_looks_are_counted_anew_where_a_mark_begins_a_new_dirty_time(harness):
    harness.mark(KEY)
    apply(harness.store, postponed, KEY)
    apply(harness.store, faulty, KEY)

    harness.mark(KEY)

    assert locked(harness.store, KEY).notes.looks == 0


def test_the_back_off_has_a_cap(harness):
    harness.mark(KEY)
    harness.pass_time(10)
    for _ in range(40):
        harness.store.postpone([KEY], ModulestoreUnavailable("gone"))

    assert harness.attempts(KEY) == (40, "gone")
    harness.pass_time(9)
    assert harness.store.take_due(limit=10) == []
    harness.pass_time(1.1)
    assert harness.store.take_due(limit=10) == [KEY]


def test_clean_and_unknown_courses_are_not_postponed(harness):
    harness.mark(KEY)
    apply(harness.store, absent, KEY)

    harness.store.postpone([KEY, OTHER], ModulestoreUnavailable("gone"))

    assert harness.attempts(KEY) == (0, "")


def test_a_done_course_forgets_its_failed_attempts(harness):
    harness.mark(KEY)
    apply(harness.store, postponed, KEY)
    apply(harness.store, written(), KEY)

    assert harness.attempts(KEY) == (0, "")


def test_a_faulty_course_is_held_back_for_hours(harness):
    harness.mark(KEY)
    harness.pass_time(10)
    apply(harness.store, faulty, KEY)

    harness.pass_time(5 * HOUR)
    assert harness.store.take_due(limit=10) == []
    harness.pass_time(2 * HOUR)
    assert harness.store.take_due(limit=10) == [KEY]


def test_a_new_mark_makes_a_faulty_course_due(harness):
    harness.mark(KEY)
    harness.pass_time(10)
    apply(harness.store, faulty, KEY)

    harness.mark(KEY)
    harness.pass_time(3)

    assert harness.store.take_due(limit=10) == [KEY]
    assert harness.attempts(KEY)[0] == 0


def test_a_new_mark_of_a_course_that_was_held_back_begins_a_new_dirty_time(harness):
    harness.mark(KEY)
    apply(harness.store, faulty, KEY)
    harness.pass_time(2 * HOUR)

    harness.mark(KEY)

    assert locked(harness.store, KEY).dirty_seconds < 60.0


def test_a_new_mark_of_a_course_that_was_postponed_does_not(harness):
    harness.mark(KEY)
    apply(harness.store, postponed, KEY)
    harness.pass_time(2 * HOUR)

    harness.mark(KEY)

    assert locked(harness.store, KEY).dirty_seconds >= 2 * HOUR


def test_a_mark_that_came_before_the_fault_was_recorded_is_not_held_back(harness):
    harness.mark(KEY)
    harness.pass_time(10)
    with harness.store.transaction([KEY]) as transaction:
        with Crew() as crew:
            crew.start(harness.mark, KEY)
        transaction.apply([faulty(transaction.locked[KEY])])

    assert harness.store.take_due(limit=10) == [KEY]


def test_a_rewrite_that_is_wanted_is_told_until_it_is_done(harness):
    harness.mark(KEY, rewrite=True)
    harness.mark(KEY)
    assert locked(harness.store, KEY).rewrite

    apply(harness.store, written(display_name="Tides"), KEY)
    assert not locked(harness.store, KEY).rewrite


@pytest.mark.parametrize(
    ("event_types", "announced"),
    [
        ([DELETED], True),
        ([DELETED, ""], True),
        # It may be an event from before the delete that was delivered late.
        ([DELETED, PUBLISHED], True),
        ([PUBLISHED, DELETED], True),
        ([PUBLISHED], False),
        ([""], False),
    ],
)
def test_a_delete_is_announced_until_it_is_done(harness, event_types, announced):
    for event_type in event_types:
        harness.mark(KEY, event_type=event_type)

    assert locked(harness.store, KEY).delete_is_announced is announced
    apply(harness.store, absent, KEY)
    assert not locked(harness.store, KEY).delete_is_announced


def test_a_publish_has_been_waiting_since_the_oldest_that_nobody_answered(harness):
    harness.mark(KEY)
    assert locked(harness.store, KEY).published_seconds is None
    harness.mark(KEY, event_type=PUBLISHED)
    harness.pass_time(30)
    harness.mark(KEY, event_type=PUBLISHED)
    harness.mark(KEY)

    assert locked(harness.store, KEY).published_seconds == pytest.approx(30, abs=5)

    apply(harness.store, written(display_name="Tides"), KEY)
    assert locked(harness.store, KEY).published_seconds is None


def test_a_publish_that_is_held_back_goes_on_waiting(harness):
    harness.mark(KEY, event_type=PUBLISHED)
    apply(harness.store, faulty, KEY)
    harness.pass_time(HOUR)
    harness.mark(KEY, event_type=PUBLISHED)

    assert locked(harness.store, KEY).published_seconds == pytest.approx(HOUR, abs=5)
    assert locked(harness.store, KEY).state.fault is not None


# Removals


def census(harness, *course_keys):
    with harness.store.transaction(course_keys) as transaction:
        return transaction.removal_census(course_keys)


def removed_unannounced(course):
    return RemoveOverview(course=course, counts=True)


def held(course):
    return HoldRemoval(course=course, reason="too many")


def refused(course):
    return HoldRemoval(course=course, reason="no", refused=True)


def test_removals_that_nobody_announced_are_counted_for_a_while(harness):
    for key in (KEY, OTHER, THIRD):
        apply(harness.store, written(display_name="Tides"), key)
    apply(harness.store, removed, THIRD)
    apply(harness.store, removed_unannounced, OTHER)

    told = census(harness, KEY)

    assert (told.live_count, told.recent_count, told.held_count) == (1, 1, 0)


def test_a_held_removal_keeps_the_row_and_holds_the_mark_back(harness):
    apply(harness.store, written(display_name="Tides"), KEY)
    harness.mark(KEY)
    apply(harness.store, held, KEY)

    assert harness.row(KEY) is not None
    assert locked(harness.store, KEY).is_dirty
    assert harness.attempts(KEY) == (1, "too many")
    assert census(harness, KEY).held_count == 1
    harness.pass_time(HOUR)
    assert harness.store.take_due(limit=10) == []


def test_a_refused_removal_is_done_with(harness):
    apply(harness.store, written(display_name="Tides"), KEY)
    harness.mark(KEY)
    apply(harness.store, refused, KEY)

    assert harness.row(KEY) is not None
    assert not locked(harness.store, KEY).is_dirty


def test_a_removal_ends_what_was_said_of_the_course(harness):
    apply(harness.store, written(display_name="Tides"), KEY)
    apply(harness.store, held, KEY)
    apply(harness.store, removed, KEY)

    told = census(harness, KEY)

    assert (told.held_count, told.recent_count) == (0, 0)


def test_an_announcement_that_came_since_is_in_the_census(harness):
    apply(harness.store, written(display_name="Tides"), KEY)
    with harness.store.transaction([KEY, OTHER]) as transaction:
        harness.mark(KEY, event_type=DELETED)
        told = transaction.removal_census([KEY, OTHER])

    assert told.announced == {KEY}


def test_live_courses_that_the_index_lacks_are_counted_unless_something_was_said_of_them(harness):
    gone, announced, kept, published = (f"{KEY}{name}" for name in ("a", "b", "c", "d"))
    for key in (gone, announced, kept, published):
        apply(harness.store, written(display_name="Tides"), key)
    apply(harness.store, written(display_name="Tides"), OTHER)
    apply(harness.store, removed, OTHER)
    harness.mark(announced, event_type=DELETED)
    harness.decide(kept, "refused")

    with harness.store.transaction([gone]) as transaction:
        assert transaction.count_vanished({published}, limit=20) == 1
        assert transaction.count_vanished(set(), limit=20) == 2
        assert transaction.count_vanished({gone, published}, limit=20) == 0


def test_both_satisfy_the_port():
    stores: list[OverviewStore] = [InMemoryOverviewStore(), real_store()]

    assert all(callable(store.take_due) for store in stores)
