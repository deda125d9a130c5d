"""Comparing the rows that the pipeline has written: with its states, marks and projections."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from overview_worker.inspection_ports import FindingKind
from overview_worker.inspector import CHECK_CHUNK, CourseCheck, Inspector, findings_of
from overview_worker.reports import CourseComparison, CourseDifference
from overview_worker.shadow import is_of_org

#: Courses in one query.
_PAGE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnRows:
    """All rows beside the course index, surveyed once."""

    inspector: Inspector
    findings: Mapping[str, FindingKind]

    def keys(self, *, org: str = "") -> Iterator[str]:
        """Yield every course on either side, published ones first; of one organisation, if named."""
        for pointer in self.inspector.modulestore.iter_published():
            if is_of_org(pointer.course_key, org):
                yield pointer.course_key
        for key, kind in self.findings.items():
            if kind is FindingKind.ORPHANED and is_of_org(key, org):
                yield key

    def unknown(self, keys: Sequence[str]) -> list[str]:
        """Return those of the courses that neither side has heard of."""
        published = self.inspector.modulestore.find_published(keys)
        stored = self.inspector.store.read_stored(keys)
        return [
            key
            for key in keys
            if key not in published and not stored[key].source_version and stored[key].row is None
        ]

    def compare(self, keys: Iterable[str], *, unknown: Sequence[str]) -> Iterator[CourseComparison]:
        """Compare courses column by column."""
        yield from map(_unknown, unknown)
        for chunk in _chunks((key for key in keys if key not in unknown), CHECK_CHUNK):
            for check in self.inspector.check(chunk):
                yield self._comparison(check)

    def compare_versions(
        self, keys: Iterable[str], *, unknown: Sequence[str]
    ) -> Iterator[CourseComparison]:
        """Compare versions and presence: what the survey has found."""
        yield from map(_unknown, unknown)
        for chunk in _chunks((key for key in keys if key not in unknown), _PAGE):
            found = [key for key in chunk if key in self.findings]
            dirty = self.inspector.store.find_dirty(found) if found else set()
            for key in chunk:
                kind = self.findings.get(key)
                yield CourseComparison(
                    course_key=key, findings=_findings(kind), notes=_notes(key in dirty)
                )

    def _comparison(self, check: CourseCheck) -> CourseComparison:
        kind = self.findings.get(check.course_key)
        return CourseComparison(
            course_key=check.course_key,
            findings=_findings(kind),
            notes=_notes(check.is_waiting),
            unreadable=check.unreadable,
            differences=tuple(
                CourseDifference(column=each.column, stored=each.stored, expected=each.expected)
                for each in check.differences
            ),
        )


def surveyed_rows(inspector: Inspector) -> OwnRows:
    """Look at all courses on both sides, in narrow columns.

    Raises:
        ModulestoreUnavailable, StoreUnavailable: a server did not answer.
    """
    versions = inspector.versions()
    found = findings_of(inspector.surveyor.survey(versions), versions)
    return OwnRows(inspector=inspector, findings=dict(sorted(found.items())))


def _unknown(course_key: str) -> CourseComparison:
    return CourseComparison(course_key=course_key, findings=("no such course",))


def _findings(kind: FindingKind | None) -> tuple[str, ...]:
    return () if kind is None else (kind.value,)


def _notes(is_waiting: bool) -> tuple[str, ...]:
    return ("waiting for a rebuild",) if is_waiting else ()


def _chunks(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    remaining = iter(keys)
    while chunk := list(islice(remaining, size)):
        yield chunk
