"""What is thrown away after its time: tombstones, runs, messages that were none, old notes. In pages."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from lms_integration.database_clock import DatabaseNow
from lms_integration.dead_letter_desk import audit_logger
from lms_integration.models import (
    DeadLetter,
    OverviewFreshness,
    OverviewInspection,
    OverviewRemoval,
    OverviewServed,
    OverviewTombstone,
    RemovalStatus,
)
from lms_integration.sql_roles import LEARNER_TABLES
from overview_worker.dead_letters import fingerprint_of, purged_letter, record_dead_letter
from overview_worker.documents import DeadLetterSource
from overview_worker.store.change_retention import purge_changes
from overview_worker.store.failures import errors_translated
from overview_worker.store.jobs import take_slot
from overview_worker.store.run_retention import purge_runs

logger = logging.getLogger(__name__)

KEEP_HOUSE_JOB = "keep_house"
#: Once a day, whenever in the day a beat asks.
PERIOD_SECONDS = 23 * 3600
#: The figures of freshness cover so many days; so do the passes and the late publishes.
KEPT_DAYS = 31
PAGE_SIZE = 500

_DAY_SECONDS = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class HouseReport:
    """What one run threw away."""

    purged_count: int  #: tombstones
    referred_count: int  #: tombstones that are old enough, but still shown to learners


def keep_house(
    *,
    tombstone_days: int,
    history_days: int,
    announces_changes: bool,
    letter_days: int,
    run_days: int = 90,
    using: str = DEFAULT_DB_ALIAS,
) -> HouseReport | None:
    """Throw away what is too old; None if another beat's run has begun within a day.

    While ``announces_changes``, a change that the exchange has not been told of is kept.

    Raises:
        StoreUnavailable: the database did not answer.
    """
    connection = connections[using]
    connection.close_if_unusable_or_obsolete()
    with errors_translated(connection):
        if not take_slot(using, KEEP_HOUSE_JOB, period_seconds=PERIOD_SECONDS):
            return None
        _delete_notes(using)
        if letter_days:
            purge_dead_letters(days=letter_days, using=using)
        purge_changes(days=history_days, announces=announces_changes, using=using)
        purge_runs(days=run_days, using=using)
        return purge_tombstones(days=tombstone_days, using=using)


def purge_tombstones(*, days: int, using: str = DEFAULT_DB_ALIAS) -> HouseReport:
    """Purge the tombstones of courses that were deleted longer ago, unless a learner is shown them.

    The course's state stays, so that a late event still does not bring the course back.
    """
    connection = connections[using]
    tables = _referring_tables(connection)
    too_old = OverviewTombstone.objects.using(using).filter(
        deleted_at__lt=DatabaseNow(offset_seconds=-days * _DAY_SECONDS)
    )
    purged_count = referred_count = 0
    for keys in _pages(too_old):
        kept = {key for table in tables for key in _referred(connection, table, keys)}
        purged = [key for key in keys if key not in kept]
        too_old.filter(course_key__in=purged).delete()
        purged_count += len(purged)
        referred_count += len(kept & set(keys))
    if purged_count:
        logger.info("purged %d tombstones older than %d days", purged_count, days)
    return HouseReport(purged_count=purged_count, referred_count=referred_count)


def purge_dead_letters(*, days: int, using: str = DEFAULT_DB_ALIAS) -> int:
    """Throw away messages that were no events and that nobody sent again since; return how many.

    Letters about courses stay: they go when a person has dealt with them. One letter an origin counts
    those that are gone.
    """
    purged_count = 0
    for source in (DeadLetterSource.INTAKE, DeadLetterSource.BROKER):
        counting = purged_letter(source)
        letters = _rows(DeadLetter, using).filter(
            origin=source.value,
            course_key="",
            last_seen_at__lt=DatabaseNow(offset_seconds=-days * _DAY_SECONDS),
        )
        old = letters.exclude(fingerprint=fingerprint_of(counting)).order_by("fingerprint")
        while page := list(old.values_list("fingerprint", flat=True)[:PAGE_SIZE]):
            with transaction.atomic(using=using):
                # By the index by which its writers find a letter, as all do who remove one.
                count, _ = letters.filter(fingerprint__in=page).delete()
                if count:
                    record_dead_letter(counting, count=count, using=using)
            purged_count += count
    if purged_count:
        audit_logger.warning("purged %d dead letters, unseen for %d days", purged_count, days)
    return purged_count


def _pages(rows: Any) -> Iterator[list[str]]:
    after = ""
    while True:
        page = list(
            rows.filter(course_key__gt=after)
            .order_by("course_key")
            .values_list("course_key", flat=True)[:PAGE_SIZE]
        )
        if not page:
            return
        yield page
        after = page[-1]


def _referring_tables(connection: BaseDatabaseWrapper) -> list[str]:
    there = set(connection.introspection.table_names())
    return [table for table in LEARNER_TABLES if table in there]


def _referred(connection: BaseDatabaseWrapper, table: str, keys: Sequence[str]) -> set[str]:
    """Return those of ``keys`` that ``table`` names; in a platform's collation perhaps look-alikes too."""
    places = ", ".join(["%s"] * len(keys))
    statement = f"SELECT DISTINCT course_id FROM {table} WHERE course_id IN ({places})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, list(keys))
        return {key for (key,) in cursor.fetchall()}


def _delete_notes(using: str) -> None:
    before = DatabaseNow(offset_seconds=-KEPT_DAYS * _DAY_SECONDS)
    # The newest pass that ended stays: by it one knows for how long there has been none.
    ended = _rows(OverviewInspection, using).filter(finished_at__isnull=False)
    newest = ended.order_by("-pk").values_list("pk", flat=True).first()
    old = _rows(OverviewInspection, using).filter(started_at__lt=before)
    (old if newest is None else old.exclude(pk=newest)).delete()
    _rows(OverviewServed, using).filter(counted=True, served_at__lt=before).delete()
    _rows(OverviewFreshness, using).filter(hour__lt=before).delete()
    _rows(OverviewRemoval, using).filter(
        status=RemovalStatus.REMOVED, changed_at__lt=DatabaseNow(offset_seconds=-_DAY_SECONDS)
    ).delete()


def _rows(model: type[Model], using: str) -> Any:
    return model._default_manager.using(using)
