"""What operators have scheduled in the admin: the tables of django-celery-beat.

Whether an entry is due is decided by the database's clock, so that it does not matter what the clocks of
several beats say; who sends it is decided by one statement. Its app need not be installed: its models
are looked up by name.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import F, QuerySet

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import OverviewJob
from overview_worker.store.failures import errors_translated, short
from overview_worker.store.scheduled_runs import ASK_FOR_FULL_RUN, ScheduledRun

APP = "django_celery_beat"
NIGHTLY_NAME = "rebuild overviews nightly"
#: Notes that the nightly entry has been made, so that one that was deleted stays deleted.
_NIGHTLY_JOB = "nightly_entry"
_LONG_AGO = timedelta(days=36_500)


@dataclass(frozen=True, kw_only=True, slots=True)
class DueEntry:
    """An entry whose time has come, and how it was when that was seen."""

    entry_id: int
    name: str
    order: ScheduledRun
    is_one_off: bool
    last_run_at: datetime | None
    now: datetime  #: by the database's clock


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleLook:
    """What one look at the tables has found."""

    due: tuple[DueEntry, ...]
    problems: tuple[str, ...]  #: one sentence an entry that cannot be run


def is_schedule_installed() -> bool:
    """Return whether there is a schedule that operators can edit."""
    return apps.is_installed(APP)


def look_at_schedule(*, using: str = DEFAULT_DB_ALIAS) -> ScheduleLook:
    """Return which entries are due now, in one query; what cannot be run hides no other.

    Raises:
        StoreUnavailable: the database did not answer.
        django.db.DatabaseError: the tables are not there.
    """
    connection = connections[using]
    connection.close_if_unusable_or_obsolete()
    due, problems = [], []
    with errors_translated(connection):
        rows = _entries(using).filter(enabled=True).select_related("interval", "crontab", "clocked")
        found = list(rows.annotate(database_now=DatabaseNow()).order_by("pk"))
    for row in found:
        try:
            if _is_due(row, now=row.database_now):
                due.append(_due_entry(row))
        except Exception as error:  # noqa: BLE001 - whatever an operator has written must stop nothing else
            problems.append(f"periodic task {row.name!r} is not run: {short(error)}")
    return ScheduleLook(due=tuple(due), problems=tuple(problems))


def claim(entry: DueEntry, *, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Return whether the caller is to send the entry: of several beats one is, once each time.

    Raises:
        StoreUnavailable: the database did not answer.
    """
    with errors_translated(connections[using]):
        taken = _entries(using).filter(pk=entry.entry_id, enabled=True)
        return bool(
            taken.filter(**_ran_at(entry.last_run_at)).update(
                last_run_at=entry.now,
                total_run_count=F("total_run_count") + 1,
                enabled=not entry.is_one_off,
            )
        )


def give_back(entry: DueEntry, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Undo a claim: the entry could not be sent and is due again.

    Raises:
        StoreUnavailable: the database did not answer; the entry waits for its next time.
    """
    with errors_translated(connections[using]):
        _entries(using).filter(pk=entry.entry_id, last_run_at=entry.now).update(
            last_run_at=entry.last_run_at,
            total_run_count=F("total_run_count") - 1,
            enabled=True,
        )


def make_nightly_entry(*, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Make the entry of the nightly run, once in the life of a database; return whether it was made now.

    What an operator has changed or deleted stays so. Without the tables nothing is made.
    """
    if not _tables_are_there(using):
        return False
    with transaction.atomic(using=using):
        _, is_first = OverviewJob.objects.using(using).get_or_create(
            name=_NIGHTLY_JOB, defaults={"started_at": DatabaseNow()}
        )
        if not is_first or _entries(using).filter(name=NIGHTLY_NAME).exists():
            return False
        times = {"minute": "17", "hour": "3", "timezone": "UTC"}
        crontabs = _rows("CrontabSchedule", using)
        every_day = dict.fromkeys(("day_of_week", "day_of_month", "month_of_year"), "*")
        crontab = crontabs.filter(**times, **every_day).first() or crontabs.create(**times)
        _entries(using).create(
            name=NIGHTLY_NAME,
            task=ASK_FOR_FULL_RUN,
            crontab=crontab,
            kwargs=json.dumps(ScheduledRun().as_arguments()),
            description="Asks for a run over all courses; rows that are up to date are left alone.",
        )
    return True


def is_run_scheduled(*, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Return whether any entry asks for runs.

    Raises:
        django.db.DatabaseError: the tables are not there.
    """
    return bool(_entries(using).filter(enabled=True, task=ASK_FOR_FULL_RUN).exists())


def _due_entry(row: Any) -> DueEntry:
    if row.task != ASK_FOR_FULL_RUN:
        raise ValueError(f"only {ASK_FOR_FULL_RUN} may be scheduled here, not {row.task}")
    if json.loads(row.args or "[]"):
        raise ValueError("it has positional arguments")
    order = ScheduledRun.from_arguments(json.loads(row.kwargs or "{}"))
    return DueEntry(
        entry_id=row.pk,
        name=row.name,
        order=order if order.reason else replace(order, reason=row.name),
        is_one_off=row.one_off,
        last_run_at=row.last_run_at,
        now=row.database_now,
    )


def _is_due(row: Any, *, now: datetime) -> bool:
    is_over = row.expires is not None and row.expires <= now
    is_early = row.start_time is not None and row.start_time > now
    if is_over or is_early:
        return False
    schedule = row.schedule
    schedule.nowfun = _always(now)
    return bool(schedule.remaining_estimate(_counted_from(row)) <= timedelta(0))


def _counted_from(row: Any) -> datetime:
    """Return the time after which an entry's next time is looked for."""
    if row.last_run_at is not None:
        return row.last_run_at  # type: ignore[no-any-return]  # a column
    if row.start_time is None:
        return row.date_changed  # type: ignore[no-any-return]  # a column
    # An interval begins at its start; a crontab at its first time after it.
    return row.start_time if row.crontab_id else row.start_time - _LONG_AGO  # type: ignore[no-any-return]


def _always(now: datetime) -> Callable[[], datetime]:
    return lambda: now


def _ran_at(moment: datetime | None) -> dict[str, Any]:
    return {"last_run_at__isnull": True} if moment is None else {"last_run_at": moment}


def _entries(using: str) -> QuerySet[Any]:
    return _rows("PeriodicTask", using)


def _rows(model: str, using: str) -> QuerySet[Any]:
    rows: QuerySet[Any] = apps.get_model(APP, model)._default_manager.using(using)
    return rows


def _tables_are_there(using: str) -> bool:
    connection = connections[using]
    needed = {
        apps.get_model(APP, name)._meta.db_table for name in ("PeriodicTask", "PeriodicTasks")
    }
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
    return {*needed, OverviewJob._meta.db_table} <= there
