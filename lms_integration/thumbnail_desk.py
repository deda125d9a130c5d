"""Where a person looks at thumbnails and has refused ones tried again. SQL only: no image is touched.

What is wanted again is found by the workers within seconds, broker or not.
"""

from collections.abc import Sequence

from django.db.models import Count

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import OverviewThumbnails, ThumbnailState

_CHUNK = 500


def thumbnail_counts() -> dict[str, int]:
    """Return ``{state: courses}``, every state named."""
    counts = OverviewThumbnails.objects.values_list("state").annotate(Count("course_key"))
    return {state.value: 0 for state in ThumbnailState} | dict(counts)


def thumbnails(
    *, states: Sequence[ThumbnailState] = (), limit: int | None = None
) -> list[OverviewThumbnails]:
    """Return what is known of thumbnails, by course key; ``states`` narrows."""
    rows = OverviewThumbnails.objects.order_by("course_key")
    if states:
        rows = rows.filter(state__in=states)
    return list(rows if limit is None else rows[:limit])


def thumbnails_of(course_key: str) -> OverviewThumbnails | None:
    """Return what is known of one course's thumbnails; None while image sets have been off for it."""
    return OverviewThumbnails.objects.filter(course_key=course_key).first()


def retry_thumbnails(course_keys: Sequence[str]) -> list[str]:
    """Want thumbnails of courses anew, whatever became of them; return those that have an image."""
    retried: list[str] = []
    for start in range(0, len(course_keys), _CHUNK):
        chunk = course_keys[start : start + _CHUNK]
        rows = OverviewThumbnails.objects.filter(course_key__in=chunk).exclude(image_name="")
        keys = sorted(rows.values_list("course_key", flat=True))
        OverviewThumbnails.objects.filter(course_key__in=keys).update(
            state=ThumbnailState.WANTED,
            attempts=0,
            crashes=0,
            next_attempt_at=None,
            reason="",
            changed_at=DatabaseNow(),
        )
        retried += keys
    return retried
