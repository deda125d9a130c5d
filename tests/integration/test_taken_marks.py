"""What a publisher holds, it holds alone: sweeps, chunks and other publishers pass it by.

Studio's request may take half a minute after it has marked its course; until it ends, the mark is
locked. Each test has such a publisher on a connection of its own.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F

from lms_integration.database_clock import DatabaseNow
from lms_integration.events import CoursePublished
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import CourseOverview, OverviewMark
from overview_worker.documents import DeadLetterEntry, DeadLetterSource
from overview_worker.errors import ModulestoreUnavailable
from overview_worker.intake_store import DjangoIntakeStore
from overview_worker.rebuild import RebuildOutcome, RebuildReport
from overview_worker.store import sessions
from overview_worker.store.crashes import record_crash
from overview_worker.store.mark_statements import LEASE_SECONDS
from overview_worker.store.overview_store import SWEEP_GRACE_SECONDS
from overview_worker.testing import InMemoryModulestore
from tests.race_scene import PATIENCE_SECONDS, Crew, Worker, dirty_keys, own_connection, real_store
from tests.written_overviews import MakeChange, apply, faulty, postponed

pytestmark = [
    pytest.mark.service,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "mysql", reason="SQLite has no row locks"),
]

FIRST, TAKEN, LAST = KEYS = [f"course-v1:Org+Course{number}+Run" for number in range(3)]
#: The most that Studio may be held up, in seconds.
BLOCK_SECONDS = 2.0


@pytest.fixture
def modulestore() -> InMemoryModulestore:
    return InMemoryModulestore()


@pytest.fixture
def worker(modulestore: InMemoryModulestore) -> Worker:
    return Worker(modulestore=modulestore, store=real_store())


@contextmanager
def held(*course_keys: str, table: str = "mark", without_waiting: bool = False) -> Iterator[Any]:
    """Have a stranger's transaction that has locked these rows; gives its connection."""
    at_once = " NOWAIT" if without_waiting else ""
    with own_connection() as own:
        own.set_autocommit(False)
        with own.cursor() as cursor:
            for key in course_keys:  # of several at once, all rows of a small table are read
                cursor.execute(
                    f"SELECT 1 FROM overview_{table} WHERE course_key = %s FOR UPDATE{at_once}",  # noqa: S608
                    [key],
                )
        yield own
        own.rollback()


@contextmanager
def at_once() -> Iterator[None]:
    """Expect that nobody waits for a lock meanwhile."""
    waits_before = row_lock_waits()
    yield
    assert row_lock_waits() == waits_before


def row_lock_waits() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'")
        return int(cursor.fetchone()[1])


def mark_as_due(*course_keys: str) -> None:
    mark_courses([CourseMark(course_key=key) for key in course_keys])
    long_ago = DatabaseNow(offset_seconds=-10 * SWEEP_GRACE_SECONDS)
    OverviewMark.objects.filter(course_key__in=course_keys).update(dirty_since=long_ago)


def wait_seconds(course_key: str) -> float | None:
    """Return how long the sweeper leaves the course alone; None where it does not."""
    mark = OverviewMark.objects.annotate(now=DatabaseNow()).get(course_key=course_key)
    at = mark.next_attempt_at
    return None if at is None else (at - mark.now).total_seconds()


# The sweeper


def test_a_sweep_leases_all_but_what_is_taken_and_waits_for_nothing(worker):
    mark_as_due(*KEYS)

    with held(TAKEN), at_once():
        due = worker.store.take_due(limit=10)

    assert due == [FIRST, LAST]
    assert wait_seconds(FIRST) == pytest.approx(LEASE_SECONDS, abs=2)
    assert wait_seconds(TAKEN) is None
    assert worker.store.take_due(limit=10) == [TAKEN]


def test_one_transaction_that_has_marked_many_courses_does_not_use_up_every_sweep(worker):
    many = [f"course-v1:Org+Many{number}+Run" for number in range(6)]
    mark_as_due(*many)
    mark_as_due(LAST)
    OverviewMark.objects.filter(course_key=LAST).update(dirty_since=DatabaseNow(offset_seconds=-5))

    with held(*many), at_once():
        due = worker.store.take_due(limit=3)

    assert due == [LAST]


