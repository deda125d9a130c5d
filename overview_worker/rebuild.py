"""The use case: bring the overviews of 1..N courses up to date. Nothing else writes rows.

The order of the steps is the protocol (``docs/architecture.md``): lock, read the marks, read the
source *after* taking the lock, build, write, done as the last statement, commit, look again. Each
is there because leaving it out has a counter-example.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import Enum
from functools import partial

from lms_integration.data import (
    COURSE_OVERVIEW_VERSION,
    CourseOverviewData,
    CourseOverviewListingData,
    CourseOverviewProjectionData,
)
from lms_integration.listing import listing_of
from overview_worker.column_changes import changed_columns, column_digests_of
from overview_worker.documents import (
    BuiltOverview,
    CourseLagging,
    PublishedCourse,
    PublishedPointer,
)
from overview_worker.errors import (
    COLLISION_WORDS,
    MalformedCourse,
    PermanentError,
    RetryableError,
    RowRefused,
)
from overview_worker.ports import (
    Change,
    HoldRemoval,
    LeaveRow,
    LockedCourse,
    Modulestore,
    NothingToBuild,
    OverviewStore,
    PostponeRebuild,
    ReadResult,
    RebuildCause,
    RebuildEffort,
    RebuildTransaction,
    RecordFault,
    RemovalCensus,
    RemoveOverview,
    WriteOverview,
)
from overview_worker.removal_brake import held_removals
from overview_worker.versions import RowVersions, leaves_alone

logger = logging.getLogger(__name__)

#: Raise it when the builder gives other values for the same documents.
BUILDER_VERSION = 2
#: What this release builds rows of.
OWN_VERSIONS = RowVersions(builder=BUILDER_VERSION, schema=COURSE_OVERVIEW_VERSION)
#: How often one call looks again before it leaves a course that is marked without pause to others.
MAX_ROUNDS = 10
#: An announcement that the source has not confirmed for so long came from a rolled-back transaction,
#: and a structure that has been missing for so long is not on its way.
DISBELIEVE_AFTER_SECONDS = 60.0
#: And so many looks have to have found it so: after a long backlog the first look comes late, and what
#: it sees may still be a publish on its way. They are counted as long as the course is dirty: marks that
#: come meanwhile, forged ones or those of an author whose clock was put back, postpone nothing.
DISBELIEVE_AFTER_LOOKS = 3

Build = Callable[[PublishedCourse], BuiltOverview]


class RebuildOutcome(Enum):
    """How one course fared."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"  #: rebuilt, and equal to what is stored
    DELETED = "deleted"  #: gone from the index; a tombstone is left
    HELD = "held"  #: gone from the index, with too many others: the row stays until a person's word
    REFUSED = "refused"  #: gone from the index, and a person wants the row to stay
    ABSENT = "absent"  #: not in the index, and never was in the overviews
    CLEAN = "clean"  #: nobody wants a rebuild
    BUSY = "busy"  #: another rebuild holds it and will look again
    LAGGING = "lagging"  #: the source is behind what was announced; the sweeper tries again
    FAULTY = "faulty"  #: a permanent fault is recorded; the last good row stays
    UNAVAILABLE = "unavailable"  #: a server did not answer; the sweeper tries again


class RebuildDepth(Enum):
    """Which of the courses asked for are rebuilt; a marked one always is."""

    DIRTY = "dirty"  #: those that are marked
    BUILD = "build"  #: clean ones too; what has not changed is not written
    #: Clean ones too, written even where the content is what the state remembers: for rows that
    #: somebody has changed by hand.
    REWRITE = "rewrite"


@dataclass(frozen=True, kw_only=True, slots=True)
class RebuildReport:
    """What one call did."""

    outcomes: Mapping[str, RebuildOutcome]  #: by course key, the last outcome of each
    #: Why courses were not rebuilt: those that are faulty, held, lagging or unavailable.
    reasons: Mapping[str, str] = field(default_factory=dict)
    still_dirty: tuple[str, ...] = ()  #: marked so often meanwhile that somebody has to go on
    longest_wait_seconds: float = 0.0  #: that one of the courses had been dirty for


