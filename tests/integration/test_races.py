"""Races on the real MariaDB and MongoDB: threads with connections of their own.

Three kinds: soaks with many workers and publishers; one worker paused before each of its steps while
something else happens; one worker killed before each of its steps. Mutants of the protocol show
that the second kind can fail.
"""

# ruff: noqa: S311 - what happens next is left to chance, not a secret

import json
import os
import queue
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from pymongo import MongoClient
from pymongo.database import Database

from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import OverviewMark, OverviewState
from overview_worker.documents import PublishedPointer
from overview_worker.errors import RetryableError
from overview_worker.ports import (
    Change,
    LockedCourse,
    Modulestore,
    OverviewStore,
    ReadResult,
    RebuildTransaction,
    RemovalCensus,
    WriteOverview,
)
from overview_worker.rebuild import (
    DISBELIEVE_AFTER_LOOKS,
    DISBELIEVE_AFTER_SECONDS,
    RebuildOutcome,
)
from tests.race_scene import (
    PATIENCE_SECONDS,
    Crew,
    Reader,
    Studio,
    Worker,
    dirty_keys,
    discrepancies,
    drain,
    own_connection,
    real_modulestore,
    real_store,
)
from tests.race_steps import OnStep, SteppingModulestore, sql_steps, statement_name

pytestmark = [
    pytest.mark.service,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "mysql", reason="SQLite has one writer at a time and no row locks"
    ),
]

KEY = "course-v1:Org+Course+Run"


def course_keys(number: int) -> list[str]:
    return [f"course-v1:Org+Course{n:03}+Run" for n in range(number)]


@pytest.fixture
def worker(
    mongo_client: MongoClient[dict[str, Any]], mongo_database: Database[dict[str, Any]]
) -> Worker:
    return Worker(
        modulestore=real_modulestore(mongo_client, mongo_database.name), store=real_store()
    )


@pytest.fixture(params=[True, False], ids=["versions are named", "versions are not named"])
def studio(mongo_database: Database[dict[str, Any]], request: pytest.FixtureRequest) -> Studio:
    return Studio(mongo_database, says_version=request.param)


@pytest.fixture
def terse_studio(mongo_database: Database[dict[str, Any]]) -> Studio:
    """Announces as Open edX does: the lag check has nothing to go by, the lock has to do it all."""
    return Studio(mongo_database, says_version=False)


@pytest.fixture
def exact_studio(mongo_database: Database[dict[str, Any]]) -> Studio:
    """Announces as our own publishers do: which version, and when."""
    return Studio(mongo_database, says_version=True)


# --- Soaks


@dataclass
class Soak:
    """Workers that take keys from a queue, as from a broker, until all publishers are done."""

    worker: Worker
    events: "queue.SimpleQueue[str | None]" = field(default_factory=queue.SimpleQueue)
    outcomes: set[RebuildOutcome] = field(default_factory=set)
    database_errors: list[str] = field(default_factory=list)

    def run(self, publishers: Sequence[Callable[[], object]], *, workers: int) -> None:
        """Run everything at once; return when the publishers are done and the queue is empty."""
        with Crew() as workers_crew:
            for _ in range(workers):
                workers_crew.start(self._work)
            try:
                with Crew() as publishers_crew:
                    for publish in publishers:
                        publishers_crew.start(self._publish, publish)
            finally:
                for _ in range(workers):
                    self.events.put(None)

    def rebuild(self, *course_keys: str) -> None:
        report = self.worker.rebuild(*course_keys)
        self.outcomes |= set(report.outcomes.values())
        for course_key in report.still_dirty:
            self.events.put(course_key)

    def _work(self) -> None:
        with self._errors_noted():
            while (course_key := self.events.get()) is not None:
                self.rebuild(course_key)

    def _publish(self, publish: Callable[[], object]) -> None:
        with self._errors_noted():
            publish()

    @contextmanager
    def _errors_noted(self) -> Iterator[None]:
        """Note every error of the database but the lock that was not waited for."""

        def note(execute: Any, sql: str, *arguments: Any) -> Any:
            try:
                return execute(sql, *arguments)
            except DatabaseError as error:
                if not (isinstance(error, OperationalError) and "NOWAIT" in sql):
                    self.database_errors.append(f"{error}: {sql[:100]}")
                raise

        with connections[DEFAULT_DB_ALIAS].execute_wrapper(note):
            yield


