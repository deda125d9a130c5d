"""A report as JSON: one object, written piece by piece, because it holds every course that differs.

The shape is ``docs/operations/comparison-report.schema.json``; ``SCHEMA_VERSION`` goes up when a name goes or
changes its meaning. Does no I/O and knows no framework.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from overview_worker.reports import (
    COLUMN_HINTS,
    REASON_TEXTS,
    ColumnTally,
    CourseDocument,
    Report,
    ReportHeader,
    Verdict,
    outcome_of,
    verdict_text,
)

SCHEMA_VERSION = 1


def json_report(
    header: ReportHeader, report: Report, courses: Iterable[CourseDocument]
) -> Iterator[str]:
    """Yield the text of the document; ``courses`` are those that are not equal, in any order."""
    summary = json.dumps(_summary(header, report), indent=2, ensure_ascii=False)
    yield summary.removesuffix("\n}")
    yield ',\n  "courses": ['
    separator = "\n    "
    for course in courses:
        yield separator + json.dumps(course, ensure_ascii=False)
        separator = ",\n    "
    yield "\n  ]\n}\n"


def _summary(header: ReportHeader, report: Report) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "mode": header.mode,
        "outcome": outcome_of(report).value,
        "verdict": verdict_text(report),
        "started_at": header.started_at.isoformat(timespec="seconds"),
        "duration_seconds": round(report.duration_seconds, 3),
        "stopped": report.stopped,
        "scope": header.scope,
        "sources": dict(header.sources),
        "versions": dict(header.versions),
        "course_count": report.course_count,
        "counts": {verdict.value: report.counts[verdict] for verdict in Verdict},
        "columns": [_column(name, tally, report) for name, tally in report.sorted_columns()],
        "reasons": [
            {
                "reason": reason.value,
                "text": REASON_TEXTS[reason],
                "course_count": count.course_count,
                "examples": count.examples,
            }
            for reason, count in sorted(report.reasons.items())
        ],
        "findings": [
            {
                "finding": finding,
                "course_count": count.course_count,
                "examples": count.examples,
            }
            for finding, count in sorted(report.findings.items())
        ],
        "not_compared": [
            {"column": column, "why": why} for column, why in header.not_compared.items()
        ],
    }


def _column(name: str, tally: ColumnTally, report: Report) -> dict[str, Any]:
    return {
        "column": name,
        "different_count": tally.different_count,
        "explained_count": tally.explained_count,
        "share": round(report.share(tally.different_count + tally.explained_count), 6),
        "reasons": {reason.value: count for reason, count in sorted(tally.reasons.items())},
        "hint": COLUMN_HINTS.get(name, "") if tally.different_count else "",
        "examples": [
            {
                "course_key": course_key,
                "stored": difference.stored,
                "expected": difference.expected,
                "reason": None if difference.reason is None else difference.reason.value,
            }
            for course_key, difference in tally.examples
        ],
    }
