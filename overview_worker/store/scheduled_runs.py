"""Runs that the schedule asks for: what may be said of one, and asking for it once."""

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from math import isfinite

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from lms_integration.data import COURSE_OVERVIEW_VERSION
from lms_integration.database_clock import DatabaseNow
from lms_integration.log_lines import one_line
from lms_integration.models import OverviewJob, OverviewRebuildRun, RunDepth, RunOrigin, RunScope
from lms_integration.rebuild_desk import RunRefused, RunRequest, active_runs, ask_for_run
from overview_worker.store.failures import errors_translated
from overview_worker.store.jobs import make_slot, take_made_slot

logger = logging.getLogger(__name__)

#: The Celery task that asks for a run: the only one that operators may schedule.
ASK_FOR_FULL_RUN = "overview.ask_for_full_run"
#: However often it is asked for: at most one run of the same courses in so long.
PERIOD_SECONDS = 600
DEFAULT_JITTER_SECONDS = 900
MAX_JITTER_SECONDS = 86_400
#: Notes when the nightly run was asked for last, where beat asks by itself.
NIGHTLY_JOB = "nightly_run"
#: How thorough a run can be: ``[(value, words)]``.
DEPTH_CHOICES = RunDepth.choices


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduledRun:
    """What an entry of the schedule asks for."""

    depth: RunDepth = RunDepth.STALE
    org: str = ""  #: '' for all courses
    rate: float | None = None  #: courses rebuilt in a second, at most
    #: The run begins at a random time within so long, so that not all sites of a host begin at once.
    jitter_seconds: int = DEFAULT_JITTER_SECONDS
    reason: str = ""

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, object]) -> "ScheduledRun":
        """Return what a task's keyword arguments say; what is left out has its default.

        Raises:
            ValueError: the arguments make no sense; the message says which.
        """
        found = {**cls().as_arguments(), **arguments}
        if unknown := set(found) - set(cls().as_arguments()):
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        return cls(
            depth=_depth(found["depth"]),
            org=_text(found["org"], "org"),
            rate=_rate(found["rate"]),
            jitter_seconds=_jitter(found["jitter_seconds"]),
            reason=_text(found["reason"], "reason"),
        )

    def as_arguments(self) -> dict[str, object]:
        """Return it as keyword arguments, to be written as JSON."""
        return {
            "depth": str(self.depth),
            "org": self.org,
            "rate": self.rate,
            "jitter_seconds": self.jitter_seconds,
            "reason": self.reason,
        }

    @property
    def words(self) -> str:
        """Which courses, and which of them are rebuilt."""
        return f"{one_line(self.org) or 'all courses'}: {RunDepth(self.depth).label}"

    @property
    def scope(self) -> RunScope:
        """Which courses it is about."""
        return RunScope.ORG if self.org else RunScope.ALL


def ask_for_scheduled_run(
    order: ScheduledRun,
    *,
    below: Callable[[int], int] = secrets.randbelow,
    using: str = DEFAULT_DB_ALIAS,
) -> OverviewRebuildRun | None:
    """Ask for the run; None if it was asked for already, or one like it is not over.

    Safe to ask any number of times at once. ``below(n)`` gives a number from 0 to n - 1.

    Raises:
        StoreUnavailable: the database did not answer.
    """
    connection = connections[using]
    connection.close_if_unusable_or_obsolete()
    with errors_translated(connection):
        make_slot(using, _job(order))
        return _asked_for(order, below=below, using=using)


def ask_for_nightly_run(
    *,
    hour: int,
    below: Callable[[int], int] = secrets.randbelow,
    using: str = DEFAULT_DB_ALIAS,
) -> OverviewRebuildRun | None:
    """Ask for the run of the night that began last, if nobody has; None otherwise.

    For deployments without a schedule that operators can edit. A night begins at ``hour`` o'clock UTC by
    the database's clock. The night in which the first question falls has begun already: whoever
    installs the pipeline is not surprised by a run. While another run of all courses is not over it is
    asked again later, so that a night is made up for, not left out.

    Raises:
        StoreUnavailable: the database did not answer.
    """
    connection = connections[using]
    connection.close_if_unusable_or_obsolete()
    order = ScheduledRun(reason="nightly")
    with errors_translated(connection):
        make_slot(using, _job(order))
        jobs = OverviewJob.objects.using(using)
        jobs.get_or_create(name=NIGHTLY_JOB, defaults={"started_at": DatabaseNow()})
        with transaction.atomic(using=using):
            job = jobs.annotate(database_now=DatabaseNow()).get(name=NIGHTLY_JOB)
            began = _night_began(job.database_now, hour=hour)
            if not jobs.filter(name=NIGHTLY_JOB, started_at__lt=began).update(
                started_at=DatabaseNow()
            ):
                return None
            run = _asked_for(order, below=below, using=using)
            if run is None:
                transaction.set_rollback(True, using=using)
    return run


def _asked_for(
    order: ScheduledRun, *, below: Callable[[int], int], using: str
) -> OverviewRebuildRun | None:
    delay_seconds = below(order.jitter_seconds + 1)
    try:
        with transaction.atomic(using=using):
            if not take_made_slot(using, _job(order), period_seconds=PERIOD_SECONDS):
                raise RunRefused(f"it was asked for less than {PERIOD_SECONDS} seconds ago")
            _refuse_if_one_is_active(order, using=using)
            run = ask_for_run(_request(order, delay_seconds=delay_seconds), using=using)
    except RunRefused as refused:
        logger.info("the schedule asks for no run: %s", one_line(str(refused)))
        return None
    logger.info("run %d is asked for by the schedule; it begins in %d s", run.pk, delay_seconds)
    return run


def _night_began(now: datetime, *, hour: int) -> datetime:
    today = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    return today if today <= now else today - timedelta(days=1)


def _request(order: ScheduledRun, *, delay_seconds: int) -> RunRequest:
    return RunRequest(
        scope=order.scope,
        org=order.org,
        depth=order.depth,
        version_below=COURSE_OVERVIEW_VERSION if order.depth == RunDepth.OLD else None,
        rate=order.rate,
        delay_seconds=delay_seconds,
        asked_from=RunOrigin.SCHEDULE,
        reason=order.reason,
    )


def _refuse_if_one_is_active(order: ScheduledRun, *, using: str) -> None:
    for run in active_runs(using=using):
        is_same_org = run.scope == RunScope.ORG and run.org.casefold() == order.org.casefold()
        if run.scope == RunScope.ALL or is_same_org:
            raise RunRefused(f"run {run.pk} of the same courses is {run.state}")


def _job(order: ScheduledRun) -> str:
    """Return the name of the slot: one for all courses, and one an organisation."""
    if not order.org:
        return "scheduled_run"
    return f"scheduled_run_{sha256(order.org.casefold().encode()).hexdigest()[:16]}"


def _depth(value: object) -> RunDepth:
    if value not in RunDepth.values:
        raise ValueError(f"depth {value!r} is none of {', '.join(RunDepth.values)}")
    return RunDepth(value)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} {value!r} is no text")
    return value


def _rate(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"rate {value!r} is no number")
    if not isfinite(value) or value <= 0:
        raise ValueError(f"a rate of {value!r} courses a second would never end")
    return float(value)


def _jitter(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_JITTER_SECONDS:
        raise ValueError(f"jitter_seconds {value!r} is not from 0 to {MAX_JITTER_SECONDS}")
    return value
