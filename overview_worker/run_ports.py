"""What a rebuild run needs of the outside: its row with the lanes, and the courses page by page.

Adapters: ``store.run_store``, ``store.run_pages``; in-memory twins: ``run_testing``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Protocol

from overview_worker.documents import PublishedPointer
from overview_worker.inspection_ports import InspectedCourse, Sight
from overview_worker.versions import RowVersions


class RunScope(StrEnum):
    """Which courses a run looks at; the values are those of the table."""

    ALL = "all"
    ORG = "org"
    COURSES = "courses"


class RunDepth(StrEnum):
    """Which of the courses that a run looks at are rebuilt; the values are those of the table."""

    STALE = "stale"
    OLD = "old"
    BUILD = "build"
    REWRITE = "rewrite"


class RunState(StrEnum):
    """Where a run is; the values are those of the table."""

    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    DONE = "done"
    FAILED = "failed"


#: A lane that has broken down so often without moving on fails its run: it is not one course's fault.
CRASH_LIMIT = 10
#: So many tasks in a row have to run out of time at the same place before that counts as a breakdown: a
#: server that freezes takes a task's time as well as a course that never ends.
TIMEOUT_LIMIT = 3
#: A worker that has not been heard of for so long, in seconds, is thought dead. Longer than a task may
#: take; whoever was only slow counts nothing.
TAKE_OVER_SECONDS = 45
#: How long a lane that was enqueued is left to its task, in seconds.
ENQUEUED_SECONDS = 10
#: A publish that is served at once is not waited for, in milliseconds.
WAITING_PUBLISH_MS = 200

#: States in which workers have something to do.
MOVING_STATES = (RunState.PLANNED, RunState.RUNNING)


class RunStage(IntEnum):
    """The parts of a run, one after the other, each paged through in the order of its keys."""

    COURSES = 0  #: what is in the course index, or has a state that is not deleted
    ROWS = 1  #: overview rows that no state stands for
    PROJECTIONS = 2  #: projections that no state stands for


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOrder:
    """What was asked for; it does not change."""

    run_id: int
    scope: RunScope
    depth: RunDepth
    org: str = ""  #: compared without case
    course_keys: tuple[str, ...] = ()  #: of the scope ``COURSES``, sorted
    version_below: int | None = None
    rate: float | None = None  #: courses rebuilt in a second, at most
    asked_by: str = ""
    #: The release whose workers alone may have a part in it: an upgrade's.
    versions: RowVersions | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """Every course before it is counted, or in a range that a lane holds."""

    stage: RunStage = RunStage.COURSES
    after_key: str = ""
    is_claimed_out: bool = False  #: nothing is left after it


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSight:
    """A run as it is now."""

    order: RunOrder
    state: RunState
    checkpoint: Checkpoint
    is_begun: bool  #: its courses have been counted
    wait_seconds: float = 0.0  #: until its rate, or whoever asked, allows it to go on
    idle_seconds: float = 0.0  #: since anything of it was claimed or counted
    waiting_for: str = ""
    target: RowVersions | None = None  #: what rows are to be of now; None where nobody has said

    @property
    def only_for(self) -> RowVersions | None:
        """The release whose workers alone may go on with it now; None for all.

        What rewrites rows is for the target, whichever that is: others would leave its rows alone.
        """
        if self.order.versions is None and self.order.depth in (RunDepth.OLD, RunDepth.REWRITE):
            return self.target
        return self.order.versions


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A range of courses that one worker has, until it has reported it or is thought dead."""

    run_id: int
    lane: int
    chunk: int  #: counts the claims of the lane: whose number is not the lane's counts nothing
    stage: RunStage
    after_key: str  #: the range begins after it
    until_key: str  #: and ends with it
    #: How often workers broke down over it since it moved last; 1 is never forgotten in a range.
    crash_count: int = 0


