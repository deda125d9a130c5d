"""Traces of the real code: recorded at its ports and its SQL statements, replayed through the model.

A trace is accepted if the model can take the same steps with the same values in the same order. What
is not recorded, the way of an event through broker and intake, the model may fill in.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections

from overview_worker.documents import PublishedPointer
from overview_worker.errors import RetryableError
from overview_worker.ports import (
    Change,
    LockedCourse,
    Modulestore,
    NothingToBuild,
    OverviewStore,
    PostponeRebuild,
    ReadResult,
    RebuildTransaction,
    RemovalCensus,
    RemoveOverview,
    WriteOverview,
)
from overview_worker.sweeper import sweep
from tests.model import steps
from tests.model.protocol import (
    Fault,
    Protocol,
    Row,
    Scenario,
    State,
    Step,
    initial_state,
    is_at_rest,
)
from tests.race_steps import statement_name

#: What happens between the steps that are recorded.
_HIDDEN = frozenset(
    {steps.RECEIVE, steps.MARK_EVENTS, steps.ENQUEUE, steps.ACKNOWLEDGE, steps.WAIT}
)


#: Value of a step whose worker died before it could tell.
UNKNOWN = object()


@dataclass(kw_only=True)
class Observed:
    """One step of the real code, as the model calls it."""

    name: str
    actor: str
    value: Any = None

    def __str__(self) -> str:
        return f"{self.actor}: {self.name} = {self.value}"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The first step of a trace that the model cannot take."""

    trace: tuple[Observed, ...]
    index: int
    possible: tuple[str, ...]  #: what the model could do instead

    def __str__(self) -> str:
        before = [f"  {n:2}. {each}" for n, each in enumerate(self.trace[: self.index], start=1)]
        refused = f"  refused: {self.trace[self.index]}"
        return "\n".join([*before, refused, "  possible: " + ", ".join(self.possible)])


class Replay:
    """Everything that the model can be in after a trace.

    ``lags_end``: no read lags any more once the code believes whatever it reads.
    """

    def __init__(self, *, announces: bool, with_state_row: bool, lags_end: bool = True) -> None:
        scenario = Scenario(
            name="a trace",
            publisher="mongodb",
            announces=announces,
            built=False,
            changes=20,
            faults=20,
            may=frozenset(Fault),
            lags_end=lags_end,
        )
        self._protocol = Protocol(scenario, tells_workers_apart=True)
        start = initial_state(scenario)
        if with_state_row:
            start = start._replace(row=Row(has_state=True))
        self._states = {start}

    def refusal(self, trace: Sequence[Observed]) -> Refusal | None:
        """Take the steps of ``trace``; return where that fails, if it does."""
        for index, observed in enumerate(trace):
            followed = self._followed()
            possible = [step for state in followed for step in self._protocol.steps(state)]
            self._states = {step.after for step in possible if _is_same(step, observed)}
            if not self._states:
                same_actor = {
                    f"{step.name} = {step.value}"
                    for step in possible
                    if step.actor == observed.actor
                }
                return Refusal(trace=tuple(trace), index=index, possible=tuple(sorted(same_actor)))
        return None

    def rows(self) -> set[tuple[int, int]]:
        """Return ``(content, label)`` as it may be now."""
        return {(state.row.content, state.row.label) for state in self._states}

    def can_rest(self) -> bool:
        """Whether nothing is left to do, but for what is not recorded."""
        return any(is_at_rest(state) for state in self._followed())

    def _followed(self) -> set[State]:
        followed = set(self._states)
        pending = list(followed)
        while pending:
            for step in self._protocol.steps(pending.pop()):
                if step.name in _HIDDEN and step.after not in followed:
                    followed.add(step.after)
                    pending.append(step.after)
        return followed


def _is_same(step: Step, observed: Observed) -> bool:
    if (step.name, step.actor) != (observed.name, observed.actor):
        return False
    return observed.value is UNKNOWN or step.value == observed.value


