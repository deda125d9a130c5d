"""After the play: every rebuild that happens, as it happens, until Ctrl-C."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from dev.demo.screen import Screen, show
from dev.demo.watching import Times
from lms_integration.models import CourseOverview, DeadLetter, OverviewMark, OverviewState

_POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the newest rebuild of a course left behind."""

    verified_at: datetime | None
    built_at: datetime | None
    deleted: bool
    fault: str | None
    fault_seen_at: datetime | None  #: a fault is recorded each time that it is met


def show_rebuilds(screen: Screen, *, check: Callable[[], None]) -> None:
    """Show each course that is rebuilt from now on; ends with Ctrl-C, or with what ``check`` raises."""
    screen.text("\nTimes are milliseconds since the course was marked.")
    known = _verdicts()
    while True:
        check()
        now = _verdicts()
        for course_key in now:
            if now[course_key] != known.get(course_key):
                _show(screen, course_key, known.get(course_key), now[course_key])
        known = now
        time.sleep(_POLL_SECONDS)


def _verdicts() -> Mapping[str, Verdict]:
    letters = DeadLetter.objects.order_by("last_seen_at").values_list("course_key", "last_seen_at")
    faults_seen_at = dict(letters)
    return {
        state.course_key: Verdict(
            verified_at=state.verified_at,
            built_at=state.built_at,
            deleted=state.deleted,
            fault=state.fault,
            fault_seen_at=faults_seen_at.get(state.course_key),
        )
        for state in OverviewState.objects.defer("degradations").order_by("verified_at")
    }


def _show(screen: Screen, course_key: str, old: Verdict | None, new: Verdict) -> None:
    mark = OverviewMark.objects.filter(course_key=course_key).first()
    times = times_since(
        None if mark is None else mark.last_event_at, new, seen_at=datetime.now(UTC)
    )
    screen.event(what_happened(old, new), course_key, times, _result(course_key, new))


def what_happened(old: Verdict | None, new: Verdict) -> str:
    """Return one word for the difference between two verdicts."""
    if new.fault is not None:
        return "broken"
    if new.deleted:
        return "delete"
    return "unchanged" if old is not None and new.built_at == old.built_at else "written"


def times_since(marked_at: datetime | None, verdict: Verdict, *, seen_at: datetime) -> Times:
    """Return when the rebuild finished and when it was seen, from the mark on."""
    finished_at = verdict.verified_at if verdict.fault is None else verdict.fault_seen_at
    if marked_at is None or finished_at is None:
        return Times()
    return Times(
        row_ms=(finished_at - marked_at).total_seconds() * 1000,
        seen_ms=(seen_at - marked_at).total_seconds() * 1000,
    )


def _result(course_key: str, verdict: Verdict) -> str:
    if verdict.fault is not None:
        return verdict.fault
    row = CourseOverview.objects.filter(id=course_key).first()
    return "row gone" if row is None else f"display_name {show(row.display_name)}"
