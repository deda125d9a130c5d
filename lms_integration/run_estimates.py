"""What a rebuild run is expected to take: from what the inspector saw, and from runs that have ended.

A run spends its time on two things: looking at courses that turn out to be as they should be, and
rebuilding the others. The first is hundreds of times faster, so each has a rate of its own: a nightly
run that found nothing to do says nothing of how fast rows are built.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from django.db import DEFAULT_DB_ALIAS
from django.db.models import F, QuerySet, Sum

from lms_integration.models import (
    CourseOverview,
    OverviewInspection,
    OverviewRebuildRun,
    RunDepth,
    RunScope,
    RunState,
)

#: Courses a second that are looked at, and left as they are, until a run has been measured.
ASSUMED_LOOK_RATE = 5000.0
#: Courses rebuilt in a second, by the depth of the run, until one has been measured.
ASSUMED_RATE = {
    RunDepth.STALE: 500.0,
    RunDepth.OLD: 400.0,
    RunDepth.BUILD: 500.0,
    RunDepth.REWRITE: 400.0,
}
#: Depths whose runs do the same to a course that they rebuild.
_ALIKE = {
    RunDepth.STALE: (RunDepth.STALE, RunDepth.BUILD),
    RunDepth.BUILD: (RunDepth.STALE, RunDepth.BUILD),
    RunDepth.OLD: (RunDepth.OLD, RunDepth.REWRITE),
    RunDepth.REWRITE: (RunDepth.OLD, RunDepth.REWRITE),
}
#: Runs that a rate is taken from: the newest.
_MEASURED_RUNS = 5
#: Fewer courses say little: a run takes a moment to begin.
_MEASURED_COURSES = 100


class WantedRun(Protocol):
    """What is asked for: a ``RunRequest``, or a run."""

    @property
    def scope(self) -> str:
        """Which courses."""
        ...

    @property
    def depth(self) -> str:
        """Which of them are rebuilt."""
        ...

    @property
    def org(self) -> str:
        """Of the scope ``ORG``."""
        ...

    @property
    def course_keys(self) -> Sequence[str]:
        """Of the scope ``COURSES``."""
        ...

    @property
    def version_below(self) -> int | None:
        """Of the depth ``OLD``."""
        ...

    @property
    def rate(self) -> float | None:
        """Courses rebuilt in a second, at most."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEstimate:
    """What a run is expected to take."""

    #: Courses that it looks at, as far as SQL knows them; None where nobody has counted them yet.
    course_count: int | None
    rebuilt_count: int | None  #: those of them that it is expected to rebuild
    seconds: float | None
    rate: float  #: rebuilds a second that it goes by
    is_measured: bool  #: from runs that have ended, not a guess


def estimate(wanted: WantedRun, *, using: str = DEFAULT_DB_ALIAS) -> RunEstimate:
    """Return what a run is expected to take, from the last runs like it that have ended."""
    depth = RunDepth(wanted.depth)
    measured = _rebuild_rate(_ALIKE[depth], using=using)
    rate = measured or ASSUMED_RATE[depth]
    if wanted.rate is not None:
        rate = min(rate, wanted.rate)
    count = _course_count(wanted, using=using)
    if count is None:
        return RunEstimate(
            course_count=None,
            rebuilt_count=None,
            seconds=None,
            rate=rate,
            is_measured=measured is not None,
        )
    rebuilt = min(count, _rebuilt_count(wanted, count, using=using))
    looked_rate = _look_rate(using=using) if rebuilt < count else None
    looking = (count - rebuilt) / (looked_rate or ASSUMED_LOOK_RATE)
    return RunEstimate(
        course_count=count,
        rebuilt_count=rebuilt,
        seconds=looking + rebuilt / rate,
        rate=rate,
        is_measured=(measured if rebuilt else looked_rate) is not None,
    )


def _course_count(wanted: WantedRun, *, using: str) -> int | None:
    """Return how many courses are looked at; None where no row and no inspection tells."""
    if wanted.scope == RunScope.COURSES:
        return len(set(wanted.course_keys))
    rows = CourseOverview.objects.using(using)
    inspection = _newest_inspection(using)
    if wanted.scope == RunScope.ORG:
        count = rows.filter(org__iexact=wanted.org).count()
        # Without rows it may have courses all the same: the inspector does not count by organisation.
        is_known = bool(count) or (inspection is not None and inspection.course_count == 0)
        return int(count) if is_known else None
    count = rows.count()
    if inspection is None:
        return int(count) or None
    return max(int(count), inspection.course_count)


def _rebuilt_count(wanted: WantedRun, count: int, *, using: str) -> int:
    """Return how many of ``count`` courses have to be rebuilt."""
    match wanted.depth:
        case RunDepth.BUILD | RunDepth.REWRITE:
            return count
        case RunDepth.OLD:
            below = wanted.version_below or 0
            return int(_rows_of(wanted, using=using).filter(version__lt=below).count())
    if wanted.scope == RunScope.COURSES:
        return count  # whoever names them has a reason
    inspection = _newest_inspection(using)
    if inspection is None:
        return count  # nobody has looked yet: it may be all of them
    row_count: int = CourseOverview.objects.using(using).count()
    found: int = sum(inspection.findings.values())
    stale = max(found, inspection.course_count - row_count)
    if wanted.scope == RunScope.ALL or not inspection.course_count:
        return stale
    return ceil(count * min(1.0, stale / inspection.course_count))


def _rows_of(wanted: WantedRun, *, using: str) -> QuerySet[CourseOverview]:
    rows = CourseOverview.objects.using(using)
    match wanted.scope:
        case RunScope.ORG:
            return rows.filter(org__iexact=wanted.org)
        case RunScope.COURSES:
            return rows.filter(id__in=set(wanted.course_keys))
    return rows.all()


def _newest_inspection(using: str) -> OverviewInspection | None:
    ended = OverviewInspection.objects.using(using).filter(finished_at__isnull=False, error="")
    return ended.order_by("-started_at").first()


def _rebuild_rate(depths: Sequence[RunDepth], *, using: str) -> float | None:
    """Return rebuilds a second in the newest runs that had most of their courses to rebuild."""
    mostly = (
        _ended(using)
        .filter(depth__in=depths, rebuilt_count__gte=_MEASURED_COURSES)
        .filter(rebuilt_count__gte=F("total_count") * 0.5)
    )
    return _rate_of(mostly, "rebuilt_count", using=using)


def _look_rate(*, using: str) -> float | None:
    """Return courses looked at in a second, in the newest runs that had next to nothing to rebuild."""
    hardly = _ended(using).filter(
        depth__in=(RunDepth.STALE, RunDepth.OLD),
        total_count__gte=10 * _MEASURED_COURSES,
        rebuilt_count__lte=F("total_count") * 0.01,
    )
    return _rate_of(hardly, "total_count", using=using)


def _ended(using: str) -> QuerySet[OverviewRebuildRun]:
    """Return the runs that went as fast as they could: one with a limit tells the limit alone."""
    return OverviewRebuildRun.objects.using(using).filter(
        state=RunState.DONE, rate__isnull=True, running_seconds__gt=0
    )


def _rate_of(runs: QuerySet[OverviewRebuildRun], counted: str, *, using: str) -> float | None:
    newest = list(runs.order_by("-created_at").values_list("pk", flat=True)[:_MEASURED_RUNS])
    sums = (
        OverviewRebuildRun.objects.using(using)
        .filter(pk__in=newest)
        .aggregate(courses=Sum(counted), seconds=Sum("running_seconds"))
    )
    return float(sums["courses"]) / sums["seconds"] if sums["seconds"] else None
