"""``overview thumbnails``: which are wanted, made or refused, why, and trying again."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console
from rich.table import Table

from lms_integration.models import OverviewThumbnails, ThumbnailState
from lms_integration.thumbnail_desk import (
    retry_thumbnails,
    thumbnail_counts,
    thumbnails,
    thumbnails_of,
)
from overview_worker.bootstrap import image_sets
from overview_worker.commands.base import (
    EXIT_OK,
    EXIT_PROBLEM,
    EXIT_USAGE,
    Subcommand,
    parse_course_keys,
    print_json,
)

DEFAULT_LIMIT = 50
_SWITCHED_OFF = "image sets are switched off: none are made (OVERVIEW_IMAGE_SET, or the admin)"

DESCRIPTION = """\
Thumbnails of course images are made after the rebuild, by the bulk workers, while image sets are
switched on. An image that cannot be scaled is refused, with the reason; it is tried again when it is
replaced, when the sizes change, or when somebody asks:

  overview thumbnails list --refused
  overview thumbnails show course-v1:OpenedX+DemoX+DemoCourse
  overview thumbnails retry course-v1:OpenedX+DemoX+DemoCourse
  overview thumbnails retry --refused
"""


def _add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="how thumbnails stand",
        description="List courses with the state of their thumbnails. Exit code 0: none is refused. 1: some are.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    listing.add_argument("--refused", action="store_true", help="only those that are refused")
    listing.add_argument("--json", action="store_true", help="as JSON, one list of all")
    listing.add_argument("--limit", type=int, default=DEFAULT_LIMIT, metavar="COUNT")
    showing = actions.add_parser(
        "show",
        help="the thumbnails of one course",
        description="Show one course's thumbnails. Exit code 0. 1: they are refused, or nothing is known of them.",
    )
    showing.add_argument("course", metavar="COURSE", help="a course key")
    showing.add_argument("--json", action="store_true", help="as JSON")
    retrying = actions.add_parser(
        "retry",
        help="make them anew",
        description="Have thumbnails made anew, whatever became of them. Exit code 0. 1: a course has no image.",
    )
    retrying.add_argument("courses", nargs="*", metavar="COURSE", help="a course key")
    retrying.add_argument("--refused", action="store_true", help="all that are refused")
    retrying.add_argument("--json", action="store_true", help="as JSON: which are tried again")


def _run(arguments: Namespace, console: Console) -> int:
    actions: dict[str, Callable[[Namespace, Console], int]] = {
        "list": _list,
        "show": _show,
        "retry": _retry,
    }
    return actions[arguments.action](arguments, console)


def _list(arguments: Namespace, console: Console) -> int:
    counts = thumbnail_counts()
    exit_code = EXIT_PROBLEM if counts[ThumbnailState.REFUSED] else EXIT_OK
    states = [ThumbnailState.REFUSED] if arguments.refused else []
    if arguments.json:
        print_json(console, [_as_json(row) for row in thumbnails(states=states)])
        return exit_code
    _print_whether_off(console)
    console.print(", ".join(f"{count} {state}" for state, count in counts.items()))
    found = thumbnails(states=states, limit=arguments.limit)
    if found:
        table = Table("course", "state", "image", "reason", "next try", box=None)
        for row in found:
            table.add_row(
                row.course_key, row.state, row.image_name, row.reason, _time(row.next_attempt_at)
            )
        console.print(table)
    total = counts[ThumbnailState.REFUSED] if arguments.refused else sum(counts.values())
    if total > len(found):
        console.print(f"and {total - len(found)} more: use --limit or --json")
    return exit_code


def _show(arguments: Namespace, console: Console) -> int:
    (course_key,) = parse_course_keys([arguments.course])
    row = thumbnails_of(course_key)
    if row is None:
        console.print(f"{course_key}: nothing is known of its thumbnails")
        _print_whether_off(console)
        return EXIT_PROBLEM
    if arguments.json:
        print_json(console, _as_json(row))
    else:
        table = Table(show_header=False, box=None)
        for name, value in _as_json(row).items():
            table.add_row(name, "-" if value in (None, "", {}) else str(value))
        console.print(table)
        _print_whether_off(console)
    return EXIT_PROBLEM if row.state == ThumbnailState.REFUSED else EXIT_OK


def _retry(arguments: Namespace, console: Console) -> int:
    if bool(arguments.courses) == arguments.refused:
        raise CommandError("name some courses, or use --refused", returncode=EXIT_USAGE)
    if arguments.refused:
        keys = [row.course_key for row in thumbnails(states=[ThumbnailState.REFUSED])]
    else:
        keys = parse_course_keys(arguments.courses)
    retried = retry_thumbnails(keys)
    unknown = sorted(set(keys) - set(retried))
    if arguments.json:
        print_json(console, {"tried_again": retried, "without_image": unknown})
    else:
        for key in unknown:
            console.print(f"{key}: has no image that is known")
        console.print(f"{len(retried)} courses: the workers try again within seconds")
        _print_whether_off(console)
    return EXIT_PROBLEM if unknown else EXIT_OK


def _print_whether_off(console: Console) -> None:
    if image_sets()() is None:
        console.print(_SWITCHED_OFF)


def _as_json(row: OverviewThumbnails) -> dict[str, Any]:
    return {
        "course_key": row.course_key,
        "state": row.state,
        "image": row.image_name,
        "sizes": row.sizes,
        "reason": row.reason,
        "attempts": row.attempts,
        "crashes": row.crashes,
        "next_attempt_at": _time(row.next_attempt_at) or None,
        "changed_at": _time(row.changed_at),
        "urls": row.urls,
    }


def _time(moment: Any) -> str:
    return "" if moment is None else str(moment.isoformat(sep=" ", timespec="seconds"))


COMMAND = Subcommand(
    name="thumbnails",
    summary="thumbnails of course images: which are refused, and why",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
