"""The statements that move a mark on: done, tried in vain, held back, leased."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from lms_integration.database_clock import now_sql
from lms_integration.events import PUBLISH_EVENT_TYPES
from overview_worker.ports import LockedCourse

#: A permanent fault is tried again this late, in case the cause was elsewhere after all.
FAULT_RETRY_SECONDS = 6 * 3600
#: How long the sweeper leaves a course alone that it has enqueued.
LEASE_SECONDS = 30
#: Cap of the back-off between attempts, in milliseconds; it begins with 100 and doubles.
BACKOFF_CAP_MS = 10_000
LAST_ERROR_LENGTH = 500

# The done statement is an upsert only so that one statement can carry a value a course; the row
# always exists. An announcement that has been answered is forgotten; a mark that came meanwhile
# begins a new dirty time.
_DONE_MYSQL = """
INSERT INTO overview_mark (course_key, wanted, done, attempts, last_error, last_event_id,
                           last_event_type)
VALUES {rows}
ON DUPLICATE KEY UPDATE
    dirty_since = IF(wanted > VALUES(done), {now}, NULL),
    published_since = IF(wanted > VALUES(done) AND last_event_type IN ({published}),
                         last_event_at, NULL),
    delete_announced = IF(wanted > VALUES(done), delete_announced, NULL),
    rewrite = IF(wanted > VALUES(done), rewrite, 0),
    announced_version = IF(wanted > VALUES(done), announced_version, NULL),
    announced_at = IF(wanted > VALUES(done), announced_at, NULL),
    next_attempt_at = NULL,
    attempts = 0,
    looks = 0,
    last_error = '',
    done = GREATEST(done, VALUES(done))
"""
_DONE_SQLITE = """
INSERT INTO overview_mark (course_key, wanted, done, attempts, last_error, last_event_id,
                           last_event_type)
VALUES {rows}
ON CONFLICT (course_key) DO UPDATE SET
    dirty_since = CASE WHEN wanted > excluded.done THEN {now} ELSE NULL END,
    published_since = CASE WHEN wanted > excluded.done AND last_event_type IN ({published})
        THEN last_event_at ELSE NULL END,
    delete_announced = CASE WHEN wanted > excluded.done THEN delete_announced ELSE NULL END,
    rewrite = CASE WHEN wanted > excluded.done THEN rewrite ELSE 0 END,
    announced_version = CASE WHEN wanted > excluded.done THEN announced_version ELSE NULL END,
    announced_at = CASE WHEN wanted > excluded.done THEN announced_at ELSE NULL END,
    next_attempt_at = NULL,
    attempts = 0,
    looks = 0,
    last_error = '',
    done = MAX(done, excluded.done)
"""
_DONE = {"mysql": _DONE_MYSQL, "sqlite": _DONE_SQLITE}

# 100 ms, doubled with each attempt. A mark that came after the one that failed is not held back.
_BACKOFF_MYSQL = """
UPDATE overview_mark SET
    next_attempt_at = {now} + INTERVAL LEAST(100 << LEAST(attempts, 10), {cap}) * 1000 MICROSECOND,
    attempts = attempts + 1,
    looks = looks + {looked},
    last_error = %s
WHERE course_key IN ({keys}) AND wanted > done
"""
_BACKOFF_SQLITE = """
UPDATE overview_mark SET
    next_attempt_at = STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW',
        '+' || (MIN(100 << MIN(attempts, 10), {cap}) / 1000.0) || ' seconds'),
    attempts = attempts + 1,
    looks = looks + {looked},
    last_error = %s
WHERE course_key IN ({keys}) AND wanted > done
"""
_BACKOFF = {"mysql": _BACKOFF_MYSQL, "sqlite": _BACKOFF_SQLITE}


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement with its parameters."""

    text: str
    parameters: Sequence[Any]


