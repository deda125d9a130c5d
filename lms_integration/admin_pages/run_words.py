"""What the admin says of a rebuild run: plain text, to be escaped by whoever shows it."""

import shlex
from collections.abc import Iterator
from datetime import timedelta

from django.utils.formats import number_format

from lms_integration.log_lines import one_line
from lms_integration.models import OverviewRebuildRun, RunDepth, RunScope, RunState
from lms_integration.rebuild_desk import RunProgress, RunRequest, named_count
from lms_integration.run_estimates import RunEstimate
from lms_integration.story import shown_span

_COUNTS = (
    ("written", "written_count"),
    ("unchanged", "unchanged_count"),
    ("removed", "tombstoned_count"),
    ("failed", "failed_count"),
    ("left to another rebuild", "busy_count"),
)


def scope_words(run: OverviewRebuildRun | RunRequest) -> str:
    """Return which courses a run looks at, such as ``the courses of EdX``."""
    match run.scope:
        case RunScope.ORG:
            return f"the courses of {one_line(run.org)}"
        case RunScope.COURSES:
            count = named_count(run)
            return f"{counted(count)} named course{'' if count == 1 else 's'}"
    return "all courses"


def who_words(run: OverviewRebuildRun) -> str:
    """Return who asked for a run, and where."""
    where = run.get_asked_from_display()
    return f"{one_line(run.asked_by)} ({where})" if run.asked_by else where


def count_words(run: OverviewRebuildRun) -> str:
    """Return what became of the courses so far; what did not happen is left out."""
    found = [f"{word} {counted(count)}" for word, count in outcome_counts(run) if count]
    return ", ".join(found) or "-"


def outcome_counts(run: OverviewRebuildRun) -> Iterator[tuple[str, int]]:
    """Yield what can become of a course, and of how many it did."""
    for word, column in _COUNTS:
        yield word, getattr(run, column)


def percent(progress: RunProgress) -> str:
    """Return how much is done; 100 % is all of it, never nearly all."""
    return f"{int(progress.share * 100)} %"


def rate_words(progress: RunProgress) -> str:
    """Return courses a second, and the limit that somebody has set."""
    limit = progress.run.rate
    words = f"{progress.rate:.1f}/s" if progress.rate else "-"
    return words if limit is None else f"{words} (at most {limit:g}/s)"


def left_words(progress: RunProgress) -> str:
    """Return how long it still takes, if that can be told."""
    if progress.run.state not in (RunState.PLANNED, RunState.RUNNING, RunState.PAUSED):
        return "-"
    if progress.seconds_left is None:
        return "not known yet"
    left = shown_span(timedelta(seconds=progress.seconds_left))
    return f"{left}, once resumed" if progress.run.state == RunState.PAUSED else left


def begins_words(progress: RunProgress) -> str:
    """Return when a planned run begins; '' for one that has begun or may begin at once."""
    run = progress.run
    if run.state != RunState.PLANNED or run.not_before is None or run.not_before <= progress.now:
        return ""
    return f"begins in {shown_span(run.not_before - progress.now)}"


def estimate_words(estimate: RunEstimate) -> str:
    """Return how many courses and how long, and how well that is known."""
    count, rebuilt, seconds = estimate.course_count, estimate.rebuilt_count, estimate.seconds
    if count is None or rebuilt is None or seconds is None:
        return "not known: no row and no inspection says how many courses there are"
    grounds = "as the last runs did" if estimate.is_measured else "a guess: no run was measured yet"
    some = "" if rebuilt == count else f", {counted(rebuilt)} of them to rebuild"
    return (
        f"{counted(count)} course{'' if count == 1 else 's'}{some}, about "
        f"{shown_span(timedelta(seconds=seconds))} at {_shown_rate(estimate.rate)} rebuilds a second "
        f"({grounds})"
    )


def estimated_words(run: OverviewRebuildRun) -> str:
    """Return what was expected of a run when it was asked for."""
    if run.estimated_count is None or run.estimated_seconds is None:
        return "-"
    span = shown_span(timedelta(seconds=run.estimated_seconds))
    return f"{counted(run.estimated_count)} course{'' if run.estimated_count == 1 else 's'}, {span}"


def _shown_rate(rate: float) -> str:
    return counted(round(rate)) if rate >= 1 else f"{rate:g}"


def comparing_command(request: RunRequest) -> str:
    """Return the command that only says what the run would find; safe to paste into a shell."""
    which = {
        RunScope.ALL: ["--all"],
        RunScope.ORG: ["--org", request.org],
        RunScope.COURSES: list(request.course_keys),
    }[RunScope(request.scope)]
    if request.scope != RunScope.COURSES and request.depth == RunDepth.STALE:
        return shlex.join(["overview", "reindex", *which, "--dry-run"])
    return shlex.join(["overview", "verify", *which])


def counted(count: int) -> str:
    """Return a number with its thousands apart."""
    return number_format(count, force_grouping=True)