@dataclass
class Recorder:
    """Notes steps as they come; knows which position of the history a version is."""

    trace: list[Observed] = field(default_factory=list)
    position: int = 0
    deleted_at: int = 0  #: the position of the newest delete
    _positions: dict[str, int] = field(default_factory=dict)
    _local: threading.local = field(default_factory=threading.local)

    def note(self, name: str, value: Any = None, *, actor: str = "") -> Observed:
        """Append a step of the calling thread's worker, or of ``actor``."""
        observed = Observed(name=name, actor=actor or self._local.actor, value=value)
        self.trace.append(observed)
        return observed

    @contextmanager
    def acting_as(self, actor: str) -> Iterator[None]:
        """Make the calling thread one of the workers."""
        self._local.actor = actor
        self._local.holds_lock = False
        yield

    @property
    def local(self) -> Any:
        """What the calling thread remembers."""
        return self._local

    def change(self, kind: str, *names: str) -> None:
        """Note that the course index has changed; ``names`` mean the new position from now on."""
        self.position += 1
        if kind == "D":
            self.deleted_at = self.position
        for name in names:
            self._positions[name] = self.position
        self.note(steps.SAVE, kind, actor="publisher")

    def marked(self, kind: str) -> None:
        """Note that the publisher has marked its change."""
        self.note(steps.MARK, kind, actor="publisher")
        self.note(steps.COMMIT_MARK, self.position, actor="publisher")

    def position_of(self, name: str | None) -> int:
        """Return the position that a version id or a title stands for; 0: none."""
        return self._positions[name] if name else 0

    def announced(self, version: str | None) -> int:
        """Return the position of an announced version; "" is a delete."""
        return self.deleted_at if version == "" else self.position_of(version)

    def read_mark_of(self, course: LockedCourse) -> tuple[int, int, int]:
        """Return what the model calls the value of reading this mark."""
        return course.wanted, course.done, self.announced(course.announced_version)


