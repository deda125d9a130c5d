"""``overview verify``: is every row what the modulestore has? Compares, writes nothing."""

import random
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain

from django.core.management.base import CommandError
from django.db import DatabaseError, connection
from rich.console import Console

from overview_worker.bootstrap import dependencies
from overview_worker.commands.base import (
    EXIT_USAGE,
    Subcommand,
    add_courses_argument,
    parse_course_keys,
)
from overview_worker.commands.own_rows import surveyed_rows
from overview_worker.commands.reporting import (
    add_report_arguments,
    header_of,
    print_report,
    report_files,
)
from overview_worker.reports import CourseComparison
from overview_worker.shadow import is_of_org

DESCRIPTION = """\
Compare the rows of courses with what the modulestore has now, and report every column that differs:
stored → expected. Nothing is written, neither a row nor a mark nor anything in MongoDB: the database
refuses writes of this process meanwhile, and an account that may only SELECT is enough.

--deep, the default, builds every course in memory and compares all columns of row, tabs, image set,
projection and state. What differs is put right by the inspector within minutes, or at once by:
overview reindex COURSE. --shallow compares versions and looks whether the rows are there: 100,000
courses in seconds.

--shadow is for a platform whose rows Open edX has written: what would we write? It needs Open edX's
three tables and none of ours. Differences with a known reason are told apart from those without: a
row that Open edX has let go stale, a draft that Studio wrote, a bad value on which Open edX fails.

Ctrl-C ends the comparison, and reports what was compared.

Exit code 0: everything is equal, or differs for a known reason only. 1: something differs, or could
not be compared. 2: called wrongly. 130: ended by Ctrl-C.
"""

_READ_ONLY = {
    "mysql": ("SET SESSION TRANSACTION READ ONLY", "SET SESSION TRANSACTION READ WRITE"),
    "sqlite": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
}


def _add_arguments(parser: ArgumentParser) -> None:
    add_courses_argument(parser, nargs="*")
    parser.add_argument(
        "--all", action="store_true", help="every course, on either side; the default"
    )
    parser.add_argument(
        "--org", default="", metavar="ORG", help="every course of one organisation, in any case"
    )
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument("--deep", action="store_true", help="column by column; the default")
    depth.add_argument("--shallow", action="store_true", help="versions and presence only")
    depth.add_argument(
        "--shadow", action="store_true", help="Open edX's own tables only, with known reasons"
    )
    parser.add_argument(
        "--sample", type=int, metavar="N", help="only N of the courses, chosen at random"
    )
    add_report_arguments(parser)


def _run(arguments: Namespace, console: Console) -> int:
    problem = _usage_problem(arguments)
    if problem:
        raise CommandError(problem, returncode=EXIT_USAGE)
    named = parse_course_keys(arguments.courses)
    files = report_files(arguments)
    with read_only():
        compared = _shadow(arguments, named) if arguments.shadow else _rows(arguments, named)
        header = header_of(
            "Open edX's rows beside ours" if arguments.shadow else "Rows beside the modulestore",
            mode="shadow" if arguments.shadow else "verify",
            started_at=datetime.now(UTC),
            scope=_scope(arguments),
            not_compared=dependencies().shadow.not_compared() if arguments.shadow else {},
        )
        return print_report(
            compared,
            header=header,
            files=files,
            console=console,
            total=_total(arguments) if console.is_terminal else None,
        )


def _shadow(arguments: Namespace, named: Sequence[str]) -> Iterator[CourseComparison]:
    shadow = dependencies().shadow
    return shadow.compare_courses(named or _chosen(shadow.keys(org=arguments.org), arguments))


def _rows(arguments: Namespace, named: Sequence[str]) -> Iterator[CourseComparison]:
    rows = surveyed_rows(dependencies().inspector)
    compare = rows.compare_versions if arguments.shallow else rows.compare
    if named:
        return compare(named, unknown=rows.unknown(named))
    return compare(_chosen(rows.keys(org=arguments.org), arguments), unknown=())


def _usage_problem(arguments: Namespace) -> str:
    chosen = [bool(arguments.courses), arguments.all, bool(arguments.org)]
    if sum(chosen) > 1:
        return "name some courses, or use --all, or --org, not several of them"
    if arguments.sample is not None and arguments.courses:
        return "--sample chooses from all courses, or from those of --org; you have named yours"
    if arguments.sample is not None and arguments.sample < 1:
        return "--sample is at least 1"
    return ""


def _scope(arguments: Namespace) -> str:
    courses = f"{len(arguments.courses)} named" if arguments.courses else "all"
    if arguments.org:
        courses = f"organisation {arguments.org}"
    return courses if arguments.sample is None else f"{arguments.sample} at random of: {courses}"


def _chosen(keys: Iterator[str], arguments: Namespace) -> Iterator[str]:
    """Return the keys to compare, as a stream.

    Raises:
        CommandError: the organisation has no course: its name is wrong.
    """
    first = next(keys, None)
    if first is None:
        if arguments.org:
            raise CommandError(f"no course of {arguments.org}", returncode=EXIT_USAGE)
        return iter(())
    every = chain([first], keys)
    return every if arguments.sample is None else iter(sample(every, arguments.sample))


def sample(keys: Iterable[str], count: int) -> list[str]:
    """Return ``count`` of the keys, or all if there are fewer, each as likely as any other."""
    chance = random.Random()  # noqa: S311 - nothing secret depends on it
    chosen: list[str] = []
    for number, key in enumerate(keys):
        if number < count:
            chosen.append(key)
        elif (place := chance.randrange(number + 1)) < count:
            chosen[place] = key
    return sorted(chosen)


def _total(arguments: Namespace) -> int:
    """Return how many courses there are to compare, for the progress bar: published ones."""
    if arguments.courses:
        return len(arguments.courses)
    published = dependencies().modulestore.iter_published()
    count = sum(1 for each in published if is_of_org(each.course_key, arguments.org))
    return count if arguments.sample is None else min(count, arguments.sample)


@contextmanager
def read_only() -> Iterator[None]:
    """Have the database refuse every write of this process meanwhile."""
    connection.ensure_connection()
    begin, end = _READ_ONLY[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(begin)
    try:
        yield
    finally:
        if connection.connection is not None:
            try:
                with connection.cursor() as cursor:
                    cursor.execute(end)
            except DatabaseError:  # such as a query that Ctrl-C has cut short
                connection.close()


COMMAND = Subcommand(
    name="verify",
    summary="compare rows with the modulestore, write nothing",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
