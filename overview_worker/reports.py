"""What a comparison of many courses comes to: counts a column, a reason and a verdict, few examples.

A report is added to course by course and stays small, however many there are: what it keeps is
bounded by the number of columns, reasons and findings, which are ours. Who wants every course keeps
its ``CourseDocument``. Does no I/O and knows no framework.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypedDict

from lms_integration.log_lines import one_line

#: Courses that a column, a reason or a finding names.
EXAMPLES = 3
#: Courses that differ without a known reason, or could not be compared, and that are told in full.
SHOWN_COURSES = 20


class Reason(StrEnum):
    """Why a column differs although nobody is at fault; the values are those of the JSON report."""

    ROW_OLDER = "row_older"
    OLD_VERSION = "old_version"
    NOT_BUILT = "not_built"
    NO_IMAGE_SET = "no_image_set"
    DRAFT = "draft"
    STUDIO_URL = "studio_url"
    DEGRADED = "degraded"
    REFUSED = "refused"
    COLLIDING = "colliding"
    THUMBNAIL = "thumbnail"
    SYLLABUS = "syllabus"
    FOREIGN_KEY = "foreign_key"


#: What each reason means, in a sentence.
REASON_TEXTS: Mapping[Reason, str] = {
    Reason.ROW_OLDER: "The row was saved before the version that is published now: Open edX has not "
    "rebuilt it since.",
    Reason.OLD_VERSION: "The row is of an older schema version: Open edX rebuilds it when it is "
    "read next.",
    Reason.NOT_BUILT: "There is no row yet: Open edX builds it when it is read first.",
    Reason.NO_IMAGE_SET: "There is no image set yet: Open edX makes it when the row is read next.",
    Reason.DRAFT: "The row has the value of the draft version: it was written by Studio, which reads "
    "drafts. Rows are to show what is published.",
    Reason.STUDIO_URL: "The row was written by Studio, with the address of Studio's static files.",
    Reason.DEGRADED: "Open edX fails on a bad value of this course, so its row stays as it was; here "
    "the value's field takes its default.",
    Reason.REFUSED: "A field that decides access cannot be read: neither Open edX nor we build the "
    "course, and a row that is there stays.",
    Reason.COLLIDING: "The table takes the key for that of another course, which has the row. "
    "Neither Open edX nor we can give it one.",
    Reason.THUMBNAIL: "Open edX keeps the address of a thumbnail that the contentstore does not hold.",
    Reason.SYLLABUS: "Open edX adds the syllabus tab where it finds a file; our workers have no "
    "access to its file system.",
    Reason.FOREIGN_KEY: "Not a course of the Split modulestore (a custom course, a library, or of the "
    "old modulestore): not compared.",
}

#: Where to look first if a column differs in many rows: mostly a setting that is not the platform's.
COLUMN_HINTS: Mapping[str, str] = {
    "row": "a row without a published course is removed by the pipeline; its name stays readable",
    "catalog_visibility": "is DEFAULT_COURSE_VISIBILITY_IN_CATALOG the platform's?",
    "mobile_available": "is DEFAULT_MOBILE_AVAILABLE the platform's?",
    "proctoring_provider": "are PROCTORING_BACKENDS and FEATURES['ENABLE_PROCTORED_EXAMS'] the "
    "platform's?",
    "enrollment_start": "is FEATURES['CREATE_COURSE_WITH_DEFAULT_ENROLLMENT_START_DATE'] the "
    "platform's?",
    "course_image_url": "are STATIC_URL and DEFAULT_COURSE_ABOUT_IMAGE_URL the LMS's?",
    "banner_image_url": "are STATIC_URL and DEFAULT_COURSE_ABOUT_IMAGE_URL the LMS's?",
    "language": "does the catalog own it? then set OVERVIEW_CATALOG_OWNS_LANGUAGE",
    "image_set": "is OVERVIEW_IMAGE_SET as CourseOverviewImageConfig has it?",
    "image_set.small_url": "is OVERVIEW_IMAGE_SET as CourseOverviewImageConfig has it?",
    "image_set.large_url": "is OVERVIEW_IMAGE_SET as CourseOverviewImageConfig has it?",
    "version": "is the platform's release the one that this release builds rows for?",
}


class Verdict(StrEnum):
    """How one course fared."""

    EQUAL = "equal"
    EXPLAINED = "explained"  #: it differs, and every difference has a known reason
    DIFFERENT = "different"
    UNREADABLE = "unreadable"  #: it could not be built, so that nothing could be compared


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseDifference:
    """One column that differs; both values are shown, cut short."""

    column: str
    stored: str
    expected: str
    reason: Reason | None = None  #: None: nobody knows why


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseComparison:
    """One course, compared."""

    course_key: str
    differences: Sequence[CourseDifference] = ()
    findings: Sequence[str] = ()  #: in what way it differs as a whole, such as ``stale``
    notes: Sequence[str] = ()  #: what else a reader should know; decides nothing
    unreadable: str = ""  #: why it could not be built

    @property
    def verdict(self) -> Verdict:
        """How the course fared."""
        if self.unreadable:
            return Verdict.UNREADABLE
        if self.findings or any(each.reason is None for each in self.differences):
            return Verdict.DIFFERENT
        return Verdict.EXPLAINED if self.differences else Verdict.EQUAL


class DifferenceDocument(TypedDict):
    """A ``CourseDifference`` in the JSON report."""

    column: str
    stored: str
    expected: str
    reason: str | None


class CourseDocument(TypedDict):
    """A ``CourseComparison`` in the JSON report."""

    course_key: str
    verdict: str
    findings: list[str]
    notes: list[str]
    unreadable: str
    differences: list[DifferenceDocument]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportHeader:
    """What was compared with what."""

    title: str
    mode: str  #: ``shadow``, ``verify``, ``reindex`` …
    started_at: datetime
    scope: str  #: which courses, in words
    #: ``{what: where and which version}``, such as ``{"database": "…"}``; without passwords.
    sources: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    #: ``{column: why it is left out}``
    not_compared: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class ColumnTally:
    """In how many courses one column differs."""

    different_count: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)  #: explained ones, by their reason
    examples: list[tuple[str, CourseDifference]] = field(default_factory=list)

    @property
    def explained_count(self) -> int:
        """Courses in which there is a reason for it."""
        return self.reasons.total()

    def add(self, course_key: str, difference: CourseDifference) -> None:
        """Count one course; an example without a reason is worth more than one that has one."""
        if difference.reason is None:
            self.different_count += 1
        else:
            self.reasons[difference.reason] += 1
        self.examples.append((course_key, difference))
        if len(self.examples) > EXAMPLES:
            self.examples.sort(key=lambda example: example[1].reason is not None)
            self.examples.pop()


@dataclass(kw_only=True, slots=True)
class NamedCount:
    """How many courses, and some of them."""

    course_count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, course_key: str) -> None:
        """Count one course."""
        self.course_count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(course_key)


@dataclass(kw_only=True, slots=True)
class Report:
    """What was seen so far."""

    counts: Counter[Verdict] = field(default_factory=Counter)
    columns: dict[str, ColumnTally] = field(default_factory=dict)
    reasons: dict[Reason, NamedCount] = field(default_factory=dict)
    findings: dict[str, NamedCount] = field(default_factory=dict)
    #: The first courses without a known reason, in full.
    shown: list[CourseComparison] = field(default_factory=list)
    duration_seconds: float = 0.0
    stopped: str = ""  #: why it ended before the last course

    @property
    def course_count(self) -> int:
        """Courses that were looked at."""
        return self.counts.total()

    @property
    def wrong_count(self) -> int:
        """Courses that a person should look at."""
        return self.counts[Verdict.DIFFERENT] + self.counts[Verdict.UNREADABLE]

    def add(self, comparison: CourseComparison) -> None:
        """Count one course; what it differs in is counted once a column."""
        verdict = comparison.verdict
        self.counts[verdict] += 1
        if verdict is Verdict.EQUAL:
            return
        if verdict is not Verdict.EXPLAINED and len(self.shown) < SHOWN_COURSES:
            self.shown.append(comparison)
        for column, difference in _by_column(comparison.differences).items():
            self.columns.setdefault(column, ColumnTally()).add(comparison.course_key, difference)
        for reason in {each.reason for each in comparison.differences}:
            if reason is not None:
                self.reasons.setdefault(reason, NamedCount()).add(comparison.course_key)
        for finding in comparison.findings:
            self.findings.setdefault(finding, NamedCount()).add(comparison.course_key)

    def share(self, count: int) -> float:
        """Return what part of the courses that is, from 0 to 1."""
        return count / self.course_count if self.course_count else 0.0

    def sorted_columns(self) -> list[tuple[str, ColumnTally]]:
        """Return the columns, those that differ most without a reason first."""
        return sorted(
            self.columns.items(),
            key=lambda item: (-item[1].different_count, -item[1].explained_count, item[0]),
        )


class Outcome(StrEnum):
    """What a report comes to."""

    EQUAL = "equal"
    EXPLAINED = "explained"
    DIFFERENT = "different"
    INCOMPLETE = "incomplete"  #: nothing wrong so far, but it ended before the last course
    EMPTY = "empty"  #: there was no course to compare


def outcome_of(report: Report) -> Outcome:
    """Return what a report comes to; the worst that was seen."""
    if report.wrong_count:
        return Outcome.DIFFERENT
    if report.stopped:
        return Outcome.INCOMPLETE
    if not report.course_count:
        return Outcome.EMPTY
    return Outcome.EXPLAINED if report.counts[Verdict.EXPLAINED] else Outcome.EQUAL


def verdict_text(report: Report) -> str:
    """Return what a report comes to, in words."""
    if not report.course_count:
        told = "No course was compared."
    else:
        told = f"{_courses(report.course_count)} compared: {_told(report)}."
    return f"Stopped early: {report.stopped}. {told}" if report.stopped else told


def aggregate_column(column: str) -> str:
    """Return the column that all tabs of a course count for: ``tabs[].name`` of ``tabs[3].name``."""
    return re.sub(r"\[\d+\]", "[]", column)


def _by_column(differences: Sequence[CourseDifference]) -> dict[str, CourseDifference]:
    """Return one difference a column, of several one without a reason."""
    found: dict[str, CourseDifference] = {}
    for each in differences:
        column = aggregate_column(each.column)
        if column not in found or (each.reason is None and found[column].reason is not None):
            found[column] = each
    return found


_VERDICT_WORDS = {
    Verdict.EQUAL: "{} equal",
    Verdict.EXPLAINED: "{} different for a known reason",
    Verdict.DIFFERENT: "{} different",
    Verdict.UNREADABLE: "{} not comparable",
}


def _told(report: Report) -> str:
    return ", ".join(
        words.format(report.counts[verdict])
        for verdict, words in _VERDICT_WORDS.items()
        if report.counts[verdict]
    )


def _courses(count: int) -> str:
    return f"{count} course" if count == 1 else f"{count} courses"


def course_document(comparison: CourseComparison) -> CourseDocument:
    """Return a course as the JSON report has it; whatever authors have written is one line each."""
    return {
        "course_key": one_line(comparison.course_key),
        "verdict": comparison.verdict.value,
        "findings": [one_line(each) for each in comparison.findings],
        "notes": [one_line(each) for each in comparison.notes],
        "unreadable": one_line(comparison.unreadable),
        "differences": [
            {
                "column": each.column,
                "stored": one_line(each.stored),
                "expected": one_line(each.expected),
                "reason": None if each.reason is None else each.reason.value,
            }
            for each in comparison.differences
        ],
    }
