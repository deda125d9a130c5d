"""Comparing courses before a reader's eyes: progress, the report at the terminal, and its files."""

import json
import os
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, InterfaceError, connection
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from lms_integration.course_keys import is_course_key
from lms_integration.data import COURSE_OVERVIEW_VERSION
from overview_worker.bootstrap import mongo_conf
from overview_worker.commands.base import EXIT_INTERRUPTED, EXIT_OK, EXIT_PROBLEM, EXIT_USAGE
from overview_worker.errors import RetryableError
from overview_worker.modulestore.mongo import connect, short
from overview_worker.rebuild import BUILDER_VERSION
from overview_worker.report_html import html_report
from overview_worker.report_json import json_report
from overview_worker.reports import (
    COLUMN_HINTS,
    REASON_TEXTS,
    CourseComparison,
    CourseDocument,
    Outcome,
    Report,
    ReportHeader,
    Verdict,
    course_document,
    outcome_of,
    verdict_text,
)

STDOUT = "-"
#: Courses that differ are kept beside the report: in memory up to so many bytes, then in a file.
_SPOOL_BYTES = 1_000_000
_BY_CTRL_C = "by Ctrl-C"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportFiles:
    """Where a report goes beside the terminal."""

    html: Path | None = None
    json: Path | None = None
    json_to_stdout: bool = False


def add_report_arguments(parser: ArgumentParser) -> None:
    """Add ``--html`` and ``--json``."""
    parser.add_argument("--html", metavar="FILE", help="also write the report as one HTML page")
    parser.add_argument(
        "--json",
        nargs="?",
        const=STDOUT,
        metavar="FILE",
        help="as JSON, one object with every course that differs: to FILE, or instead of the text",
    )


def report_files(arguments: Namespace) -> ReportFiles:
    """Return where the report is to go; a place that cannot be written is found now, not hours later.

    Raises:
        CommandError: a folder is missing or may not be written to, or a course stands for a file.
    """
    for name in filter(None, (arguments.html, arguments.json)):
        if is_course_key(name):
            raise CommandError(
                f"{name} is a course, no file: name courses before --html and --json",
                returncode=EXIT_USAGE,
            )
    to_stdout = arguments.json == STDOUT
    files = ReportFiles(
        html=None if arguments.html is None else Path(arguments.html),
        json=None if arguments.json is None or to_stdout else Path(arguments.json),
        json_to_stdout=to_stdout,
    )
    for path in (files.html, files.json):
        if path is not None and (path.is_dir() or not os.access(path.parent, os.W_OK)):
            raise CommandError(f"cannot write {path}", returncode=EXIT_USAGE)
    return files


def print_report(
    comparisons: Iterable[CourseComparison],
    *,
    header: ReportHeader,
    files: ReportFiles,
    console: Console,
    total: int | None = None,
) -> int:
    """Consume ``comparisons``, print the report and write its files; return the exit code.

    Ctrl-C, or a server that goes away, ends the comparison: the report then tells of what was compared.
    ``total`` is for the progress bar. Memory stays flat, however many courses differ.
    """
    report = Report()
    with ExitStack() as stack:
        spool = stack.enter_context(_spooled())
        started = time.monotonic()
        with _progress(console, total) as step:
            try:
                for comparison in comparisons:
                    report.add(comparison)
                    spool.keep(comparison)
                    step()
            except KeyboardInterrupt:
                report.stopped = _BY_CTRL_C
            except RetryableError as error:
                report.stopped = str(error)
        report.duration_seconds = time.monotonic() - started
        _write_files(header, report, spool, files)
        if files.json_to_stdout:
            for part in json_report(header, report, spool.courses()):
                console.out(part, end="", highlight=False)
        else:
            _print_text(report, header, console)
            for path in filter(None, (files.html, files.json)):
                console.print(f"report written to {path}")
    return _exit_code(report)


def header_of(
    title: str, *, mode: str, started_at: datetime, scope: str, not_compared: dict[str, str]
) -> ReportHeader:
    """Return the header of a report: the servers as they are now, without passwords."""
    return ReportHeader(
        title=title,
        mode=mode,
        started_at=started_at,
        scope=scope,
        sources={"database": _database(), "modulestore": _modulestore(), "course index": _index()},
        versions={
            "overview-pipeline": version("overview-pipeline"),
            "builder": str(BUILDER_VERSION),
            "schema": str(COURSE_OVERVIEW_VERSION),
        },
        not_compared=not_compared,
    )