@contextmanager
def watched(course_keys: Sequence[str], studio: Studio) -> Iterator[list[str]]:
    """Look at the courses all the time; give the list of what must not have been seen."""
    over = threading.Event()
    problems: list[str] = []

    def watch() -> None:
        with own_connection() as own:
            readers = [
                Reader(key, number_of=studio.number_of, connection=own) for key in course_keys
            ]
            while not over.is_set():
                for reader in readers:
                    reader.look()
            problems.extend(problem for reader in readers for problem in reader.problems)

    with Crew() as crew:
        crew.start(watch)
        try:
            yield problems
        finally:
            over.set()


def all_discrepancies(worker: Worker, course_keys: Sequence[str]) -> dict[str, list[str]]:
    return {key: found for key in course_keys if (found := discrepancies(worker, key))}


HARMLESS = {
    RebuildOutcome.WRITTEN,
    RebuildOutcome.UNCHANGED,
    RebuildOutcome.DELETED,
    RebuildOutcome.ABSENT,
    RebuildOutcome.CLEAN,
    RebuildOutcome.BUSY,
}


def test_sixteen_workers_on_one_course_while_fifty_versions_are_published(studio, worker):
    soak = Soak(worker)

    def publish_fifty() -> None:
        for _ in range(50):
            studio.publish(KEY)
            for _ in range(3):  # every event arrives more than once
                soak.events.put(KEY)

    with watched([KEY], studio) as problems:
        soak.run([publish_fifty], workers=16)
        left_dirty = dirty_keys()

    assert problems == []
    assert left_dirty == []  # no event was lost, so nobody had to sweep
    assert discrepancies(worker, KEY) == []
    assert soak.database_errors == []
    assert soak.outcomes <= HARMLESS


def test_sixteen_workers_on_twenty_courses_with_several_publishers(studio, worker):
    keys = course_keys(20)
    soak = Soak(worker)

    def publish_some() -> None:
        for _ in range(15):
            key = random.choice(keys)
            studio.publish(key)
            if random.random() < 0.9:  # else the event is lost
                soak.events.put(key)

    with watched(keys, studio) as problems:
        soak.run([publish_some] * 5, workers=16)
        drain(worker)

    assert problems == []
    assert all_discrepancies(worker, keys) == {}
    assert soak.database_errors == []
    assert soak.outcomes <= HARMLESS


def test_courses_that_are_published_deleted_and_created_again_at_random(studio, worker):
    keys = course_keys(4)
    soak = Soak(worker)

    def live() -> None:
        for _ in range(20):
            key = random.choice(keys)
            random.choice([studio.publish, studio.publish, studio.delete])(key)
            soak.events.put(key)

    with watched(keys, studio) as problems:
        soak.run([live] * 4, workers=8)
        drain(worker)

    assert problems == []
    assert all_discrepancies(worker, keys) == {}
    assert soak.database_errors == []
    assert soak.outcomes <= HARMLESS | {RebuildOutcome.LAGGING}


def test_chunks_beside_marks_of_many_courses_and_faults_never_deadlock(terse_studio, worker):
    studio = terse_studio
    keys = course_keys(40)
    for key in keys:
        studio.publish(key)
    worker.rebuild(*keys)
    soak = Soak(worker)

    def publish_some() -> None:
        for _ in range(10):
            key = random.choice(keys)
            studio.publish(key, start=random.choice(["soon", None]))  # half of them are refused
            soak.events.put(key)

    def delete_some() -> None:
        for _ in range(5):
            studio.delete(random.choice(keys))

    def mark_many() -> None:
        for _ in range(20):
            studio.announce_again(*random.sample(keys, 30))

    def rebuild_chunks() -> None:
        for _ in range(8):
            soak.rebuild(*random.sample(keys, 20))

    soak.run(
        [publish_some, publish_some, delete_some, mark_many, mark_many, *[rebuild_chunks] * 4],
        workers=4,
    )
    for key in keys:
        studio.publish(key, start=None)
    drain(worker)

    assert soak.database_errors == []
    assert soak.outcomes <= HARMLESS | {RebuildOutcome.FAULTY}
    assert all_discrepancies(worker, keys) == {}


