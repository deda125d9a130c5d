"""How much waits for a rebuild, and for how long: the pipeline's pulse."""

from dataclasses import dataclass

from django.db.models import Count, Q

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import HELD_BACK_SECONDS, OverviewMark

#: A course that stays dirty for longer is a fault of the pipeline, in seconds.
MAX_DIRTY_AGE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Dirt:
    """The dirty courses at one moment."""

    count: int  #: dirty, and to be rebuilt without anybody's help
    oldest_seconds: float  #: age of the oldest of them; 0.0 when there is none
    held_back_count: int  #: dirty, but with a fault that an author or operator has to mend


def dirt() -> Dirt:
    """Return what is dirty now, by the database's clock."""
    dirty = OverviewMark.objects.filter(dirty_since__isnull=False)
    held_back = Q(next_attempt_at__gt=DatabaseNow(offset_seconds=HELD_BACK_SECONDS))
    found = dirty.aggregate(
        held_back=Count("course_key", filter=held_back),
        count=Count("course_key"),
    )
    oldest = (
        dirty.exclude(held_back & Q(next_attempt_at__isnull=False))
        .annotate(database_now=DatabaseNow())
        .order_by("dirty_since")
        .first()
    )
    age = 0.0
    if oldest is not None and oldest.dirty_since is not None:
        age = (oldest.database_now - oldest.dirty_since).total_seconds()
    return Dirt(
        count=found["count"] - found["held_back"],
        oldest_seconds=round(age, 3),
        held_back_count=found["held_back"],
    )
