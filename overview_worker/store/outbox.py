"""``announcing_ports.ChangeOutbox`` on the table of changes: one relay at a time, by a lock in SQL."""

from collections.abc import Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from lms_integration.change_events import OverviewChanged
from lms_integration.database_clock import DatabaseNow
from lms_integration.models import OverviewChange, OverviewJob
from overview_worker.announcing_ports import Send
from overview_worker.store.failures import errors_translated

ANNOUNCE_JOB = "announce_changes"


class DjangoChangeOutbox:
    """``announcing_ports.ChangeOutbox`` on a Django connection; one instance a process, any thread."""

    def __init__(self, using: str = DEFAULT_DB_ALIAS) -> None:
        self._using = using

    def relay_batch(self, send: Send, *, limit: int) -> int | None:
        """Send the oldest changes under the relay's lock and mark them; None while another has it.

        The lock is of the transaction, so that it falls with a relay that dies, and its changes are
        sent again. No change is locked before it has been sent, and no rebuild ever waits.
        """
        connection = connections[self._using]
        connection.close_if_unusable_or_obsolete()
        with errors_translated(connection):
            if not self._changes().filter(announced_at__isnull=True).exists():
                return 0
            self._create_job()
            with transaction.atomic(using=self._using):
                if not self._take_lock():
                    return None
                return self._relay(send, limit=limit)

    def _relay(self, send: Send, *, limit: int) -> int:
        waiting = self._changes().filter(announced_at__isnull=True).order_by("id")
        batch: Sequence[OverviewChange] = list(waiting[:limit])
        if batch:
            send([_event(change) for change in batch])
            ids = [change.pk for change in batch]
            self._changes().filter(id__in=ids).update(announced_at=DatabaseNow())
        return len(batch)

    def _take_lock(self) -> bool:
        jobs = OverviewJob.objects.using(self._using).filter(name=ANNOUNCE_JOB)
        if connections[self._using].features.has_select_for_update:
            jobs = jobs.select_for_update(skip_locked=True)
        return jobs.first() is not None

    def _create_job(self) -> None:
        """Make the row that is locked, in a transaction of its own; it is never removed."""
        jobs = OverviewJob.objects.using(self._using)
        if not jobs.filter(name=ANNOUNCE_JOB).exists():
            jobs.bulk_create([OverviewJob(name=ANNOUNCE_JOB)], ignore_conflicts=True)

    def _changes(self) -> Any:
        return OverviewChange.objects.using(self._using)


def _event(change: OverviewChange) -> OverviewChanged:
    return OverviewChanged(
        event_id=f"overview-change-{change.pk}",
        course_key=change.course_key,
        row_seq=change.row_seq,
        kind=change.kind,
        changed_at=change.changed_at,
        columns=change.columns,
        source_version=change.source_version,
        builder_version=change.builder_version,
        cause=change.cause,
        cause_event_id=change.event_id,
        run_id=change.run_id,
        asked_by=change.asked_by,
    )