def test_chunks_that_rewrite_a_small_catalogue_side_by_side_never_deadlock(terse_studio, worker):
    keys = course_keys(30)
    for key in keys:
        terse_studio.publish(key)
    worker.rebuild(*keys)
    soak = Soak(worker)
    start = threading.Barrier(3)

    def rewrite(chunk: Sequence[str]) -> None:
        for _ in range(4):
            for key in chunk:
                terse_studio.publish(key)
            start.wait(PATIENCE_SECONDS)
            soak.rebuild(*chunk)

    soak.run([partial(rewrite, keys[n::3]) for n in range(3)], workers=0)

    assert soak.database_errors == []
    assert soak.outcomes <= HARMLESS
    assert all_discrepancies(worker, keys) == {}


# --- One worker is paused before each of its steps while something else happens

#: What the paused worker has to do, or what happens while it pauses.
Act = Callable[[Studio, Worker, str], object]


def first_build(studio: Studio, worker: Worker, course_key: str) -> None:
    studio.publish(course_key)


def update(studio: Studio, worker: Worker, course_key: str) -> None:
    studio.publish(course_key)
    worker.rebuild(course_key)
    studio.publish(course_key)


def removal(studio: Studio, worker: Worker, course_key: str) -> None:
    studio.publish(course_key)
    worker.rebuild(course_key)
    studio.delete(course_key)


def revival(studio: Studio, worker: Worker, course_key: str) -> None:
    removal(studio, worker, course_key)
    worker.rebuild(course_key)
    studio.publish(course_key)


def nothing_new(studio: Studio, worker: Worker, course_key: str) -> None:
    studio.publish(course_key)
    worker.rebuild(course_key)
    studio.announce_again(course_key)


def publish(studio: Studio, worker: Worker, course_key: str) -> None:
    studio.publish(course_key)
    worker.rebuild(course_key)


def publish_and_lose_the_event(studio: Studio, worker: Worker, course_key: str) -> None:
    studio.publish(course_key)


def delete(studio: Studio, worker: Worker, course_key: str) -> None:
    studio.delete(course_key)
    worker.rebuild(course_key)


def delete_and_create_again(studio: Studio, worker: Worker, course_key: str) -> None:
    studio.delete(course_key)
    studio.publish(course_key)
    worker.rebuild(course_key)


def rebuild_again(studio: Studio, worker: Worker, course_key: str) -> None:
    studio.announce_again(course_key)
    worker.rebuild(course_key)


ACTS = (first_build, update, removal, revival)
INTERLUDES = (publish, publish_and_lose_the_event, delete, delete_and_create_again, rebuild_again)


def named(functions: Sequence[Callable[..., object]]) -> list[Any]:
    return [pytest.param(each, id=each.__name__) for each in functions]


#: The worker that is paused: the product's rebuild, or a mutant of it.
PausedRebuild = Callable[[Worker, Sequence[str], OnStep], object]


def product(worker: Worker, course_keys: Sequence[str], on_step: OnStep) -> None:
    with sql_steps(on_step):
        stepping(worker, on_step).rebuild(*course_keys)


def stepping(worker: Worker, on_step: OnStep) -> Worker:
    return replace(worker, modulestore=SteppingModulestore(worker.modulestore, on_step))


class Pause:
    """Stops its caller before the nth step until it may go on; ``look`` is called at each step."""

    def __init__(self, *, before: int, look: Callable[[], object] = bool) -> None:
        self.step: str | None = None  #: the step that was waited before; None: it ended sooner
        self.reached = threading.Event()
        self.may_go_on = threading.Event()
        self._steps_left = before
        self._look = look

    def __call__(self, step: str) -> None:
        self._look()
        self._steps_left -= 1
        if self._steps_left == 0:
            self.step = step
            self.reached.set()
            if not self.may_go_on.wait(PATIENCE_SECONDS):
                raise TimeoutError(f"still paused before {step}")


