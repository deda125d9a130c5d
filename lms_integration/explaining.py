"""Reads what SQL holds of one course, for its story: eight small queries, all by the key."""

from django.utils import timezone

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import (
    CourseOverview,
    DeadLetter,
    OverviewMark,
    OverviewRemoval,
    OverviewState,
    OverviewTombstone,
    RebuildRecord,
)
from lms_integration.story import CourseFacts, SourceFacts, Story, tell_story

#: Dead letters of the course that its story shows; the others are counted.
SHOWN_LETTERS = 10


def explain_course(course_key: str, *, source: SourceFacts | None = None) -> Story:
    """Return the story of a course; ``source`` is what the course index says, None if it was not asked.

    Raises:
        django.db.DatabaseError: the database refused or did not answer.
    """
    return tell_story(_facts_of(course_key, source))


def _facts_of(course_key: str, source: SourceFacts | None) -> CourseFacts:
    mark = (
        OverviewMark.objects.filter(course_key=course_key)
        .annotate(database_now=DatabaseNow())
        .first()
    )
    # The column may ignore case; see ``dead_letter_desk.find_dead_letters``.
    letters = DeadLetter.objects.filter(course_key=course_key, course_key__contains=course_key)
    return CourseFacts(
        course_key=course_key,
        now=timezone.now() if mark is None else mark.database_now,
        row=_row_of(course_key),
        state=OverviewState.objects.filter(course_key=course_key).first(),
        mark=mark,
        tombstone=OverviewTombstone.objects.filter(course_key=course_key).first(),
        removal=OverviewRemoval.objects.filter(course_key=course_key).first(),
        records=list(RebuildRecord.objects.filter(course_key=course_key).order_by("-sequence")),
        letters=list(letters.defer("body").order_by("-last_seen_at", "-id")[:SHOWN_LETTERS]),
        letter_count=letters.count(),
        source=source,
    )


def _row_of(course_key: str) -> CourseOverview | None:
    """Return the row; a platform's table may find another course's under the key."""
    row = CourseOverview.objects.filter(id=course_key).first()
    return row if row is not None and row.id == course_key else None
