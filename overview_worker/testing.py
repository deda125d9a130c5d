"""In-memory twins of both ports, for unit tests of whatever rebuilds: no server, clock or chance.

They keep the ports' contracts (``tests/contract`` holds them to it). A test is the author
(``InMemoryModulestore.publish``, ``delete`` …), the publisher (``InMemoryOverviewStore.mark``) and
the clock (``pass_time``). Not safe to share between threads.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from lms_integration.course_keys import parse_course_key
from lms_integration.events import PUBLISH_EVENT_TYPES, CourseDeleted
from lms_integration.lateness import LATE_AFTER_MS
from overview_worker.documents import (
    Block,
    BuiltOverview,
    CourseLagging,
    PublishedCourse,
    PublishedPointer,
)
from overview_worker.errors import MalformedCourse, RetryableError, RowRefused
from overview_worker.lateness import late_reason_of
from overview_worker.ports import (
    Change,
    HoldRemoval,
    LockedCourse,
    MarkNotes,
    NothingToBuild,
    PostponeRebuild,
    ReadResult,
    RecordFault,
    RemovalCensus,
    RemoveOverview,
    StoredState,
    WriteOverview,
    leaves_record,
)
from overview_worker.removal_brake import RECENT_SECONDS

_ROOT = ("course", "course")
_FIRST_UPDATE = datetime(2026, 1, 1, tzinfo=UTC)

_ANNOUNCED_DELETE = ""
_GRACE_SECONDS = 2.0
_LEASE_SECONDS = 30.0
_BACKOFF_CAP_SECONDS = 10.0
_BUSY_RETRY_SECONDS = 1.0
_FAULT_RETRY_SECONDS = 6 * 3600.0
_HELD_BACK_SECONDS = 600.0


class InMemoryModulestore:
    """``ports.Modulestore`` on dictionaries; each publish is a second later than the one before.

    Set ``outage`` to an error, and every call raises it until it is None again.
    """

    def __init__(self) -> None:
        self.outage: RetryableError | None = None
        self._index: dict[str, PublishedPointer] = {}
        self._drafts: dict[str, PublishedPointer] = {}
        self._structures: dict[str, tuple[Block, ...] | None] = {}
        self._publish_count = 0
        self._sizes: dict[str, int] = {}

    def publish(
        self, course_key: str, *, about: Mapping[str, str] | None = None, **settings: Any
    ) -> PublishedPointer:
        """Publish a new structure whose course block has these settings.

        ``about`` is ``{about block id: text}``.
        """
        blocks = [_block(*_ROOT, fields=settings)]
        for block_id, text in (about or {}).items():
            blocks.append(_block("about", block_id, definition_fields={"data": text}))
        return self._point(course_key, structure=tuple(blocks))

    def publish_malformed(self, course_key: str) -> PublishedPointer:
        """Publish a structure that has no readable blocks."""
        return self._point(course_key, structure=None)

    def weigh(self, course_key: str, size_bytes: int) -> None:
        """Say how large the structure is that a course shows; else it is 1,000 bytes."""
        self._sizes[self._index[course_key].structure_id] = size_bytes

    def save_draft(self, course_key: str, **settings: Any) -> PublishedPointer:
        """Save a draft whose course block has these settings; what is published stays."""
        published = self._index[course_key]
        draft = self.publish(course_key, **settings)
        self._index[course_key], self._drafts[course_key] = published, draft
        return draft

    def rerun(self, source_key: str, new_key: str) -> PublishedPointer:
        """Create a course that shows the structure of another one."""
        pointer = replace(self._index[source_key], course_key=new_key)
        self._index[new_key] = pointer
        return pointer

    def point_at(self, pointer: PublishedPointer) -> None:
        """Make the index say this, be it older than what it says or without a structure."""
        self._index[pointer.course_key] = pointer

    def lose_structure(self, structure_id: str) -> None:
        """Take a structure away that the index may point at."""
        del self._structures[structure_id]

    def delete(self, course_key: str) -> None:
        """Take a course out of the index; its structures stay."""
        del self._index[course_key]

    def find_published(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        """Return the index entries of those of ``course_keys`` that are published."""
        self._fail_while_out()
        return {key: self._index[key] for key in course_keys if key in self._index}

    def find_drafts(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        """Return where the draft branches of those of ``course_keys`` point that have one."""
        self._fail_while_out()
        drafts = {**self._index, **self._drafts}
        return {key: drafts[key] for key in course_keys if key in drafts}

    def read_published(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, ReadResult]:
        """Return what each pointer's structure holds, by course key."""
        self._fail_while_out()
        return {pointer.course_key: self._read(pointer) for pointer in pointers}

    def iter_published(self) -> Iterator[PublishedPointer]:
        """Yield all index entries in the order of their keys."""
        self._fail_while_out()
        yield from [self._index[key] for key in sorted(self._index)]

    def page_published(
        self, *, after_key: str, until_key: str, org: str, limit: int
    ) -> Sequence[PublishedPointer]:
        """Return the next index entries in the order of their keys."""
        self._fail_while_out()
        found = [
            self._index[key]
            for key in sorted(self._index)
            if key > after_key and (not until_key or key <= until_key) and _is_of_org(key, org)
        ]
        return found[:limit]

    def structure_bytes(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, int]:
        """Return how large the structures are that the pointers name, by course key."""
        self._fail_while_out()
        return {
            pointer.course_key: self._sizes.get(pointer.structure_id, 1000)
            for pointer in pointers
            if pointer.structure_id in self._structures
        }

    def count_published(self, *, org: str) -> int:
        """Return how many index entries there are."""
        self._fail_while_out()
        return sum(_is_of_org(key, org) for key in self._index)

    def _point(self, course_key: str, *, structure: tuple[Block, ...] | None) -> PublishedPointer:
        self._publish_count += 1
        pointer = PublishedPointer(
            course_key=course_key,
            structure_id=f"{self._publish_count:024x}",
            updated_at=_FIRST_UPDATE + timedelta(seconds=self._publish_count),
        )
        self._structures[pointer.structure_id] = structure
        self._index[course_key] = pointer
        self._drafts.pop(course_key, None)
        return pointer

    def _read(self, pointer: PublishedPointer) -> ReadResult:
        key, structure_id = pointer.course_key, pointer.structure_id
        if structure_id not in self._structures:
            return CourseLagging(course_key=key, reason=f"structure {structure_id} is not there")
        blocks = self._structures[structure_id]
        if blocks is None:
            return MalformedCourse(
                key, field="structure.blocks", value=None, reason="expected a list of blocks"
            )
        parts = parse_course_key(key)
        return PublishedCourse(
            course_key=key,
            org=parts.org,
            course=parts.course,
            run=parts.run,
            source_version=structure_id,
            source_updated_at=pointer.updated_at,
            root=_ROOT,
            blocks=blocks,
        )

    def _fail_while_out(self) -> None:
        if self.outage is not None:
            raise self.outage


