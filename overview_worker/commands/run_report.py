"""What became of a rebuild run: for people in lines, for programs as one object."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.console import Console

from lms_integration.course_keys import parse_course_key
from lms_integration.events import RebuildRequested
from lms_integration.log_lines import one_line
from lms_integration.models import (
    OverviewMark,
    OverviewRebuildLane,
    OverviewRebuildRun,
    OverviewRunFailure,
    RunScope,
    RunState,
)
from lms_integration.rebuild_desk import RunProgress, named_count
from overview_worker.commands.base import print_json
from overview_worker.commands.run_watching import progress_line, shown_seconds

#: Courses that are named one by one, failed or unfinished; the rest is counted.
SHOWN_COURSES = 20

#: What is counted of a run, and how a person reads it.
_COUNTS = {
    "written_count": "written",
    "unchanged_count": "unchanged",
    "tombstoned_count": "removed",
    "failed_count": "failed",
    "busy_count": "left to another rebuild",
}


def is_all_well(run: OverviewRebuildRun) -> bool:
    """Whether the run is done and every course of it is up to date, or another rebuild sees to it.

    A run of an organisation that has no course is not.
    """
    if run.scope == RunScope.ORG and not run.total_count:
        return False  # nobody means no course: the name is wrong
    return run.state == RunState.DONE and not run.failed_count


def failures_of(run_id: int, *, limit: int | None = None) -> list[OverviewRunFailure]:
    """Return the courses that the run could not rebuild, by course key."""
    return list(OverviewRunFailure.objects.filter(run_id=run_id).order_by("course_key")[:limit])


def scope_of(run: OverviewRebuildRun) -> str:
    """Return which courses the run looks at, in a word or two."""
    match run.scope:
        case RunScope.ORG:
            return f"org {run.org}"
        case RunScope.COURSES if named_count(run) == 1:
            return str(run.course_keys[0])
        case RunScope.COURSES:
            return f"{named_count(run)} courses"
        case _:
            return "all"


def depth_of(run: OverviewRebuildRun) -> str:
    """Return how thorough the run is, in a word or two."""
    return run.depth if run.version_below is None else f"{run.depth} (below {run.version_below})"


def counts_line(run: OverviewRebuildRun) -> str:
    """Return what became of the courses; nothing is said of what there was none of."""
    shown = [f"{word}: {count}" for name, word in _COUNTS.items() if (count := getattr(run, name))]
    return ", ".join(shown) or "no course was looked at"


def unfinished_keys(run: OverviewRebuildRun) -> list[str]:
    """Return the named courses of a run that no worker has come to the end of."""
    lanes = OverviewRebuildLane.objects.filter(run_id=run.pk).exclude(until_key="")
    open_ranges = [(lane.after_key, lane.until_key) for lane in lanes]
    return [
        key
        for key in run.course_keys
        if (key > run.after_key and not run.is_claimed_out)
        or any(after < key <= until for after, until in open_ranges)
    ]


def left_keys(run: OverviewRebuildRun) -> list[str]:
    """Return the courses in the run's scope that it left to other rebuilds, and that still wait."""
    waiting = OverviewMark.objects.filter(
        dirty_since__isnull=False, last_event_type=RebuildRequested.type_name
    )
    keys = waiting.order_by("course_key").values_list("course_key", flat=True)
    named = set(run.course_keys)
    return [
        key
        for key in keys
        if (not named or key in named)
        and (not run.org or parse_course_key(key).org.casefold() == run.org.casefold())
    ]


def print_outcome(progress: RunProgress, console: Console) -> None:
    """Print what a run came to, or how far it is, with the courses that failed."""
    run = progress.run
    if run.state == RunState.DONE:
        took = shown_seconds(run.running_seconds)
        pace = f", {progress.rate:.0f} courses/s" if progress.rate else ""
        console.print(f"run {run.pk} done in {took}{pace}")
    else:
        console.print(progress_line(progress))
    console.print(counts_line(run))
    if run.error:
        console.print(f"why it failed: {run.error}")
    print_failures(run, console)
    unfinished = [] if run.state == RunState.DONE else unfinished_keys(run)
    for key in unfinished[:SHOWN_COURSES]:
        console.print(f"{key}: not rebuilt yet: {run.waiting_for or 'no worker has come to it'}")
    if len(unfinished) > SHOWN_COURSES:
        console.print(f"and {len(unfinished) - SHOWN_COURSES} more are not rebuilt yet")


def print_failures(run: OverviewRebuildRun, console: Console) -> None:
    """Print the first courses that could not be rebuilt, each with its reason."""
    for failure in failures_of(run.pk, limit=SHOWN_COURSES):
        reason = failure.reason.removeprefix(f"{failure.course_key}: ")
        console.print(f"{failure.course_key}: {failure.outcome}: {one_line(reason)}")
    if run.failed_count > SHOWN_COURSES:
        more = run.failed_count - SHOWN_COURSES
        console.print(f"and {more} more: overview runs show {run.pk} --json")


def print_run_json(progress: RunProgress, console: Console, **more: object) -> None:
    """Print everything of a run as one JSON object; ``more`` is put at its beginning."""
    print_json(console, {**more, **run_facts(progress, failures_of(progress.run.pk))})


def run_facts(
    progress: RunProgress, failures: Sequence[OverviewRunFailure] | None = None
) -> Mapping[str, object]:
    """Return a run as the commands' JSON has it.

    Without ``failures``, as in lists, failed and named courses are only counted: there may be thousands.
    """
    run = progress.run
    facts: dict[str, object] = {
        "run": run.pk,
        "state": run.state,
        "scope": run.scope,
        "org": run.org,
        "depth": run.depth,
        "version_below": run.version_below,
        "asked_by": run.asked_by,
        "asked_from": run.asked_from,
        "reason": run.reason,
        "rate_limit": run.rate,
        "lane_count": run.lane_count,
        "estimated_count": run.estimated_count,
        "estimated_seconds": _rounded(run.estimated_seconds),
        "waiting_for": run.waiting_for,
        "error": run.error,
        "created_at": _iso(run.created_at),
        "started_at": _iso(run.started_at),
        "finished_at": _iso(run.finished_at),
        "running_seconds": round(run.running_seconds, 3),
        "total_count": run.total_count,
        "done_count": progress.done_count,
        "rebuilt_count": run.rebuilt_count,
        **{name: getattr(run, name) for name in _COUNTS},
        "share": round(progress.share, 4),
        "rate": round(progress.rate, 3),
        "seconds_left": progress.seconds_left,
    }
    if failures is not None:
        facts["course_keys"] = run.course_keys
        facts["failures"] = [
            {
                "course_key": each.course_key,
                "outcome": each.outcome,
                "reason": each.reason,
                "failed_at": _iso(each.failed_at),
            }
            for each in failures
        ]
    return facts


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
