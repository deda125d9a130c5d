"""Counting the publishes that became visible into hours, so that a month of them stays small."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connections, transaction

from lms_integration.models import OverviewFreshness, OverviewServed

#: Publishes that one transaction counts.
COUNT_AT_ONCE = 2000

#: ``{column: the most milliseconds it takes in}``.
BUCKETS = {
    "within_1_second": 1_000,
    "within_10_seconds": 10_000,
    "within_60_seconds": 60_000,
    "within_5_minutes": 300_000,
}

_COLUMNS = ("hour", "total", *BUCKETS, "max_ms")
_UPSERT = f"INSERT INTO overview_freshness ({', '.join(_COLUMNS)}) VALUES {{rows}} "  # noqa: S608
_ADD = {
    "mysql": "ON DUPLICATE KEY UPDATE "
    + ", ".join(f"{name} = {name} + VALUES({name})" for name in ("total", *BUCKETS))
    + ", max_ms = GREATEST(max_ms, VALUES(max_ms))",
    "sqlite": "ON CONFLICT (hour) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in ("total", *BUCKETS))
    + ", max_ms = MAX(max_ms, excluded.max_ms)",
}


def count_served(using: str) -> int:
    """Count what was not counted yet, and keep only the late ones of it; return how many.

    Counted and let go of in one transaction, by the very rows that were read: what is committed
    meanwhile waits for the next time.
    """
    count = 0
    while True:
        with transaction.atomic(using=using):
            served = OverviewServed.objects.using(using)
            rows = list(
                served.filter(counted=False)
                .order_by("id")
                .values_list("id", "served_at", "latency_ms", "reason")[:COUNT_AT_ONCE]
            )
            if rows:
                _add([(served_at, latency_ms) for _, served_at, latency_ms, _ in rows], using)
                on_time = [number for number, _, _, reason in rows if not reason]
                late = [number for number, _, _, reason in rows if reason]
                served.filter(id__in=on_time).delete()
                served.filter(id__in=late).update(counted=True)
        count += len(rows)
        if len(rows) < COUNT_AT_ONCE:
            return count


def hours_of(publishes: Sequence[tuple[datetime, int]]) -> dict[datetime, OverviewFreshness]:
    """Return the counts of publishes, each given as (when it was served, latency in ms), by hour."""
    hours: dict[datetime, OverviewFreshness] = {}
    for served_at, latency_ms in publishes:
        hour = served_at.replace(minute=0, second=0, microsecond=0)
        counts = hours.setdefault(hour, OverviewFreshness(hour=hour))
        counts.total += 1
        counts.max_ms = max(counts.max_ms, latency_ms)
        for name, limit_ms in BUCKETS.items():
            if latency_ms <= limit_ms:
                setattr(counts, name, getattr(counts, name) + 1)
    return hours


def _add(publishes: Sequence[tuple[datetime, int]], using: str) -> None:
    connection = connections[using]
    hours = hours_of(publishes)
    row = f"({', '.join(['%s'] * len(_COLUMNS))})"
    parameters: list[Any] = []
    for hour in sorted(hours):
        counts = hours[hour]
        parameters += [
            connection.ops.adapt_datetimefield_value(hour),
            *(getattr(counts, name) for name in _COLUMNS[1:]),
        ]
    statement = _UPSERT.format(rows=", ".join([row] * len(hours))) + _ADD[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