def _is_of_org(course_key: str, org: str) -> bool:
    return not org or parse_course_key(course_key).org.casefold() == org.casefold()


def _block(
    block_type: str,
    block_id: str,
    *,
    fields: Mapping[str, Any] | None = None,
    definition_fields: Mapping[str, Any] | None = None,
) -> Block:
    return Block(
        block_type=block_type,
        block_id=block_id,
        fields=fields or {},
        defaults={},
        definition_fields=definition_fields or {},
    )


@dataclass(kw_only=True, slots=True)
class InMemoryCourse:
    """All that ``InMemoryOverviewStore`` knows of one course: its row, its state and its mark."""

    row: BuiltOverview | None = None
    state: StoredState = field(default_factory=StoredState)
    fault: str | None = None
    fault_count: int = 0  #: how often a fault was recorded
    write_count: int = 0  #: how often the row was written
    tabs_write_count: int = 0
    projection_write_count: int = 0
    records: list[Change] = field(default_factory=list)  #: of which a rebuild record is kept
    wanted: int = 0
    done: int = 0
    announced_version: str | None = None
    announced_at: datetime | None = None
    dirty_since: float | None = None  #: on the store's clock, in seconds
    attempts: int = 0
    looks: int = 0
    next_attempt_at: float | None = None
    last_error: str = ""
    event_type: str = ""
    published_since: float | None = None
    delete_announced: bool | None = None
    rewrite: bool = False
    has_tombstone: bool = False
    #: ``{"removed" | "held" | "allowed" | "refused": when}``, one at the most.
    removal: dict[str, float] = field(default_factory=dict)
    #: Latency in seconds, and the reason if it was late, of each publish that became visible.
    served: list[tuple[float, str]] = field(default_factory=list)

    has_state: bool = False  #: a rebuild has looked at the course
    builder_version: int = 1

    @property
    def is_dirty(self) -> bool:
        """Whether a rebuild is wanted."""
        return self.wanted > self.done

    @property
    def announces_delete(self) -> bool:
        """Whether a delete was announced last."""
        return self.announced_version == _ANNOUNCED_DELETE or bool(self.delete_announced)


