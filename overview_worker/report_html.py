"""A report as one HTML page: no script, no external resource, readable without either.

Everything that comes from courses, servers or arguments is text: escaped, one line each, and set
apart from the direction of writing around it. Does no I/O and knows no framework.
"""

from collections.abc import Iterable, Iterator
from html import escape

from lms_integration.log_lines import one_line
from overview_worker.reports import (
    COLUMN_HINTS,
    REASON_TEXTS,
    ColumnTally,
    CourseDocument,
    DifferenceDocument,
    NamedCount,
    Outcome,
    Reason,
    Report,
    ReportHeader,
    Verdict,
    outcome_of,
    verdict_text,
)

#: Courses that the page shows one by one: more is a burden for a browser, and in the JSON report.
SHOWN_COURSES = 1000

_CSS = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --quiet: #57606a; --line: #d0d7de;
  --good: #116329; --known: #0a5ab4; --bad: #b3141b; --band: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #10151c; --quiet: #a3adb8;
  --line: #3d444d; --good: #57d673; --known: #79b8ff; --bad: #ff8f87; --band: #1a212b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 4rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
.verdict { border-left: .4rem solid var(--line); padding: .5rem 1rem; font-size: 1.15rem;
  background: var(--band); }
.equal { border-color: var(--good); } .explained { border-color: var(--known); }
.different, .incomplete { border-color: var(--bad); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 1rem 0; }
dt { color: var(--quiet); } dd { margin: 0; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: start; vertical-align: top; }
thead th { background: var(--band); } tbody th { font-weight: normal; }
thead th, th code { white-space: nowrap; } td.number { text-align: end; white-space: nowrap; }
caption { text-align: start; color: var(--quiet); padding: .2rem 0; }
code { font: .9em ui-monospace, monospace; } .quiet { color: var(--quiet); }
details { border: 1px solid var(--line); margin: .4rem 0; padding: .3rem .6rem; }
summary { cursor: pointer; } summary:focus-visible { outline: 3px solid var(--known); }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dt { margin-top: .4rem; } }
"""

_VERDICTS = {
    Verdict.EQUAL: "equal",
    Verdict.EXPLAINED: "different for a known reason",
    Verdict.DIFFERENT: "different",
    Verdict.UNREADABLE: "not comparable",
}
_OUTCOMES = {
    Outcome.EQUAL: "Everything is equal.",
    Outcome.EXPLAINED: "What differs has a known reason.",
    Outcome.DIFFERENT: "Something differs: look at it before you rely on these rows.",
    Outcome.INCOMPLETE: "Nothing differs so far, but not every course was compared.",
    Outcome.EMPTY: "There was no course to compare.",
}


def html_report(
    header: ReportHeader, report: Report, courses: Iterable[CourseDocument]
) -> Iterator[str]:
    """Yield the page piece by piece; ``courses`` are those to be shown, those without a reason first.

    No more than ``SHOWN_COURSES`` of them are shown; how many there are is known from ``report``.
    """
    yield _head(header)
    yield _summary(header, report)
    yield from _columns(report)
    yield from _reasons(report)
    yield from _findings(report)
    yield from _not_compared(header)
    yield from _courses(report, courses)
    yield "</main>\n</body>\n</html>\n"


def _head(header: ReportHeader) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(header.title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{_text(header.title)}</h1>\n"
    )


def _summary(header: ReportHeader, report: Report) -> str:
    outcome = outcome_of(report)
    facts = {
        "when": f"{header.started_at:%Y-%m-%d %H:%M:%S} UTC",
        "duration": f"{report.duration_seconds:.1f} s",
        "courses": header.scope,
        **header.sources,
        **header.versions,
    }
    items = "".join(
        f"<dt>{_text(name)}</dt><dd>{_value(value)}</dd>\n" for name, value in facts.items()
    )
    counts = "".join(
        f'<tr><th scope="row">{words}</th><td class="number">{report.counts[verdict]}</td>'
        f'<td class="number">{_share(report, report.counts[verdict])}</td></tr>\n'
        for verdict, words in _VERDICTS.items()
    )
    return (
        f'<p class="verdict {outcome.value}"><strong>{_OUTCOMES[outcome]}</strong> '
        f"{_text(verdict_text(report))}</p>\n<dl>\n{items}</dl>\n"
        f"{_table('Courses', ('verdict', 'courses', 'share'), counts)}"
    )


def _columns(report: Report) -> Iterator[str]:
    if not report.columns:
        return
    yield "<h2>Columns that differ</h2>\n"
    rows = "".join(_column(name, tally, report) for name, tally in report.sorted_columns())
    yield _table(
        f"Share of {report.course_count} courses; a few examples each, stored → expected",
        ("column", "different", "known reason", "share", "examples"),
        rows,
    )


def _column(name: str, tally: ColumnTally, report: Report) -> str:
    total = tally.different_count + tally.explained_count
    hint = COLUMN_HINTS.get(name, "") if tally.different_count else ""
    told = f'<p class="quiet">{_text(hint)}</p>' if hint else ""
    examples = "".join(
        f"<div>{_value(key)}: {_value(each.stored)} → {_value(each.expected)}</div>"
        for key, each in tally.examples
    )
    return (
        f'<tr><th scope="row"><code>{_text(name)}</code>{told}</th>'
        f'<td class="number">{tally.different_count}</td>'
        f'<td class="number">{tally.explained_count}</td>'
        f'<td class="number">{_share(report, total)}</td><td>{examples}</td></tr>\n'
    )


def _reasons(report: Report) -> Iterator[str]:
    if not report.reasons:
        return
    yield "<h2>Known reasons</h2>\n"
    yield _table(
        "Why rows differ although nobody is at fault",
        ("reason", "courses", "such as"),
        "".join(
            _count_row(_text(REASON_TEXTS[reason]), count)
            for reason, count in sorted(report.reasons.items())
        ),
    )


def _findings(report: Report) -> Iterator[str]:
    if not report.findings:
        return
    yield "<h2>Findings</h2>\n"
    yield _table(
        "Courses that differ as a whole",
        ("finding", "courses", "such as"),
        "".join(_count_row(_text(name), count) for name, count in sorted(report.findings.items())),
    )


def _count_row(title: str, count: NamedCount) -> str:
    examples = "".join(f"<div>{_value(key)}</div>" for key in count.examples)
    return (
        f'<tr><th scope="row">{title}</th><td class="number">{count.course_count}</td>'
        f"<td>{examples}</td></tr>\n"
    )


def _not_compared(header: ReportHeader) -> Iterator[str]:
    if not header.not_compared:
        return
    yield "<h2>Not compared</h2>\n<dl>\n"
    for column, why in header.not_compared.items():
        yield f"<dt><code>{_text(column)}</code></dt><dd>{_text(why)}</dd>\n"
    yield "</dl>\n"


def _courses(report: Report, courses: Iterable[CourseDocument]) -> Iterator[str]:
    total = report.course_count - report.counts[Verdict.EQUAL]
    if not total:
        return
    yield "<h2>Course by course</h2>\n"
    if total > SHOWN_COURSES:
        yield f"<p>The first {SHOWN_COURSES} of {total}; all of them are in the JSON report.</p>\n"
    for number, course in enumerate(courses):
        if number == SHOWN_COURSES:
            return
        yield _course(course)


def _course(course: CourseDocument) -> str:
    verdict = _VERDICTS[Verdict(course["verdict"])]
    told = [*course["findings"], *course["notes"], *filter(None, [course["unreadable"]])]
    notes = "".join(f"<p>{_value(note)}</p>\n" for note in told)
    table = ""
    if course["differences"]:
        rows = "".join(_difference(each) for each in course["differences"])
        table = _table("", ("column", "stored", "expected", "reason"), rows)
    return (
        f"<details><summary>{_value(course['course_key'])} "
        f'<span class="quiet">{verdict}</span></summary>\n{notes}{table}</details>\n'
    )


def _difference(each: DifferenceDocument) -> str:
    reason = "" if each["reason"] is None else REASON_TEXTS[Reason(each["reason"])]
    return (
        f'<tr><th scope="row"><code>{_text(each["column"])}</code></th>'
        f"<td>{_value(each['stored'])}</td><td>{_value(each['expected'])}</td>"
        f"<td>{_text(reason)}</td></tr>\n"
    )


def _table(caption: str, headings: Iterable[str], rows: str) -> str:
    cells = "".join(f'<th scope="col">{_text(heading)}</th>' for heading in headings)
    told = f"<caption>{_text(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll" tabindex="0"><table>{told}<thead><tr>{cells}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody></table></div>\n"
    )


def _share(report: Report, count: int) -> str:
    return f"{report.share(count):.1%}"


def _value(text: str) -> str:
    """Return what somebody else has written, whatever its direction of writing."""
    return f'<bdi dir="auto">{_text(text)}</bdi>'


def _text(text: str) -> str:
    return escape(one_line(text))
