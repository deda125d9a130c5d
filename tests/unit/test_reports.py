"""Reports of comparisons: what is counted, what is kept, and how it reads as JSON, HTML and text."""

import gc
import json
import re
import tracemalloc
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from rich.console import Console

from overview_worker.commands.base import EXIT_INTERRUPTED, EXIT_OK, EXIT_PROBLEM
from overview_worker.commands.console import command_console
from overview_worker.commands.reporting import ReportFiles, print_report
from overview_worker.errors import ModulestoreUnavailable
from overview_worker.report_html import SHOWN_COURSES as SHOWN_ON_PAGE
from overview_worker.report_html import html_report
from overview_worker.report_json import json_report
from overview_worker.reports import (
    EXAMPLES,
    REASON_TEXTS,
    SHOWN_COURSES,
    CourseComparison,
    CourseDifference,
    Outcome,
    Reason,
    Report,
    ReportHeader,
    Verdict,
    course_document,
    outcome_of,
    verdict_text,
)
from tests.report_schema import assert_is_documented, report_schema

GOLDEN = Path(__file__).parents[1] / "data" / "reports"
HOSTILE = "course-v1:<script>alert(1)</script>+\u202eX\x1b[2J+\"'&R"
HEADER = ReportHeader(
    title="Open edX's rows beside ours",
    mode="shadow",
    started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    scope="all",
    sources={"database": "edxapp on db.example (MariaDB 10.11.6)"},
    versions={"schema": "19"},
    not_compared={"marketing_url": "owned by the course catalog"},
)


def difference(column: str, reason: Reason | None = None) -> CourseDifference:
    return CourseDifference(column=column, stored="'old'", expected="'new'", reason=reason)


def course(number: int, *differences: CourseDifference, **more: Any) -> CourseComparison:
    key = f"course-v1:Org+C{number}+R"
    return CourseComparison(course_key=key, differences=differences, **more)


def reported(*comparisons: CourseComparison) -> Report:
    report = Report()
    for comparison in comparisons:
        report.add(comparison)
    return report


COMPARISONS = (
    course(1),
    course(2, difference("display_name"), difference("effort", Reason.DRAFT)),
    course(3, difference("display_name", Reason.ROW_OLDER), notes=("saved before",)),
    course(4, unreadable="structure is not there"),
    course(5, difference("tabs[0].name"), difference("tabs[3].name"), findings=("stale",)),
)


def document_of(report: Report, comparisons: Iterable[CourseComparison]) -> dict[str, Any]:
    courses = [course_document(each) for each in comparisons if each.verdict is not Verdict.EQUAL]
    document: dict[str, Any] = json.loads("".join(json_report(HEADER, report, courses)))
    return document


def page_of(report: Report, comparisons: Iterable[CourseComparison]) -> str:
    courses = [course_document(each) for each in comparisons if each.verdict is not Verdict.EQUAL]
    return "".join(html_report(HEADER, report, courses))


# Counting


def test_courses_are_counted_by_verdict_column_and_reason():
    report = reported(*COMPARISONS)

    assert report.counts == {
        Verdict.EQUAL: 1,
        Verdict.EXPLAINED: 1,
        Verdict.DIFFERENT: 2,
        Verdict.UNREADABLE: 1,
    }
    assert {
        name: (tally.different_count, tally.explained_count)
        for name, tally in report.columns.items()
    } == {"display_name": (1, 1), "effort": (0, 1), "tabs[].name": (1, 0)}
    assert {reason: count.course_count for reason, count in report.reasons.items()} == {
        Reason.DRAFT: 1,
        Reason.ROW_OLDER: 1,
    }
    assert report.findings["stale"].examples == ["course-v1:Org+C5+R"]


def test_a_column_counts_once_a_course_and_as_different_if_any_of_it_is():
    report = reported(
        course(1, difference("tabs[0].name", Reason.DRAFT), difference("tabs[1].name"))
    )

    tally = report.columns["tabs[].name"]

    assert (tally.different_count, tally.explained_count) == (1, 0)


def test_examples_without_a_reason_push_out_those_that_have_one():
    explained = [course(number, difference("effort", Reason.DRAFT)) for number in range(10)]

    report = reported(*explained, course(99, difference("effort")))

    examples = [key for key, _ in report.columns["effort"].examples]
    assert len(examples) == EXAMPLES
    assert "course-v1:Org+C99+R" in examples


def test_what_differs_most_without_a_reason_comes_first():
    report = reported(
        course(1, difference("a", Reason.DRAFT)),
        course(2, difference("a", Reason.DRAFT)),
        course(3, difference("b")),
    )

    assert [name for name, _ in report.sorted_columns()] == ["b", "a"]


