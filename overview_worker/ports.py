"""What the rebuild needs of the outside: a modulestore to read and a store to write.

Adapters: ``modulestore.mongo`` and ``store``; in-memory twins: ``testing``.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from overview_worker.documents import (
    BuiltOverview,
    CourseLagging,
    PublishedCourse,
    PublishedPointer,
)
from overview_worker.errors import MalformedCourse, PermanentError, RetryableError
from overview_worker.versions import RowVersions

#: What reading one published course gives.
ReadResult = PublishedCourse | CourseLagging | MalformedCourse


class Modulestore(Protocol):
    """The source of truth: the published branch of every course."""

    def find_published(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        """Return the index entries of those of ``course_keys`` that have a published branch.

        Raises:
            ModulestoreUnavailable: the index did not answer: nothing is known of any course.
        """
        ...

    def read_published(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, ReadResult]:
        """Return what each pointer's structure holds, by course key, in shared round trips.

        Raises:
            ModulestoreUnavailable: MongoDB did not answer.
        """
        ...

    def iter_published(self) -> Iterator[PublishedPointer]:
        """Yield the index entry of every course with a published branch; libraries are skipped.

        In the order of the keys' bytes, and in pages: an index is larger than memory should be.

        Raises:
            ModulestoreUnavailable: the index did not answer.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredState:
    """What a course's row was built from, read under the course's lock."""

    source_version: str = ""
    source_updated_at: datetime | None = None
    versions: RowVersions | None = None  #: by which the row was built; None is unknown
    content_hash: str = ""
    tabs_hash: str = ""
    projection_hash: str = ""
    column_digests: str = ""  #: of all columns that were written last; ``column_changes``
    deleted: bool = False
    row_seq: int = 0
    record_seq: int = 0  #: how many rebuild records have been made of the course
    fault: str | None = None  #: why the newest published version could not be built
    has_row: bool = False  #: the overview row exists, whatever the state says
    #: Another course that has the row, in a table whose collation cannot tell the two keys apart.
    collides_with: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkNotes:
    """What a mark says beside its counters: for the story of the row, and for how long to wait."""

    event_id: str = ""
    event_type: str = ""
    event_at: datetime | None = None
    attempts: int = 0  #: failed or early ones since the mark
    looks: int = 0  #: that found the source behind what was announced, since the course is dirty
    last_error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedCourse:
    """One course whose lock the current transaction holds, with its mark as read under the lock."""

    course_key: str
    wanted: int
    done: int
    announced_version: str | None
    announced_at: datetime | None
    dirty_seconds: float  #: how long the course has been dirty, by the database's clock
    state: StoredState
    #: How long a publish or delete has been waiting that no rebuild has answered; None without one.
    published_seconds: float | None = None
    rewrite: bool = False  #: write everything, also what is as the state remembers it
    #: A delete that no rebuild has answered; an event from before it may have come after it.
    delete_is_announced: bool = False
    notes: MarkNotes = field(default_factory=MarkNotes)

    @property
    def is_dirty(self) -> bool:
        """Whether somebody wants a rebuild that has not been done."""
        return self.wanted > self.done


@dataclass(frozen=True, kw_only=True, slots=True)
class RebuildEffort:
    """What a rebuild of one course took until it was written; for the story of the row."""

    read_ms: float = 0.0  #: to read the source, of all courses that were read together
    build_ms: float = 0.0
    course_count: int = 1  #: courses that were read together