def test_two_sweeps_at_once_lease_a_course_once(worker):
    mark_as_due(*KEYS)
    taken: list[str] = []

    def take() -> None:
        taken.extend(worker.store.take_due(limit=10))

    with Crew() as crew:
        for _ in range(4):
            crew.start(take)

    assert sorted(taken) == KEYS


# A chunk


def test_a_chunk_writes_all_and_leaves_what_is_taken_dirty(modulestore, worker):
    publish(modulestore, *KEYS)

    with held(TAKEN), at_once():
        report = worker.rebuild(*KEYS)

        assert set(report.outcomes.values()) == {RebuildOutcome.WRITTEN}
        assert report.still_dirty == ()  # it is not tried again and again
        assert CourseOverview.objects.count() == 3
        assert dirty_keys() == [TAKEN]

    assert worker.rebuild(TAKEN).outcomes == {TAKEN: RebuildOutcome.UNCHANGED}
    assert dirty_keys() == []


def test_what_a_publisher_has_marked_meanwhile_is_not_lost_with_it(modulestore, worker):
    publish(modulestore, *KEYS)

    with own_connection() as own:
        own.set_autocommit(False)
        with own.cursor() as cursor:
            cursor.execute("UPDATE overview_mark SET wanted = 2 WHERE course_key = %s", [TAKEN])
        worker.rebuild(*KEYS)
        own.commit()
    modulestore.publish(TAKEN, display_name="new")
    worker.rebuild(*dirty_keys())

    assert CourseOverview.objects.get(id=TAKEN).display_name == "new"
    assert not OverviewMark.objects.filter(wanted__gt=F("done")).exists()


def test_a_chunk_of_faults_and_courses_that_lag_passes_it_by(worker):
    mark_courses([CourseMark(course_key=key) for key in KEYS])

    with held(TAKEN), at_once(), worker.store.transaction(KEYS) as transaction:
        changes: dict[str, MakeChange] = {FIRST: postponed, TAKEN: faulty, LAST: faulty}
        transaction.apply([make(transaction.locked[key]) for key, make in changes.items()])

    attempts = OverviewMark.objects.order_by("course_key").values_list("attempts", flat=True)
    assert list(attempts) == [1, 0, 1]


def test_no_publisher_waits_long_beside_a_slow_one(modulestore, worker):
    """The worker waits for the slow one's mark, the other publishers for nobody."""
    publish(modulestore, *KEYS)
    waits: list[float] = []

    def mark_all_the_time() -> None:
        until = time.monotonic() + 1.5 * BLOCK_SECONDS
        while time.monotonic() < until:
            begun = time.monotonic()
            mark_courses([CourseMark(course_key=FIRST), CourseMark(course_key=LAST)])
            waits.append(time.monotonic() - begun)
            time.sleep(0.01)

    with held(TAKEN), Crew() as crew:
        publisher = crew.start(mark_all_the_time)
        while publisher.is_alive():
            worker.rebuild(*KEYS)
            worker.rebuild(TAKEN)

    assert len(waits) > 10
    assert max(waits) < BLOCK_SECONDS


def publish(modulestore: InMemoryModulestore, *course_keys: str) -> None:
    for key in course_keys:
        modulestore.publish(key)
    mark_courses(
        [CourseMark(course_key=key, event_type=CoursePublished.type_name) for key in course_keys]
    )


# What else changes marks


def test_an_outage_is_noted_on_all_marks_but_what_is_taken(worker):
    mark_courses([CourseMark(course_key=key) for key in KEYS])

    with held(TAKEN), at_once():
        worker.store.postpone(KEYS, ModulestoreUnavailable("gone"))

    attempts = OverviewMark.objects.order_by("course_key").values_list("attempts", flat=True)
    assert list(attempts) == [1, 0, 1]


def test_a_crash_is_noted_on_all_marks_but_what_is_taken():
    mark_courses([CourseMark(course_key=key) for key in KEYS])
    OverviewMark.objects.update(attempts=4)

    with held(TAKEN), at_once():
        given_up = record_crash(KEYS, "out of time")

    assert given_up == KEYS
    assert (wait_seconds(FIRST) or 0) > 3600
    assert wait_seconds(TAKEN) is None