@dataclass(frozen=True)
class RecordingModulestore:
    """Notes the reads of a modulestore; ``lagging`` pointers are shown instead of the index's own."""

    modulestore: Modulestore
    recorder: Recorder
    before: Callable[[str], None] = bool  # type: ignore[assignment]  # does nothing
    lagging: list[Mapping[str, PublishedPointer]] = field(default_factory=list)

    def find_published(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        self.before("find_published")
        found: Mapping[str, PublishedPointer]
        found = self._answered(lambda: self.modulestore.find_published(course_keys))
        if self.lagging:
            found = self.lagging.pop()
        shown = [self.recorder.position_of(pointer.structure_id) for pointer in found.values()]
        self.recorder.note(steps.FIND, shown[0] if shown else 0)
        return found

    def read_published(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, ReadResult]:
        if not pointers:
            return {}
        self.before("read_published")
        read: Mapping[str, ReadResult]
        read = self._answered(lambda: self.modulestore.read_published(pointers))
        is_there = not any(type(each).__name__ == "CourseLagging" for each in read.values())
        self.recorder.note(steps.READ, is_there)
        return read

    def iter_published(self) -> Iterator[PublishedPointer]:
        return self.modulestore.iter_published()

    def _answered(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except RetryableError:
            self.recorder.note(steps.LOSE_MODULESTORE)
            raise


@dataclass(frozen=True)
class RecordingStore:
    """Notes the steps of a store at its port, and leaves to ``recorded_sql`` what is SQL."""

    store: OverviewStore
    recorder: Recorder
    has_sql: bool

    @contextmanager
    def transaction(self, course_keys: Sequence[str]) -> Iterator[RebuildTransaction]:
        local, note = self.recorder.local, self.recorder.note
        local.commits = "clean"
        with self.store.transaction(course_keys) as transaction:
            courses = list(transaction.locked.values())
            if not self.has_sql:
                note(steps.LOCK, "locked" if courses else "busy")
            if courses:
                read = local.read_mark if self.has_sql else note(steps.READ_MARK)
                read.value = self.recorder.read_mark_of(courses[0])
            yield RecordingTransaction(transaction, self.recorder, self.has_sql)
            if courses and not self.has_sql:
                note(steps.COMMIT, local.commits)

    def still_dirty(self, seen: Mapping[str, int]) -> list[str]:
        dirty = self.store.still_dirty(seen)
        if seen:
            self.recorder.note(steps.LOOK_AGAIN, bool(dirty))
        return dirty

    def retry_soon(self, course_keys: Sequence[str]) -> None:
        # Moves a time that has not come yet: the model's time passes whenever it likes.
        self.store.retry_soon(course_keys)

    def postpone(self, course_keys: Sequence[str], error: RetryableError) -> None:
        self.store.postpone(course_keys, error)
        self.recorder.note(steps.POSTPONE_OUTSIDE)

    def take_due(self, *, limit: int, failed: bool | None = None) -> list[str]:
        due = self.store.take_due(limit=limit, failed=failed)
        if due:
            self.recorder.note(steps.TAKE_DUE, actor="sweeper")
            self.recorder.note(steps.LEASE, actor="sweeper")
        return due

    def sweep(self) -> None:
        """Sweep once."""
        sweep(store=self, enqueue=self.enqueue, enqueue_together=self.enqueue)

    def enqueue(self, course_keys: Sequence[str]) -> None:
        """Take what the sweeper enqueues."""
        self.recorder.note(steps.SWEEP, actor="sweeper")


@dataclass(frozen=True)
class RecordingTransaction:
    """Notes what is written."""

    transaction: RebuildTransaction
    recorder: Recorder
    has_sql: bool

    @property
    def locked(self) -> Mapping[str, LockedCourse]:
        return self.transaction.locked

    def removal_census(self, course_keys: Sequence[str]) -> RemovalCensus:
        return self.transaction.removal_census(course_keys)

    def count_vanished(self, published: Collection[str], *, limit: int) -> int:
        return self.transaction.count_vanished(published, limit=limit)

    def apply(self, changes: Sequence[Change]) -> None:
        (change,) = changes
        local, note = self.recorder.local, self.recorder.note
        match change:
            case PostponeRebuild():
                local.commits = "postponed"
                if not self.has_sql:
                    note(steps.POSTPONE)
            case WriteOverview() | RemoveOverview() | NothingToBuild():
                local.commits = "row"
                note(steps.WRITE, self._written(change))
                if not self.has_sql:
                    note(steps.DONE, change.course.wanted)
            case _:
                raise AssertionError(f"the model knows nothing of {change}")
        self.transaction.apply(changes)

    def _written(self, change: Change) -> object:
        if not isinstance(change, WriteOverview):
            return 0
        label = self.recorder.position_of(change.pointer.structure_id)
        content = self.recorder.position_of(change.built.overview.display_name)
        return label if label == content else (content, label)


@contextmanager
def recorded_sql(
    recorder: Recorder,
    before: Callable[[str], None] = bool,  # type: ignore[assignment]
) -> Iterator[None]:
    """Note the protocol's statements and commits on this thread's connection, after they are done.

    A commit is noted before: who waits for it goes on at once. ``before`` is called with the name of
    each statement before it is sent.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    commit, local = connection.commit, recorder.local

    def record(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        name = statement_name(sql)
        before(name)
        if local.holds_lock and "; COMMIT; " in sql:
            note_end(name, parameters)
        try:
            result = execute(sql, parameters, many, context)
        except OperationalError:
            if name == "SELECT overview_state FOR UPDATE":
                recorder.note(steps.LOCK, "busy")
            raise
        match name:
            case "SELECT overview_state FOR UPDATE":
                local.holds_lock = context["cursor"].rowcount > 0
                local.is_missing = not local.holds_lock
                recorder.note(steps.LOCK, "locked" if local.holds_lock else "missing")
            # Where the lock was taken, the code asks too; states are never removed.
            case "SELECT overview_state" if local.is_missing:
                recorder.note(steps.FIND_STATE, context["cursor"].rowcount > 0)
            case "INSERT overview_state" if not local.holds_lock:
                local.creates_state = True
            case "SELECT overview_mark" if local.holds_lock and not local.has_read_mark:
                local.read_mark = recorder.note(steps.READ_MARK, UNKNOWN)
                local.has_read_mark = True
        return result

    def note_end(name: str, parameters: Any) -> None:
        """Note the last statement and the commit that travels with it."""
        if name == "INSERT overview_mark":
            recorder.note(steps.DONE, parameters[1])
        else:
            assert name == "UPDATE overview_mark", name
            recorder.note(steps.POSTPONE)
        recorder.note(steps.COMMIT, local.commits)
        _forget(local)

    def note_commit() -> None:
        before("COMMIT")
        if local.holds_lock:
            recorder.note(steps.COMMIT, local.commits)
        if local.creates_state:
            recorder.note(steps.CREATE_STATE)
        _forget(local)
        commit()

    _forget(local)
    with (
        connection.execute_wrapper(record),
        mock.patch.object(connection, "commit", note_commit),
    ):
        yield


def _forget(local: Any) -> None:
    """Forget what there was to know of the transaction that ends."""
    local.holds_lock = local.has_read_mark = local.is_missing = local.creates_state = False