class _Spool:
    """Every course that is not equal, as lines of JSON."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def keep(self, comparison: CourseComparison) -> None:
        if comparison.verdict is not Verdict.EQUAL:
            self._file.write(json.dumps(course_document(comparison)) + "\n")

    def courses(self) -> Iterator[CourseDocument]:
        self._file.seek(0)
        for line in self._file:
            document: CourseDocument = json.loads(line)
            yield document

    def unexplained_first(self) -> Iterator[CourseDocument]:
        yield from (each for each in self.courses() if each["verdict"] != Verdict.EXPLAINED)
        yield from (each for each in self.courses() if each["verdict"] == Verdict.EXPLAINED)


@contextmanager
def _spooled() -> Iterator[_Spool]:
    with SpooledTemporaryFile(
        max_size=_SPOOL_BYTES, mode="w+", encoding="utf-8", prefix="overview-report-"
    ) as file:
        yield _Spool(file)


def _write_files(header: ReportHeader, report: Report, spool: _Spool, files: ReportFiles) -> None:
    if files.html is not None:
        _write(files.html, html_report(header, report, spool.unexplained_first()))
    if files.json is not None:
        _write(files.json, json_report(header, report, spool.courses()))


def _write(path: Path, parts: Iterable[str]) -> None:
    """Write a file as a whole or not at all: whoever reads it never sees half of one."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


class _Rate(ProgressColumn):
    """Courses a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f}/s" if task.speed else "")


@contextmanager
def _progress(console: Console, total: int | None) -> Iterator[Callable[[], None]]:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal or (total is not None and total < 5),
    ) as progress:
        task = progress.add_task("comparing", total=total)
        yield lambda: progress.advance(task)


def _print_text(report: Report, header: ReportHeader, console: Console) -> None:
    for comparison in report.shown:
        _print_course(comparison, console)
    hidden = report.wrong_count - len(report.shown)
    if hidden:
        console.print(f"and {hidden} more; all of them are in the report of --json FILE")
    if report.columns:
        console.print(_column_table(report))
    for reason, count in sorted(report.reasons.items()):
        examples = ", ".join(count.examples)
        console.print(f"{count.course_count}: {REASON_TEXTS[reason]} Such as {examples}")
    for column, tally in report.sorted_columns():
        if tally.different_count and column in COLUMN_HINTS:
            console.print(f"{column}: {COLUMN_HINTS[column]}")
    for why in dict.fromkeys(header.not_compared.values()):
        columns = [column for column, each in header.not_compared.items() if each == why]
        console.print(f"not compared: {', '.join(columns)}: {why}")
    console.print(f"{verdict_text(report)} ({report.duration_seconds:.1f} s)")


def _print_course(comparison: CourseComparison, console: Console) -> None:
    told = [*comparison.findings, *comparison.notes, *filter(None, [comparison.unreadable])]
    console.print(f"{comparison.course_key}: {'; '.join(told) or 'drifted'}")
    for each in comparison.differences:
        known = "" if each.reason is None else f" ({each.reason.value})"
        console.print(f"    {each.column}: {each.stored} → {each.expected}{known}")


def _column_table(report: Report) -> Table:
    table = Table("column", "different", "known reason", "share", "such as")
    for column, tally in report.sorted_columns():
        total = tally.different_count + tally.explained_count
        table.add_row(
            column,
            str(tally.different_count),
            str(tally.explained_count),
            f"{report.share(total):.1%}",
            tally.examples[0][0],
        )
    return table


def _exit_code(report: Report) -> int:
    if report.stopped == _BY_CTRL_C:
        return EXIT_INTERRUPTED
    return EXIT_OK if outcome_of(report) in _GOOD else EXIT_PROBLEM


_GOOD = frozenset({Outcome.EQUAL, Outcome.EXPLAINED, Outcome.EMPTY})


def _database() -> str:
    values = connection.settings_dict
    name = str(values["NAME"])
    host = values.get("HOST") or values.get("OPTIONS", {}).get("unix_socket") or "this machine"
    try:
        found = ".".join(map(str, connection.get_database_version()))
    except (DatabaseError, InterfaceError):
        found = "of unknown version"
    return f"{name} on {host} ({connection.display_name} {found})"


def _modulestore() -> str:
    conf = mongo_conf()
    hosts = urlsplit(conf.url).netloc.rpartition("@")[2]
    client: Any = connect(conf)
    try:
        found = f"MongoDB {client.server_info()['version']}"
    except PyMongoError as error:
        found = short(error)
    finally:
        client.close()
    return f"{conf.database} on {hosts} ({found})"


def _index() -> str:
    kind = getattr(settings, "OVERVIEW_COURSE_INDEX", "mongodb")
    return "the platform's SQL table" if kind == "mysql" else "MongoDB's active_versions"