def rebuild_overviews(
    course_keys: Sequence[str],
    *,
    modulestore: Modulestore,
    store: OverviewStore,
    build: Build,
    depth: RebuildDepth = RebuildDepth.DIRTY,
    cause: RebuildCause | None = None,
    target: RowVersions | None = None,
    own: RowVersions = OWN_VERSIONS,
) -> RebuildReport:
    """Rebuild those of ``course_keys`` that are dirty, and look again until they are clean.

    ``depth`` says whether clean ones are rebuilt too; ``cause`` is for the history.
    ``target`` is what rows are to be of, where somebody has said, and ``own`` what ``build`` makes:
    rows of another release's that are built from what is published are left alone by releases that are
    not the target.

    Raises:
        StoreUnavailable: the database did not answer, so not even the failure could be recorded;
            the marks stand.
    """
    rebuild = _Rebuild(
        modulestore=modulestore,
        store=store,
        build=build,
        depth=depth,
        cause=cause or RebuildCause(),
        target=target,
        own=own,
    )
    fates: dict[str, _Fate] = {}
    pending = sorted(set(course_keys))
    for _ in range(MAX_ROUNDS):
        round_fates = rebuild.once(pending)
        fates.update(
            (key, fate)
            for key, fate in round_fates.items()
            if fate.outcome is not RebuildOutcome.CLEAN or key not in fates
        )
        if busy := [k for k, fate in round_fates.items() if fate.outcome is RebuildOutcome.BUSY]:
            # Who has the lock will look again, if nothing happens to it.
            store.retry_soon(busy)
        pending = store.still_dirty(
            {key: fate.seen for key, fate in round_fates.items() if fate.seen is not None}
        )
        if not pending:
            break
        # What was clean has been rebuilt as deeply as asked; from now on it is marks alone.
        rebuild = replace(rebuild, depth=RebuildDepth.DIRTY)
    return RebuildReport(
        outcomes={key: fate.outcome for key, fate in fates.items()},
        reasons={key: fate.reason for key, fate in fates.items() if fate.reason},
        still_dirty=tuple(pending),
        longest_wait_seconds=max((fate.waited_seconds for fate in fates.values()), default=0.0),
    )


