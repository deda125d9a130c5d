"""The statements that move a mark on: done, tried in vain, held back, leased."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from lms_integration.database_clock import now_sql
from lms_integration.events import PUBLISH_EVENT_TYPES
from lms_integration.models import HELD_BACK_SECONDS
from overview_worker.ports import LockedCourse
from overview_worker.store.failures import is_taken_lock

#: A permanent fault is tried again this late, in case the cause was elsewhere after all.
FAULT_RETRY_SECONDS = 6 * 3600
#: How long the sweeper leaves a course alone that it has enqueued.
LEASE_SECONDS = 30
#: Cap of the back-off between attempts, in milliseconds; it begins with 100 and doubles.
BACKOFF_CAP_MS = 10_000
#: A course whose lock was taken is tried again this late, should its holder come to nothing.
BUSY_RETRY_SECONDS = 1
#: How long the last statement of a rebuild waits for a mark that a publisher has: publishers wait for
#: what it has locked meanwhile.
MARK_WAIT_SECONDS = 1
LAST_ERROR_LENGTH = 500

_WAIT_BRIEFLY = (
    "SET @overview_wait = @@SESSION.innodb_lock_wait_timeout, "
    f"SESSION innodb_lock_wait_timeout = {MARK_WAIT_SECONDS}"
)
_WAIT_AS_BEFORE = "SET SESSION innodb_lock_wait_timeout = @overview_wait"

# A publisher's transaction may hold a mark for as long as Studio's request takes. Whoever changes several
# marks, or could as well come later, passes by those that are taken: it would else wait with locks on the
# others, and their publishers with it. The rows are found and locked first, then changed; forced, because
# of a small table all rows are read otherwise, and the taken one waited for.
_FREE_MYSQL = """(
    SELECT course_key AS free_key, attempts AS tried FROM overview_mark FORCE INDEX (PRIMARY)
    WHERE course_key IN ({keys}) AND {condition}
    LIMIT {count} FOR UPDATE SKIP LOCKED
) free"""
_JOIN_FREE = " STRAIGHT_JOIN overview_mark FORCE INDEX (PRIMARY) ON course_key = free_key "
_UPDATE_FREE = {
    "mysql": "UPDATE " + _FREE_MYSQL + _JOIN_FREE + "SET {assignments}",
    "sqlite": "UPDATE overview_mark SET {assignments} WHERE course_key IN ({keys}) AND {condition}",
}

# The done statement is an upsert only so that one statement can carry a value a course; the row
# always exists. An announcement that has been answered is forgotten; a mark that came meanwhile
# begins a new dirty time.
_DONE_COLUMNS = "course_key, wanted, done, attempts, last_error, last_event_id, last_event_type"
_DONE_ON_DUPLICATE = """
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
_DONE_ON_CONFLICT = """
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
_DONE_ROWS = f"INSERT INTO overview_mark ({_DONE_COLUMNS}) VALUES {{rows}}"  # noqa: S608 - the same
_DONE = {"mysql": _DONE_ROWS + _DONE_ON_DUPLICATE, "sqlite": _DONE_ROWS + _DONE_ON_CONFLICT}
_DONE_FREE_MYSQL = f"""
INSERT INTO overview_mark ({_DONE_COLUMNS})
SELECT free_key, 0, CASE free_key {{cases}} END, 0, '', '', '' FROM {_FREE_MYSQL}
{_DONE_ON_DUPLICATE}"""  # noqa: S608 - made of the texts above

# 100 ms, doubled with each attempt. A mark that came after the one that failed is not held back. In an
# update of joined tables the order of assignments is nobody's promise: ``tried`` is what was found.
_BACKED_OFF = {
    "mysql": "next_attempt_at = {now} + INTERVAL LEAST(100 << LEAST(tried, 10), {cap}) * 1000 "
    "MICROSECOND, attempts = tried + 1",
    "sqlite": "next_attempt_at = STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', "
    "'+' || (MIN(100 << MIN(attempts, 10), {cap}) / 1000.0) || ' seconds'), "
    "attempts = attempts + 1",
}

_IS_DIRTY = "wanted > done"
_DUE_MYSQL = """(
    SELECT course_key AS free_key FROM overview_mark FORCE INDEX (overview_mark_dirty)
    WHERE {condition} ORDER BY dirty_since LIMIT {limit} FOR UPDATE SKIP LOCKED
) free"""
# In one round trip: a sweeper that stops in the middle must not keep the marks of 500 courses.
_LEASE_MYSQL = (
    "SET @overview_lease = {later}",
    f"UPDATE {_DUE_MYSQL}{_JOIN_FREE}SET next_attempt_at = CAST(@overview_lease AS DATETIME(6))",
    "SELECT course_key FROM overview_mark WHERE dirty_since IS NOT NULL "
    "AND next_attempt_at = CAST(@overview_lease AS DATETIME(6)) ORDER BY dirty_since",
)
_LEASE_SQLITE = (
    "UPDATE overview_mark SET next_attempt_at = {later} WHERE course_key IN (SELECT course_key "
    "FROM overview_mark WHERE {condition} ORDER BY dirty_since LIMIT {limit}) "
    "RETURNING course_key, dirty_since"
)


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
    publisher of the course wait for it; so what locks a mark travels with its commit, and waits for no
    other lock for longer than ``MARK_WAIT_SECONDS``. Inside somebody else's transaction, and on SQLite,
    the statements are executed and the commit is left to others.

    Raises:
        django.db.OperationalError: a lock was not to be had in time (``failures.is_taken_lock``): the
            statements from that one on were not executed, nor was the commit.
    """
    if not statements:
        return
    is_alone = connection.in_atomic_block and not connection.savepoint_ids
    if connection.vendor != "mysql" or not is_alone:
        for statement in statements:
            execute(connection, statement)
        return
    texts = [statement.text.strip() for statement in statements]
    parameters = [each for statement in statements for each in statement.parameters]
    try:
        _execute_all(connection, [_WAIT_BRIEFLY, *texts, "COMMIT", _WAIT_AS_BEFORE], parameters)
    except OperationalError as error:
        if is_taken_lock(error):
            execute(connection, Statement(_WAIT_AS_BEFORE, []))
        raise


