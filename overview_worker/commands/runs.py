"""``overview runs``: look at rebuild runs, and steer them."""

from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable

from django.core.management.base import CommandError
from rich.console import Console
from rich.table import Table

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import OverviewRebuildRun, RunState
from lms_integration.rebuild_desk import (
    RunProgress,
    cancel_run,
    pause_run,
    progress_of,
    progress_of_row,
    resume_run,
)
from overview_worker.commands.base import EXIT_OK, EXIT_PROBLEM, EXIT_USAGE, Subcommand, print_json
from overview_worker.commands.run_carrying_out import (
    Manner,
    add_watch_arguments,
    begin_soon,
    refusals_told,
    screen_of,
    watch_and_report,
)
from overview_worker.commands.run_report import (
    counts_line,
    depth_of,
    is_all_well,
    print_failures,
    print_run_json,
    run_facts,
    scope_of,
)
from overview_worker.commands.run_watching import pace_of, shown_seconds

DEFAULT_LIMIT = 20

DESCRIPTION = """\
A rebuild run brings many courses up to date, in chunks, beside the publishes. It is a row in the
database: it outlives workers, brokers and the terminal that asked for it. Ask for one with
`overview reindex`, in the admin, or have an upgrade ask for it.

  overview runs                     the newest ones
  overview runs show 12             one of them, with the courses that failed
  overview runs watch 12            its progress until it is over
  overview runs pause 12            stop after the chunks at hand; nothing is lost
  overview runs resume 12           go on where it was, also after a cancel or a failure
  overview runs cancel 12           end it; what is rebuilt stays rebuilt

Saying the same thing twice is safe.
"""

_LIST = """\
List rebuild runs, the newest first.

Exit code 0, whether or not there are any.
"""

_SHOW = """\
Show one run: who asked for it and why, how far it is, what became of its courses, and each course that
it could not rebuild with the reason.

Exit code 0: it is done and every course is up to date, or it is under way without a failure.
1: courses failed, it was cancelled or has failed itself, or there is no such run.
"""

_WATCH = """\
Show the progress of one run until it is over. Ctrl-C ends the watching only.

Exit code 0: it is done and every course is up to date. 1: courses failed, it was cancelled or has
failed itself, time is up before it is over, or there is no such run. 130: Ctrl-C.
"""

_STEERING = {
    "pause": (
        "have a run stop until it is resumed",
        "Stop a run after the chunks at hand. It goes on where it was with: overview runs resume RUN",
    ),
    "resume": (
        "have a run go on where it was",
        "Have a run go on where it was: one that was paused, cancelled, or that failed. A run that is "
        "under way is left alone. What failed in it before is not tried again: overview reindex COURSE.",
    ),
    "cancel": (
        "end a run",
        "End a run after the chunks at hand. What is rebuilt stays rebuilt; overview runs resume RUN "
        "takes it up again.",
    ),
}


def _add_arguments(parser: ArgumentParser) -> None:
    parser.set_defaults(action="list", limit=DEFAULT_LIMIT, json=False)
    _add_list_arguments(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=False)

    def add(name: str, summary: str, description: str) -> ArgumentParser:
        return actions.add_parser(
            name,
            help=summary,
            description=description,
            formatter_class=RawDescriptionHelpFormatter,
        )

    _add_list_arguments(add("list", "which there are; the default", _LIST))
    showing = add("show", "all about one", _SHOW)
    watching = add("watch", "the progress of one", _WATCH)
    steering = [
        add(name, summary, f"{description}\n\nExit code 0: done, or it was so already. 1: refused.")
        for name, (summary, description) in _STEERING.items()
    ]
    for each in (showing, watching, *steering):
        each.add_argument("run", type=int, metavar="RUN", help="a run's number")
        each.add_argument(
            "--json", action="store_true", default=SUPPRESS, help="as JSON, one object"
        )
    add_watch_arguments(watching)


def _add_list_arguments(parser: ArgumentParser) -> None:
    # Two parsers have them, so that "overview runs --json" is enough: neither may undo the other.
    parser.add_argument("--json", action="store_true", default=SUPPRESS, help="as JSON, one list")
    parser.add_argument(
        "--limit",
        type=int,
        default=SUPPRESS,
        metavar="COUNT",
        help=f"show at most so many (default: {DEFAULT_LIMIT})",
    )


def _run(arguments: Namespace, console: Console) -> int:
    actions: dict[str, Callable[[Namespace, Console], int]] = {
        "list": _list,
        "show": _show,
        "watch": _watch,
        "pause": _pause,
        "resume": _resume,
        "cancel": _cancel,
    }
    with refusals_told():
        return actions[arguments.action or "list"](arguments, console)


