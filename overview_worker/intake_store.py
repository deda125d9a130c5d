"""What the intake writes in SQL: marks in batches, dead letters, and holds on poisonous courses."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    InterfaceError,
    connections,
    transaction,
)
from django.db.models import F, QuerySet

from lms_integration.events import Event
from lms_integration.identity import database_identity
from lms_integration.marks import mark_courses, mark_of
from lms_integration.models import OverviewMark
from overview_worker.dead_letters import fingerprint_of, record_dead_letter
from overview_worker.documents import DeadLetterEntry, DeadLetterSource
from overview_worker.errors import StoreUnavailable
from overview_worker.store.mark_statements import Statement, end_with, give_up
from overview_worker.store.sessions import ended_when_idle


class DjangoIntakeStore:
    """``intake.IntakeStore`` on a Django connection."""

    def __init__(self, *, using: str = DEFAULT_DB_ALIAS) -> None:
        self._using = using

    def mark_events(self, events: Sequence[Event]) -> Mapping[str, datetime | None]:
        """Mark the events' courses and return those that are dirty now, with since when."""
        if not events:
            return {}
        with self._errors_translated():
            here = database_identity(self._using)
            unmarked = [mark_of(event) for event in events if event.marked_in != here]
            mark_courses(unmarked, using=self._using)
            return dict(
                self._marks()
                .filter(course_key__in={event.course_key for event in events})
                .filter(wanted__gt=F("done"))
                .values_list("course_key", "dirty_since")
            )

    def record_dead_letters(self, entries: Sequence[DeadLetterEntry]) -> None:
        """Keep what could not be read, all or nothing."""
        if not entries:
            return
        with (
            self._errors_translated(),
            ended_when_idle(connections[self._using]),
            transaction.atomic(using=self._using),
        ):
            # In one order everywhere, so that two writers of the same letters cannot deadlock.
            for entry in sorted(entries, key=fingerprint_of):
                record_dead_letter(entry, using=self._using)
            end_with(connections[self._using], list(self._held_back(entries)))

    def _held_back(self, entries: Sequence[DeadLetterEntry]) -> Iterator[Statement]:
        """Leave courses alone whose task the broker gave up (it kills its worker, say)."""
        given_up = [e for e in entries if e.source is DeadLetterSource.BROKER and e.course_key]
        vendor = connections[self._using].vendor
        for entry in sorted(given_up, key=lambda entry: entry.course_key):
            yield give_up(vendor, [entry.course_key], entry.reason)

    def _marks(self) -> QuerySet[OverviewMark]:
        return OverviewMark.objects.using(self._using)

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        connection = connections[self._using]
        connection.close_if_unusable_or_obsolete()
        try:
            yield
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            reason = f"{type(error).__name__}: {error}"[:300]
            raise StoreUnavailable(f"overview database: {reason}") from error