class InMemoryOverviewStore:
    """``ports.OverviewStore`` on dictionaries, with a clock that stands still.

    Set ``outage`` to an error, and every call raises it until it is None again. Rows of the courses
    in ``refused`` are refused; ``collisions`` is ``{course key: the course that has its row}``.
    """

    def __init__(self) -> None:
        self.outage: RetryableError | None = None
        self.refused: set[str] = set()
        self.collisions: dict[str, str] = {}
        self._courses: dict[str, InMemoryCourse] = {}
        self._held: set[str] = set()
        self._now = 0.0

    @property
    def courses(self) -> Mapping[str, InMemoryCourse]:
        """All courses that anybody has asked for, by key."""
        return self._courses

    @property
    def seconds(self) -> float:
        """The time on the store's clock."""
        return self._now

    def course(self, course_key: str) -> InMemoryCourse:
        """Return what is stored of a course; it may be changed."""
        return self._courses.setdefault(course_key, InMemoryCourse())

    def pass_time(self, seconds: float) -> None:
        """Set the clock forward."""
        self._now += seconds

    def mark(
        self,
        course_key: str,
        *,
        announced_version: str | None = None,
        announced_at: datetime | None = None,
        event_type: str = "",
        rewrite: bool = False,
    ) -> None:
        """Mark a course dirty, as ``lms_integration.marks`` does."""
        course = self.course(course_key)
        if not course.is_dirty:
            course.published_since, course.delete_announced, course.rewrite = None, None, False
        if event_type in PUBLISH_EVENT_TYPES:
            is_delete = event_type == CourseDeleted.type_name
            course.delete_announced = is_delete or bool(course.delete_announced)
        if event_type in PUBLISH_EVENT_TYPES and course.published_since is None:
            course.published_since = self._now
        course.rewrite |= rewrite
        course.event_type = event_type
        held_until = course.next_attempt_at
        is_held_back = held_until is not None and held_until > self._now + _HELD_BACK_SECONDS
        if not course.is_dirty or is_held_back:
            course.dirty_since, course.looks = self._now, 0
        course.wanted = max(course.wanted, course.done) + 1
        course.attempts = 0
        course.next_attempt_at = None
        known = course.announced_at
        if announced_at is not None and (known is None or announced_at >= known):
            course.announced_version, course.announced_at = announced_version, announced_at

    @contextmanager
    def transaction(self, course_keys: Sequence[str]) -> Iterator["InMemoryTransaction"]:
        """Lock those courses that no open transaction holds; what is applied comes at the end."""
        self._fail_while_out()
        keys = [key for key in sorted(course_keys) if key not in self._held]
        self._held.update(keys)
        try:
            opened = InMemoryTransaction(
                {key: self._locked_course(key) for key in keys},
                refused=self.refused,
                census=self._removal_census,
                count_vanished=self._count_vanished,
            )
            yield opened
            for change in opened.changes:
                self._commit(change)
        finally:
            self._held.difference_update(keys)

    def still_dirty(self, seen: Mapping[str, int]) -> list[str]:
        """Return those courses that were marked since so many marks were seen of them."""
        self._fail_while_out()
        return sorted(
            key
            for key, wanted in seen.items()
            if self.course(key).is_dirty and self.course(key).wanted > wanted
        )

    def retry_soon(self, course_keys: Sequence[str]) -> None:
        """Have dirty courses that are not held back tried again in a second, if that is sooner."""
        self._fail_while_out()
        for course in map(self.course, course_keys):
            at = course.next_attempt_at
            if course.is_dirty and at is not None and at <= self._now + _HELD_BACK_SECONDS:
                course.next_attempt_at = min(at, self._now + _BUSY_RETRY_SECONDS)

    def postpone(self, course_keys: Sequence[str], error: RetryableError) -> None:
        """Count a failed attempt for each dirty course and set when it is tried again."""
        self._fail_while_out()
        for key in course_keys:
            self._postpone(self.course(key), str(error))

    def take_due(self, *, limit: int, failed: bool | None = None) -> list[str]:
        """Return dirty courses whose time has come, oldest first, and lease them for a while."""
        self._fail_while_out()
        due = sorted(
            (course.dirty_since, key)
            for key, course in self._courses.items()
            if course.dirty_since is not None
            and course.dirty_since < self._now - _GRACE_SECONDS
            and (course.next_attempt_at is None or course.next_attempt_at <= self._now)
            and failed in (None, course.attempts > 0)
        )
        keys = [key for _, key in due[:limit]]
        for key in keys:
            self.course(key).next_attempt_at = self._now + _LEASE_SECONDS
        return keys

    def _removal_census(self, course_keys: Sequence[str]) -> RemovalCensus:
        recently = self._now - RECENT_SECONDS
        all_courses = self._courses.values()
        asked = {key: self.course(key).removal for key in course_keys}
        return RemovalCensus(
            live_count=sum(course.row is not None for course in all_courses),
            recent_count=sum(
                course.removal.get("removed", recently - 1) >= recently for course in all_courses
            ),
            held_count=sum("held" in course.removal for course in all_courses),
            announced=frozenset(key for key in asked if self.course(key).announces_delete),
            allowed=frozenset(key for key, removal in asked.items() if "allowed" in removal),
            refused=frozenset(key for key, removal in asked.items() if "refused" in removal),
        )

    def _count_vanished(self, published: Collection[str]) -> int:
        return sum(
            course.row is not None
            and key not in published
            and not course.announces_delete
            and not course.removal.keys() & {"allowed", "refused"}
            for key, course in self._courses.items()
        )

    def _locked_course(self, course_key: str) -> LockedCourse:
        course = self.course(course_key)
        course.has_state = True
        return LockedCourse(
            course_key=course_key,
            wanted=course.wanted,
            done=course.done,
            announced_version=course.announced_version,
            announced_at=course.announced_at,
            dirty_seconds=0.0 if course.dirty_since is None else self._now - course.dirty_since,
            state=replace(
                course.state,
                fault=course.fault,
                record_seq=len(course.records),
                has_row=course.row is not None,
                collides_with=self.collisions.get(course_key),
            ),
            published_seconds=(
                None if course.published_since is None else self._now - course.published_since
            ),
            rewrite=course.rewrite,
            delete_is_announced=course.announces_delete,
            notes=MarkNotes(
                event_type=course.event_type,
                attempts=course.attempts,
                looks=course.looks,
                last_error=course.last_error if course.attempts else "",
            ),
        )

    def _commit(self, change: Change) -> None:
        course = self.course(change.course.course_key)
        if leaves_record(change):
            course.records.append(change)
        match change:
            case WriteOverview():
                _write(course, change)
            case RemoveOverview():
                _remove(course)
                course.removal = {"removed": self._now} if change.counts else {}
            case HoldRemoval(refused=False):
                course.removal.pop("removed", None)
                course.removal = course.removal or {"held": self._now}
                self._hold_back(course, change.course.wanted, change.reason)
                return
            case HoldRemoval():
                pass
            case NothingToBuild():
                course.fault = None
            case PostponeRebuild():
                course.looks += course.is_dirty
                self._postpone(course, change.reason)
                return
            case RecordFault():
                self._record_fault(course, change)
                return
        self._note_served(course, change)
        self._mark_done(course, change.course.wanted)

    def _note_served(self, course: InMemoryCourse, change: Change) -> None:
        seconds = change.course.published_seconds
        if seconds is not None and isinstance(change, WriteOverview | RemoveOverview):
            is_late = seconds * 1000 > LATE_AFTER_MS
            course.served.append((seconds, late_reason_of(change.course) if is_late else ""))

    def _mark_done(self, course: InMemoryCourse, wanted: int) -> None:
        course.done = max(course.done, wanted)
        if course.is_dirty:
            published = course.event_type in PUBLISH_EVENT_TYPES
            course.published_since = self._now if published else None
        else:
            course.published_since, course.delete_announced, course.rewrite = None, None, False
        course.attempts, course.next_attempt_at, course.last_error = 0, None, ""
        course.looks = 0
        course.dirty_since = self._now if course.is_dirty else None
        if not course.is_dirty:
            course.announced_version = course.announced_at = None

    def _postpone(self, course: InMemoryCourse, reason: str) -> None:
        if not course.is_dirty:
            return
        seconds = min(0.1 * 2**course.attempts, _BACKOFF_CAP_SECONDS)
        course.attempts += 1
        course.next_attempt_at = self._now + seconds
        course.last_error = reason

    def _record_fault(self, course: InMemoryCourse, change: RecordFault) -> None:
        course.fault = str(change.error)
        course.fault_count += 1
        self._hold_back(course, change.course.wanted, str(change.error))

    def _hold_back(self, course: InMemoryCourse, wanted: int, reason: str) -> None:
        if course.wanted == wanted:
            course.attempts += 1
            course.next_attempt_at = self._now + _FAULT_RETRY_SECONDS
            course.last_error = reason

    def _fail_while_out(self) -> None:
        if self.outage is not None:
            raise self.outage


