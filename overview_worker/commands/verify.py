"""``overview verify``: is every row what the modulestore has? Compares, writes nothing."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from django.core.management.base import CommandError
from django.db import connection
from rich.console import Console
from rich.progress import track

from overview_worker.bootstrap import dependencies
from overview_worker.commands.base import (
    EXIT_OK,
    EXIT_PROBLEM,
    EXIT_USAGE,
    Subcommand,
    add_courses_argument,
    parse_course_keys,
    print_json,
)
from overview_worker.comparison import ColumnDifference
from overview_worker.inspection_ports import FindingKind
from overview_worker.inspector import CHECK_CHUNK, CourseCheck, Inspector, findings_of

DESCRIPTION = """\
Compare the rows of courses with what the modulestore has now, and print every column that differs:
stored → expected. Nothing is written, also no mark: the database refuses it meanwhile. What differs is
put right by the inspector within minutes, or at once by: overview reindex COURSE

--deep, the default, builds every course in memory and compares all columns of row, tabs, image set,
projection and state. --shallow compares versions and looks whether the rows are there: 100,000 courses
in seconds.

Exit code 0: everything is equal. 1: something differs, or could not be compared. 2: called wrongly.
"""

_READ_ONLY = {
    "mysql": ("SET SESSION TRANSACTION READ ONLY", "SET SESSION TRANSACTION READ WRITE"),
    "sqlite": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Different:
    """One course that is not as it should be; the names are those of ``--json``."""

    course_key: str
    finding: str  #: in what way; '' where only columns were compared
    waiting: bool  #: a rebuild is wanted already
    unreadable: str  #: why it could not be built
    columns: Sequence[ColumnDifference] = ()


def _add_arguments(parser: ArgumentParser) -> None:
    add_courses_argument(parser, nargs="*")
    parser.add_argument(
        "--all", action="store_true", help="every course, on either side; the default"
    )
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument("--deep", action="store_true", help="column by column; the default")
    depth.add_argument("--shallow", action="store_true", help="versions and presence only")
    parser.add_argument("--json", action="store_true", help="as JSON, one object")


def _run(arguments: Namespace, console: Console) -> int:
    if arguments.courses and arguments.all:
        raise CommandError("name some courses, or use --all, not both", returncode=EXIT_USAGE)
    keys = parse_course_keys(arguments.courses)
    inspector = dependencies().inspector
    with read_only():
        findings = _findings(inspector, keys)
        if arguments.shallow:
            keys = keys or sorted(findings)
            dirty = inspector.store.find_dirty(sorted(findings))
            different = [_shallow(key, kind, key in dirty) for key, kind in findings.items()]
            count = len(keys) if arguments.courses else _count(inspector)
        else:
            unknown = _unknown(inspector, keys)
            keys = keys or _all_keys(inspector, findings)
            different = [*unknown, *_deep(inspector, keys, findings, console)]
            count = len(keys)
    if arguments.json:
        print_json(
            console, {"course_count": count, "different": [asdict(each) for each in different]}
        )
    else:
        _print(different, count, console)
    return EXIT_PROBLEM if different else EXIT_OK


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
            with connection.cursor() as cursor:
                cursor.execute(end)


def _findings(inspector: Inspector, keys: Sequence[str]) -> Mapping[str, FindingKind]:
    found = findings_of(inspector.surveyor.survey(inspector.current), inspector.current)
    return {key: kind for key, kind in sorted(found.items()) if not keys or key in set(keys)}


def _count(inspector: Inspector) -> int:
    return sum(1 for _ in inspector.modulestore.iter_published())


def _all_keys(inspector: Inspector, findings: Mapping[str, FindingKind]) -> list[str]:
    published = {pointer.course_key for pointer in inspector.modulestore.iter_published()}
    return sorted(published | set(findings))


def _unknown(inspector: Inspector, keys: Sequence[str]) -> list[Different]:
    """Return those of the named courses that neither side has heard of."""
    published = inspector.modulestore.find_published(keys)
    stored = inspector.store.read_stored(keys)
    return [
        Different(course_key=key, finding="no such course", waiting=False, unreadable="")
        for key in keys
        if key not in published and not stored[key].source_version and stored[key].row is None
    ]


def _shallow(key: str, kind: FindingKind, waiting: bool) -> Different:
    return Different(course_key=key, finding=kind.value, waiting=waiting, unreadable="")


def _deep(
    inspector: Inspector,
    keys: Sequence[str],
    findings: Mapping[str, FindingKind],
    console: Console,
) -> Iterator[Different]:
    starts = range(0, len(keys), CHECK_CHUNK)
    hidden = len(starts) < 2 or not console.is_terminal
    for start in track(starts, "comparing", console=console, transient=True, disable=hidden):
        for check in inspector.check(keys[start : start + CHECK_CHUNK]):
            kind = findings.get(check.course_key)
            if check.differences or check.unreadable or kind is not None:
                yield _different(check, kind)


def _different(check: CourseCheck, kind: FindingKind | None) -> Different:
    return Different(
        course_key=check.course_key,
        finding="" if kind is None else kind.value,
        waiting=check.is_waiting,
        unreadable=check.unreadable,
        columns=check.differences,
    )


def _print(different: Sequence[Different], count: int, console: Console) -> None:
    for each in different:
        notes = [each.finding] if each.finding else []
        notes += ["waiting for a rebuild"] if each.waiting else []
        notes += [each.unreadable] if each.unreadable else []
        console.print(f"{each.course_key}: {'; '.join(notes) or 'drifted'}")
        for column in each.columns:
            console.print(f"    {column.column}: {column.stored} → {column.expected}")
    console.print(f"{count} courses compared, {len(different)} differ")


COMMAND = Subcommand(
    name="verify",
    summary="compare rows with the modulestore, write nothing",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
