"""The inspector's pulse: whether somebody still looks at all rows, and what it found last."""

from dataclasses import dataclass

from lms_integration.conf import max_inspection_age_seconds
from lms_integration.database_clock import DatabaseNow
from lms_integration.models import OverviewInspection, OverviewState


@dataclass(frozen=True, kw_only=True, slots=True)
class InspectionPulse:
    """The inspector at one moment."""

    is_overdue: bool  #: no pass has ended for too long, so that nobody knows whether rows are right
    seconds: float | None  #: since the newest pass that ended; None: there is none
    error: str  #: why the newest pass broke off; '' where it did not


def inspection_pulse() -> InspectionPulse:
    """Return the inspector's pulse by the database's clock; two queries, three before a first pass."""
    passes = OverviewInspection.objects.annotate(database_now=DatabaseNow())
    # In the order of their numbers: a clock that is set back makes older passes seem newer.
    newest = passes.order_by("-pk").first()
    ended = passes.filter(finished_at__isnull=False).order_by("-pk").first()
    limit_seconds = max_inspection_age_seconds()
    seconds = None
    if ended is not None and ended.finished_at is not None:
        seconds = max(0.0, (ended.database_now - ended.finished_at).total_seconds())
        is_late = seconds > limit_seconds
    else:
        is_late = _has_old_states(limit_seconds)
    return InspectionPulse(
        is_overdue=bool(limit_seconds) and is_late,
        seconds=None if seconds is None else round(seconds, 3),
        error="" if newest is None else newest.error,
    )


def _has_old_states(limit_seconds: int) -> bool:
    """Whether there are courses for so long that a pass should have seen them."""
    before = DatabaseNow(offset_seconds=-limit_seconds)
    return OverviewState.objects.filter(built_at__lt=before).exists()