class InMemoryTransaction:
    """``ports.RebuildTransaction`` of ``InMemoryOverviewStore``: keeps what is applied for the end."""

    def __init__(
        self,
        locked: Mapping[str, LockedCourse],
        *,
        refused: set[str],
        census: Callable[[Sequence[str]], RemovalCensus],
        count_vanished: Callable[[Collection[str]], int],
    ) -> None:
        self.locked = locked
        self.changes: list[Change] = []
        self._refused = refused
        self._census = census
        self._count_vanished = count_vanished

    def removal_census(self, course_keys: Sequence[str]) -> RemovalCensus:
        """Count for the brake on mass deletes."""
        return self._census(course_keys)

    def count_vanished(self, published: Collection[str], *, limit: int) -> int:
        """Return how many live courses are gone from the index, and nobody has said anything of them."""
        return self._count_vanished(published)

    def apply(self, changes: Sequence[Change]) -> None:
        """Keep ``changes``; a row of a refused course refuses all of them."""
        for change in changes:
            writes_row = isinstance(change, WriteOverview | RemoveOverview)
            if writes_row and change.course.course_key in self._refused:
                raise RowRefused(change.course.course_key, "refused")
        self.changes.extend(changes)


def _write(course: InMemoryCourse, change: WriteOverview) -> None:
    course.row = change.built
    course.builder_version = 1
    course.write_count += change.row_changed
    course.tabs_write_count += change.tabs_changed
    course.projection_write_count += change.projection_changed
    course.fault = None
    if course.state.deleted or change.rewrites:
        course.has_tombstone = False
    course.state = StoredState(
        source_version=change.pointer.structure_id,
        source_updated_at=change.pointer.updated_at,
        content_hash=change.content_hash,
        tabs_hash=change.tabs_hash,
        projection_hash=change.projection_hash,
        column_digests=change.column_digests,
        row_seq=course.state.row_seq + change.anything_changed,
        record_seq=len(course.records),
    )


def _remove(course: InMemoryCourse) -> None:
    course.has_tombstone |= course.row is not None
    course.row = None
    course.fault = None
    course.state = replace(
        course.state,
        deleted=True,
        content_hash="",
        tabs_hash="",
        projection_hash="",
        column_digests="",
        row_seq=course.state.row_seq + 1,
        record_seq=len(course.records),
    )