@pytest.mark.parametrize(
    ("comparisons", "stopped", "outcome", "text"),
    [
        ((), "", Outcome.EMPTY, "No course was compared."),
        ((course(1),), "", Outcome.EQUAL, "1 course compared: 1 equal."),
        (
            (course(1), course(2, difference("a", Reason.DRAFT))),
            "",
            Outcome.EXPLAINED,
            "2 courses compared: 1 equal, 1 different for a known reason.",
        ),
        (
            (course(1), course(2, unreadable="gone")),
            "",
            Outcome.DIFFERENT,
            "2 courses compared: 1 equal, 1 not comparable.",
        ),
        (
            (course(1),),
            "by Ctrl-C",
            Outcome.INCOMPLETE,
            "Stopped early: by Ctrl-C. 1 course compared: 1 equal.",
        ),
        (
            (course(1, difference("a")),),
            "by Ctrl-C",
            Outcome.DIFFERENT,
            "Stopped early: by Ctrl-C. 1 course compared: 1 different.",
        ),
    ],
)
def test_the_verdict_is_the_worst_that_was_seen(comparisons, stopped, outcome, text):
    report = reported(*comparisons)
    report.stopped = stopped

    assert outcome_of(report) is outcome
    assert verdict_text(report) == text


def test_every_reason_has_its_sentence():
    assert set(REASON_TEXTS) == set(Reason)
    assert set(report_schema()["$defs"]["reason"]["enum"]) == {
        None,
        *(each.value for each in Reason),
    }


def test_memory_stays_flat_however_many_courses_differ():
    report = Report()
    columns = [difference(f"column_{number}") for number in range(20)]
    tracemalloc.start()
    try:
        for number in range(500):
            report.add(course(number, *columns))
        gc.collect()
        after_some = tracemalloc.get_traced_memory()[0]
        for number in range(500, 5000):
            report.add(course(number, *columns))
        gc.collect()
        after_all = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert report.course_count == 5000
    assert len(report.shown) == SHOWN_COURSES
    assert after_all - after_some < 50_000


# JSON


def test_the_json_report_has_its_documented_shape():
    document = document_of(reported(*COMPARISONS), COMPARISONS)

    assert_is_documented(document)
    assert document["counts"] == {"equal": 1, "explained": 1, "different": 2, "unreadable": 1}
    assert [each["course_key"] for each in document["courses"]] == [
        f"course-v1:Org+C{number}+R" for number in (2, 3, 4, 5)
    ]
    assert document["columns"][0] == {
        "column": "display_name",
        "different_count": 1,
        "explained_count": 1,
        "share": 0.4,
        "reasons": {"row_older": 1},
        "hint": "",
        "examples": [
            {
                "course_key": "course-v1:Org+C2+R",
                "stored": "'old'",
                "expected": "'new'",
                "reason": None,
            },
            {
                "course_key": "course-v1:Org+C3+R",
                "stored": "'old'",
                "expected": "'new'",
                "reason": "row_older",
            },
        ],
    }


def test_an_empty_json_report_is_one_too():
    document = document_of(Report(), ())

    assert_is_documented(document)
    assert document["courses"] == []
    assert document["outcome"] == "empty"


# HTML