class Standstill(StrEnum):
    """Why there is nothing to claim."""

    TAKEN = "taken"  #: another worker has the lane
    NOTHING_OPEN = "nothing open"  #: the lane is free, and no range was left behind


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One course that a run could not rebuild."""

    outcome: str
    reason: str


@dataclass(kw_only=True, slots=True)
class Tally:
    """What became of some courses of a run."""

    unchanged: int = 0
    written: int = 0
    tombstoned: int = 0
    busy: int = 0
    failures: dict[str, Failure] = field(default_factory=dict)  #: by course key
    rebuilt: int = 0  #: of all these, those that were handed to the rebuild: the rate counts them


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPage:
    """Courses of a range, in the order of their keys."""

    sights: Sequence[Sight]
    last_key: str = ""  #: how far the page reaches; '' when it is empty
    is_last: bool = False  #: nothing is left after it


class RunPages(Protocol):
    """The courses of a run, both sides of each."""

    def read(
        self, order: RunOrder, *, stage: RunStage, after_key: str, until_key: str, limit: int
    ) -> RunPage:
        """Return the next courses after ``after_key``, up to ``until_key`` unless that is ''.

        ``limit`` counts each side: a page may be shorter although it is not the last one.

        Raises:
            ModulestoreUnavailable: the course index did not answer.
            StoreUnavailable: the database did not answer.
        """
        ...

    def count(self, order: RunOrder) -> int:
        """Return how many courses the run will look at, as far as the course index knows.

        Raises:
            ModulestoreUnavailable: the course index did not answer.
            StoreUnavailable: the database did not answer.
        """
        ...

    def structure_bytes(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, int]:
        """Return how large the structures are that the pointers name, by course key.

        Structures that are not there are left out. The server loads each to tell: ask for few.

        Raises:
            ModulestoreUnavailable: MongoDB did not answer.
        """
        ...


class StoredPages(Protocol):
    """What is stored of the courses, in pages and by key. Each raises ``StoreUnavailable``."""

    def page_stored(
        self, *, after_key: str, until_key: str, org: str, limit: int
    ) -> Sequence[InspectedCourse]:
        """Return the courses that have a state, after a key, and up to another unless that is ''.

        In the order of the keys' bytes. Unless it is '', of the organisation ``org``, without case.
        """
        ...

    def find_stored(self, course_keys: Sequence[str]) -> Mapping[str, InspectedCourse]:
        """Return those of ``course_keys`` that have a state."""
        ...

    def find_row_versions(self, course_keys: Sequence[str]) -> Mapping[str, int]:
        """Return the versions of the overview rows of those of ``course_keys`` that have one."""
        ...

    def page_stateless(
        self, *, stage: RunStage, after_key: str, until_key: str, limit: int
    ) -> Sequence[InspectedCourse]:
        """Return rows, or projections, that no state stands for, in the order of their table."""
        ...


class PublishedPages(Protocol):
    """The course index in pages."""

    def page_published(
        self, *, after_key: str, until_key: str, org: str, limit: int
    ) -> Sequence[PublishedPointer]:
        """Return the entries with keys after ``after_key``, and up to ``until_key`` unless that is ''.

        In the order of the keys' bytes. Unless it is '', of the organisation ``org``, without case.

        Raises:
            ModulestoreUnavailable: the index did not answer.
        """
        ...

    def find_published(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        """Return the index entries of those of ``course_keys`` that have a published branch.

        Raises:
            ModulestoreUnavailable: the index did not answer.
        """
        ...

    def count_published(self, *, org: str) -> int:
        """Return how many courses with a published branch there are.

        Raises:
            ModulestoreUnavailable: the index did not answer.
        """
        ...

    def structure_bytes(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, int]:
        """Return how large the structures are that the pointers name, by course key.

        Structures that are not there are left out. The server loads each to tell: ask for few.

        Raises:
            ModulestoreUnavailable: MongoDB did not answer.
        """
        ...


class RunStore(Protocol):
    """The rows of runs and lanes. Each call is one short transaction of its own.

    Any of them raises ``StoreUnavailable`` when the database does not answer.
    """

    def look(self, run_id: int) -> RunSight | None:
        """Return a run as it is now; None without one."""
        ...

    def begin(self, run_id: int, *, total_count: int) -> None:
        """Note that a run has begun, and how many courses it is about; a second time does nothing."""
        ...

    def take_open(
        self, run_id: int, *, lane: int, worker: str, takes_over: bool = False
    ) -> Claim | Standstill:
        """Take the range that the lane has open, or one that another lane's worker left behind.

        Of a worker that has not been heard of for long it is taken away, and counted as a crash; the
        lane's own at once where the caller ``takes_over``: it knows that its worker is gone.
        """
        ...

    def claim(
        self,
        run_id: int,
        *,
        lane: int,
        worker: str,
        at: Checkpoint,
        until_key: str,
        then: Checkpoint,
    ) -> Claim | None:
        """Take the range between ``at`` and ``until_key``, and move the checkpoint to ``then``.

        None, and nothing is done, if the checkpoint is not ``at`` any more, the run is not running,
        or the lane is not free. With '' as ``until_key`` only the checkpoint moves, and None returns.
        """
        ...

    def report(self, claim: Claim, tally: Tally, *, up_to: str) -> RunSight | None:
        """Count what became of the range's courses up to a key; with its last key the lane is free.

        Return the run as it is now, or None if the claim is not the lane's any more: nothing was
        counted.
        """
        ...

    def release(self, run_id: int, *, lane: int, worker: str) -> None:
        """Leave the rest of a range to whoever comes next; only if the lane is this worker's."""
        ...

    def note_crash(self, run_id: int, *, lane: int, worker: str, error: str) -> None:
        """Count an unforeseen error, and release the lane; with ``CRASH_LIMIT`` of them the run fails."""
        ...

    def note_timeout(self, run_id: int, *, lane: int, worker: str, error: str) -> None:
        """Release the lane of a worker whose time ran out; the ``TIMEOUT_LIMIT``-th is a breakdown.

        They are counted until something of the range is reported. Whatever the worker was in the middle
        of, its connection is not used any more.
        """
        ...

    def leave_lane(self, run_id: int, *, lane: int, reason: str) -> None:
        """Have a lane enqueued again at once, unless somebody works on it.

        For a worker that may have no part in the run. ``reason`` is noted as what it waits for, unless
        others have moved it within ``ENQUEUED_SECONDS``.
        """
        ...

    def finish(self, run_id: int) -> bool:
        """Note that a run is done, if nothing of it is left; return whether it is."""
        ...

    def note_waiting(self, run_id: int, reason: str) -> None:
        """Note why a run does not move, or with '' that it does."""
        ...

    def publishes_wait(self) -> bool:
        """Return whether a publish waits that workers could have served by now."""
        ...

    def mark(self, course_keys: Sequence[str], *, rewrite: bool) -> None:
        """Mark courses that the run leaves to others."""
        ...

    def take_idle_lanes(self) -> Sequence[tuple[int, int]]:
        """Return ``(run, lane)`` of the lanes that nobody works on although there is work.

        Those returned are not returned again for a while.
        """
        ...
