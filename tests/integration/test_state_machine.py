"""Anything in any order, on the real MariaDB and MongoDB: and in the end every row is right.

Hypothesis chooses what authors, broker, source and two workers do, step by step; a worker may die
before any of its steps. ``OVERVIEW_STATE_EXAMPLES`` (and ``_STEPS``) for longer runs.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, ClassVar

import pytest
from django.db import connection
from django.db.models import F
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pymongo import MongoClient
from pymongo.database import Database

from lms_integration.events import CourseDeleted, CoursePublished
from lms_integration.identity import database_identity
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import OverviewMark
from overview_worker.documents import CourseLagging, PublishedPointer
from overview_worker.intake_store import DjangoIntakeStore
from overview_worker.ports import Modulestore, ReadResult
from tests.race_scene import (
    Reader,
    Studio,
    Worker,
    discrepancies,
    own_connection,
    real_modulestore,
    real_store,
)
from tests.race_steps import OnStep, SteppingModulestore, sql_steps
from tests.stepped_worker import SteppedWorker

pytestmark = [
    pytest.mark.service,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "mysql", reason="SQLite has one writer at a time and no row locks"
    ),
]

EXAMPLES = int(os.environ.get("OVERVIEW_STATE_EXAMPLES", "40"))
STEPS = int(os.environ.get("OVERVIEW_STATE_STEPS", "30"))
COURSES = st.integers(0, 1)
WORKERS = st.integers(0, 1)
#: A dirty course is due for the sweeper once it has been so for 2 s; an announcement is
#: disbelieved after 60 s.
A_MOMENT_SECONDS = 5
A_MINUTE_SECONDS = 61
_EXAMPLE_NUMBERS = count(1)


@dataclass
class LaggingSource:
    """A modulestore that may show an index of a moment ago, or structures that have not arrived."""

    modulestore: Modulestore
    index_is_behind: bool = False
    structures_are_behind: bool = False
    #: ``{course key: index entries that it had, None for a time without one}``, oldest first.
    history: dict[str, list[PublishedPointer | None]] = field(default_factory=dict)
    #: Courses whose entry was once shown out of date.
    misled: set[str] = field(default_factory=set)

    def remember(self, course_key: str) -> None:
        entry = self.modulestore.find_published([course_key]).get(course_key)
        self.history.setdefault(course_key, [None]).append(entry)

    def find_published(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        found = dict(self.modulestore.find_published(course_keys))
        if self.index_is_behind:
            for key in course_keys:
                found.pop(key, None)
                entries = self.history.get(key, [None, None])
                if (entry := entries[-2] if len(entries) > 1 else None) is not None:
                    found[key] = entry
                self.misled.add(key)
        return found

    def read_published(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, ReadResult]:
        if self.structures_are_behind:
            return {
                pointer.course_key: CourseLagging(
                    course_key=pointer.course_key, reason="the structure is not there yet"
                )
                for pointer in pointers
            }
        return self.modulestore.read_published(pointers)

    def iter_published(self) -> Iterator[PublishedPointer]:
        return self.modulestore.iter_published()


@dataclass(frozen=True)
class MongoDB:
    """Where the courses are; in one object, because Hypothesis asks every attribute what it can do."""

    client: MongoClient[dict[str, Any]]
    database: Database[dict[str, Any]]


class Pipeline(RuleBasedStateMachine):
    """Two courses, two workers, a broker that keeps no promise, a source that may lag."""

    mongodb: ClassVar[MongoDB]

    @initialize(says_version=st.booleans())
    def begin(self, says_version: bool) -> None:
        number = next(_EXAMPLE_NUMBERS)
        self.keys = [f"course-v1:State+E{number}C{n}+R" for n in range(2)]
        self.says_version = says_version
        self.studio = Studio(self.mongodb.database, says_version=says_version)
        self.source = LaggingSource(
            real_modulestore(self.mongodb.client, self.mongodb.database.name)
        )
        self.workers = [SteppedWorker(), SteppedWorker()]
        self.holding: dict[int, str] = {}
        self.events: list[CoursePublished | CourseDeleted] = []
        self.tasks: list[str] = []
        self.own = own_connection()
        opened = self.own.__enter__()
        self.readers = {
            key: Reader(key, number_of=self.studio.number_of, connection=opened)
            for key in self.keys
        }

    # Authors

    @rule(course=COURSES)
    def publish(self, course: int) -> None:
        key = self.keys[course]
        self._let_marks_go()
        self.studio.publish(key)
        self.source.remember(key)
        self._announce(CoursePublished(course_key=key, **self._newest(key)))

    @rule(course=COURSES)
    def delete(self, course: int) -> None:
        key = self.keys[course]
        self._let_marks_go()
        self.studio.delete(key)
        self.source.remember(key)
        at = datetime.now(UTC) if self.says_version else None
        self._announce(CourseDeleted(course_key=key, deleted_at=at))

    @rule(course=COURSES)
    def edit_a_draft(self, course: int) -> None:
        key = self.keys[course]
        if self.source.history.get(key, [None])[-1] is not None:
            self.studio.author.edit_draft(key, {"display_name": "0"})
            self.source.history[key][-1] = self.source.modulestore.find_published([key])[key]

    # The broker

    @precondition(lambda self: self.events)
    @rule(data=st.data(), twice=st.booleans(), foreign=st.booleans())
    def deliver(self, data: st.DataObject, twice: bool, foreign: bool) -> None:
        """Any of the events, out of order; foreign ones have not been marked by their publisher."""
        event = data.draw(st.sampled_from(self.events), label="event")
        if not twice:
            self.events.remove(event)
        self._let_marks_go()
        here = "" if foreign else database_identity()
        self.tasks += DjangoIntakeStore().mark_events([replace(event, marked_in=here)])

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self.events.remove(data.draw(st.sampled_from(self.events), label="event"))

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def drop_a_task(self, data: st.DataObject) -> None:
        self.tasks.remove(data.draw(st.sampled_from(self.tasks), label="task"))

    # Workers

    @precondition(lambda self: self.tasks)
    @rule(worker=WORKERS, data=st.data(), steps=st.integers(0, 12))
    def work(self, worker: int, data: st.DataObject, steps: int) -> None:
        """Begin a task with an idle worker, and come to any of its steps."""
        if not self.workers[worker].is_idle:
            return
        key = data.draw(st.sampled_from(self.tasks), label="task")
        self.tasks.remove(key)
        self.holding[worker] = key
        self.workers[worker].start(lambda on_step: self._rebuild(key, on_step))
        self.go_on(worker, steps)

    @rule(worker=WORKERS, steps=st.integers(1, 40))
    def go_on(self, worker: int, steps: int) -> None:
        for _ in range(steps):
            self._advance(worker)

    @precondition(lambda self: any(not worker.is_idle for worker in self.workers))
    @rule(worker=WORKERS, comes_again=st.booleans())
    def crash(self, worker: int, comes_again: bool) -> None:
        """Kill a worker before its next step; the broker delivers its task again, or has lost it."""
        if self.workers[worker].is_idle:
            return
        self.workers[worker].die()
        if comes_again and self.workers[worker].is_idle:
            self.tasks.append(self.holding[worker])

    # Time and the source

    @rule()
    def sweep(self) -> None:
        self._let_marks_go()
        self._pass(A_MOMENT_SECONDS)
        due = real_store().take_due(limit=500)
        self.tasks += [key for key in due if key in self.keys]

    @rule()
    def let_a_minute_pass(self) -> None:
        self._let_marks_go()
        self._pass(A_MINUTE_SECONDS)

    @rule(index=st.booleans(), structures=st.booleans())
    def lag(self, index: bool, structures: bool) -> None:
        # An index that is behind can be told from what was announced, and only from that.
        self.source.index_is_behind = index and self.says_version
        self.source.structures_are_behind = structures

    # The end

    def teardown(self) -> None:
        if not hasattr(self, "own"):
            return
        try:
            self._come_to_rest()
            self._expect_everything_right()
        finally:
            for worker in self.workers:
                worker.die()
            self.own.__exit__(None, None, None)

    def _come_to_rest(self) -> None:
        self.source.index_is_behind = self.source.structures_are_behind = False
        while any(not worker.is_idle for worker in self.workers):
            for number in range(len(self.workers)):
                self._advance(number)
        self._drain()
        self._let_the_inspector_mend()

    def _drain(self) -> None:
        for sweep_number in range(20):
            marks = self._marks().filter(wanted__gt=F("done"))
            dirty = list(marks.values_list("course_key", flat=True))
            if not dirty:
                return
            # What an old event has announced of a deleted course is disbelieved in the end.
            self._pass(A_MINUTE_SECONDS if sweep_number > 5 else A_MOMENT_SECONDS)
            for key in set(real_store().take_due(limit=500)) & set(self.keys):
                self._rebuild_at_once(key)
        raise AssertionError("still dirty after 20 sweeps")

    def _let_the_inspector_mend(self) -> None:
        """What was built from an index that lagged for longer than announcements are remembered."""
        for key in self.source.misled & set(self.keys):
            if self._problems(key):
                mark_courses([CourseMark(course_key=key)])
        self._drain()

    def _expect_everything_right(self) -> None:
        for key, reader in self.readers.items():
            reader.look()
            assert self._problems(key) == []
            if key not in self.source.misled:
                assert reader.problems == []

    def _problems(self, key: str) -> list[str]:
        found = discrepancies(self._worker(), key)
        # A draft that is saved moves the index's time, and tells nobody.
        return [problem for problem in found if not problem.startswith("source_updated_at")]

    # How it is done

    def _rebuild(self, key: str, on_step: OnStep) -> None:
        with sql_steps(on_step):
            report = Worker(
                modulestore=SteppingModulestore(self.source, on_step), store=real_store()
            ).rebuild(key)
        self.tasks += report.still_dirty

    def _rebuild_at_once(self, key: str) -> None:
        self._worker().rebuild(key)

    def _worker(self) -> Worker:
        return Worker(modulestore=self.source, store=real_store())

    def _advance(self, number: int) -> None:
        """Take one step; who waits for the other's lock is helped on by the other's steps."""
        for _ in range(100):
            if self.workers[number].advance():
                break
            self.workers[1 - number].advance()
        for reader in self.readers.values():
            reader.look()

    def _let_marks_go(self) -> None:
        """Let workers commit that have written their mark: whoever marks would wait for them."""
        for number, worker in enumerate(self.workers):
            if worker.step == "COMMIT":
                self._advance(number)

    def _pass(self, seconds: int) -> None:
        marks = self._marks().filter(dirty_since__isnull=False)
        marks.update(
            dirty_since=F("dirty_since") - timedelta(seconds=seconds), next_attempt_at=None
        )

    def _announce(self, event: CoursePublished | CourseDeleted) -> None:
        self.events.append(event)

    def _newest(self, key: str) -> dict[str, Any]:
        entry = self.source.history[key][-1]
        if entry is None or not self.says_version:
            return {}
        return {"published_version": entry.structure_id, "published_at": entry.updated_at}

    def _marks(self) -> Any:
        return OverviewMark.objects.filter(course_key__in=self.keys)


class HastyPipeline(Pipeline):
    """Its workers read the source before they take the lock."""

    def _rebuild(self, key: str, on_step: OnStep) -> None:
        hasty = ReadBefore(self.source, key)
        with sql_steps(on_step):
            Worker(modulestore=hasty, store=real_store()).rebuild(key)


class ReadBefore:
    """Gives what was published when it was made."""

    def __init__(self, source: LaggingSource, course_key: str) -> None:
        self._found = dict(source.modulestore.find_published([course_key]))
        self._source = source

    def find_published(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        return self._found

    def read_published(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, ReadResult]:
        return self._source.modulestore.read_published(pointers)

    def iter_published(self) -> Iterator[PublishedPointer]:
        return self._source.iter_published()


def test_workers_that_read_the_source_before_they_take_the_lock_are_found_out(
    mongo_client: MongoClient[dict[str, Any]], mongo_database: Database[dict[str, Any]]
):
    Pipeline.mongodb = MongoDB(mongo_client, mongo_database)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            HastyPipeline,
            settings=settings(
                max_examples=500,
                stateful_step_count=STEPS,
                deadline=None,
                phases=[Phase.generate],
                database=None,
                derandomize=True,
                report_multiple_bugs=False,
                verbosity=Verbosity.quiet,
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_whatever_happens_every_row_ends_as_a_fresh_build_would_have_it(
    mongo_client: MongoClient[dict[str, Any]], mongo_database: Database[dict[str, Any]]
):
    Pipeline.mongodb = MongoDB(mongo_client, mongo_database)
    run_state_machine_as_test(
        Pipeline,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
