"""``overview history``: what changed of one course's row, old values and new."""

from argparse import ArgumentParser, Namespace
from typing import Any

from rich.console import Console
from rich.table import Table

from lms_integration.change_history import change_count, changes_of
from lms_integration.change_values import shown_text
from lms_integration.models import OverviewChange
from lms_integration.story import shown_time
from overview_worker.commands.base import (
    EXIT_OK,
    EXIT_PROBLEM,
    Subcommand,
    parse_course_keys,
    print_json,
)

#: Longest value in the table, in characters; ``--json`` has all that is kept.
SHOWN_LENGTH = 200
_JSON_FIELDS = (
    *("id", "row_seq", "kind", "changed_at", "columns", "source_version", "builder_version"),
    *("cause", "event_id", "run_id", "asked_by", "worker", "announced_at", "signalled_at"),
    "signal_error",
)

DESCRIPTION = """\
Show what changed of a course's row, its tabs, images and projection: when, which columns with their old
and new values, and what had the row rebuilt: an event, a rebuild run, the inspector. Newest first.

Changes are kept for OVERVIEW_HISTORY_DAYS (365). Values of more than 10,000 characters are kept cut,
with a digest.

Exit code 0. 1: nothing is kept of the course.
"""


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("course", metavar="COURSE", help="a course key")
    parser.add_argument("--json", action="store_true", help="as JSON, one list")
    parser.add_argument(
        "--limit", type=int, default=20, metavar="N", help="newest changes (default: %(default)s)"
    )


def _run(arguments: Namespace, console: Console) -> int:
    (course_key,) = parse_course_keys([arguments.course])
    changes = changes_of(course_key, limit=max(1, arguments.limit))
    if arguments.json:
        print_json(console, [_as_json(change) for change in changes])
    elif not changes:
        console.print(f"{course_key}: no change is kept")
    else:
        for change in changes:
            _print(change, console)
        older = change_count(course_key) - len(changes)
        if older > 0:
            console.print(f"and {older} older: --limit {older + len(changes)}")
    return EXIT_OK if changes else EXIT_PROBLEM


def _as_json(change: OverviewChange) -> dict[str, Any]:
    return {name: getattr(change, name) for name in _JSON_FIELDS}


def _print(change: OverviewChange, console: Console) -> None:
    console.print(f"change {change.row_seq}: {change.kind} at {shown_time(change.changed_at)}")
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 2))
    table.add_row("because of", _cause(change))
    if change.source_version:
        table.add_row("version", change.source_version)
    for name, (old, new) in change.columns.items():
        table.add_row(name, f"{_shown(old)} → {_shown(new)}")
    console.print(table)


def _cause(change: OverviewChange) -> str:
    parts = [
        f"{change.cause} {change.event_id}".strip() or "not known",
        "" if change.run_id is None else f"run {change.run_id}",
        f"asked for by {change.asked_by}" if change.asked_by else "",
    ]
    return ", ".join(part for part in parts if part)


def _shown(value: Any) -> str:
    text = shown_text(value)
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}…"


COMMAND = Subcommand(
    name="history",
    summary="what changed of one course's row, old values and new",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