@dataclass(kw_only=True)
class Stage:
    """Plays one act again and again, each time paused one step later, on a course of its own."""

    studio: Studio
    worker: Worker
    act: Act
    interlude: Act
    paused_rebuild: PausedRebuild = product

    def problems(self) -> dict[str, list[str]]:
        """Return what went wrong, by the step before which the worker was paused."""
        found: dict[str, list[str]] = {}
        with own_connection() as own:
            for before in range(1, 60):
                step, problems = self._play(f"course-v1:Org+Step{before}+Run", before, own)
                if step is None:
                    assert before > 5, "the rebuild had hardly any steps"
                    return found
                if problems:
                    found[f"{before}. {step}"] = problems
        raise AssertionError("the rebuild had too many steps")

    def _play(
        self, course_key: str, before: int, own: BaseDatabaseWrapper
    ) -> tuple[str | None, list[str]]:
        self.act(self.studio, self.worker, course_key)
        reader = Reader(course_key, number_of=self.studio.number_of, connection=own)
        pause = Pause(before=before, look=reader.look)
        paused = partial(self.paused_rebuild, self.worker, [course_key], pause)
        beside = partial(self.interlude, self.studio, self.worker, course_key)
        play_beside(paused, pause, beside, own)
        reader.look()
        is_delivered = self.interlude is not publish_and_lose_the_event
        if is_delivered and course_key in dirty_keys():
            reader.problems.append("the course was left dirty though its event was delivered")
        drain(self.worker)
        reader.look()
        return pause.step, reader.problems + discrepancies(self.worker, course_key)


def play_beside(
    paused: Callable[[], object],
    pause: Pause,
    beside: Callable[[], object],
    own: BaseDatabaseWrapper,
) -> bool:
    """Run ``beside`` while ``paused`` pauses; return whether it had to wait for a lock of it."""
    connection_ids: queue.SimpleQueue[int] = queue.SimpleQueue()
    has_waited = False

    def run_paused() -> None:
        try:
            paused()
        finally:
            pause.reached.set()

    def run_beside() -> None:
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute("SELECT CONNECTION_ID()")
            connection_ids.put(cursor.fetchone()[0])
        beside()

    with Crew() as crew:
        crew.start(run_paused)
        assert pause.reached.wait(PATIENCE_SECONDS)
        try:
            if pause.step is not None:
                thread = crew.start(run_beside)
                connection_id = connection_ids.get(timeout=PATIENCE_SECONDS)
                thread.join(0.03)
                while thread.is_alive() and not has_waited:
                    has_waited = _waits_for_lock(own, connection_id)
                    thread.join(_TRANSACTIONS_REFRESH_SECONDS)
        finally:
            pause.may_go_on.set()
    return has_waited


#: A look at the list of transactions shows that of the last look, if that was more recent.
_TRANSACTIONS_REFRESH_SECONDS = 0.11


def _waits_for_lock(own: BaseDatabaseWrapper, connection_id: int) -> bool:
    with own.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM information_schema.innodb_trx "
            "WHERE trx_mysql_thread_id = %s AND trx_state = 'LOCK WAIT'",
            [connection_id],
        )
        return cursor.fetchone() is not None


@pytest.mark.parametrize("interlude", named(INTERLUDES))
@pytest.mark.parametrize("act", named(ACTS))
def test_whatever_happens_between_two_steps_the_end_is_right(terse_studio, worker, act, interlude):
    stage = Stage(studio=terse_studio, worker=worker, act=act, interlude=interlude)

    assert stage.problems() == {}


@pytest.mark.parametrize("interlude", named([publish, publish_and_lose_the_event, rebuild_again]))
def test_nor_does_it_matter_that_announcements_name_their_versions(exact_studio, worker, interlude):
    stage = Stage(studio=exact_studio, worker=worker, act=update, interlude=interlude)

    assert stage.problems() == {}


def test_an_unchanged_course_is_looked_at_again_too(terse_studio, worker):
    stage = Stage(studio=terse_studio, worker=worker, act=nothing_new, interlude=publish)

    assert stage.problems() == {}


def test_a_chunk_never_waits_for_a_chunk_of_other_courses(terse_studio, worker):
    keys = course_keys(12)
    waited = []
    with own_connection() as own:
        for before in range(1, 100):
            for n, key in enumerate(keys):
                is_deleted = n % 3 == 2 and before % 2 == 0  # and is created again next time
                (terse_studio.delete if is_deleted else terse_studio.publish)(key)
            pause = Pause(before=before)
            mine = partial(product, worker, keys[::2], pause)
            if play_beside(mine, pause, partial(worker.rebuild, *keys[1::2]), own):
                waited.append(f"{before}. {pause.step}")
            if pause.step is None:
                break

    drain(worker)
    assert waited == []
    assert before > 15
    assert all_discrepancies(worker, keys) == {}