class Page(HTMLParser):
    """Notes elements, attributes and text, and that elements are closed in their order."""

    VOID = frozenset({"meta"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_the_one_that_was_looked_at():
    page = page_of(reported(*COMPARISONS), COMPARISONS)

    golden = GOLDEN / "comparison.html"
    assert re.sub(r"<style>.*?</style>", "<style></style>", page, flags=re.DOTALL) == (
        golden.read_text(encoding="utf-8")
    )


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing():
    page = page_of(reported(*COMPARISONS), COMPARISONS)
    parsed = Page(page)

    assert parsed.open == []
    assert not {"script", "link", "img", "iframe", "object", "form", "a"} & set(parsed.tags)
    assert not {name for name, _ in parsed.attributes} & {"src", "href", "style", "onclick"}
    assert "url(" not in page
    assert "@import" not in page


def test_hostile_names_are_text():
    hostile = CourseComparison(
        course_key=HOSTILE,
        differences=(
            CourseDifference(
                column="display_name", stored="</td><script>x</script>", expected="\u2066\ud800\n"
            ),
        ),
        notes=("<img src=x onerror=alert(1)>",),
        findings=("</style><b>",),
    )
    report = reported(hostile)
    report.stopped = "<b>gone</b>"

    page = page_of(report, [hostile])

    parsed = Page(page)
    assert parsed.open == []
    assert not {"script", "img", "b"} & set(parsed.tags)
    assert "\\u202eX\\u001b[2J" in parsed.text
    assert "\u202e" not in page
    page.encode("utf-8")
    document = document_of(report, [hostile])
    assert_is_documented(document)
    assert document["courses"][0]["differences"][0]["expected"] == "\\u2066\\ud800\\n"


def test_the_page_shows_a_bounded_number_of_courses():
    comparisons = [course(number, difference("effort")) for number in range(SHOWN_ON_PAGE + 5)]

    page = page_of(reported(*comparisons), comparisons)

    assert page.count("<details>") == SHOWN_ON_PAGE
    assert f"The first {SHOWN_ON_PAGE} of {SHOWN_ON_PAGE + 5}" in page


# At the terminal


@pytest.fixture
def terminal() -> tuple[Console, StringIO]:
    output = StringIO()
    return command_console(output), output


def test_the_text_tells_courses_columns_reasons_and_the_verdict(terminal):
    console, output = terminal

    code = print_report(COMPARISONS, header=HEADER, files=ReportFiles(), console=console)

    text = output.getvalue()
    assert code == EXIT_PROBLEM
    assert (
        "course-v1:Org+C2+R: drifted\n"
        "    display_name: 'old' → 'new'\n"
        "    effort: 'old' → 'new' (draft)\n"
    ) in text
    assert "course-v1:Org+C4+R: structure is not there\n" in text
    assert "1: The row has the value of the draft version" in text
    assert "not compared: marketing_url: owned by the course catalog" in text
    assert "5 courses compared: 1 equal, 1 different for a known reason, 2 different" in text


def test_the_text_names_a_bounded_number_of_courses(terminal):
    console, output = terminal
    comparisons = [course(number, difference("effort")) for number in range(SHOWN_COURSES + 7)]

    print_report(comparisons, header=HEADER, files=ReportFiles(), console=console)

    assert output.getvalue().count(": drifted") == SHOWN_COURSES
    assert "and 7 more; all of them are in the report of --json FILE" in output.getvalue()


def test_known_reasons_alone_are_no_problem(terminal):
    comparisons = (course(1), course(2, difference("effort", Reason.DRAFT)))

    assert (
        print_report(comparisons, header=HEADER, files=ReportFiles(), console=terminal[0])
        == EXIT_OK
    )


def interrupted() -> Iterator[CourseComparison]:
    yield course(1, difference("effort"))
    raise KeyboardInterrupt


def test_ctrl_c_tells_what_was_compared_and_writes_the_files(terminal, tmp_path: Path):
    console, output = terminal
    files = ReportFiles(html=tmp_path / "report.html", json=tmp_path / "report.json")

    code = print_report(interrupted(), header=HEADER, files=files, console=console)

    assert code == EXIT_INTERRUPTED
    assert "Stopped early: by Ctrl-C. 1 course compared: 1 different." in output.getvalue()
    document = json.loads(files.json.read_text(encoding="utf-8"))  # type: ignore[union-attr]
    assert_is_documented(document)
    assert document["stopped"] == "by Ctrl-C"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def outage() -> Iterator[CourseComparison]:
    yield course(1)
    raise ModulestoreUnavailable("MongoDB did not answer")


def test_an_outage_ends_the_comparison_and_is_a_problem(terminal):
    console, output = terminal

    code = print_report(outage(), header=HEADER, files=ReportFiles(), console=console)

    assert code == EXIT_PROBLEM
    assert "Stopped early: MongoDB did not answer. 1 course compared" in output.getvalue()


def test_a_report_of_many_courses_goes_through_little_memory(terminal, tmp_path: Path):
    columns = [difference(f"column_{number}") for number in range(20)]
    files = ReportFiles(json=tmp_path / "report.json", html=tmp_path / "report.html")
    comparisons = (course(number, *columns) for number in range(5000))
    tracemalloc.start()
    try:
        print_report(comparisons, header=HEADER, files=files, console=terminal[0])
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    written_bytes = (tmp_path / "report.json").stat().st_size
    assert written_bytes > 8_000_000
    assert peak_bytes < written_bytes / 2


def test_json_instead_of_text_is_json_and_nothing_else(terminal):
    console, output = terminal

    print_report(
        COMPARISONS, header=HEADER, files=ReportFiles(json_to_stdout=True), console=console
    )

    assert_is_documented(json.loads(output.getvalue()))


def test_what_is_worse_comes_first_on_the_page(terminal, tmp_path: Path):
    files = ReportFiles(html=tmp_path / "report.html")
    comparisons = (course(1, difference("effort", Reason.DRAFT)), course(2, difference("effort")))

    print_report(comparisons, header=HEADER, files=files, console=terminal[0])

    details = (tmp_path / "report.html").read_text(encoding="utf-8").partition("<details>")[2]
    assert details.index("C2+R") < details.index("C1+R")


def test_a_file_that_cannot_be_written_leaves_the_old_one_whole(
    terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "report.html"
    path.write_text("old")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)

    with pytest.raises(CommandError, match="No space left"):
        print_report(COMPARISONS, header=HEADER, files=ReportFiles(html=path), console=terminal[0])

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
