"""Freshness as a figure: how many publishes a reader saw in time, of the last hours or days.

From SQL alone. A publish that is still waiting counts against every limit that it has overstepped.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Count, Q, QuerySet

from lms_integration.database_clock import DatabaseNow, now_sql
from lms_integration.lateness import LATE_AFTER_MS, LateReason
from lms_integration.models import OverviewMark, OverviewServed

#: ``{seconds: what counts the publishes that were visible within them}``.
LIMITS: Mapping[int, str] = {
    1: "within_1_second",
    10: "within_10_seconds",
    60: "within_60_seconds",
    300: "within_5_minutes",
}

_COLUMNS = ("total", *LIMITS.values())
# One statement, so that a publish that is being counted into its hour is seen once.
_FIGURES = f"""
SELECT {", ".join(f"COALESCE(SUM({name}), 0)" for name in _COLUMNS)}, COALESCE(MAX(max_ms), 0)
FROM (
    SELECT {", ".join(_COLUMNS)}, max_ms FROM overview_freshness WHERE hour >= {{since}}
    UNION ALL
    SELECT 1, {", ".join(f"latency_ms <= {seconds * 1000}" for seconds in LIMITS)}, latency_ms
    FROM overview_served WHERE counted = FALSE AND served_at >= {{since}}
) AS figures
"""  # noqa: S608 - names and numbers of ours


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """The publishes that were visible within a limit."""

    within: int
    total: int  #: those that were visible, and those that have been waiting for longer

    @property
    def ratio(self) -> float:
        """Between 0 and 1; 1 where nothing was published."""
        return self.within / self.total if self.total else 1.0

    @property
    def nines(self) -> float:
        """How many nines the ratio has: 0.999 has 3. At most what so many publishes can prove."""
        if not self.total:
            return 0.0
        provable = math.log10(self.total)
        missed = self.total - self.within
        return provable if missed == 0 else min(provable, -math.log10(missed / self.total))


@dataclass(frozen=True, kw_only=True, slots=True)
class Freshness:
    """How soon publishes became visible."""

    hours: int
    shares: Mapping[int, Share]  #: by limit in seconds
    max_seconds: float  #: the slowest; of those that are visible
    waiting_count: int  #: publishes that are not visible yet, whatever their age


@dataclass(frozen=True, kw_only=True, slots=True)
class LatePublish:
    """One publish that took longer than ``LATE_AFTER_MS``."""

    course_key: str
    seconds: float  #: until it was visible, or until now
    served_at: datetime | None  #: None: still waiting
    reason: LateReason | None
    detail: str


def freshness(*, hours: int) -> Freshness:
    """Return the figures of the last ``hours``, to the full hour, by the database's clock."""
    statement = _FIGURES.format(since=now_sql(connection.vendor, offset_seconds=-hours * 3600))
    with connection.cursor() as cursor:
        cursor.execute(statement, ())
        total, *within, max_ms = (int(value) for value in cursor.fetchone())
    waiting = _waiting().aggregate(
        count=Count("course_key"),
        **{f"older_{seconds}": Count("course_key", filter=_older(seconds)) for seconds in LIMITS},
    )
    return Freshness(
        hours=hours,
        shares={
            seconds: Share(within=count, total=total + waiting[f"older_{seconds}"])
            for seconds, count in zip(LIMITS, within, strict=True)
        },
        max_seconds=max_ms / 1000,
        waiting_count=waiting["count"],
    )


def late_publishes(*, limit: int) -> Sequence[LatePublish]:
    """Return the newest late publishes: those that still wait, longest first, then those served."""
    waiting = (
        _waiting()
        .filter(_older(LATE_AFTER_MS // 1000))
        .annotate(database_now=DatabaseNow())
        .order_by("published_since")[:limit]
    )
    found = [
        LatePublish(
            course_key=mark.course_key,
            seconds=(mark.database_now - mark.published_since).total_seconds(),
            served_at=None,
            reason=None,
            detail=mark.last_error,
        )
        for mark in waiting
        if mark.published_since is not None
    ]
    served = OverviewServed.objects.exclude(reason="").order_by("-served_at")
    return found + [
        LatePublish(
            course_key=each.course_key,
            seconds=each.latency_ms / 1000,
            served_at=each.served_at,
            reason=LateReason(each.reason),
            detail=each.detail,
        )
        for each in served[: limit - len(found)]
    ]


def _waiting() -> QuerySet[OverviewMark]:
    # Dirty first: that is what the index finds.
    return OverviewMark.objects.filter(dirty_since__isnull=False, published_since__isnull=False)


def _older(seconds: int) -> Q:
    return Q(published_since__lt=DatabaseNow(offset_seconds=-seconds))
