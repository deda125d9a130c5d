"""``ports.OverviewStore`` on a Django connection."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import OverviewMark, OverviewState
from lms_integration.prepared_queries import PreparedQuery, padded, texts
from overview_worker.errors import RetryableError
from overview_worker.store import mark_statements
from overview_worker.store.conf import StoreConf
from overview_worker.store.due_marks import due_sql
from overview_worker.store.failures import errors_translated
from overview_worker.store.sessions import ended_when_idle
from overview_worker.store.transaction import DjangoRebuildTransaction

#: The sweeper leaves younger marks to the event that came with them, in seconds.
SWEEP_GRACE_SECONDS = 2


class DjangoOverviewStore:
    """``ports.OverviewStore`` on a Django connection; one instance a process, any thread."""

    def __init__(self, conf: StoreConf) -> None:
        self._conf = conf

    @contextmanager
    def transaction(self, course_keys: Sequence[str]) -> Iterator["DjangoRebuildTransaction"]:
        """Open a transaction whose first statement locks the courses' state rows, without waiting."""
        keys = sorted(course_keys)
        self._renew_lost_connection()
        while True:
            with (
                errors_translated(self._connection),
                ended_when_idle(self._connection),
                transaction.atomic(using=self._conf.using),
            ):
                opened = DjangoRebuildTransaction(self._conf, keys)
                missing = opened.lock()
                if not missing:
                    yield opened
                    opened.finish()
                    return
            # Only rows that exist can be locked: locking a missing one deadlocks or collides.
            self._create_states(missing)

    def still_dirty(self, seen: Mapping[str, int]) -> list[str]:
        """Return those courses that were marked since so many marks were seen of them."""
        if not seen:
            return []
        with errors_translated(self._connection):
            keys = padded(list(seen))
            dirty = _dirty(self._conf.using, len(keys)).rows(keys=keys)
            return [key for key, wanted in dirty if wanted > seen[key]]

    def postpone(self, course_keys: Sequence[str], error: RetryableError) -> None:
        """Count a failed attempt for each dirty course and set when the sweeper tries again."""
        with errors_translated(self._connection):
            postpone = mark_statements.postpone(
                self._connection.vendor, sorted(course_keys), str(error)
            )
            mark_statements.execute(self._connection, postpone)

    def retry_soon(self, course_keys: Sequence[str]) -> None:
        """Shorten the lease, or the wait, of courses whose lock was taken; held-back ones stay so."""
        with errors_translated(self._connection):
            soon = DatabaseNow(offset_seconds=mark_statements.BUSY_RETRY_SECONDS)
            # Usually nobody is away for longer: looking locks nothing.
            away = self._marks().filter(course_key__in=course_keys, next_attempt_at__gt=soon)
            keys = sorted(away.values_list("course_key", flat=True))
            if keys:
                statement = mark_statements.retry_soon(self._connection.vendor, keys)
                mark_statements.execute(self._connection, statement)

    def take_due(self, *, limit: int, failed: bool | None = None) -> list[str]:
        """Return dirty courses whose time has come, oldest first, and lease them for a while.

        A mark that a publisher has at the moment is passed by, and holds up no other.
        """
        with errors_translated(self._connection):
            due = due_sql(self._connection.vendor, grace_seconds=SWEEP_GRACE_SECONDS)
            if failed is not None:
                due += " AND attempts > 0" if failed else " AND attempts = 0"
            if not self._is_any(due):  # looking locks nothing
                return []
            return mark_statements.lease(self._connection, limit=limit, condition=due)

    def _is_any(self, condition: str) -> bool:
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM overview_mark WHERE {condition} LIMIT 1", [])  # noqa: S608 - ours
            return cursor.fetchone() is not None

    def _marks(self) -> Any:
        return OverviewMark.objects.using(self._conf.using)

    def _create_states(self, course_keys: Sequence[str]) -> None:
        with errors_translated(self._connection):
            OverviewState.objects.using(self._conf.using).bulk_create(
                [OverviewState(course_key=key) for key in sorted(course_keys)],
                ignore_conflicts=True,
            )

    def _renew_lost_connection(self) -> None:
        """Drop a connection that failed before, or that the server closed while it was idle."""
        if not self._connection.in_atomic_block:
            self._connection.close_if_unusable_or_obsolete()

    @property
    def _connection(self) -> BaseDatabaseWrapper:
        # Looked up each time: Django's connections belong to threads.
        return connections[self._conf.using]


@cache
def _dirty(using: str, count: int) -> PreparedQuery[tuple[str, int]]:
    def build() -> Any:
        marks = OverviewMark.objects.using(using).filter(course_key__in=texts("keys", count))
        dirty = marks.filter(wanted__gt=F("done")).order_by("course_key")
        return dirty.values_list("course_key", "wanted")

    return PreparedQuery(build)