@dataclass(frozen=True, slots=True)
class _Fate:
    outcome: RebuildOutcome
    reason: str = ""
    #: ``wanted`` under the lock, where it was had: a mark that came since is looked at, whatever became
    #: of the one before, and only such a mark: else a course that lags would be tried without pause.
    seen: int | None = None
    waited_seconds: float = 0.0  #: for which it had been dirty


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rebuild:
    modulestore: Modulestore
    store: OverviewStore
    build: Build
    depth: RebuildDepth
    cause: RebuildCause
    target: RowVersions | None
    own: RowVersions

    def once(self, course_keys: Sequence[str]) -> dict[str, _Fate]:
        """One round; a refused row or an unforeseen error costs only its own course."""
        try:
            return self._attempt(course_keys)
        except RetryableError as error:
            logger.warning("rebuild postponed: %s", error, extra={"course_keys": course_keys})
            self.store.postpone(course_keys, error)
            return dict.fromkeys(course_keys, _Fate(RebuildOutcome.UNAVAILABLE, str(error)))
        except _ChangesRefused as refused:
            if len(course_keys) == 1:
                return self._record_refusal(refused)
        fates: dict[str, _Fate] = {}
        for course_key in course_keys:
            fates |= self.once([course_key])
        return fates

    def _attempt(self, course_keys: Sequence[str]) -> dict[str, _Fate]:
        fates = dict.fromkeys(course_keys, _Fate(RebuildOutcome.BUSY))
        takes_clean = self.depth is not RebuildDepth.DIRTY
        with self.store.transaction(course_keys) as transaction:
            locked = transaction.locked
            fates |= {
                key: _Fate(RebuildOutcome.CLEAN, seen=course.wanted)
                for key, course in locked.items()
            }
            changes = self._changes(
                [course for course in locked.values() if course.is_dirty or takes_clean]
            )
            if any(_is_unannounced(change) for change in changes):
                changes = self._braked(transaction, changes)
            if changes:
                _apply(transaction, changes)
        for change in changes:
            fates[change.course.course_key] = _fate(change)
            _log(change)
        return fates

    def _braked(self, transaction: RebuildTransaction, changes: Sequence[Change]) -> list[Change]:
        """Hold those removals back that cannot be told from an outage of the index."""
        keys = [change.course.course_key for change in changes if _is_unannounced(change)]
        census = transaction.removal_census(keys)
        index_is_empty = next(iter(self.modulestore.iter_published()), None) is None
        held = held_removals(
            keys,
            census,
            index_is_empty=index_is_empty,
            count_vanished=lambda limit: transaction.count_vanished(
                {pointer.course_key for pointer in self.modulestore.iter_published()}, limit=limit
            ),
        )
        return [
            _braked_change(change, census, held)
            if isinstance(change, RemoveOverview) and _is_unannounced(change)
            else change
            for change in changes
        ]

    def _record_refusal(self, refused: "_ChangesRefused") -> dict[str, _Fate]:
        """Record why a course's change was refused, for the mark that was tried.

        The lock was free meanwhile: a mark that came since must not be held back with it, and
        another rebuild that has the course now meets the refusal itself.
        """
        course = refused.changes[0].course
        with self.store.transaction([course.course_key]) as transaction:
            if course.course_key not in transaction.locked:
                return {course.course_key: _Fate(RebuildOutcome.BUSY)}
            pointer = getattr(refused.changes[0], "pointer", None)
            fault = RecordFault(course=course, pointer=pointer, error=refused.error)
            transaction.apply([fault])
        _log(fault)
        return {course.course_key: _fate(fault)}

    def _changes(self, courses: Sequence[LockedCourse]) -> list[Change]:
        """Read the source and decide for each course; called while the locks are held."""
        if not courses:
            return []
        started = time.perf_counter()
        pointers = self.modulestore.find_published([course.course_key for course in courses])
        behind = {
            course.course_key: reason
            for course in courses
            if (reason := lag_reason(course, pointers.get(course.course_key))) is not None
        }
        read = self.modulestore.read_published(
            [pointer for key, pointer in pointers.items() if key not in behind]
        )
        effort = RebuildEffort(read_ms=_ms_since(started), course_count=len(courses))
        changes: list[Change] = []
        for course in courses:
            key = course.course_key
            pointer = pointers.get(key)
            if key in behind:
                changes.append(PostponeRebuild(course=course, reason=behind[key]))
            elif pointer is None:
                changes.append(self._change_for_absent(course))
            elif self._is_left_alone(course, pointer):
                changes.append(LeaveRow(course=course))
            else:
                changes.append(self._change_for_present(course, pointer, read[key], effort))
        return changes

    def _is_left_alone(self, course: LockedCourse, pointer: PublishedPointer) -> bool:
        state = course.state
        return (
            state.versions is not None
            and state.has_row
            and not state.deleted
            and state.fault is None
            and pointer.structure_id == state.source_version
            and leaves_alone(state.versions, own=self.own, target=self.target)
        )

    def _change_for_absent(self, course: LockedCourse) -> RemoveOverview | NothingToBuild:
        if course.state.has_row or (course.state.source_version and not course.state.deleted):
            return RemoveOverview(course=course, cause=self.cause)
        return NothingToBuild(course=course)

    def _change_for_present(
        self,
        course: LockedCourse,
        pointer: PublishedPointer,
        read: ReadResult,
        effort: RebuildEffort,
    ) -> Change:
        fault = partial(RecordFault, course=course, pointer=pointer, effort=effort)
        if course.state.collides_with is not None:
            return fault(error=_collision(course))
        if isinstance(read, CourseLagging):
            return _change_for_lagging(course, pointer, read)
        if isinstance(read, MalformedCourse):
            return fault(error=read)
        started = time.perf_counter()
        try:
            built = self.build(read)
        except MalformedCourse as error:
            return fault(error=error)
        except Exception as error:
            # A bug of the builder must not take a whole chunk of courses with it.
            logger.exception("builder failed", extra={"course_key": course.course_key})
            refusal = RowRefused(course.course_key, f"builder failed: {error!r}")
            return fault(error=refusal)
        effort = replace(effort, build_ms=_ms_since(started))
        return with_told_columns(self._change_for_built(course, pointer, built, effort))

    def _change_for_built(
        self,
        course: LockedCourse,
        pointer: PublishedPointer,
        built: BuiltOverview,
        effort: RebuildEffort,
    ) -> WriteOverview:
        content_hash, tabs_hash = content_hash_of(built), tabs_hash_of(built)
        projection_hash = projection_hash_of(built)
        state = course.state
        rewrites = self.depth is RebuildDepth.REWRITE or course.rewrite
        everything = rewrites or not state.has_row
        return WriteOverview(
            course=course,
            pointer=pointer,
            built=built,
            content_hash=content_hash,
            tabs_hash=tabs_hash,
            projection_hash=projection_hash,
            row_changed=everything or content_hash != state.content_hash,
            tabs_changed=everything or tabs_hash != state.tabs_hash,
            projection_changed=everything or projection_hash != state.projection_hash,
            rewrites=rewrites,
            column_digests=state.column_digests,
            effort=effort,
            cause=self.cause,
        )