@dataclass(frozen=True, kw_only=True, slots=True)
class RebuildCause:
    """Who had a course rebuilt, where it was not an event: for the history of the row."""

    run_id: int | None = None  #: the rebuild run
    asked_by: str = ""  #: a user's or account's name


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteOverview:
    """Write what was built: the row, the tabs and the projection, each if it has changed."""

    course: LockedCourse
    pointer: PublishedPointer
    built: BuiltOverview
    content_hash: str
    tabs_hash: str
    projection_hash: str
    row_changed: bool
    tabs_changed: bool
    projection_changed: bool
    rewrites: bool = False  #: whatever the state remembers
    column_digests: str = ""
    #: ``{column: its new value, cut short}``; None where the columns cannot be told.
    changed_columns: Mapping[str, str] | None = None
    effort: RebuildEffort = field(default_factory=RebuildEffort)
    cause: RebuildCause = field(default_factory=RebuildCause)

    @property
    def anything_changed(self) -> bool:
        """Whether a reader will see a difference."""
        return self.row_changed or self.tabs_changed or self.projection_changed

    @property
    def is_news(self) -> bool:
        """Whether it differs from what the state remembers, or there was no row: not a mere rewrite."""
        state = self.course.state
        return (
            not state.has_row
            or self.content_hash != state.content_hash
            or self.tabs_hash != state.tabs_hash
            or self.projection_hash != state.projection_hash
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoveOverview:
    """Leave a tombstone: the course is gone from the index."""

    course: LockedCourse
    #: Nobody announced or allowed it: it counts for the brake on mass deletes.
    counts: bool = False
    cause: RebuildCause = field(default_factory=RebuildCause)


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldRemoval:
    """Keep the row of a course that is gone from the index, until a person has said a word."""

    course: LockedCourse
    reason: str
    refused: bool = False  #: the word has been said: the row stays, and nothing more is to be done


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaveRow:
    """Keep the row as it is: another release of the workers built it from what is published."""

    course: LockedCourse


@dataclass(frozen=True, kw_only=True, slots=True)
class NothingToBuild:
    """The course is not in the index, and nothing of it is stored."""

    course: LockedCourse


@dataclass(frozen=True, kw_only=True, slots=True)
class PostponeRebuild:
    """Try again soon: the source is behind what was announced."""

    course: LockedCourse
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordFault:
    """Keep the last good row and record why the published version cannot become one."""

    course: LockedCourse
    pointer: PublishedPointer | None
    error: PermanentError
    effort: RebuildEffort = field(default_factory=RebuildEffort)


Change = (
    WriteOverview
    | RemoveOverview
    | HoldRemoval
    | LeaveRow
    | NothingToBuild
    | PostponeRebuild
    | RecordFault
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RemovalCensus:
    """What the brake on mass deletes goes by, counted while no other worker can remove a course."""

    live_count: int  #: courses with a row, those to be removed among them
    recent_count: int  #: removed lately without an announcement
    held_count: int  #: that wait for a person's word
    #: Of those asked for: their delete has been announced, if only since they were locked.
    announced: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()  #: of those asked for: a person lets them go
    refused: frozenset[str] = frozenset()  #: of those asked for: a person keeps them


def leaves_record(change: Change) -> bool:
    """Whether a rebuild record is kept of ``change``: it changed something, or failed for good."""
    match change:
        case WriteOverview():
            return change.is_news
        case RemoveOverview() | RecordFault():
            return True
        case _:
            return False


class RebuildTransaction(Protocol):
    """One open transaction that holds the locks of some courses."""

    @property
    def locked(self) -> Mapping[str, LockedCourse]:
        """The courses that are locked, by key; those that another rebuild holds are absent."""
        ...

    def removal_census(self, course_keys: Sequence[str]) -> RemovalCensus:
        """Count for the brake; others who ask wait until this transaction has ended.

        Raises:
            StoreUnavailable: another worker did not end its transaction in time.
        """
        ...

    def count_vanished(self, published: Collection[str], *, limit: int) -> int:
        """Return how many live courses are not ``published``, and nobody has said anything of them.

        Left out are those whose delete is announced, or that a person allows or refuses to let go.
        Once there are more than ``limit`` no more are counted.
        """
        ...

    def apply(self, changes: Sequence[Change]) -> None:
        """Write ``changes`` with their rebuild records; the marks' ``done`` comes last.

        Committed when the context ends.

        Raises:
            RowRefused: the database refused a value; the transaction must be left.
            StoreUnavailable: the database did not answer, or chose this transaction as a victim.
        """
        ...


class OverviewStore(Protocol):
    """The read model: overview rows, states and marks."""

    def transaction(self, course_keys: Sequence[str]) -> AbstractContextManager[RebuildTransaction]:
        """Open a transaction whose first statement locks the courses' state rows, without waiting.

        Leaving the context commits; leaving it with an exception rolls everything back.

        Raises:
            StoreUnavailable: the database did not answer.
        """
        ...

    def still_dirty(self, seen: Mapping[str, int]) -> list[str]:
        """Return those courses that are dirty and were marked since, of ``{course key: wanted}``.

        What is dirty with no more marks than were seen has been left so on purpose.
        """
        ...

    def postpone(self, course_keys: Sequence[str], error: RetryableError) -> None:
        """Count a failed attempt for each dirty course and set when the sweeper tries again."""
        ...

    def retry_soon(self, course_keys: Sequence[str]) -> None:
        """Have dirty courses whose lock was taken tried again in a second, if that is sooner.

        Those that are held back stay so.
        """
        ...

    def take_due(self, *, limit: int, failed: bool | None = None) -> list[str]:
        """Return dirty courses whose time has come, oldest first, and keep them for a while.

        A course that was returned is not returned again until it is marked anew or the time that
        enqueued work usually takes is long over. ``failed``: only those of which an attempt has
        failed, or of which none has.
        """
        ...
