"""Waiting for marked courses to be rebuilt, with a progress bar."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lms_integration.database_clock import DatabaseNow
from lms_integration.log_lines import one_line
from lms_integration.models import HELD_BACK_SECONDS, OverviewMark, OverviewState

POLL_SECONDS = 0.02
#: Unfinished courses that are named one by one.
SHOWN_UNFINISHED = 20
#: Keys in one query.
_PAGE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Waited:
    """What waiting came to: both are course keys."""

    faulty: tuple[str, ...]  #: a permanent fault is recorded
    unfinished: tuple[str, ...]  #: still dirty, without a fault

    @property
    def all_good(self) -> bool:
        """Whether every course is up to date."""
        return not self.faulty and not self.unfinished


def wait_until_clean(
    course_keys: Sequence[str], *, timeout_seconds: float, console: Console
) -> Waited:
    """Wait until each course is rebuilt or has a fault, or time is up; Ctrl-C stops the waiting only."""
    deadline = time.monotonic() + timeout_seconds
    waiting, faulty = list(course_keys), list[str]()
    with _progress(console, len(course_keys)) as progress:
        task = progress.add_task("rebuilding", total=len(course_keys))
        while True:
            waiting = _dirty(waiting)
            new_faults = _with_fault(waiting)
            faulty += new_faults
            waiting = [key for key in waiting if key not in set(new_faults)]
            progress.update(task, completed=len(course_keys) - len(waiting))
            if not waiting or time.monotonic() >= deadline:
                break
            time.sleep(POLL_SECONDS if len(waiting) <= _PAGE else POLL_SECONDS * 10)
    for key in faulty:
        console.print(f"not rebuilt: {one_line(_fault(key) or key)}", markup=False)
    for key in waiting[:SHOWN_UNFINISHED]:
        reason = _last_error(key) or "no worker has come to it"
        console.print(f"{key}: not rebuilt yet: {one_line(reason)}", markup=False)
    if len(waiting) > SHOWN_UNFINISHED:
        console.print(f"and {len(waiting) - SHOWN_UNFINISHED} more are not rebuilt yet")
    return Waited(faulty=tuple(faulty), unfinished=tuple(waiting))


def _progress(console: Console, total: int) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=total < 5 or not console.is_terminal,
    )


def _dirty(keys: Sequence[str]) -> list[str]:
    return [
        key
        for start in range(0, len(keys), _PAGE)
        for key in OverviewMark.objects.filter(
            course_key__in=keys[start : start + _PAGE], wanted__gt=F("done")
        ).values_list("course_key", flat=True)
    ]


def _with_fault(keys: Sequence[str]) -> list[str]:
    # A fault from before the mark does not count: one that was met since holds the course back.
    return [
        key
        for start in range(0, len(keys), _PAGE)
        for key in OverviewMark.objects.filter(
            course_key__in=OverviewState.objects.filter(
                course_key__in=keys[start : start + _PAGE], fault__isnull=False
            ).values("course_key"),
            next_attempt_at__gt=DatabaseNow(offset_seconds=HELD_BACK_SECONDS),
        ).values_list("course_key", flat=True)
    ]


def _fault(key: str) -> str | None:
    return OverviewState.objects.filter(course_key=key).values_list("fault", flat=True).first()


def _last_error(key: str) -> str | None:
    return OverviewMark.objects.filter(course_key=key).values_list("last_error", flat=True).first()
