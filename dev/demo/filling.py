"""The first fill: schema, catalogue, and every course rebuilt through the bulk queue."""

import time
from collections.abc import Callable, Sequence

from django.db.models import F

from dev.authoring.author import SplitAuthor
from dev.authoring.catalogue import SampleCourse
from dev.demo.cast import Cast
from dev.demo.seen import look_at_progress
from dev.demo.watching import NotArrived
from lms_integration.events import RebuildRequested
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import CourseOverview, OverviewMark
from overview_worker.celery import app
from overview_worker.queueing import RebuildQueue

#: The sweeper leaves the fill alone for so long: its own tasks come first.
_LEASE_SECONDS = 60
_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.02


def undo_damage(author: SplitAuthor, cast: Cast) -> None:
    """Put right the courses that an earlier run has left broken and degraded, without a word."""
    broken, degraded = cast.broken, cast.degraded
    author.edit_settings(broken.course_key, _as_planned(broken, "display_name", "start"))
    author.edit_settings(degraded.course_key, {}, unset=["days_early_for_beta"])


def request_rebuilds(course_keys: Sequence[str]) -> None:
    """Mark courses dirty and enqueue them for the bulk workers."""
    mark_courses(
        [CourseMark(course_key=key, event_type=RebuildRequested.type_name) for key in course_keys],
        not_before_seconds=_LEASE_SECONDS,
    )
    RebuildQueue(app).enqueue_bulk(course_keys)


def wait_until_rebuilt(
    course_keys: Sequence[str], *, progress: Callable[[int], None], check: Callable[[], None]
) -> None:
    """Wait until no course is dirty, telling how many are done; raises NotArrived."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    dirty = OverviewMark.objects.filter(wanted__gt=F("done"), course_key__in=course_keys)
    while left := dirty.count():
        progress(len(course_keys) - left)
        check()
        if time.monotonic() >= deadline:
            raise NotArrived(f"{left} courses not rebuilt in {_TIMEOUT_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)
    progress(len(course_keys))


def count_rows(course_keys: Sequence[str]) -> int:
    """Return how many of the courses have a row."""
    return CourseOverview.objects.filter(id__in=course_keys).count()


def describe_missing(course_keys: Sequence[str]) -> str:
    """Return the courses without a row, each with its fault; '' when all have one."""
    found = set(CourseOverview.objects.values_list("id", flat=True))
    missing = [key for key in course_keys if key not in found]
    return "; ".join(f"{key} ({look_at_progress(key).fault or 'no fault'})" for key in missing)


def _as_planned(course: SampleCourse, *names: str) -> dict[str, object]:
    return {name: course.settings[name] for name in names}