class _ChangesRefused(Exception):
    """The store refused some changes, and with them the whole transaction."""

    def __init__(self, changes: Sequence[Change], error: PermanentError) -> None:
        super().__init__(str(error))
        self.changes = changes
        self.error = error


def _apply(transaction: RebuildTransaction, changes: Sequence[Change]) -> None:
    try:
        transaction.apply(changes)
    except PermanentError as error:
        raise _ChangesRefused(changes, error) from error


def with_told_columns(write: WriteOverview) -> WriteOverview:
    """Return ``write`` with the columns that it changes, where it changes any or nobody knew them."""
    old = write.course.state.column_digests
    if old and not write.is_news:
        return write
    digests = column_digests_of(write.built)
    changed = changed_columns(write.built, digests=digests, old=old) if write.is_news else None
    return replace(write, column_digests=digests, changed_columns=changed)


def lag_reason(course: LockedCourse, pointer: PublishedPointer | None) -> str | None:
    """Return why the index entry is older than what we know of the course, or None if it is not.

    Version ids are compared for equality only; order comes from the index's own ``last_update``.
    After ``DISBELIEVE_AFTER_SECONDS`` and ``DISBELIEVE_AFTER_LOOKS`` the index is believed, whatever was announced.
    """
    if _has_waited_long(course):
        return None
    state, announced = course.state, course.announced_version
    if pointer is None:
        if announced and not _is_older(course.announced_at, than=state.source_updated_at):
            return f"version {announced} was announced, but the course is not in the index (yet)"
        return None
    version = pointer.structure_id
    if version != announced and _is_older(pointer.updated_at, than=course.announced_at):
        return f"the index has {version}, older than what was announced"
    if state.deleted and version == state.source_version:
        return f"the index has {version}, with which the course was deleted"
    if version != state.source_version and _is_older(
        pointer.updated_at, than=state.source_updated_at
    ):
        return f"the index has {version}, older than what the row was built from"
    return None


def content_hash_of(built: BuiltOverview) -> str:
    """Return a hash of what a rebuild writes into Open edX's tables but the tabs: 64 hex digits."""
    values = [getattr(built.overview, name) for name in _OVERVIEW_FIELDS]
    image_set = built.image_set
    images = None if image_set is None else [image_set.small_url, image_set.large_url]
    return _hash_of([values, images])


def tabs_hash_of(built: BuiltOverview) -> str:
    """Return a hash of the tabs in their order: 64 hex digits."""
    return _hash_of(
        [
            [
                tab.tab_id,
                tab.type,
                tab.name,
                tab.course_staff_only,
                tab.url_slug,
                tab.link,
                tab.is_hidden,
            ]
            for tab in built.tabs
        ]
    )


def projection_hash_of(built: BuiltOverview) -> str:
    """Return a hash of the projection and of the listing beside it: 64 hex digits."""
    listing = listing_of(built.overview)
    return _hash_of(
        [
            [getattr(listing, name) for name in _LISTING_FIELDS],
            [getattr(built.projection, name) for name in _PROJECTION_FIELDS],
        ]
    )


_OVERVIEW_FIELDS = tuple(field.name for field in fields(CourseOverviewData))
_LISTING_FIELDS = tuple(field.name for field in fields(CourseOverviewListingData))
_PROJECTION_FIELDS = tuple(field.name for field in fields(CourseOverviewProjectionData))


_ENCODER = json.JSONEncoder(default=str)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def _hash_of(values: object) -> str:
    return hashlib.sha256(_ENCODER.encode(values).encode()).hexdigest()


