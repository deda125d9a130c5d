"""``overview upgrade``: are all rows of this release? Bring them to it, or back to it."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from dataclasses import replace

from django.core.management.base import CommandError
from rich.console import Console

from lms_integration.log_lines import one_line
from lms_integration.models import OverviewRebuildRun, RunOrigin
from lms_integration.rebuild_desk import active_runs, cancel_run
from overview_worker.bootstrap import dependencies
from overview_worker.commands.base import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_PROBLEM,
    EXIT_USAGE,
    Subcommand,
    account_name,
    positive_number,
    print_json,
)
from overview_worker.commands.run_carrying_out import (
    Manner,
    add_watch_arguments,
    begin_soon,
    screen_of,
    watch_and_report,
)
from overview_worker.commands.run_watching import shown_seconds
from overview_worker.rebuild import OWN_VERSIONS
from overview_worker.upkeep import UpgradeProgress, make_target, upgrade_progress
from overview_worker.upkeep_ports import BlockedKind, UpgradeStanding
from overview_worker.versions import RowVersions

DESCRIPTION = """\
Show how many rows are of the version that rows are to be of, the target, and what there is besides.

A newer release makes itself the target when its workers start (setting OVERVIEW_AUTO_UPGRADE), and has
every other row rebuilt in the background; readers go on with the old rows meanwhile, and publishes are
never held up. Workers of two releases may run side by side: both build what is published, and the one
that is not the target leaves rows alone that differ by their version only.

  overview upgrade                what there is; nothing is changed
  overview upgrade --start        make this release the target now
  overview upgrade --roll-back    the same with an older release: its rows replace the newer ones, and
                                  newer workers that still run do not make themselves the target again
                                  until somebody says --start with them

A row that cannot be built (what is published is faulty, or a removal is held or refused) keeps its
version, is named with its reason, and counts for nothing. Only workers of the target's release have a
part in its run. A run that is cancelled stays so until --start; in place of one that failed another is
asked for after a minute, and later each time it fails again.

Exit code 0: every row that can be built is of the target, or with --no-wait the run is asked for. 1: some
are not (yet). 2: called wrongly. 130: Ctrl-C ended the watching before it was known.
"""


def _add_arguments(parser: ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--start", action="store_true", help="make this release the target")
    what.add_argument(
        "--roll-back",
        action="store_true",
        help="make this older release the target, and keep it so",
    )
    parser.add_argument(
        "--rate", type=positive_number, metavar="N", help="courses rebuilt in a second, at most"
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="return once the run has been asked for"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, one object")
    add_watch_arguments(parser)


def _run(arguments: Namespace, console: Console) -> int:
    store = dependencies().upkeep
    if not (arguments.start or arguments.roll_back):
        return _show(upgrade_progress(store, OWN_VERSIONS), arguments, console)
    before = upgrade_progress(store, OWN_VERSIONS)
    _refuse_wrong_way(before, arguments)
    _make_way(screen_of(Manner.of(arguments), console))
    run = make_target(
        store,
        OWN_VERSIONS,
        pinned=arguments.roll_back,
        set_by=account_name(),
        rate=arguments.rate,
    )
    if run is None:
        return _show(upgrade_progress(store, OWN_VERSIONS), arguments, console)
    manner = Manner.of(arguments)
    screen = screen_of(manner, console)
    screen.print(f"rows are to be of {OWN_VERSIONS} from now on: run {run}")
    begin_soon(run, screen)
    if arguments.no_wait:
        return EXIT_OK
    # The run is told beside: what counts is whether all rows are of the target now.
    watched = watch_and_report(run, replace(manner, as_json=False), screen)
    if watched == EXIT_INTERRUPTED:
        return watched
    return _show(upgrade_progress(store, OWN_VERSIONS), arguments, console)


def _refuse_wrong_way(progress: UpgradeProgress, arguments: Namespace) -> None:
    target = progress.target
    if arguments.start and target is not None and target.versions > OWN_VERSIONS:
        raise CommandError(
            f"rows are of {target.versions}, and this release writes {OWN_VERSIONS}, which is older: "
            "to go back to it, use --roll-back",
            returncode=EXIT_USAGE,
        )


def _make_way(console: Console) -> None:
    """Cancel the run of the upgrade that is given up; another full run is somebody else's."""
    for run in active_runs():
        if run.asked_from == RunOrigin.UPGRADE:
            cancel_run(run.pk)
            console.print(f"run {run.pk} of an upgrade that is not wanted any more is cancelled")