def _list(arguments: Namespace, console: Console) -> int:
    if arguments.limit < 1:
        raise CommandError("--limit must be at least 1", returncode=EXIT_USAGE)
    runs = OverviewRebuildRun.objects.defer("course_keys").annotate(database_now=DatabaseNow())
    newest = runs.order_by("-created_at", "-pk")[: arguments.limit]
    found = [progress_of_row(run, now=run.database_now) for run in newest]
    if arguments.json:
        print_json(console, [run_facts(each) for each in found])
    elif not found:
        console.print("no rebuild runs; ask for one with: overview reindex --all")
    else:
        console.print(_table(found))
    return EXIT_OK


def _show(arguments: Namespace, console: Console) -> int:
    progress = progress_of(arguments.run)
    run = progress.run
    if arguments.json:
        print_run_json(progress, console)
    else:
        _print_run(progress, console)
    is_stopped = run.state in (RunState.CANCELLED, RunState.FAILED)
    return EXIT_PROBLEM if run.failed_count or is_stopped else EXIT_OK


def _watch(arguments: Namespace, console: Console) -> int:
    progress_of(arguments.run)
    return watch_and_report(arguments.run, Manner.of(arguments), console)


def _pause(arguments: Namespace, console: Console) -> int:
    run = pause_run(arguments.run)
    return _said(arguments, console, f"run {run.pk} paused after {_where(run.pk)}")


def _resume(arguments: Namespace, console: Console) -> int:
    run = resume_run(arguments.run)
    begin_soon(run.pk, screen_of(Manner(as_json=arguments.json), console))
    return _said(arguments, console, f"run {run.pk} goes on after {_where(run.pk)}")


def _cancel(arguments: Namespace, console: Console) -> int:
    run = cancel_run(arguments.run)
    return _said(arguments, console, f"run {run.pk} cancelled after {_where(run.pk)}")


def _said(arguments: Namespace, console: Console, line: str) -> int:
    if arguments.json:
        print_run_json(progress_of(arguments.run), console)
    else:
        console.print(line)
    return EXIT_OK


def _where(run_id: int) -> str:
    progress = progress_of(run_id)
    total = progress.run.total_count
    return f"{progress.done_count} of {'?' if total is None else total} courses"


def _expected(run: OverviewRebuildRun) -> str:
    """Return what was expected of a run when it was asked for."""
    if run.estimated_seconds is None:
        return ""
    return f"{run.estimated_count} courses in {shown_seconds(run.estimated_seconds)}"


def _table(found: list[RunProgress]) -> Table:
    table = Table(
        *("run", "state", "courses", "depth", "done", "failed", "pace", "asked by", "when"),
        box=None,
    )
    for progress in found:
        run = progress.run
        total = "?" if run.total_count is None else run.total_count
        table.add_row(
            str(run.pk),
            run.state,
            scope_of(run),
            depth_of(run),
            f"{progress.done_count} of {total}",
            str(run.failed_count),
            pace_of(progress),
            f"{run.asked_by} ({run.asked_from})" if run.asked_by else run.asked_from,
            run.created_at.isoformat(sep=" ", timespec="seconds"),
        )
    return table


def _print_run(progress: RunProgress, console: Console) -> None:
    run = progress.run
    table = Table(show_header=False, box=None)
    for name, value in {
        "run": f"{run.pk}: {RunState(run.state).label}",
        "courses": scope_of(run),
        "depth": depth_of(run),
        "asked by": f"{run.asked_by} ({run.get_asked_from_display()})",
        "reason": run.reason,
        "at most": "" if run.rate is None else f"{run.rate:g} courses/s",
        "lanes": str(run.lane_count),
        "asked": run.created_at.isoformat(sep=" ", timespec="seconds"),
        "finished": ""
        if run.finished_at is None
        else run.finished_at.isoformat(sep=" ", timespec="seconds"),
        "progress": f"{_where(run.pk)} ({progress.share:.0%}) in {shown_seconds(run.running_seconds)}",
        "expected": _expected(run),
        "pace": pace_of(progress),
        "outcomes": counts_line(run),
        "waits": run.waiting_for,
        "why it failed": run.error,
    }.items():
        if value:
            table.add_row(name, value)
    console.print(table)
    print_failures(run, console)
    if not is_all_well(run) and run.state in (RunState.CANCELLED, RunState.FAILED):
        console.print(f"to go on where it was: overview runs resume {run.pk}")


COMMAND = Subcommand(
    name="runs",
    summary="look at rebuild runs; pause, resume, cancel, watch them",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
