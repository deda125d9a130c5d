"""What the inspector needs of the outside: both sides of every course, and a place for what it finds.

Adapters: ``store.inspection_store``, ``store.sql_survey``; in-memory twin: ``inspection_testing``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Protocol

from lms_integration.data import (
    CourseOverviewImageSetData,
    CourseOverviewTabData,
)
from overview_worker.documents import PublishedPointer
from overview_worker.versions import RowVersions


@dataclass(frozen=True, kw_only=True, slots=True)
class InspectedCourse:
    """What the read model knows of one course, in narrow columns."""

    course_key: str
    has_state: bool = True
    source_version: str = ""
    builder_version: int = 0
    schema_version: int = 0
    deleted: bool = False
    has_row: bool = False
    has_projection: bool = False
    has_tombstone: bool = False
    #: Another course that has the row, in a table whose collation cannot tell the two keys apart.
    collides_with: str | None = None
    wanted: int = 0  #: marks so far: one more makes a difference another one
    row_version: int | None = None  #: the row's column ``version``; None where it was not asked for


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """One course as both sides have it; None where a side does not have it."""

    course_key: str
    pointer: PublishedPointer | None
    stored: InspectedCourse | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """All courses, of which those that differ are told one by one."""

    course_count: int  #: in the course index
    differing: Sequence[Sight]


@dataclass(frozen=True, kw_only=True, slots=True)
class CurrentVersions:
    """Which versions of the builder and the schema a row is to be of."""

    builder: int
    schema: int
    #: Rows of other versions are to be rebuilt; not by a release that is not the target.
    are_enforced: bool = True

    @property
    def versions(self) -> RowVersions:
        """As they are compared with a row's."""
        return RowVersions(builder=self.builder, schema=self.schema)


class FindingKind(Enum):
    """In what way the read model differs from the course index."""

    MISSING = "missing"  #: published, and never built
    STALE = "stale"  #: built from another version
    ORPHANED = "orphaned"  #: not published, but there is a row, a projection or a live state
    OLD_SCHEMA = "old schema"  #: built by another builder, or for another schema
    COLLIDING = "colliding"  #: the table takes its key for another course's, which has the row
    ROW_MISSING = "row missing"  #: the state says that there is a row
    PROJECTION_MISSING = "projection missing"
    WRONGLY_DELETED = "wrongly deleted"  #: published, but its state says deleted
    STRAY_TOMBSTONE = "stray tombstone"  #: published and built, but there is a tombstone
    DRIFTED = "drifted"  #: some column is not what the builder makes of the published course
    CORRUPT_MARK = "corrupt mark"  #: a mark that contradicts itself, and hides its course
    UNREADABLE = "unreadable"  #: clean, and yet not to be built now, so that nothing was compared


class Surveyor(Protocol):
    """Looks at all courses on both sides."""

    def survey(self, current: CurrentVersions) -> Survey:
        """Return the courses that differ; nothing is locked, so some may be publishes on their way.

        Raises:
            ModulestoreUnavailable: the course index did not answer.
            StoreUnavailable: the database did not answer.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspect:
    """A difference that was seen before."""

    fingerprint: str
    age_seconds: float  #: since it was seen first, by the database's clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Repair:
    """One course to be marked."""

    course_key: str
    kind: FindingKind
    rewrite: bool = False  #: write everything: what the state remembers is not what is there
    lost_for_seconds: int | None = None  #: a publish that nobody announced


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredOverview:
    """Everything that is stored of one course, in full."""

    course_key: str
    source_version: str = ""
    source_updated_at: datetime | None = None
    versions: RowVersions | None = None  #: by which the row was built; None is unknown
    content_hash: str = ""
    tabs_hash: str = ""
    projection_hash: str = ""
    deleted: bool = False
    row_seq: int = 0
    degradations: Sequence[Mapping[str, Any]] = ()
    fault: str | None = None
    wanted: int = 0
    is_dirty: bool = False
    row: Mapping[str, Any] | None = None  #: the columns of ``CourseOverviewData``
    tabs: Sequence[CourseOverviewTabData] = ()  #: in their order
    image_set: CourseOverviewImageSetData | None = None
    projection: Mapping[str, Any] | None = None  #: the columns of listing and projection


@dataclass(kw_only=True, slots=True)
class InspectionReport:
    """What one pass saw, found and had marked."""

    course_count: int = 0
    findings: dict[str, int] = field(default_factory=dict)  #: ``{kind: courses}``
    suspected_count: int = 0  #: differences that have not stood for the grace yet
    marked_count: int = 0
    checked_count: int = 0  #: compared column by column
    drifted_columns: dict[str, int] = field(default_factory=dict)  #: ``{column: courses}``


class InspectionStore(Protocol):
    """The read model as the inspector looks at it. It writes marks, and notes of its own."""

    def take_slot(self, job: str, *, period_seconds: int) -> bool:
        """Return whether ``job`` is to run now: nobody has begun it within the period."""
        ...

    def iter_stored(self) -> Iterator[InspectedCourse]:
        """Yield every course that has a state, in the order of the keys' bytes."""
        ...

    def find_stateless(self) -> Sequence[InspectedCourse]:
        """Return the courses that have a row or a projection, but no state."""
        ...

    def now(self) -> datetime:
        """Return the time by the database's clock."""
        ...

    def suspects(self) -> Mapping[str, Suspect]:
        """Return the differences that earlier passes have seen, by course key."""
        ...

    def pass_ages(self, *, limit: int) -> Sequence[float]:
        """Return how long ago the last passes began that ended, in seconds, the newest first."""
        ...

    def keep_suspects(self, fingerprints: Mapping[str, str]) -> None:
        """Remember these differences and forget all others; known ones keep their age."""
        ...

    def find_dirty(self, course_keys: Sequence[str]) -> set[str]:
        """Return those of ``course_keys`` that wait for a rebuild."""
        ...

    def is_rebuilding_all(self) -> bool:
        """Return whether rows of other versions are left to a run, or to who stopped it.

        A run over all courses is planned, running or paused, or the upgrade was cancelled or failed.
        """
        ...

    def find_held(self) -> Mapping[str, bool]:
        """Return the courses whose removal was held, and whether it still waits for a word."""
        ...

    def release_held(self, course_keys: Sequence[str]) -> None:
        """Forget what was said of courses that are back in the index, and mark them."""
        ...

    def mend_marks(self) -> Mapping[str, str]:
        """Mend marks that contradict themselves; return what was wrong, by course key."""
        ...

    def mark(self, repairs: Sequence[Repair], *, lease_seconds: int) -> None:
        """Mark courses; the sweeper leaves them alone for so long."""
        ...

    def deep_check_keys(self, *, limit: int) -> Sequence[str]:
        """Return the next live courses to be compared in full, and remember how far that got.

        After the last course it begins again; a course is never twice among them.
        """
        ...

    def read_stored(self, course_keys: Sequence[str]) -> Mapping[str, StoredOverview]:
        """Return everything that is stored of courses, their states read first."""
        ...

    def note_verified(self, course_keys: Sequence[str]) -> None:
        """Note on the states when these courses were found equal."""
        ...

    def begin(self) -> int:
        """Open the record of a pass and return its number."""
        ...

    def finish(self, number: int, report: InspectionReport) -> None:
        """Complete the record of a pass."""
        ...

    def fail(self, number: int, report: InspectionReport, reason: str) -> None:
        """Note why a pass broke off, and what it had found by then."""
        ...

    def count_served(self) -> int:
        """Count the publishes that became visible into their hours; return how many."""
        ...