def test_a_chunk_never_deadlocks_with_marks_of_several_of_its_courses(terse_studio, worker):
    keys = course_keys(3)
    with own_connection() as own:
        for before in range(1, 100):
            for key, start in zip(keys, (None, "soon", None), strict=True):
                terse_studio.publish(key, start=start)
            pause = Pause(before=before)
            chunk = partial(product, worker, keys, pause)
            play_beside(chunk, pause, partial(terse_studio.announce_again, *keys), own)
            if pause.step is None:
                break

    for key in keys:
        terse_studio.publish(key, start=None)
    drain(worker)
    assert before > 15
    assert all_discrepancies(worker, keys) == {}


def test_a_worker_that_stops_after_its_last_statement_holds_up_no_publisher(terse_studio, worker):
    """The mark's last statement brings its commit along: there is no moment in which to stop."""
    update(terse_studio, worker, KEY)
    marked: list[bool] = []

    def stop_after_last(execute: Any, sql: str, *arguments: Any) -> Any:
        result = execute(sql, *arguments)
        if statement_name(sql) == "INSERT overview_mark":
            with ThreadPoolExecutor(max_workers=1) as publisher:
                marked.append(publisher.submit(mark_at_once, KEY).result())
        return result

    with connections[DEFAULT_DB_ALIAS].execute_wrapper(stop_after_last):
        worker.rebuild(KEY)

    assert marked[0]


def mark_at_once(course_key: str) -> bool:
    """Mark a course as a publisher who has no patience; return whether that was possible."""
    connection = connections[DEFAULT_DB_ALIAS]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
        mark_courses([CourseMark(course_key=course_key)])
    except OperationalError:
        return False
    finally:
        connection.close()
    return True


# --- Mutants: each part of the protocol is there because these scenes fail without it


