"""Seeing a rebuild run through: begun soon, watched, reported, with an exit code that tells the truth."""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from django.core.management.base import CommandError
from kombu.exceptions import KombuError
from rich.console import Console

from lms_integration.models import OverviewRebuildLane, RunScope, RunState
from lms_integration.rebuild_desk import (
    ACTIVE_STATES,
    RunRefused,
    RunRequest,
    ask_for_run,
    cancel_run,
    progress_of,
)
from lms_integration.run_estimates import RunEstimate, estimate
from overview_worker.celery import app
from overview_worker.commands.base import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_PROBLEM,
    number_from_zero,
)
from overview_worker.commands.console import command_console
from overview_worker.commands.run_report import (
    depth_of,
    is_all_well,
    left_keys,
    print_outcome,
    print_run_json,
    scope_of,
)
from overview_worker.commands.run_watching import (
    POLL_SECONDS,
    RunScreen,
    Watch,
    Watched,
    WatchEnd,
    interruptible,
    shown_seconds,
    watch_run,
    work_here,
)
from overview_worker.commands.waiting import wait_until_clean
from overview_worker.queueing import RebuildQueue

#: Longest wait for the chunks that a cancelled run still has at hand.
CHUNKS_AT_HAND_SECONDS = 30.0
#: Longest wait for courses that a run left to other rebuilds: what is behind its announcement is
#: believed after a minute. Without workers there is nobody to come back to it.
LEFT_SECONDS = 90.0
LEFT_HERE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """How a run is watched and told of."""

    timeout_seconds: float | None = None
    cancels_on_interrupt: bool = False
    as_json: bool = False
    waits: bool = True
    is_here: bool = False  #: in this process, without the workers

    @classmethod
    def of(cls, arguments: Namespace) -> Self:
        """Return what ``add_watch_arguments`` has read."""
        return cls(
            timeout_seconds=arguments.timeout,
            cancels_on_interrupt=arguments.cancel_on_interrupt,
            as_json=arguments.json,
        )


def add_watch_arguments(parser: ArgumentParser) -> None:
    """Add how long a run is watched, and what Ctrl-C means."""
    parser.add_argument(
        "--timeout",
        type=number_from_zero,
        metavar="SECONDS",
        help="stop watching after so long (default: when the run is over)",
    )
    parser.add_argument(
        "--cancel-on-interrupt",
        action="store_true",
        help="Ctrl-C cancels the run (default: it goes on, and only the watching ends)",
    )


def ask_and_see_through(request: RunRequest, manner: Manner, console: Console) -> int:
    """Ask for a run, have it carried out as ``manner`` says, and return the exit code.

    Raises:
        CommandError: the run is refused, mostly as another one of all courses is under way.
    """
    screen = screen_of(manner, console)
    expected = _expected(estimate(request))
    with refusals_told():
        run = ask_for_run(request)
    screen.print(f"run {run.pk}: {scope_of(run)}, depth {depth_of(run)}{expected}")
    return see_through(run.pk, manner, console)


def see_through(run_id: int, manner: Manner, console: Console) -> int:
    """Have a run carried out as ``manner`` says; return the exit code."""
    if manner.is_here:
        return _work_here_and_report(run_id, manner, console)
    begin_soon(run_id, screen_of(manner, console))
    if manner.waits:
        return watch_and_report(run_id, manner, console)
    if manner.as_json:
        print_run_json(progress_of(run_id), console)
    else:
        console.print(f"see it to its end with: overview runs watch {run_id}")
    return EXIT_OK


@contextmanager
def refusals_told() -> Iterator[None]:
    """Turn a refused run into one clear line."""
    try:
        yield
    except RunRefused as refused:
        raise CommandError(f"{refused} (overview runs shows them)") from refused


def begin_soon(run_id: int, screen: Console) -> None:
    """Hand a run's lanes to the bulk workers; where the broker does not answer, beat does so later.

    Waits some seconds at most for a broker that does not answer.
    """
    lane_count = progress_of(run_id).run.lane_count
    queue = RebuildQueue(app)
    try:
        for lane in range(lane_count):
            queue.enqueue_lane(run_id, lane)
    except (KombuError, OSError) as error:
        screen.print(
            f"run {run_id} is asked for, but the broker does not answer ({error}): beat has the "
            "workers begin when it does"
        )