def _show(progress: UpgradeProgress, arguments: Namespace, console: Console) -> int:
    run = _run_under_way()
    if arguments.json:
        print_json(console, _as_json(progress, run))
    else:
        for line in _lines(progress, run):
            console.print(line)
    return EXIT_OK if progress.is_complete else EXIT_PROBLEM


def _lines(progress: UpgradeProgress, run: OverviewRebuildRun | None) -> list[str]:
    target = progress.target
    lines = [f"this release writes {progress.own}"]
    if target is None:
        lines.append("target: none yet; the first workers that run set it")
    else:
        pinned = ", pinned by a roll-back" if target.is_pinned else ""
        lines.append(f"target: {target.versions}{pinned}")
    # Never 100 % while a row is missing.
    share = 100.0 if progress.is_complete else min(99.9, progress.share * 100)
    which = "that can be built " if progress.blocked.count else ""
    lines.append(
        f"{share:.1f} % of the rows {which}are of it: "
        f"{progress.current_count} of {progress.buildable_count}"
    )
    lines += [
        f"  {versions}: {count}"
        for versions, count in sorted(progress.counts.items(), reverse=True)
    ]
    lines += _blocked_lines(progress)
    if run is not None:
        waits = f", waits ({run.waiting_for})" if run.waiting_for else ""
        lines.append(f"run {run.pk} is {run.state}{waits}: overview runs watch {run.pk}")
    elif not progress.is_complete:
        lines.append(_advice(progress))
    return lines


def _blocked_lines(progress: UpgradeProgress) -> Iterator[str]:
    """Yield the rows that cannot be built, each with its reason, and what can be done about them."""
    for kind, count in progress.blocked.counts.items():
        yield f"{kind} rows that stay as they are: {count} ({_REMEDIES[kind]})"
        named = [row for row in progress.blocked.named if row.kind is kind]
        for row in named:
            reason = row.reason.removeprefix(f"{row.course_key}: ")
            yield f"  {row.course_key}{': ' if reason else ''}{one_line(reason)}"
        if count > len(named):
            yield f"  and {count - len(named)} more"


_REMEDIES = {
    BlockedKind.FAULTY: "see overview explain COURSE; tried again when they are published",
    BlockedKind.COLLIDING: "rename one of the two courses",
    BlockedKind.HELD: "gone from the course index; allow or refuse it: overview deletes",
    BlockedKind.REFUSED: "gone from the course index, and somebody has said that they stay",
}


def _advice(progress: UpgradeProgress) -> str:
    target, attempt = progress.target, progress.attempt
    if progress.retry_in_seconds is not None:
        return (
            f"run {attempt.number} failed, the {attempt.failure_count}. in a row: {attempt.error}; the "
            f"next one is asked for in {shown_seconds(progress.retry_in_seconds)}, or now: "
            "overview upgrade --start"
        )
    if attempt.standing is UpgradeStanding.CANCELLED:
        return f"run {attempt.number} was cancelled; to go on: overview upgrade --start"
    if target is None or target.versions == progress.own:
        return "no run is under way: overview upgrade --start"
    if target.versions > progress.own:
        return "the workers of the newer release rebuild the rest; to go back: --roll-back"
    return "this release is newer than the target: overview upgrade --start"


def _run_under_way() -> OverviewRebuildRun | None:
    return next((run for run in active_runs() if run.full_slot), None)


def _as_json(progress: UpgradeProgress, run: OverviewRebuildRun | None) -> dict[str, object]:
    target = progress.target
    return {
        "own": _versions(progress.own),
        "target": None if target is None else _versions(target.versions),
        "is_pinned": target is not None and target.is_pinned,
        "total_count": progress.total_count,
        "current_count": progress.current_count,
        "share": round(progress.share, 6),
        "buildable_count": progress.buildable_count,
        "is_complete": progress.is_complete,
        "blocked": {kind.value: count for kind, count in progress.blocked.counts.items()},
        "blocked_rows": [
            {"course_key": row.course_key, "kind": row.kind.value, "reason": row.reason}
            for row in progress.blocked.named
        ],
        "upgrade": progress.attempt.standing.value,
        "failure_count": progress.attempt.failure_count,
        "error": progress.attempt.error,
        "retry_in_seconds": progress.retry_in_seconds,
        "rows": [
            {**_versions(versions), "count": count}
            for versions, count in sorted(progress.counts.items(), reverse=True)
        ],
        "run": None if run is None else run.pk,
    }


def _versions(versions: RowVersions) -> Mapping[str, int]:
    return {"builder": versions.builder, "schema": versions.schema}


COMMAND = Subcommand(
    name="upgrade",
    summary="bring every row to this release, or back to it",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