def execute(connection: BaseDatabaseWrapper, statement: Statement) -> None:
    """Execute one statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement.text, statement.parameters)


def end_with(connection: BaseDatabaseWrapper, statements: Sequence[Statement]) -> None:
    """End the connection's transaction with these statements and the commit, in one round trip.

    A worker that stops for a while, or for good, right after it has locked a mark would have every
    publisher of the course wait for it; so what locks a mark travels with its commit. Inside somebody
    else's transaction, and on SQLite, the statements are executed and the commit is left to others.
    """
    if not statements:
        return
    is_alone = connection.in_atomic_block and not connection.savepoint_ids
    with connection.cursor() as cursor:
        if connection.vendor != "mysql" or not is_alone:
            for statement in statements:
                cursor.execute(statement.text, statement.parameters)
            return
        texts = [statement.text.strip() for statement in statements]
        parameters = [each for statement in statements for each in statement.parameters]
        cursor.execute("; ".join([*texts, "COMMIT"]), parameters)
        while cursor.nextset():  # raises what a later statement has met
            pass


def mark_done(vendor: str, courses: Sequence[LockedCourse]) -> Statement:
    """Set ``done`` to what each course's rebuild had seen of ``wanted``; in the order given."""
    row = "(%s, 0, %s, 0, '', '', '')"
    statement = _DONE[vendor].format(
        rows=", ".join([row] * len(courses)),
        now=now_sql(vendor),
        published=", ".join(f"'{name}'" for name in PUBLISH_EVENT_TYPES),
    )
    parameters: list[Any] = []
    for course in courses:
        parameters += [course.course_key, course.wanted]
    return Statement(statement, parameters)


def postpone(
    vendor: str, keys: Sequence[str], reason: str, *, has_looked: bool = False
) -> Statement:
    """Count a failed attempt of each dirty course and set when the sweeper tries again.

    ``has_looked``: the source answered, and was behind what was announced.
    """
    statement = _BACKOFF[vendor].format(
        keys=", ".join(["%s"] * len(keys)),
        now=now_sql(vendor),
        cap=BACKOFF_CAP_MS,
        looked=int(has_looked),
    )
    return Statement(statement, [storable(reason), *keys])


def hold_back(vendor: str, course: LockedCourse, reason: str) -> Statement:
    """Keep a faulty course from the sweeper for hours, unless it was marked again meanwhile."""
    later = now_sql(vendor, offset_seconds=FAULT_RETRY_SECONDS)
    statement = (
        f"UPDATE overview_mark SET next_attempt_at = {later}, attempts = attempts + 1, "  # noqa: S608
        "last_error = %s WHERE course_key = %s AND wanted = %s"
    )
    return Statement(statement, [storable(reason), course.course_key, course.wanted])


def hold_back_all(connection: BaseDatabaseWrapper, keys: Sequence[str]) -> None:
    """Keep dirty courses from the sweeper for hours, until they are marked again."""
    _set_next_attempt(connection, keys, offset_seconds=FAULT_RETRY_SECONDS)


def lease(connection: BaseDatabaseWrapper, keys: Sequence[str]) -> None:
    """Keep dirty courses from the sweeper while the tasks that it enqueued are on their way."""
    _set_next_attempt(connection, keys, offset_seconds=LEASE_SECONDS)


def _set_next_attempt(
    connection: BaseDatabaseWrapper, keys: Sequence[str], *, offset_seconds: int
) -> None:
    later = now_sql(connection.vendor, offset_seconds=offset_seconds)
    placeholders = ", ".join(["%s"] * len(keys))
    statement = (
        f"UPDATE overview_mark SET next_attempt_at = {later} "  # noqa: S608
        f"WHERE course_key IN ({placeholders}) AND wanted > done"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, list(keys))


def storable(text: str) -> str:
    """Cut to the column of an error and drop what utf8mb4 cannot hold."""
    return text[:LAST_ERROR_LENGTH].encode("utf-8", "replace").decode()
