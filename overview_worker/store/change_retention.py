"""How long changes are kept: some time, and while somebody is still to be told of them."""

import logging
from typing import Any

from django.db.models import Q

from lms_integration.change_history import SIGNAL_JOB
from lms_integration.database_clock import DatabaseNow
from lms_integration.models import OverviewChange, OverviewJob

logger = logging.getLogger(__name__)

#: Changes that one statement deletes.
PAGE_SIZE = 1000
#: Nobody has sent signals for so long: then nobody is waited for. Many deployments never have.
SIGNALLER_DAYS = 7

_DAY_SECONDS = 86_400


def purge_changes(*, days: int, announces: bool, using: str) -> int:
    """Delete the changes that are older than ``days``, in pages; return how many.

    Kept are those that are still to be announced, if ``announces``, and those that are still to be
    signalled, if a process that signals has been there lately.
    """
    too_old = _changes(using).filter(
        changed_at__lt=DatabaseNow(offset_seconds=-days * _DAY_SECONDS)
    )
    if announces:
        too_old = too_old.filter(announced_at__isnull=False)
    if has_signaller(using):
        too_old = too_old.filter(signalled_at__isnull=False)
    purged = 0
    while ids := list(too_old.order_by("changed_at").values_list("id", flat=True)[:PAGE_SIZE]):
        _changes(using).filter(id__in=ids).delete()
        purged += len(ids)
    if purged:
        logger.info("purged %d changes older than %d days", purged, days)
    return purged


def has_signaller(using: str) -> bool:
    """Whether a process that sends signals has been there in the last days."""
    lately = DatabaseNow(offset_seconds=-SIGNALLER_DAYS * _DAY_SECONDS)
    is_there = Q(name=SIGNAL_JOB, started_at__gte=lately)
    return bool(OverviewJob.objects.using(using).filter(is_there).exists())


def _changes(using: str) -> Any:
    return OverviewChange.objects.using(using)
