"""Watching a rebuild run until it is over, with a progress bar; Ctrl-C ends the watching."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from types import FrameType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from lms_integration.models import RunState
from lms_integration.rebuild_desk import ACTIVE_STATES, RunProgress, progress_of
from overview_worker.bootstrap import dependencies

POLL_SECONDS = 0.1
#: A run that stays planned for so long has nobody who begins it.
NOBODY_BEGINS_SECONDS = 10.0
#: A run that has not moved for so long has lost its workers: another would have taken over.
NOBODY_WORKS_SECONDS = 60.0
#: Into a pipe or a file, one line of progress is printed so often.
LINE_EVERY_SECONDS = 30.0


class WatchEnd(Enum):
    """Why the watching ended."""

    OVER = "over"  #: the run is done, cancelled or failed
    TIME_UP = "time up"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What was seen last."""

    progress: RunProgress
    end: WatchEnd


class Interruption:
    """Whether somebody has pressed Ctrl-C; the second time the process leaves at once."""

    def __init__(self) -> None:
        self.is_asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take the signal.

        Raises:
            KeyboardInterrupt: the second time.
        """
        if self.is_asked:
            raise KeyboardInterrupt
        self.is_asked = True


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Have the first Ctrl-C only say so: raised anywhere, it could break a database connection."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption  # only the main thread gets signals
        return
    before = signal.signal(signal.SIGINT, interruption)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """How long to watch: until the run is over, time is up or somebody interrupts."""

    interruption: Interruption
    deadline: float | None = None  #: of ``time.monotonic``

    @classmethod
    def of(cls, interruption: Interruption, *, timeout_seconds: float | None) -> Self:
        """Return a watch that begins now."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        return cls(interruption=interruption, deadline=deadline)

    def end(self, progress: RunProgress) -> WatchEnd | None:
        """Return why the watching ends now, if it does."""
        if progress.run.state not in ACTIVE_STATES:
            return WatchEnd.OVER
        if self.interruption.is_asked:
            return WatchEnd.INTERRUPTED
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return WatchEnd.TIME_UP
        return None


def watch_run(run_id: int, screen: "RunScreen", watch: Watch) -> Watched:
    """Show the progress of a run that workers carry out, until the watch ends.

    Raises:
        RunRefused: there is no such run.
    """
    while True:
        progress = progress_of(run_id)
        screen.show(progress)
        end = watch.end(progress)
        if end is not None:
            return Watched(progress=progress, end=end)
        time.sleep(POLL_SECONDS)


def work_here(run_id: int, screen: "RunScreen", watch: Watch) -> Watched:
    """Carry out a run in this process and show its progress, until it or the watch ends.

    The chunk at hand is finished first. Workers may have a part in the same run.

    Raises:
        RunRefused: there is no such run.
    """

    def look() -> None:
        progress = progress_of(run_id)
        screen.show(progress)
        end = watch.end(progress)
        if end is not None:
            raise _Ended(Watched(progress=progress, end=end))

    try:
        dependencies().runs.run_here(run_id, on_progress=look)
    except _Ended as ended:
        return ended.watched
    return Watched(progress=progress_of(run_id), end=WatchEnd.OVER)


class _Ended(Exception):
    """The watching has ended."""

    def __init__(self, watched: Watched) -> None:
        super().__init__(watched.end.value)
        self.watched = watched


class RunScreen:
    """A progress bar at a terminal, and a line now and then elsewhere; a context."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: set[str] = set()
        self._next_line_at = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID = self._bar.add_task("", total=None, pace="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, progress: RunProgress) -> None:
        """Show how far a run is, and say once what it waits for."""
        run = progress.run
        self._bar.update(
            self._task,
            description=f"run {run.pk} {run.state}",
            total=run.total_count,
            completed=progress.done_count,
            pace=pace_of(progress),
        )
        for line in _remarks(progress):
            self._say_once(line)
        if self._console.is_terminal or run.state not in ACTIVE_STATES:
            return
        if time.monotonic() >= self._next_line_at:
            self._next_line_at = time.monotonic() + LINE_EVERY_SECONDS
            self._console.print(progress_line(progress))

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._console.print(line)


def _remarks(progress: RunProgress) -> Iterator[str]:
    run = progress.run
    if run.waiting_for and run.state == RunState.RUNNING:
        yield f"run {run.pk} waits: {run.waiting_for}"
    if run.state == RunState.PAUSED:
        yield f"run {run.pk} is paused; it goes on with: overview runs resume {run.pk}"
    quiet = (progress.now - (run.progressed_at or progress.now)).total_seconds()
    is_waiting = run.not_before is not None and run.not_before > progress.now
    if run.state == RunState.RUNNING and quiet > NOBODY_WORKS_SECONDS and not is_waiting:
        yield (
            f"run {run.pk} has not moved for {NOBODY_WORKS_SECONDS:.0f} s: are bulk workers running? "
            "Look with: overview doctor"
        )
    age = (progress.now - max(run.created_at, run.not_before or run.created_at)).total_seconds()
    if run.state == RunState.PLANNED and age > NOBODY_BEGINS_SECONDS:
        yield (
            f"run {run.pk} has been waiting for {NOBODY_BEGINS_SECONDS:.0f} s: are a bulk worker and "
            "beat running? Look with: overview doctor"
        )


def progress_line(progress: RunProgress) -> str:
    """Return how far a run is, on one line."""
    run = progress.run
    total = "?" if run.total_count is None else str(run.total_count)
    parts = [f"run {run.pk} {run.state}", f"{progress.done_count} of {total} courses"]
    pace = pace_of(progress)
    return ", ".join([*parts, pace] if pace else parts)


def pace_of(progress: RunProgress) -> str:
    """Return rate and time left, as far as they can be told."""
    parts = [f"{progress.rate:.0f} courses/s"] if progress.rate else []
    if progress.seconds_left and progress.run.state in ACTIVE_STATES:
        parts.append(f"{shown_seconds(progress.seconds_left)} left")
    return ", ".join(parts)


def shown_seconds(seconds: float) -> str:
    """Return a duration as people say it: ``0.8 s``, ``42 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
