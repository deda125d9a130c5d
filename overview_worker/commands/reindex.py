"""``overview reindex``: rebuild courses, in a run that outlives this command."""

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Sequence
from dataclasses import replace

from django.core.management.base import CommandError
from rich.console import Console

from lms_integration.rebuild_desk import resume_run
from overview_worker.commands.base import EXIT_USAGE, Subcommand, positive_number
from overview_worker.commands.dry_run import report_dry_run
from overview_worker.commands.reporting import STDOUT, report_files
from overview_worker.commands.run_carrying_out import (
    Manner,
    add_watch_arguments,
    ask_and_see_through,
    refusals_told,
    screen_of,
    see_through,
)
from overview_worker.commands.run_report import depth_of, scope_of
from overview_worker.commands.run_scope import (
    add_scope_arguments,
    is_scope_given,
    lane_count,
    request_of,
)

DESCRIPTION = """\
Rebuild courses from the modulestore. The bulk workers do it, in chunks, beside the publishes; this
command asks for a rebuild run and shows its progress.

  overview reindex --all                       bring up to date what is not: the first fill, or after
                                               an upgrade, an outage, a restored backup
  overview reindex --all --force               read, build and write every course, stale or not
  overview reindex --org OpenedX --rate 50     one organisation, 50 courses a second at most
  overview reindex --version-below 19          rows that were built for an older schema
  overview reindex course-v1:OpenedX+DemoX+DemoCourse
                                               write this row afresh, also where nothing has changed:
                                               one that was edited by hand is put right
  overview reindex --all --dry-run             what would change, column by column; writes nothing
  overview reindex --resume 12                 go on with a run that was paused, cancelled or failed
  overview reindex --all --here                in this process: needs neither broker nor workers

A course that is gone from the index and still has a row may be named: its row is removed, unless the
brake on mass deletes holds it back (overview deletes).

The run goes on whatever becomes of this command; one that is done --here stays where it is until workers
or --resume go on with it. Ctrl-C ends the watching only; with --cancel-on-interrupt it cancels the run,
and a second one does not wait for the chunks at hand. One run of all courses can be under way at a time. To look at runs, to pause or to cancel them:
overview runs

Exit code 0: every course is up to date (--no-wait: the run is asked for; --dry-run: nothing would
change). 1: some courses failed or are unfinished, and are named with their reasons (--dry-run: something
would change); or the run was refused. 2: called wrongly, nothing was done. 130: Ctrl-C.
"""

#: Options that an argument leaves no sense to.
_NOT_WITH_RESUME = ("force", "rate", "lanes", "reason", "dry_run")
_NOT_WITH_DRY_RUN = ("rate", "lanes", "reason", "here", "timeout", "cancel_on_interrupt")


def _add_arguments(parser: ArgumentParser) -> None:
    add_scope_arguments(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="build in memory, compare with the table, print what would change; write nothing",
    )
    parser.add_argument(
        "--html", metavar="FILE", help="with --dry-run: write the report as an HTML page, too"
    )
    parser.add_argument(
        "--rate",
        type=positive_number,
        metavar="N",
        help="rebuild at most so many courses a second (default: as fast as publishes allow)",
    )
    parser.add_argument(
        "--lanes",
        type=lane_count,
        metavar="N",
        help="have so many bulk processes work on it at a time (default: OVERVIEW_BULK_LANES, 2)",
    )
    parser.add_argument(
        "--reason", default="", metavar="TEXT", help="why; kept with the run and its changes"
    )
    parser.add_argument(
        "--resume", type=int, metavar="RUN", help="go on with this run where it was"
    )
    parser.add_argument(
        "--wait",
        action=BooleanOptionalAction,
        default=True,
        help="wait until the run is over, the default; or return once it is asked for",
    )
    parser.add_argument(
        "--here",
        action="store_true",
        help="rebuild in this process: needs neither broker nor workers",
    )
    add_watch_arguments(parser)
    parser.add_argument(
        "--json", action="store_true", help="as JSON, one object; the progress goes to stderr"
    )


def _run(arguments: Namespace, console: Console) -> int:
    _refuse_contradictions(arguments)
    if arguments.dry_run:
        return _dry_run(arguments, console)
    manner = replace(Manner.of(arguments), waits=arguments.wait, is_here=arguments.here)
    if arguments.resume is None:
        return ask_and_see_through(request_of(arguments), manner, console)
    with refusals_told():
        run = resume_run(arguments.resume)
    screen_of(manner, console).print(f"run {run.pk} goes on: {scope_of(run)}, {depth_of(run)}")
    return see_through(run.pk, manner, console)


def _dry_run(arguments: Namespace, console: Console) -> int:
    json = STDOUT if arguments.json else None
    files = report_files(Namespace(html=arguments.html, json=json))
    return report_dry_run(request_of(arguments), files=files, console=console)


def _refuse_contradictions(arguments: Namespace) -> None:
    problem = _problem(arguments)
    if problem is not None:
        raise CommandError(problem, returncode=EXIT_USAGE)


def _problem(arguments: Namespace) -> str | None:
    if arguments.resume is not None:
        if is_scope_given(arguments):
            return "--resume takes the courses of its run: name none"
        given = _given(arguments, _NOT_WITH_RESUME)
        return f"--resume goes on as the run was asked for, without {given}" if given else None
    if arguments.dry_run:
        given = _given(arguments, _NOT_WITH_DRY_RUN) or ("" if arguments.wait else "--no-wait")
        return f"--dry-run asks for no run: leave out {given}" if given else None
    if arguments.html is not None:
        return "--html is the report of --dry-run"
    if arguments.here and not arguments.wait:
        return "--here works in this process, which has to wait: leave out --no-wait"
    return None


def _given(arguments: Namespace, names: Sequence[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names if getattr(arguments, name))


COMMAND = Subcommand(
    name="reindex",
    summary="rebuild courses: stale ones, one organisation, all, or those named",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