def _collision(course: LockedCourse) -> RowRefused:
    return RowRefused(
        course.course_key,
        f"the overview table already has {course.state.collides_with}, {COLLISION_WORDS}; rename one "
        "of the courses or give the key column a binary collation",
    )


def _is_unannounced(change: Change) -> bool:
    return isinstance(change, RemoveOverview) and not change.course.delete_is_announced


def _braked_change(
    removal: RemoveOverview, census: RemovalCensus, held: Mapping[str, str]
) -> Change:
    course = removal.course
    if course.course_key in census.refused - census.announced:
        reason = "a person has refused to let it go"
        return HoldRemoval(course=course, reason=reason, refused=True)
    if course.course_key in held:
        return HoldRemoval(course=course, reason=held[course.course_key])
    counts = course.course_key not in census.announced | census.allowed
    return replace(removal, counts=counts)


def _change_for_lagging(
    course: LockedCourse, pointer: PublishedPointer, lagging: CourseLagging
) -> PostponeRebuild | RecordFault:
    if not _has_waited_long(course):
        return PostponeRebuild(course=course, reason=lagging.reason)
    error = MalformedCourse(
        course.course_key, field="structure", value=pointer.structure_id, reason=lagging.reason
    )
    return RecordFault(course=course, pointer=pointer, error=error)


def _has_waited_long(course: LockedCourse) -> bool:
    return (
        course.dirty_seconds >= DISBELIEVE_AFTER_SECONDS
        and course.notes.looks >= DISBELIEVE_AFTER_LOOKS
    )


def _is_older(moment: datetime | None, *, than: datetime | None) -> bool:
    """Whether ``moment`` is before ``than``, to the millisecond, which is all that MongoDB keeps."""
    if moment is None or than is None:
        return False
    return _to_millisecond(moment) < _to_millisecond(than)


def _to_millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _fate(change: Change) -> _Fate:
    course = change.course
    return _Fate(
        _outcome(change),
        _reason(change),
        seen=course.wanted,
        waited_seconds=course.dirty_seconds if course.is_dirty else 0.0,
    )


def _outcome(change: Change) -> RebuildOutcome:
    match change:
        case WriteOverview():
            return RebuildOutcome.WRITTEN if change.anything_changed else RebuildOutcome.UNCHANGED
        case LeaveRow():
            return RebuildOutcome.UNCHANGED
        case RemoveOverview():
            return RebuildOutcome.DELETED
        case HoldRemoval():
            return RebuildOutcome.REFUSED if change.refused else RebuildOutcome.HELD
        case NothingToBuild():
            return RebuildOutcome.ABSENT
        case PostponeRebuild():
            return RebuildOutcome.LAGGING
        case RecordFault():
            return RebuildOutcome.FAULTY


def _reason(change: Change) -> str:
    match change:
        case HoldRemoval() | PostponeRebuild():
            return change.reason
        case RecordFault():
            return str(change.error)
        case _:
            return ""


def _shows_columns(change: WriteOverview) -> bool:
    return change.row_changed or change.projection_changed


def _log(change: Change) -> None:
    course_key = change.course.course_key
    extra = {"course_key": course_key}
    match change:
        case WriteOverview():
            version = change.pointer.structure_id
            # A run tells in its row what became of its courses, by the hundred thousand.
            level = logging.INFO if change.cause.run_id is None else logging.DEBUG
            outcome = _outcome(change).value
            logger.log(level, "%s %s at %s", course_key, outcome, version, extra=extra)
            for degradation in change.built.degradations if _shows_columns(change) else ():
                logger.warning(
                    "%s degraded: %s = %s: %s",
                    course_key,
                    degradation.field,
                    degradation.value,
                    degradation.reason,
                    extra=extra,
                )
        case PostponeRebuild():
            logger.info("%s lagging: %s", course_key, change.reason, extra=extra)
        case RecordFault():
            logger.error("not rebuilt, last good row kept: %s", change.error, extra=extra)
        case HoldRemoval(refused=False):
            logger.error("%s not removed: %s", course_key, change.reason, extra=extra)
        case _:
            logger.info("%s %s", course_key, _outcome(change).value, extra=extra)