def watch_and_report(run_id: int, manner: Manner, console: Console) -> int:
    """Watch a run until it is over, tell what became of it, and return the exit code.

    Raises:
        RunRefused: there is no such run.
    """
    return _seen(run_id, manner, console, watch_run)


def _work_here_and_report(run_id: int, manner: Manner, console: Console) -> int:
    return _seen(run_id, manner, console, work_here)


def _seen(
    run_id: int, manner: Manner, console: Console, see: Callable[[int, RunScreen, Watch], Watched]
) -> int:
    screen = screen_of(manner, console)
    with interruptible() as interruption:
        with RunScreen(screen) as run_screen:
            watch = Watch.of(interruption, timeout_seconds=manner.timeout_seconds)
            watched = see(run_id, run_screen, watch)
        if watched.end is WatchEnd.INTERRUPTED and manner.cancels_on_interrupt:
            watched = _cancelled(watched, screen)
    left_is_done = _see_what_was_left(watched, manner, screen)
    return report(watched, manner, console, left_is_done=left_is_done)


def _see_what_was_left(watched: Watched, manner: Manner, screen: Console) -> bool:
    """Wait for the courses that the run left to other rebuilds; return whether they are up to date."""
    run = watched.progress.run
    if run.state != RunState.DONE or not run.busy_count:
        return True
    seconds = LEFT_HERE_SECONDS if manner.is_here else LEFT_SECONDS
    return wait_until_clean(left_keys(run), timeout_seconds=seconds, console=screen).all_good


def screen_of(manner: Manner, console: Console) -> Console:
    """Return where progress is shown: not among the JSON."""
    return command_console(sys.stderr) if manner.as_json else console


def report(watched: Watched, manner: Manner, console: Console, *, left_is_done: bool = True) -> int:
    """Tell what a run came to, or how far it is and how to go on; return the exit code."""
    run = watched.progress.run
    all_well = is_all_well(run) and left_is_done
    if manner.as_json:
        print_run_json(
            watched.progress, console, up_to_date=all_well, watching_ended=watched.end.value
        )
    else:
        print_outcome(watched.progress, console)
        for line in _what_next(watched, manner):
            console.print(line)
    if watched.end is WatchEnd.INTERRUPTED:
        return EXIT_INTERRUPTED
    return EXIT_OK if all_well else EXIT_PROBLEM


def _expected(guess: RunEstimate) -> str:
    if guess.seconds is None:
        return "; how many courses there are is not known yet"
    if guess.seconds < 1:
        return ""
    how = "as the last runs went" if guess.is_measured else "by a guess"
    some = (
        f", {guess.rebuilt_count} to rebuild" if guess.rebuilt_count != guess.course_count else ""
    )
    return f"; about {guess.course_count} courses{some}, {shown_seconds(guess.seconds)} {how}"


def _cancelled(watched: Watched, screen: Console) -> Watched:
    """Cancel the run and wait for the chunks at hand; a second Ctrl-C does not wait."""
    run_id = cancel_run(watched.progress.run.pk).pk
    screen.print(f"run {run_id} is cancelled; the chunks at hand are still finished")
    deadline = time.monotonic() + CHUNKS_AT_HAND_SECONDS
    while _has_chunks_at_hand(run_id) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return replace(watched, progress=progress_of(run_id))


def _has_chunks_at_hand(run_id: int) -> bool:
    return OverviewRebuildLane.objects.filter(run_id=run_id, claimed_at__isnull=False).exists()


def _what_next(watched: Watched, manner: Manner) -> Iterator[str]:
    run = watched.progress.run
    if run.state in ACTIVE_STATES and manner.is_here:
        yield f"run {run.pk} stays where it is until workers, or you, go on with it:"
        yield f"  overview reindex --resume {run.pk} --here"
        yield f"  overview runs cancel {run.pk}     end it"
    elif run.state in ACTIVE_STATES:
        yield f"run {run.pk} goes on without this command:"
        yield f"  overview runs watch {run.pk}      see it to its end"
        yield f"  overview runs pause {run.pk}      stop it for a while"
        yield f"  overview runs cancel {run.pk}     end it"
    elif run.state in (RunState.CANCELLED, RunState.FAILED):
        yield f"to go on where it was: overview runs resume {run.pk}"
    elif run.scope == RunScope.ORG and not run.total_count:
        yield f"no course is of the organisation {run.org!r}"