class ReadOnce:
    """A modulestore that answers the first time with what was read before."""

    def __init__(self, modulestore: Modulestore, course_keys: Sequence[str]) -> None:
        self._modulestore = modulestore
        self._pointers: Mapping[str, PublishedPointer] | None
        self._pointers = modulestore.find_published(course_keys)
        self._read = modulestore.read_published(list(self._pointers.values()))

    def find_published(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        if self._pointers is None:
            return self._modulestore.find_published(course_keys)
        return self._pointers

    def read_published(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, ReadResult]:
        if self._pointers is None:
            return self._modulestore.read_published(pointers)
        self._pointers = None
        return self._read

    def iter_published(self) -> Iterator[PublishedPointer]:
        return self._modulestore.iter_published()


def reads_the_source_before_the_lock(
    worker: Worker, course_keys: Sequence[str], on_step: OnStep
) -> None:
    with sql_steps(on_step):
        modulestore = ReadOnce(SteppingModulestore(worker.modulestore, on_step), course_keys)
        replace(worker, modulestore=modulestore).rebuild(*course_keys)


def takes_no_lock(worker: Worker, course_keys: Sequence[str], on_step: OnStep) -> None:
    def without_lock(execute: Any, sql: str, *arguments: Any) -> Any:
        return execute(sql.replace(" FOR UPDATE NOWAIT", ""), *arguments)

    with sql_steps(on_step), connections[DEFAULT_DB_ALIAS].execute_wrapper(without_lock):
        stepping(worker, on_step).rebuild(*course_keys)


@dataclass(frozen=True)
class MutantStore:
    """The real store, but what it is given to write is changed first, or it never looks again."""

    store: OverviewStore
    mutate: Callable[[Change], Change] = lambda change: change
    looks_again: bool = True

    @contextmanager
    def _transaction(self, course_keys: Sequence[str]) -> Iterator[RebuildTransaction]:
        with self.store.transaction(course_keys) as transaction:
            yield MutantTransaction(transaction, self.mutate)

    def transaction(self, course_keys: Sequence[str]) -> AbstractContextManager[RebuildTransaction]:
        return self._transaction(course_keys)

    def still_dirty(self, seen: Mapping[str, int]) -> list[str]:
        return self.store.still_dirty(seen) if self.looks_again else []

    def retry_soon(self, course_keys: Sequence[str]) -> None:
        self.store.retry_soon(course_keys)

    def postpone(self, course_keys: Sequence[str], error: RetryableError) -> None:
        self.store.postpone(course_keys, error)

    def take_due(self, *, limit: int, failed: bool | None = None) -> list[str]:
        return self.store.take_due(limit=limit, failed=failed)


@dataclass(frozen=True)
class MutantTransaction:
    transaction: RebuildTransaction
    mutate: Callable[[Change], Change]

    @property
    def locked(self) -> Mapping[str, LockedCourse]:
        return self.transaction.locked

    def removal_census(self, course_keys: Sequence[str]) -> RemovalCensus:
        return self.transaction.removal_census(course_keys)

    def count_vanished(self, published: Collection[str], *, limit: int) -> int:
        return self.transaction.count_vanished(published, limit=limit)

    def apply(self, changes: Sequence[Change]) -> None:
        self.transaction.apply([self.mutate(change) for change in changes])


def never_looks_again(worker: Worker, course_keys: Sequence[str], on_step: OnStep) -> None:
    store = MutantStore(worker.store, looks_again=False)
    product(replace(worker, store=store), course_keys, on_step)


def _labelled_as_announced(change: Change) -> Change:
    if not isinstance(change, WriteOverview) or not change.course.announced_version:
        return change
    label = replace(
        change.pointer,
        structure_id=change.course.announced_version,
        updated_at=change.course.announced_at,
    )
    return replace(change, pointer=label)


def labels_the_row_with_what_was_announced(
    worker: Worker, course_keys: Sequence[str], on_step: OnStep
) -> None:
    store = MutantStore(worker.store, mutate=_labelled_as_announced)
    product(replace(worker, store=store), course_keys, on_step)


def _done_with_all_marks(change: Change) -> Change:
    wanted = OverviewMark.objects.get(course_key=change.course.course_key).wanted
    return replace(change, course=replace(change.course, wanted=wanted))


def counts_marks_after_the_read(
    worker: Worker, course_keys: Sequence[str], on_step: OnStep
) -> None:
    store = MutantStore(worker.store, mutate=_done_with_all_marks)
    product(replace(worker, store=store), course_keys, on_step)


@pytest.mark.parametrize(
    ("mutant", "act", "interlude"),
    [
        (reads_the_source_before_the_lock, update, publish_and_lose_the_event),
        (reads_the_source_before_the_lock, revival, delete_and_create_again),
        (takes_no_lock, update, publish),
        (never_looks_again, update, publish),
        (never_looks_again, first_build, delete),
        (counts_marks_after_the_read, update, publish_and_lose_the_event),
        (counts_marks_after_the_read, removal, delete_and_create_again),
    ],
    ids=lambda each: each.__name__,
)
def test_the_scenes_find_a_worker_that(terse_studio, worker, mutant, act, interlude):
    stage = Stage(
        studio=terse_studio, worker=worker, act=act, interlude=interlude, paused_rebuild=mutant
    )

    assert stage.problems() != {}


def test_the_scenes_find_a_worker_that_labels_the_row_with_what_was_announced(exact_studio, worker):
    stage = Stage(
        studio=exact_studio,
        worker=worker,
        act=update,
        interlude=publish_and_lose_the_event,
        paused_rebuild=labels_the_row_with_what_was_announced,
    )

    assert stage.problems() != {}


@pytest.mark.parametrize(
    ("paused_rebuild", "is_poisoned"),
    [(product, False), (labels_the_row_with_what_was_announced, True)],
)
def test_an_announcement_that_was_rolled_back_poisons_no_row(
    terse_studio, worker, paused_rebuild, is_poisoned
):
    terse_studio.publish(KEY)
    worker.rebuild(KEY)
    pointer = worker.modulestore.find_published([KEY])[KEY]
    assert pointer.updated_at is not None
    never = CourseMark(
        course_key=KEY,
        announced_version="f" * 24,
        announced_at=pointer.updated_at.replace(year=pointer.updated_at.year + 1),
    )
    mark_courses([never])
    make_older(KEY, seconds=DISBELIEVE_AFTER_SECONDS + 1)

    paused_rebuild(worker, [KEY], lambda step: None)
    terse_studio.publish(KEY)
    report = worker.rebuild(KEY)

    assert (report.outcomes[KEY] is RebuildOutcome.LAGGING) is is_poisoned
    assert bool(discrepancies(worker, KEY)) is is_poisoned


def make_older(course_key: str, *, seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE overview_mark SET dirty_since = dirty_since - INTERVAL %s SECOND, "
            "looks = %s WHERE course_key = %s",
            [seconds, DISBELIEVE_AFTER_LOOKS, course_key],
        )


# --- One worker is killed before each of its steps


class KilledWorkers:
    """Runs ``tests.killed_worker`` on this test run's own SQL database."""

    def __init__(self) -> None:
        url = urlsplit(os.environ["OVERVIEW_DATABASE_URL"])
        name = str(connection.settings_dict["NAME"])
        start = "import django; django.setup(); from tests.killed_worker import serve; serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "OVERVIEW_DATABASE_URL": urlunsplit(url._replace(path=f"/{name}")),
            },
        )

    def rebuild(self, course_keys: Sequence[str], *, database: str, die_before: int) -> str | None:
        """Return the step that the worker died before, None if it came to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"database": database, "course_keys": course_keys, "die_before": die_before}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        step: str | None = answer["step"]
        return step

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def killed_workers(django_db_setup: None) -> Iterator[KilledWorkers]:
    workers = KilledWorkers()
    yield workers
    workers.close()


def wait_until_unlocked(course_keys: Sequence[str], own: BaseDatabaseWrapper) -> None:
    """Wait for the server to notice that the owner of the locks is gone."""
    for _ in range(1000):
        try:
            with own.cursor() as cursor:
                cursor.execute(
                    "SELECT 1 FROM overview_state WHERE course_key IN %s FOR UPDATE NOWAIT",
                    [tuple(course_keys)],
                )
            return
        except OperationalError:
            threading.Event().wait(0.005)
    raise AssertionError("the locks of a killed worker are still held")


@pytest.mark.parametrize("act", named([*ACTS, nothing_new]))
def test_a_worker_that_is_killed_between_two_steps_leaves_all_or_nothing(
    terse_studio, worker, mongo_database, killed_workers, act
):
    steps = []
    with own_connection() as own:
        for die_before in range(1, 60):
            key = f"course-v1:Org+Step{die_before}+Run"
            act(terse_studio, worker, key)
            reader = Reader(key, number_of=terse_studio.number_of, connection=own)
            reader.look()
            step = killed_workers.rebuild(
                [key], database=mongo_database.name, die_before=die_before
            )
            if step is None:
                break
            steps.append(step)

            wait_until_unlocked([key], own)
            reader.look()
            if key not in dirty_keys():
                assert discrepancies(worker, key) == [], f"killed before {step}"
            worker.rebuild(key)
            reader.look()

            assert reader.problems == [], f"killed before {step}"
            assert discrepancies(worker, key) == [], f"killed before {step}"
            assert dirty_keys() == []
    assert {"find_published", "read_published", "COMMIT"} <= set(steps)
    assert len(steps) > 8


def test_a_worker_that_is_killed_with_a_chunk_leaves_all_of_it_or_nothing(
    terse_studio, worker, mongo_database, killed_workers
):
    with own_connection() as own:
        for die_before in range(1, 60):
            keys = [f"course-v1:Org+{act}{die_before}+Run" for act in ("A", "B", "C")]
            for act, key in zip((first_build, update, removal), keys, strict=True):
                act(terse_studio, worker, key)
            step = killed_workers.rebuild(keys, database=mongo_database.name, die_before=die_before)
            if step is None:
                break

            wait_until_unlocked(keys, own)
            left = set(dirty_keys())
            assert left in (set(), set(keys)), f"killed before {step}"
            for key in () if left else keys:
                assert discrepancies(worker, key) == [], f"killed before {step}"
            worker.rebuild(*keys)

            assert all_discrepancies(worker, keys) == {}, f"killed before {step}"
            assert dirty_keys() == []
            assert OverviewState.objects.filter(course_key__in=keys).count() == 3
    assert die_before > 15
