"""``overview deletes``: a person's word on courses that vanished, too many at once."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence

from django.core.management.base import CommandError
from rich.console import Console
from rich.table import Table

from lms_integration.delete_desk import allow_removals, open_removals, refuse_removals
from lms_integration.models import RemovalStatus
from overview_worker.commands.base import (
    EXIT_OK,
    EXIT_PROBLEM,
    EXIT_USAGE,
    Subcommand,
    parse_course_keys,
    print_json,
)

DEFAULT_LIMIT = 50

DESCRIPTION = """\
A course that leaves the course index with an announcement is removed at once. Without one, a few are
removed too; when there are more than 20 of them, or more than 5 % of all courses, or when the whole
index is empty, that may be an outage, a wrong database or an old backup. Then nothing is removed, the
rows stay as they are, and the pipeline asks:

  overview deletes list
  overview deletes allow --all        they are gone indeed
  overview deletes refuse --all       keep them, until their delete is announced

If the courses come back in the index, nobody has to say anything: the inspector lets go of them.
"""

_WHICH = {
    "allow": (
        "let courses go",
        "Let courses go: within seconds their rows are removed, and tombstones stay.",
    ),
    "refuse": (
        "keep courses",
        "Keep the rows of courses, although the index does not have them, until their delete is "
        "announced or they are back.",
    ),
}


def _add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="which courses are held, and why",
        description="List the courses that are held, allowed or refused. Exit code 0: none is held. 1: some are.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    listing.add_argument("--json", action="store_true", help="as JSON, one list of all")
    listing.add_argument("--limit", type=int, default=DEFAULT_LIMIT, metavar="COUNT")
    for name, (summary, description) in _WHICH.items():
        doing = actions.add_parser(name, help=summary, description=description)
        doing.add_argument("courses", nargs="*", metavar="COURSE", help="a course key")
        doing.add_argument("--all", action="store_true", help="every course that is held")


def _run(arguments: Namespace, console: Console) -> int:
    actions: dict[str, Callable[[Namespace, Console], int]] = {
        "list": _list,
        "allow": _allow,
        "refuse": _refuse,
    }
    return actions[arguments.action](arguments, console)


def _list(arguments: Namespace, console: Console) -> int:
    found = open_removals()
    held_count = sum(each.status == RemovalStatus.HELD for each in found)
    exit_code = EXIT_PROBLEM if held_count else EXIT_OK
    if arguments.json:
        print_json(
            console,
            [
                {
                    "course_key": each.course_key,
                    "status": each.status,
                    "since": each.changed_at.isoformat(),
                    "reason": each.reason,
                }
                for each in found
            ],
        )
        return exit_code
    if not found:
        console.print("no deletes are held")
        return exit_code
    table = Table("course", "status", "since", "why", box=None)
    for each in found[: arguments.limit]:
        since = each.changed_at.isoformat(sep=" ", timespec="seconds")
        table.add_row(each.course_key, each.status, since, each.reason)
    console.print(table)
    if len(found) > arguments.limit:
        console.print(f"and {len(found) - arguments.limit} more: use --limit or --json")
    if held_count:
        console.print(f"{held_count} wait for a word: overview deletes allow | refuse")
    return exit_code


def _allow(arguments: Namespace, console: Console) -> int:
    return _decide(arguments, console, allow_removals, "removed by the next rebuild")


def _refuse(arguments: Namespace, console: Console) -> int:
    return _decide(arguments, console, refuse_removals, "kept")


def _decide(
    arguments: Namespace,
    console: Console,
    decide: Callable[[Sequence[str]], list[str]],
    what: str,
) -> int:
    if bool(arguments.courses) == arguments.all:
        raise CommandError("name some courses, or use --all", returncode=EXIT_USAGE)
    if arguments.all:
        held = open_removals(statuses=[RemovalStatus.HELD])
        keys = [each.course_key for each in held]
    else:
        keys = parse_course_keys(arguments.courses)
    decided = decide(keys)
    unknown = sorted(set(keys) - set(decided))
    for key in unknown:
        console.print(f"{key}: is not held")
    console.print(f"{len(decided)} courses: {what}")
    return EXIT_PROBLEM if unknown else EXIT_OK


COMMAND = Subcommand(
    name="deletes",
    summary="say whether courses that vanished may be removed",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
