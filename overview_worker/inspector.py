"""The inspector: looks whether every course's row is what the modulestore has, and marks what is not.

It is the proof that nothing was lost, whatever the events did. A pass compares the course index with
the states (``survey``), and some courses column by column (``check_deeply``). It repairs by marking
only: the rebuild is the one that writes.

**Grace.** A difference may be a publish on its way: the index has moved, the mark is not committed
yet. So a difference counts when the same one was seen before, at least ``GRACE_SECONDS`` ago by the
database's clock, and the course was not marked in between. No two machines' clocks are compared.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from overview_worker.comparison import ColumnDifference, ContentHashes, differences
from overview_worker.documents import CourseLagging, PublishedCourse, PublishedPointer
from overview_worker.errors import MalformedCourse, OverviewError, RetryableError
from overview_worker.inspection_ports import (
    CurrentVersions,
    FindingKind,
    InspectedCourse,
    InspectionReport,
    InspectionStore,
    Repair,
    Sight,
    StoredOverview,
    Survey,
    Surveyor,
)
from overview_worker.ports import Modulestore
from overview_worker.rebuild import Build, content_hash_of, projection_hash_of, tabs_hash_of
from overview_worker.versions import RowVersions, rebuilds_other_versions

logger = logging.getLogger(__name__)

INSPECT_JOB = "inspect"
#: How often a pass begins, however many beats there are.
PERIOD_SECONDS = 60
#: A difference has to stand for so long. A little less than the period, so that the next pass sees
#: it as old enough although beats are not exact.
GRACE_SECONDS = 55
#: The most courses that one pass marks: a backup that was restored must not flood the queues, and
#: the bulk workers do these and more in a minute.
MARK_LIMIT = 6000
#: The most differences that are remembered from one pass to the next.
SUSPECT_LIMIT = 12_000
#: The sweeper leaves what the inspector has marked to the bulk tasks that it enqueues, in seconds.
LEASE_SECONDS = 60
#: A course whose index entry moved less than so long ago, or since the last pass before it differed,
#: and that nobody marked, is counted as a publish that was lost, not as one that was there before the
#: pipeline or the last backup.
LOST_WITHIN_SECONDS = 3600
#: So many passes back it is known when they began.
REMEMBERED_PASSES = 60
#: Courses that one pass names one by one in the log.
NAMED_COURSES = 20
#: Courses that are compared column by column in shared round trips.
CHECK_CHUNK = 100
#: No more courses are begun after so long of this, or of the whole pass: it has to end before its
#: task's time limit, and the next one goes on with the courses that this one did not come to.
CHECK_SECONDS = 20.0
PASS_SECONDS = 40.0
#: Longest list of columns in one log line, in characters.
LOGGED_LENGTH = 1000

#: Findings that a rebuild mends only where it writes what it believes to be there.
NEEDS_REWRITE = frozenset(
    {
        FindingKind.PROJECTION_MISSING,
        FindingKind.WRONGLY_DELETED,
        FindingKind.STRAY_TOMBSTONE,
        FindingKind.DRIFTED,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspector:
    """The inspector with what it works on; one instance a process."""

    modulestore: Modulestore
    store: InspectionStore
    surveyor: Surveyor
    build: Build
    current: CurrentVersions
    catalog_owns_language: bool = False
    #: What rows are to be of; another release may be the one that rebuilds them for that.
    target: Callable[[], RowVersions | None] = lambda: None
    stopwatch: Callable[[], float] = time.monotonic  #: in seconds

    def versions(self) -> CurrentVersions:
        """Return which versions rows are to be of, and whether this release is to see to that now.

        It is not while a run over all courses does, or while an upgrade is stopped: what that has to
        rebuild is no fault.
        """
        is_target = rebuilds_other_versions(own=self.current.versions, target=self.target())
        enforced = is_target and not self.store.is_rebuilding_all()
        return replace(self.current, are_enforced=enforced)

    def inspect(
        self, *, enqueue: Callable[[Sequence[str]], object], check_count: int
    ) -> InspectionReport | None:
        """Run one pass, unless another beat's has begun within the period: then None.

        ``enqueue`` hands marked courses to the bulk workers; ``check_count`` courses are compared
        column by column.

        Raises:
            ModulestoreUnavailable: the source did not answer; nothing was concluded from that.
            StoreUnavailable: the database did not answer.
        """
        if not self.store.take_slot(INSPECT_JOB, period_seconds=PERIOD_SECONDS - 5):
            return None
        report = InspectionReport()
        last_moment = self.stopwatch() + PASS_SECONDS
        number = self.store.begin()
        failures = self._run(
            [
                self.store.count_served,
                lambda: self._mend_marks(report),
                lambda: self._look(report, enqueue),
                lambda: self._look_deeply(report, enqueue, check_count, last_moment=last_moment),
            ]
        )
        if failures:
            self._note_failure(number, report, failures[0])
            raise failures[0]
        self.store.finish(number, report)
        return report

    def _run(self, steps: Sequence[Callable[[], object]]) -> list[Exception]:
        """Take each step, whatever became of those before it; return what went wrong.

        No step needs another, so a bug in one must not be the end of all repair. Where a server does
        not answer, the others would only wait for it.
        """
        failures: list[Exception] = []
        for step in steps:
            try:
                step()
            except RetryableError as error:
                return [*failures, error]
            except Exception as error:
                logger.exception("a step of the inspection failed")
                failures.append(error)
        return failures

    def _note_failure(self, number: int, report: InspectionReport, error: Exception) -> None:
        reason = str(error) if isinstance(error, OverviewError) else repr(error)
        logger.error("inspection broke off: %s", reason)
        try:
            self.store.fail(number, report, reason)
        except RetryableError:
            logger.warning("not recorded: the overview database is away")

    def _mend_marks(self, report: InspectionReport) -> None:
        """Mend marks that hide their course: before the survey, which leaves dirty ones alone."""
        mended = self.store.mend_marks()
        _add_finding(report, FindingKind.CORRUPT_MARK, len(mended))
        for key, what in list(mended.items())[:NAMED_COURSES]:
            logger.error("%s: mark mended: %s", key, what, extra={"course_key": key})

    def _look(self, report: InspectionReport, enqueue: Callable[[Sequence[str]], object]) -> None:
        """Compare the index with the states, and have what differs marked, within the budget."""
        versions = self.versions()
        survey = self.surveyor.survey(versions)
        report.course_count = survey.course_count
        held = self.store.find_held()
        self._release(held)
        brake_is_on = any(held.values())
        now = self.store.now()
        findings = [
            (sight, kind)
            for sight in survey.differing
            if (kind := finding_of(sight, versions)) is not None and sight.course_key not in held
        ]
        dirty = self.store.find_dirty([sight.course_key for sight, _ in findings])
        known = self.store.suspects()
        passes = self.store.pass_ages(limit=REMEMBERED_PASSES) if known else ()
        young: dict[str, str] = {}
        repairs: list[Repair] = []
        found: Counter[str] = Counter()
        for sight, kind in findings:
            key = sight.course_key
            if key in dirty:
                continue
            fingerprint = fingerprint_of(sight, kind)
            suspect = known.get(key)
            is_known = suspect is not None and suspect.fingerprint == fingerprint
            age = suspect.age_seconds if suspect is not None and is_known else 0.0
            if not is_known or age < GRACE_SECONDS:
                young[key] = fingerprint
                continue
            found[kind.value] += 1
            if kind is FindingKind.ORPHANED and brake_is_on:
                continue  # there is a question open, and nobody is helped by more of it
            if len(repairs) < MARK_LIMIT:
                lost_for = lost_seconds(sight.pointer, age=age, now=now, passes=passes)
                repairs.append(_repair(sight, kind, lost_for))
            else:
                young[key] = fingerprint
        report.findings.update(found)
        report.suspected_count = len(young)
        # Marked first: what is forgotten before it is marked would have to stand for the grace again.
        self._mark(repairs, report, enqueue)
        self.store.keep_suspects(dict(list(young.items())[:SUSPECT_LIMIT]))

    def _release(self, held: Collection[str]) -> None:
        """Let go of held removals whose course is in the index after all."""
        if not held:
            return
        back = sorted(self.modulestore.find_published(sorted(held)))
        if back:
            self.store.release_held(back)

    def _look_deeply(
        self,
        report: InspectionReport,
        enqueue: Callable[[Sequence[str]], object],
        check_count: int,
        *,
        last_moment: float,
    ) -> None:
        """Compare the next courses column by column; drift of a clean course needs no grace."""
        deadline = min(last_moment, self.stopwatch() + CHECK_SECONDS)
        seen: set[str] = set()
        while len(seen) < check_count and self.stopwatch() < deadline:
            # The next ones are taken before they are compared, so that courses which cannot be are
            # not the first of the next pass too.
            keys = self.store.deep_check_keys(limit=min(CHECK_CHUNK, check_count - len(seen)))
            fresh = [key for key in keys if key not in seen]
            seen.update(fresh)
            self._check_chunk(fresh, report, enqueue)
            if len(fresh) < len(keys) or not keys:  # once round
                return

    def _check_chunk(
        self,
        course_keys: Sequence[str],
        report: InspectionReport,
        enqueue: Callable[[Sequence[str]], object],
    ) -> None:
        checks = self.check(course_keys)
        unreadable = [check for check in checks if check.is_stuck]
        settled = [check for check in checks if check.is_settled]
        drifted = [check for check in settled if check.differences]
        report.checked_count += len(settled)
        self._note_verified([each for each in settled if not each.differences], enqueue)
        for check in unreadable:
            _log_unreadable(check)
        for check in drifted:
            _log_drift(check)
        report.drifted_columns = dict(
            Counter(report.drifted_columns)
            + Counter(column for check in drifted for column in check.drifted_columns)
        )
        _add_finding(report, FindingKind.UNREADABLE, len(unreadable))
        _add_finding(report, FindingKind.DRIFTED, len(drifted))
        self._mark([_drift(check.course_key) for check in drifted], report, enqueue)

    def _note_verified(
        self, checks: Sequence["CourseCheck"], enqueue: Callable[[Sequence[str]], object]
    ) -> None:
        """Note it under the courses' locks, and look again, as all do that hold them."""
        keys = [check.course_key for check in checks]
        self.store.note_verified(keys)
        dirty = sorted(self.store.find_dirty(keys))
        if dirty:
            enqueue(dirty)

    def check(self, course_keys: Sequence[str]) -> list["CourseCheck"]:
        """Compare courses in full, and those that differ once more, so that no rebuild came between."""
        checks = self._check_once(course_keys)
        doubtful = [key for key, check in checks.items() if check.differences]
        if doubtful:
            again = self._check_once(doubtful)
            for key in doubtful:
                is_same = again[key].moment == checks[key].moment
                checks[key] = replace(again[key], is_settled=again[key].is_settled and is_same)
        return [checks[key] for key in course_keys]

    def _check_once(self, course_keys: Sequence[str]) -> dict[str, "CourseCheck"]:
        stored = self.store.read_stored(course_keys)
        pointers = self.modulestore.find_published(course_keys)
        read = self.modulestore.read_published(list(pointers.values()))
        return {
            key: self._compare(key, stored.get(key), pointers.get(key), read.get(key))
            for key in course_keys
        }

    def _compare(
        self,
        key: str,
        stored: StoredOverview | None,
        pointer: PublishedPointer | None,
        read: PublishedCourse | CourseLagging | MalformedCourse | None,
    ) -> "CourseCheck":
        stored = stored or StoredOverview(course_key=key)
        check = CourseCheck(
            course_key=key,
            moment=(stored.row_seq, stored.wanted, pointer.structure_id if pointer else None),
            is_waiting=stored.is_dirty,
            is_settled=not stored.is_dirty
            and pointer is not None
            and not stored.deleted
            and pointer.structure_id == stored.source_version
            and stored.versions in (None, self.current.versions),
        )
        if pointer is None:
            return replace(check, differences=tuple(_left_behind(stored)))
        try:
            return replace(check, differences=tuple(self._differences(stored, pointer, read)))
        except (_NotComparable, MalformedCourse) as error:
            reason = str(error)
        except Exception as error:
            # As in the rebuild: a bug of the builder must not keep all other courses unseen.
            logger.exception("builder failed", extra={"course_key": key})
            reason = f"builder failed: {error!r}"
        return replace(check, is_settled=False, is_stuck=check.is_settled, unreadable=reason)

    def _differences(
        self,
        stored: StoredOverview,
        pointer: PublishedPointer,
        read: PublishedCourse | CourseLagging | MalformedCourse | None,
    ) -> Sequence[ColumnDifference]:
        if not isinstance(read, PublishedCourse):
            raise _NotComparable(read.reason if isinstance(read, CourseLagging) else str(read))
        built = self.build(read)
        return differences(
            stored,
            built,
            pointer=pointer,
            hashes=ContentHashes(
                content_hash=content_hash_of(built),
                tabs_hash=tabs_hash_of(built),
                projection_hash=projection_hash_of(built),
            ),
            catalog_owns_language=self.catalog_owns_language,
        )

    def _mark(
        self,
        repairs: Sequence[Repair],
        report: InspectionReport,
        enqueue: Callable[[Sequence[str]], object],
    ) -> None:
        # Orphans in tasks of their own: the brake on mass deletes judges a task at a time.
        orphans = [each for each in repairs if each.kind is FindingKind.ORPHANED]
        others = [each for each in repairs if each.kind is not FindingKind.ORPHANED]
        for group in (orphans, others):
            if not group:
                continue
            self.store.mark(group, lease_seconds=LEASE_SECONDS)
            report.marked_count += len(group)
            for repair in group[:NAMED_COURSES]:
                extra = {"course_key": repair.course_key}
                logger.warning("%s: %s: marked", repair.course_key, repair.kind.value, extra=extra)
            enqueue(list(dict.fromkeys(repair.course_key for repair in group)))


