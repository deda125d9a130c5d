"""The courses that the brake on mass deletes holds, and a person's word on them.

A word is written down and the course marked: the rebuild then does what was said, if the course is
still gone from the index; one that is back is built instead.
"""

from collections.abc import Sequence

from django.db import transaction

from lms_integration.database_clock import DatabaseNow
from lms_integration.events import RebuildRequested
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import OverviewRemoval, RemovalStatus

_CHUNK = 500
#: What can still be changed by a word.
_OPEN = (RemovalStatus.HELD, RemovalStatus.ALLOWED, RemovalStatus.REFUSED)


def held_delete_count() -> int:
    """Return how many deletes wait for a person's word."""
    return OverviewRemoval.objects.filter(status=RemovalStatus.HELD).count()


def open_removals(
    *, statuses: Sequence[RemovalStatus] = _OPEN, limit: int | None = None
) -> Sequence[OverviewRemoval]:
    """Return the courses that are held, allowed or refused, by key."""
    rows = OverviewRemoval.objects.filter(status__in=statuses).order_by("course_key")
    return list(rows if limit is None else rows[:limit])


def allow_removals(course_keys: Sequence[str]) -> list[str]:
    """Let courses go; return those that there was a question about."""
    return _decide(course_keys, RemovalStatus.ALLOWED)


def refuse_removals(course_keys: Sequence[str]) -> list[str]:
    """Keep the rows of courses until a delete is announced; return those there was a question about."""
    return _decide(course_keys, RemovalStatus.REFUSED)


def _decide(course_keys: Sequence[str], status: RemovalStatus) -> list[str]:
    decided: list[str] = []
    for start in range(0, len(course_keys), _CHUNK):
        with transaction.atomic():
            rows = OverviewRemoval.objects.filter(
                course_key__in=course_keys[start : start + _CHUNK], status__in=_OPEN
            )
            keys = sorted(rows.values_list("course_key", flat=True))
            rows.update(status=status, changed_at=DatabaseNow())
            marks = [
                CourseMark(course_key=key, event_type=RebuildRequested.type_name) for key in keys
            ]
            mark_courses(marks, commits=True)
        decided += keys
    return decided
