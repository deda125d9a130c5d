"""How long rebuild runs are kept: some time after they are over, with their lanes and failures."""

import logging

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import (
    OverviewRebuildLane,
    OverviewRebuildRun,
    OverviewRunFailure,
    RunState,
)

logger = logging.getLogger(__name__)

#: Failures that one statement deletes.
PAGE_SIZE = 1000

_OVER = (RunState.DONE, RunState.CANCELLED, RunState.FAILED)
_DAY_SECONDS = 86_400


def purge_runs(*, days: int, using: str) -> int:
    """Delete the runs that have been over for more than ``days``; return how many.

    One that was paused goes on some day, and is kept however old it is.
    """
    too_old = OverviewRebuildRun.objects.using(using).filter(
        state__in=_OVER, finished_at__lt=DatabaseNow(offset_seconds=-days * _DAY_SECONDS)
    )
    purged = 0
    for run_id in list(too_old.order_by("pk").values_list("pk", flat=True)):
        _purge_failures(run_id, using=using)
        OverviewRebuildLane.objects.using(using).filter(run_id=run_id).delete()
        # Asked once more: somebody may have resumed it just now.
        purged += too_old.filter(pk=run_id).delete()[0]
    if purged:
        logger.info("purged %d rebuild runs older than %d days", purged, days)
    return purged


def _purge_failures(run_id: int, *, using: str) -> None:
    failures = OverviewRunFailure.objects.using(using).filter(run_id=run_id)
    while ids := list(failures.values_list("pk", flat=True)[:PAGE_SIZE]):
        failures.filter(pk__in=ids).delete()
