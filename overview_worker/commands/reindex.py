"""``overview reindex``: rebuild courses whether or not they have changed."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from django.core.management.base import CommandError
from rich.console import Console
from rich.progress import track

from lms_integration.events import RebuildRequested
from lms_integration.marks import CourseMark, mark_courses
from overview_worker.bootstrap import dependencies
from overview_worker.celery import app
from overview_worker.commands.base import (
    EXIT_OK,
    EXIT_PROBLEM,
    EXIT_USAGE,
    Subcommand,
    add_courses_argument,
    parse_course_keys,
)
from overview_worker.commands.waiting import wait_until_clean
from overview_worker.queueing import BULK_CHUNK_SIZE, RebuildQueue
from overview_worker.rebuild import RebuildOutcome, rebuild_overviews

#: The sweeper leaves a bulk request alone for so long: its own tasks come first.
BULK_LEASE_SECONDS = 60
DEFAULT_TIMEOUT_SECONDS = 3600.0

DESCRIPTION = """\
Rebuild courses from the modulestore and write their rows afresh, also where nothing has changed
(so a row that was edited by hand is put right). The bulk workers do it; this command marks the
courses, enqueues them and shows the progress. Ctrl-C ends the watching only: what is marked is
rebuilt. Asking twice is safe.

Exit code 0: every course is up to date. 1: some are not, and are named. 2: nothing was asked for.
"""


def _add_arguments(parser: ArgumentParser) -> None:
    add_courses_argument(parser, nargs="*")
    parser.add_argument("--all", action="store_true", help="every course with a published branch")
    parser.add_argument(
        "--here",
        action="store_true",
        help="rebuild in this process: needs neither broker nor workers",
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="return once the tasks are in the queue"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="stop watching after so long (default: %(default).0f)",
    )


def _run(arguments: Namespace, console: Console) -> int:
    if bool(arguments.courses) == arguments.all:
        raise CommandError("name some courses, or use --all", returncode=EXIT_USAGE)
    keys = _all_keys() if arguments.all else parse_course_keys(arguments.courses)
    if not arguments.all:
        _refuse_unknown(keys)
    for start in range(0, len(keys), BULK_CHUNK_SIZE):
        mark_courses(
            [
                CourseMark(course_key=key, event_type=RebuildRequested.type_name, rewrite=True)
                for key in keys[start : start + BULK_CHUNK_SIZE]
            ],
            not_before_seconds=BULK_LEASE_SECONDS,
        )
    if arguments.here:
        return _rebuild_here(keys, console)
    count = RebuildQueue(app).enqueue_bulk(keys, rewrite=True)
    console.print(f"{len(keys)} courses marked, {count} bulk tasks enqueued")
    if arguments.no_wait:
        return EXIT_OK
    waited = wait_until_clean(keys, timeout_seconds=arguments.timeout, console=console)
    done = len(keys) - len(waited.faulty) - len(waited.unfinished)
    console.print(f"{done} of {len(keys)} courses are up to date")
    return EXIT_OK if waited.all_good else EXIT_PROBLEM


def _all_keys() -> list[str]:
    return [pointer.course_key for pointer in dependencies().modulestore.iter_published()]


def _refuse_unknown(keys: Sequence[str]) -> None:
    adapters = dependencies()
    found = adapters.modulestore.find_published(keys)
    unknown = [key for key in keys if key not in found]
    if unknown:
        raise CommandError(
            "\n".join(
                f"{key}: no such course with a published branch (a deleted one: overview publish)"
                for key in unknown
            )
        )


def _rebuild_here(keys: Sequence[str], console: Console) -> int:
    adapters = dependencies()
    outcomes: dict[str, RebuildOutcome] = {}
    starts = range(0, len(keys), BULK_CHUNK_SIZE)
    shown = len(starts) > 1 and console.is_terminal
    for start in track(starts, "rebuilding", console=console, transient=True, disable=not shown):
        report = rebuild_overviews(
            keys[start : start + BULK_CHUNK_SIZE],
            modulestore=adapters.modulestore,
            store=adapters.store,
            build=adapters.build,
            rewrite=True,
        )
        outcomes |= report.outcomes
    for outcome in RebuildOutcome:
        count = sum(1 for each in outcomes.values() if each is outcome)
        if count:
            console.print(f"{outcome.value}: {count}")
    bad = {RebuildOutcome.FAULTY, RebuildOutcome.UNAVAILABLE, RebuildOutcome.LAGGING}
    return EXIT_PROBLEM if bad & set(outcomes.values()) else EXIT_OK


COMMAND = Subcommand(
    name="reindex",
    summary="rebuild courses whether or not they have changed",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
