"""What the intake writes in SQL: marks in batches, dead letters, and holds on poisonous courses."""

import logging
from collections import Counter
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

from lms_integration.conf import max_dead_letters
from lms_integration.events import Event
from lms_integration.identity import database_identity
from lms_integration.marks import mark_courses, mark_of
from lms_integration.models import DeadLetter, OverviewMark
from overview_worker.dead_letters import fingerprint_of, record_dead_letter, surplus_letter
from overview_worker.documents import DeadLetterEntry, DeadLetterSource
from overview_worker.errors import StoreUnavailable
from overview_worker.store.mark_statements import end_with, give_up
from overview_worker.store.sessions import ended_when_idle

logger = logging.getLogger(__name__)


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

    def hold_back(self, entries: Sequence[DeadLetterEntry]) -> None:
        """Hold back the courses whose tasks the broker gave up."""
        given_up = [e for e in entries if e.source is DeadLetterSource.BROKER and e.course_key]
        if not given_up:
            return
        vendor = connections[self._using].vendor
        with self._errors_translated(), self._transaction():
            end_with(
                connections[self._using],
                [
                    give_up(vendor, [entry.course_key], entry.reason)
                    for entry in sorted(given_up, key=lambda entry: entry.course_key)
                ],
            )

    def record_dead_letters(
        self, entries: Sequence[DeadLetterEntry], *, dropped_count: int = 0
    ) -> None:
        """Keep what could not be read, all or nothing; what there is no room for is counted."""
        if not entries and not dropped_count:
            return
        with self._errors_translated(), self._transaction():
            counts = self._within_limits(Counter(entries))
            if dropped_count:
                counts[surplus_letter(DeadLetterSource.INTAKE)] += dropped_count
            # In one order everywhere, so that two writers of the same letters cannot deadlock.
            for entry in sorted(counts, key=fingerprint_of):
                record_dead_letter(entry, count=counts[entry], using=self._using)

    def _within_limits(self, counts: Counter[DeadLetterEntry]) -> Counter[DeadLetterEntry]:
        """Replace new letters of an origin that has too many by one that counts them."""
        by_fingerprint = {fingerprint_of(entry): entry for entry in counts}
        letters = DeadLetter.objects.using(self._using)
        known = set(
            letters.filter(fingerprint__in=by_fingerprint).values_list("fingerprint", flat=True)
        )
        new = [entry for each, entry in by_fingerprint.items() if each not in known]
        kept = Counter({entry: counts[entry] for entry in counts if entry not in set(new)})
        for source in {entry.source for entry in new}:
            room = max(0, max_dead_letters() - letters.filter(origin=source.value).count())
            of_source = [entry for entry in new if entry.source is source]
            kept.update({entry: counts[entry] for entry in of_source[:room]})
            surplus = sum(counts[entry] for entry in of_source[room:])
            if surplus:
                logger.error("no room for %d dead letters of origin %s", surplus, source.value)
                kept[surplus_letter(source)] += surplus
        return kept

    def _marks(self) -> QuerySet[OverviewMark]:
        return OverviewMark.objects.using(self._using)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with ended_when_idle(connections[self._using]), transaction.atomic(using=self._using):
            yield

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