def _execute_all(
    connection: BaseDatabaseWrapper, texts: Sequence[str], parameters: Sequence[Any]
) -> list[Any]:
    """Execute statements in one round trip; return the rows of the last one."""
    with connection.cursor() as cursor:
        cursor.execute("; ".join(texts), parameters)
        while True:
            rows = list(cursor.fetchall()) if cursor.description else []
            if not cursor.nextset():  # raises what a later statement has met
                return rows


def mark_done(vendor: str, courses: Sequence[LockedCourse], *, waits: bool) -> Statement:
    """Set ``done`` to what each course's rebuild had seen of ``wanted``; in the order given.

    ``waits``: for a mark that a publisher has at the moment. Without, the mark stays dirty.
    """
    texts = {
        "now": now_sql(vendor),
        "published": ", ".join(f"'{name}'" for name in PUBLISH_EVENT_TYPES),
    }
    seen = [value for course in courses for value in (course.course_key, course.wanted)]
    if waits or vendor != "mysql":
        rows = ", ".join(["(%s, 0, %s, 0, '', '', '')"] * len(courses))
        return Statement(_DONE[vendor].format(rows=rows, **texts), seen)
    keys = [course.course_key for course in courses]
    statement = _DONE_FREE_MYSQL.format(
        cases=" ".join(["WHEN %s THEN %s"] * len(courses)),
        keys=_places(keys),
        condition=_IS_DIRTY,
        count=len(keys),
        **texts,
    )
    return Statement(statement, [*seen, *keys])


def postpone(
    vendor: str, keys: Sequence[str], reason: str, *, has_looked: bool = False
) -> Statement:
    """Count a failed attempt of each dirty course and set when the sweeper tries again.

    ``has_looked``: the source answered, and was behind what was announced.
    """
    backed_off = _BACKED_OFF[vendor].format(now=now_sql(vendor), cap=BACKOFF_CAP_MS)
    looked = ", looks = looks + 1" if has_looked else ""
    return _update_free(
        vendor, keys, f"{backed_off}{looked}, last_error = %s", values=[storable(reason)]
    )


def hold_back(vendor: str, course: LockedCourse, reason: str) -> Statement:
    """Keep a faulty course from the sweeper for hours, unless it was marked again meanwhile."""
    later = now_sql(vendor, offset_seconds=FAULT_RETRY_SECONDS)
    return _update_free(
        vendor,
        [course.course_key],
        f"next_attempt_at = {later}, attempts = attempts + 1, last_error = %s",
        values=[storable(reason)],
        condition=f"wanted = {int(course.wanted)}",
    )


def give_up(vendor: str, keys: Sequence[str], reason: str) -> Statement:
    """Keep dirty courses from the sweeper for hours, until they are marked again."""
    later = now_sql(vendor, offset_seconds=FAULT_RETRY_SECONDS)
    return _update_free(
        vendor, keys, f"next_attempt_at = {later}, last_error = %s", values=[storable(reason)]
    )


def retry_soon(vendor: str, keys: Sequence[str]) -> Statement:
    """Have the sweeper come back to dirty courses that it leaves alone for a while, but not for hours."""
    soon = now_sql(vendor, offset_seconds=BUSY_RETRY_SECONDS)
    held_back = now_sql(vendor, offset_seconds=HELD_BACK_SECONDS)
    condition = f"{_IS_DIRTY} AND next_attempt_at > {soon} AND next_attempt_at <= {held_back}"
    return _update_free(vendor, keys, f"next_attempt_at = {soon}", condition=condition)


def lease(connection: BaseDatabaseWrapper, *, limit: int, condition: str) -> list[str]:
    """Keep due courses from the sweeper while the tasks that it enqueues are on their way.

    Returns them, the oldest first; what a publisher has at the moment is not among them. ``condition``
    is the SQL that says which courses are due.
    """
    vendor = connection.vendor
    texts = {
        "condition": condition,
        "later": now_sql(vendor, offset_seconds=LEASE_SECONDS),
        "limit": limit,
    }
    if vendor == "mysql":
        rows = _execute_all(connection, [text.format(**texts) for text in _LEASE_MYSQL], [])
        return [key for (key,) in rows]
    with connection.cursor() as cursor:
        cursor.execute(_LEASE_SQLITE.format(**texts), [])
        return [key for key, _ in sorted(cursor.fetchall(), key=itemgetter(1))]


def _update_free(
    vendor: str,
    keys: Sequence[str],
    assignments: str,
    *,
    values: Sequence[Any] = (),
    condition: str = _IS_DIRTY,
) -> Statement:
    """Change those of ``keys`` that fulfil a condition and whose marks nobody has."""
    statement = _UPDATE_FREE[vendor].format(
        keys=_places(keys), condition=condition, count=len(keys), assignments=assignments
    )
    # The rows come before the assignments in the one dialect, and after them in the other.
    parameters = [*keys, *values] if vendor == "mysql" else [*values, *keys]
    return Statement(statement, parameters)


def _places(keys: Sequence[str]) -> str:
    return ", ".join(["%s"] * len(keys))


def storable(text: str) -> str:
    """Cut to the column of an error and drop what utf8mb4 cannot hold."""
    return text[:LAST_ERROR_LENGTH].encode("utf-8", "replace").decode()