def test_a_task_that_the_broker_gave_up_waits_for_no_mark():
    mark_courses([CourseMark(course_key=key) for key in KEYS])
    letters = [
        DeadLetterEntry(
            source=DeadLetterSource.BROKER, course_key=key, reason="delivered too often"
        )
        for key in KEYS
    ]

    with held(TAKEN), at_once():
        DjangoIntakeStore().hold_back(letters)

    assert (wait_seconds(FIRST) or 0) > 3600
    assert wait_seconds(TAKEN) is None


# A lock of a course that somebody has


def test_a_course_whose_lock_is_taken_is_tried_again_in_a_second(modulestore, worker):
    publish(modulestore, FIRST)
    worker.rebuild(FIRST)
    mark_as_due(FIRST)
    assert worker.store.take_due(limit=10) == [FIRST]

    with held(FIRST, table="state"), at_once():
        report = worker.rebuild(FIRST)

    assert report.outcomes == {FIRST: RebuildOutcome.BUSY}
    assert (wait_seconds(FIRST) or 0) <= 1.0
    time_passes(seconds=1)
    assert worker.store.take_due(limit=10) == [FIRST]


def test_but_not_where_it_is_held_back(worker):
    mark_courses([CourseMark(course_key=FIRST)])
    apply(worker.store, faulty, FIRST)

    with held(FIRST, table="state"):
        worker.rebuild(FIRST)

    assert (wait_seconds(FIRST) or 0) > 3600


def time_passes(*, seconds: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE overview_mark SET next_attempt_at = next_attempt_at - INTERVAL %s SECOND",
            [seconds],
        )


# Whoever has a lock and says nothing more


class SilentModulestore(InMemoryModulestore):
    """The first read takes until it is let go of: its worker is frozen, and so is its transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = threading.Event()
        self.may_answer = threading.Event()

    def find_published(self, course_keys):
        if not self.is_read.is_set():
            found = super().find_published(course_keys)
            self.is_read.set()
            assert self.may_answer.wait(PATIENCE_SECONDS)
            return found
        return super().find_published(course_keys)


def test_a_worker_that_falls_silent_in_mid_transaction_loses_its_lock(monkeypatch):
    monkeypatch.setattr(sessions, "IDLE_TRANSACTION_SECONDS", 1)
    modulestore = SilentModulestore()
    worker = Worker(modulestore=modulestore, store=real_store())
    publish(modulestore, FIRST)
    reports: list[RebuildReport] = []

    def fall_silent() -> None:
        reports.append(worker.rebuild(FIRST))

    with Crew() as crew:
        crew.start(fall_silent)
        assert modulestore.is_read.wait(PATIENCE_SECONDS)
        modulestore.publish(FIRST, display_name="new")
        try:
            assert worker.rebuild(FIRST).outcomes == {FIRST: RebuildOutcome.BUSY}
            wait_for(lambda: worker.rebuild(FIRST).outcomes[FIRST] is RebuildOutcome.WRITTEN)
        finally:
            modulestore.may_answer.set()

    assert reports[0].outcomes == {FIRST: RebuildOutcome.UNAVAILABLE}
    assert CourseOverview.objects.get(id=FIRST).display_name == "new"
    assert worker.rebuild(FIRST).outcomes == {FIRST: RebuildOutcome.CLEAN}


def test_a_worker_with_nothing_to_do_is_left_alone(monkeypatch, worker):
    monkeypatch.setattr(sessions, "IDLE_TRANSACTION_SECONDS", 1)
    connection.close()
    worker.rebuild(FIRST)
    session = session_id()

    time.sleep(1.5)

    assert session_id() == session


def session_id() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        return int(cursor.fetchone()[0])


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# Marks that come last in a transaction


def test_a_mark_that_ends_its_transaction_leaves_no_moment_to_stop_in():
    others_could_mark: list[bool] = []

    def stop_after(execute: Any, sql: str, *arguments: Any) -> Any:
        result = execute(sql, *arguments)
        if "overview_mark" in sql:
            with held(FIRST, without_waiting=True):
                others_could_mark.append(True)
        return result

    with connection.execute_wrapper(stop_after), transaction.atomic():
        mark_courses([CourseMark(course_key=FIRST)], commits=True)

    assert others_could_mark == [True]
    assert dirty_keys() == [FIRST]


def test_inside_another_transaction_it_ends_nothing():
    def mark_in_vain() -> None:
        with transaction.atomic():
            with transaction.atomic():
                mark_courses([CourseMark(course_key=FIRST)], commits=True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        mark_in_vain()

    assert dirty_keys() == []
