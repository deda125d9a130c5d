"""Periodic jobs: several beats run each once, and a rolling one goes on where it was."""

from django.db import connections

from lms_integration.database_clock import now_sql

_CREATE = {
    "mysql": "INSERT IGNORE INTO overview_job (name, after_key) VALUES (%s, '')",
    "sqlite": "INSERT OR IGNORE INTO overview_job (name, after_key) VALUES (%s, '')",
}
_TAKE = (
    "UPDATE overview_job SET started_at = {now} "
    "WHERE name = %s AND (started_at IS NULL OR started_at <= {earliest} OR started_at > {future})"
)
#: A start that is further ahead is from before the clock was set back, and counts as none. Less may be
#: that of another beat, whose statement began later than ours, which has waited for its lock.
CLOCK_SLACK_SECONDS = 60


def take_slot(using: str, job: str, *, period_seconds: int) -> bool:
    """Return whether ``job`` is to run now, and note that it does.

    It is when nobody has begun it within the period: two beats that ask at once get one yes, and the
    times of several beats need not agree.
    """
    make_slot(using, job)
    return take_made_slot(using, job, period_seconds=period_seconds)


def make_slot(using: str, job: str) -> None:
    """Have a row that ``take_made_slot`` can lock: beside a transaction, in which the two could deadlock."""
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute(_CREATE[connection.vendor], [job])


def take_made_slot(using: str, job: str, *, period_seconds: int) -> bool:
    """Do as ``take_slot``, in a transaction: the slot is taken if that is committed."""
    connection = connections[using]
    vendor = connection.vendor
    statement = _TAKE.format(
        now=now_sql(vendor),
        earliest=now_sql(vendor, offset_seconds=-period_seconds),
        future=now_sql(vendor, offset_seconds=CLOCK_SLACK_SECONDS),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [job])
        return bool(cursor.rowcount)