class _NotComparable(Exception):
    """The published course could not be read, so that there is nothing to compare with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseCheck:
    """One course compared in full."""

    course_key: str
    #: What must not move between two looks: changes of the row, marks, the index's version.
    moment: tuple[int, int, str | None]
    is_waiting: bool  #: a rebuild of it is wanted already
    #: Clean, and built from the version that is published by the builder that compares: whatever
    #: differs then is drift.
    is_settled: bool
    #: It would be settled if it could be built now.
    is_stuck: bool = False
    unreadable: str = ""  #: why it could not be built, so that nothing could be compared
    differences: tuple[ColumnDifference, ...] = ()

    @property
    def drifted_columns(self) -> set[str]:
        """The columns that differ."""
        return {difference.column for difference in self.differences}


@dataclass(frozen=True, kw_only=True, slots=True)
class MergingSurveyor:
    """``Surveyor`` for an index that is elsewhere: two streams in the order of the keys, side by side."""

    modulestore: Modulestore
    store: InspectionStore

    def survey(self, current: CurrentVersions) -> Survey:
        """Return the courses that differ; both sides are read in pages."""
        stateless = {course.course_key: course for course in self.store.find_stateless()}
        differing: list[Sight] = []
        course_count = 0
        for sight in merged(self.modulestore.iter_published(), self.store.iter_stored()):
            course_count += sight.pointer is not None
            if sight.stored is None:
                sight = replace(sight, stored=stateless.pop(sight.course_key, None))
            if finding_of(sight, current) is not None:
                differing.append(sight)
        differing += [
            Sight(course_key=key, pointer=None, stored=course) for key, course in stateless.items()
        ]
        return Survey(course_count=course_count, differing=differing)


def merged(
    pointers: Iterable[PublishedPointer], stored: Iterable[InspectedCourse]
) -> Iterator[Sight]:
    """Yield every course of two streams, each in the order of its keys, once."""
    pointers, stored = iter(pointers), iter(stored)
    pointer, course = next(pointers, None), next(stored, None)
    while pointer is not None or course is not None:
        if course is None or (pointer is not None and pointer.course_key < course.course_key):
            assert pointer is not None  # noqa: S101 - tells the type checker what the loop says
            yield Sight(course_key=pointer.course_key, pointer=pointer, stored=None)
            pointer = next(pointers, None)
        elif pointer is None or course.course_key < pointer.course_key:
            yield Sight(course_key=course.course_key, pointer=None, stored=course)
            course = next(stored, None)
        else:
            yield Sight(course_key=course.course_key, pointer=pointer, stored=course)
            pointer, course = next(pointers, None), next(stored, None)


def finding_of(sight: Sight, current: CurrentVersions) -> FindingKind | None:
    """Return in what way the two sides of a course differ; None if they do not."""
    pointer, stored = sight.pointer, sight.stored
    if pointer is None:
        return finding_of_unpublished(stored)
    if stored is not None and stored.collides_with is not None:
        return FindingKind.COLLIDING
    if stored is None or not stored.source_version:
        return FindingKind.MISSING
    if stored.source_version != pointer.structure_id:
        return FindingKind.STALE
    if stored.deleted:
        return FindingKind.WRONGLY_DELETED
    if not stored.has_row:
        return FindingKind.ROW_MISSING
    versions = RowVersions(builder=stored.builder_version, schema=stored.schema_version)
    if current.are_enforced and versions != current.versions:
        return FindingKind.OLD_SCHEMA
    if not stored.has_projection:
        return FindingKind.PROJECTION_MISSING
    return FindingKind.STRAY_TOMBSTONE if stored.has_tombstone else None


def finding_of_unpublished(stored: InspectedCourse | None) -> FindingKind | None:
    """Return whether something is left of a course that is not in the index."""
    if stored is None:
        return None
    is_live = bool(stored.source_version) and not stored.deleted
    is_there = stored.has_row or stored.has_projection
    return FindingKind.ORPHANED if is_live or is_there else None


def fingerprint_of(sight: Sight, kind: FindingKind) -> str:
    """Return what exactly differs, as short text; a mark in between makes it another difference."""
    pointer, stored = sight.pointer, sight.stored
    parts = [
        kind.value,
        "" if pointer is None else pointer.structure_id,
        "" if stored is None else f"{stored.source_version} {stored.wanted}",
    ]
    return "/".join(parts)


def _repair(sight: Sight, kind: FindingKind, lost_for_seconds: int | None) -> Repair:
    is_behind = kind in (FindingKind.MISSING, FindingKind.STALE)
    return Repair(
        course_key=sight.course_key,
        kind=kind,
        rewrite=kind in NEEDS_REWRITE,
        lost_for_seconds=lost_for_seconds if is_behind else None,
    )


def _drift(course_key: str) -> Repair:
    return Repair(course_key=course_key, kind=FindingKind.DRIFTED, rewrite=True)


def lost_seconds(
    pointer: PublishedPointer | None, *, age: float, now: datetime, passes: Sequence[float]
) -> int | None:
    """Return for how long a publish that nobody announced has been waiting; None if it is none.

    ``age``: since the difference was seen first; ``passes``: since each pass began that ended, newest
    first. An estimate for a figure, from two machines' clocks: the time of the index entry, but no
    less than one period before the pass that saw the difference first, and no more than back to the
    pass before that, which had not seen it.
    """
    if pointer is None or pointer.updated_at is None:
        return None
    moved = (now - pointer.updated_at).total_seconds()
    unseen = next((each for each in passes if each >= age + GRACE_SECONDS), 0.0)
    if abs(moved) >= max(LOST_WITHIN_SECONDS, unseen):
        return None
    least = age + PERIOD_SECONDS
    most = max(least, unseen or LOST_WITHIN_SECONDS)
    return round(min(max(moved, least), most))


def _left_behind(stored: StoredOverview) -> Iterator[ColumnDifference]:
    nothing = "nothing: the course is not published"
    if stored.row is not None:
        yield ColumnDifference(column="row", stored="a row", expected=nothing)
    if stored.projection is not None:
        yield ColumnDifference(column="projection", stored="a projection", expected=nothing)
    if stored.source_version and not stored.deleted:
        yield ColumnDifference(column="state.deleted", stored="False", expected="True")


def _add_finding(report: InspectionReport, kind: FindingKind, count: int) -> None:
    if count:
        report.findings[kind.value] = report.findings.get(kind.value, 0) + count


def _log_unreadable(check: CourseCheck) -> None:
    extra = {"course_key": check.course_key}
    logger.warning("%s not compared: %s", check.course_key, check.unreadable, extra=extra)


def _log_drift(check: CourseCheck) -> None:
    told = "; ".join(str(difference) for difference in check.differences)
    if len(told) > LOGGED_LENGTH:
        told = f"{told[:LOGGED_LENGTH]}… ({len(check.differences)} columns)"
    logger.warning("%s drifted: %s", check.course_key, told, extra={"course_key": check.course_key})


def findings_of(survey: Survey, current: CurrentVersions) -> Mapping[str, FindingKind]:
    """Return ``{course key: in what way it differs}`` of a survey."""
    return {
        sight.course_key: kind
        for sight in survey.differing
        if (kind := finding_of(sight, current)) is not None
    }
