"""The dead-letter table: what nobody will retry by itself, kept where a person can see it."""

import hashlib
from typing import Any

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from lms_integration.database_clock import now_sql
from overview_worker.documents import DeadLetterEntry, DeadLetterSource

#: A message's body is kept up to this length, in bytes.
BODY_MAX_BYTES = 8192
REASON_MAX_LENGTH = 2000

# Two writers of a letter that is being removed get in each other's way on MySQL: both wait for the
# entry, then both lock the gap that it leaves. One is ended; alone, it can simply try again.
_DEADLOCK = 1213
_ATTEMPTS = 5

# The same thing again is counted: a poison message that is sent for ever fills no table.
_UPSERT = """
INSERT INTO overview_dead_letter (fingerprint, origin, course_key, reason, body, body_bytes,
    content_type, first_seen_at, last_seen_at, seen_count)
VALUES (%s, %s, %s, %s, %s, %s, %s, {now}, {now}, %s)
{on_conflict} last_seen_at = {now}, seen_count = seen_count + %s
"""
_ON_CONFLICT = {
    "mysql": "ON DUPLICATE KEY UPDATE",
    "sqlite": "ON CONFLICT (fingerprint) DO UPDATE SET",
}


def record_dead_letter(
    entry: DeadLetterEntry, *, count: int = 1, using: str = DEFAULT_DB_ALIAS
) -> None:
    """Keep ``entry``, or count it if it is there already; in the caller's transaction if any.

    ``count`` says how often it was seen.

    Raises:
        django.db.DatabaseError: the database refused or did not answer; the message must not be
            acknowledged then.
    """
    connection = connections[using]
    statement = _UPSERT.format(
        now=now_sql(connection.vendor), on_conflict=_ON_CONFLICT[connection.vendor]
    )
    parameters: list[Any] = [
        fingerprint_of(entry),
        entry.source.value,
        _storable(entry.course_key)[:255],
        _storable(entry.reason)[:REASON_MAX_LENGTH],
        entry.body[:BODY_MAX_BYTES],
        len(entry.body),
        _storable(entry.content_type)[:100],
        count,
        count,
    ]
    _execute(connection, statement, parameters)


def surplus_letter(source: DeadLetterSource) -> DeadLetterEntry:
    """Return the letter that counts those of an origin for which there was no room."""
    return DeadLetterEntry(
        source=source,
        reason="not kept, only counted: there are too many dead letters of this origin already",
    )


def purged_letter(source: DeadLetterSource) -> DeadLetterEntry:
    """Return the letter that counts those of an origin that were thrown away for their age."""
    return DeadLetterEntry(
        source=source, reason="thrown away, only counted: nobody had dealt with them for too long"
    )


def fingerprint_of(entry: DeadLetterEntry) -> str:
    """Return a hash of what makes ``entry`` the same thing again: 64 hex digits."""
    text = "\0".join((entry.source.value, entry.course_key, entry.reason))
    return hashlib.sha256(text.encode("utf-8", "replace") + b"\0" + entry.body).hexdigest()


def _execute(connection: BaseDatabaseWrapper, statement: str, parameters: list[Any]) -> None:
    """Run the statement; within a transaction once, for a deadlock ends that as a whole."""
    for attempts_left in reversed(range(1 if connection.in_atomic_block else _ATTEMPTS)):
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
        except OperationalError as error:
            if error.args[:1] != (_DEADLOCK,) or not attempts_left:
                raise
        else:
            return


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
