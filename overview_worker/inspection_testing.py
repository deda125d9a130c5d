"""In-memory twin of ``inspection_ports.InspectionStore``, beside ``testing``'s store; no server.

Time is the store's (``InMemoryOverviewStore.pass_time``). Not safe to share between threads.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

from lms_integration.listing import listing_of
from overview_worker.documents import BuiltOverview
from overview_worker.inspection_ports import (
    CurrentVersions,
    InspectedCourse,
    InspectionReport,
    Repair,
    StoredOverview,
    Suspect,
)
from overview_worker.lateness import INSPECTOR_EVENT_PREFIX
from overview_worker.testing import InMemoryCourse, InMemoryOverviewStore

#: What the twin's rows are built by, whatever the product's numbers are.
CURRENT = CurrentVersions(builder=1, schema=1)
_FIRST_SECOND = datetime(2026, 1, 1, tzinfo=UTC)


class InMemoryInspectionStore:
    """``inspection_ports.InspectionStore`` on what an ``InMemoryOverviewStore`` holds."""

    def __init__(self, store: InMemoryOverviewStore) -> None:
        self._store = store
        self.rebuilding_all = False
        self._slots: dict[str, float] = {}
        self._suspects: dict[str, tuple[str, float]] = {}
        self._after = ""
        self._begun: list[float] = []
        self._ended: list[float] = []
        self.verified: set[str] = set()
        self.reports: list[InspectionReport] = []
        self.failures: list[str] = []

    def take_slot(self, job: str, *, period_seconds: int) -> bool:
        """Return whether ``job`` is to run now: nobody has begun it within the period."""
        started = self._slots.get(job)
        if started is not None and started > self._store.seconds - period_seconds:
            return False
        self._slots[job] = self._store.seconds
        return True

    def now(self) -> datetime:
        """Return the time by the store's clock."""
        return _FIRST_SECOND + timedelta(seconds=self._store.seconds)

    def iter_stored(self) -> Iterator[InspectedCourse]:
        """Yield every course that has a state, in the order of the keys."""
        for key, course in sorted(self._store.courses.items()):
            if course.has_state:
                yield inspected(self._store, key, course)

    def find_stateless(self) -> Sequence[InspectedCourse]:
        """Return the courses that have a row or a projection, but no state."""
        return [
            inspected(self._store, key, course)
            for key, course in self._store.courses.items()
            if not course.has_state and course.row is not None
        ]

    def suspects(self) -> Mapping[str, Suspect]:
        """Return the differences that earlier passes have seen, by course key."""
        return {
            key: Suspect(fingerprint=fingerprint, age_seconds=self._store.seconds - since)
            for key, (fingerprint, since) in self._suspects.items()
        }

    def pass_ages(self, *, limit: int) -> Sequence[float]:
        """Return how long ago the last passes began that ended, in seconds, the newest first."""
        return [self._store.seconds - began for began in reversed(self._ended)][:limit]

    def keep_suspects(self, fingerprints: Mapping[str, str]) -> None:
        """Remember these differences and forget all others; known ones keep their age."""
        now = self._store.seconds
        known = self._suspects
        self._suspects = {
            key: known[key] if known.get(key, ("",))[0] == fingerprint else (fingerprint, now)
            for key, fingerprint in fingerprints.items()
        }

    def is_rebuilding_all(self) -> bool:
        """Return whether rows of other versions are left to a run, or to who stopped it."""
        return self.rebuilding_all

    def find_dirty(self, course_keys: Sequence[str]) -> set[str]:
        """Return those of ``course_keys`` that wait for a rebuild."""
        return {key for key in course_keys if self._store.course(key).is_dirty}

    def find_held(self) -> Mapping[str, bool]:
        """Return the courses whose removal was held, and whether it still waits for a word."""
        return {
            key: "held" in course.removal
            for key, course in self._store.courses.items()
            if course.removal and "removed" not in course.removal
        }

    def release_held(self, course_keys: Sequence[str]) -> None:
        """Forget what was said of courses that are back in the index, and mark them."""
        for key in course_keys:
            self._store.course(key).removal = {}
            self._store.mark(key)

    def mend_marks(self) -> Mapping[str, str]:
        """Mend marks that contradict themselves; return what was wrong, by course key."""
        mended: dict[str, str] = {}
        for key, course in self._store.courses.items():
            if course.done > course.wanted:
                course.wanted, course.dirty_since = course.done + 1, self._store.seconds
                course.next_attempt_at = None
                mended[key] = "done is above wanted"
            elif course.is_dirty and course.dirty_since is None:
                course.dirty_since = self._store.seconds
                mended[key] = "dirty since nobody knows when"
        return mended

    def mark(self, repairs: Sequence[Repair], *, lease_seconds: int) -> None:
        """Mark courses."""
        for repair in repairs:
            event_type = f"{INSPECTOR_EVENT_PREFIX}{repair.kind.value}"
            self._store.mark(repair.course_key, event_type=event_type, rewrite=repair.rewrite)
            if repair.lost_for_seconds is not None:
                course = self._store.course(repair.course_key)
                course.published_since = self._store.seconds - repair.lost_for_seconds

    def deep_check_keys(self, *, limit: int) -> Sequence[str]:
        """Return the next live courses to be compared in full, and remember how far that got."""
        live = sorted(
            key
            for key, course in self._store.courses.items()
            if course.has_state and not course.state.deleted
        )
        later = [key for key in live if key > self._after]
        earlier = [key for key in live if key <= self._after]
        found = [*later, *earlier][:limit]
        self._after = found[-1] if found else self._after
        return found

    def read_stored(self, course_keys: Sequence[str]) -> Mapping[str, StoredOverview]:
        """Return everything that is stored of courses."""
        return {key: self._stored(key, self._store.course(key)) for key in course_keys}

    def note_verified(self, course_keys: Sequence[str]) -> None:
        """Note when these courses were found equal."""
        self.verified.update(course_keys)

    def begin(self) -> int:
        """Open the record of a pass and return its number."""
        self._begun.append(self._store.seconds)
        return len(self._begun) - 1

    def finish(self, number: int, report: InspectionReport) -> None:
        """Complete the record of a pass."""
        self._ended.append(self._begun[number])
        self.reports.append(report)

    def fail(self, number: int, report: InspectionReport, reason: str) -> None:
        """Note why a pass broke off, and what it had found by then."""
        self.failures.append(reason)

    def count_served(self) -> int:
        """Count nothing: the twin keeps every publish with its course."""
        return 0

    def _stored(self, key: str, course: InMemoryCourse) -> StoredOverview:
        state = course.state
        stored = StoredOverview(
            course_key=key,
            source_version=state.source_version,
            source_updated_at=state.source_updated_at,
            content_hash=state.content_hash,
            tabs_hash=state.tabs_hash,
            projection_hash=state.projection_hash,
            deleted=state.deleted,
            row_seq=state.row_seq,
            fault=course.fault,
            wanted=course.wanted,
            is_dirty=course.is_dirty,
        )
        return stored if course.row is None else _with_row(stored, course.row)


def _with_row(stored: StoredOverview, row: BuiltOverview) -> StoredOverview:
    return replace(
        stored,
        degradations=[asdict(each) for each in row.degradations],
        row=asdict(row.overview),
        tabs=row.tabs,
        image_set=row.image_set,
        projection={**asdict(listing_of(row.overview)), **asdict(row.projection)},
    )


def inspected(store: InMemoryOverviewStore, key: str, course: InMemoryCourse) -> InspectedCourse:
    """Return what is stored of a course, in narrow columns."""
    state = course.state
    return InspectedCourse(
        course_key=key,
        has_state=course.has_state,
        source_version=state.source_version,
        builder_version=course.builder_version,
        schema_version=CURRENT.schema,
        deleted=state.deleted,
        has_row=course.row is not None,
        has_projection=course.row is not None,
        has_tombstone=course.has_tombstone,
        collides_with=store.collisions.get(key),
        wanted=course.wanted,
        row_version=None if course.row is None else course.row.overview.version,
    )
