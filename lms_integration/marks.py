"""Marking courses dirty: the durable outbox that makes every rebuild happen, broker or not.

A mark is one commutative upsert on ``overview_mark``. It runs in the caller's transaction, so that
a publish and its mark commit or roll back together, and it never waits for a running rebuild,
which locks the mark with its last statement only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from lms_integration.database_clock import now_sql
from lms_integration.events import PUBLISH_EVENT_TYPES, CourseDeleted, CoursePublished, Event
from lms_integration.models import HELD_BACK_SECONDS

#: ``announced_version`` of a course whose newest announcement is its delete.
ANNOUNCED_DELETE = ""

_COLUMNS = (
    "course_key, wanted, done, attempts, last_error, announced_version, announced_at, "
    "dirty_since, next_attempt_at, last_event_id, last_event_type, last_event_at, published_since, "
    "delete_announced, rewrite"
)

# MySQL and MariaDB evaluate the assignments from left to right and let later ones see the new
# values: what an expression compares is therefore assigned after it. VALUES(), because MariaDB does
# not know the row alias of MySQL 8. An older announcement never hides a newer one. A mark on a course
# that is held back may be what mends it, and begins a new dirty time: else its announcement would be
# disbelieved at once, and the pipeline seem hours behind; the publish that waits does so all the same.
# The looks that found the source behind go with the dirty time, not with the mark: marks that come
# without pause would else keep an announcement that is not true from ever being disbelieved.
# A delete stays announced until it is done: an event from before it may come after it, and Open edX's
# names no time to tell. A count that is behind what is done (a backup, a hand) must not swallow a mark.
_UPSERT_MYSQL = """
INSERT INTO overview_mark ({columns}) VALUES {rows}
ON DUPLICATE KEY UPDATE
    dirty_since = IF(wanted <= done OR next_attempt_at > {held_back},
                     VALUES(dirty_since), dirty_since),
    looks = IF(wanted <= done OR next_attempt_at > {held_back}, 0, looks),
    next_attempt_at = IF(VALUES(next_attempt_at) IS NULL OR wanted <= done,
                         VALUES(next_attempt_at), next_attempt_at),
    attempts = 0,
    announced_version = IF(VALUES(announced_at) IS NOT NULL
        AND (announced_at IS NULL OR VALUES(announced_at) >= announced_at),
        VALUES(announced_version), announced_version),
    announced_at = IF(VALUES(announced_at) IS NOT NULL
        AND (announced_at IS NULL OR VALUES(announced_at) >= announced_at),
        VALUES(announced_at), announced_at),
    last_event_id = VALUES(last_event_id),
    last_event_type = VALUES(last_event_type),
    last_event_at = VALUES(last_event_at),
    published_since = IF(wanted <= done OR published_since IS NULL,
                         VALUES(published_since), published_since),
    delete_announced = IF(wanted <= done OR delete_announced IS NULL,
        VALUES(delete_announced), delete_announced OR COALESCE(VALUES(delete_announced), FALSE)),
    rewrite = IF(wanted <= done, VALUES(rewrite), rewrite OR VALUES(rewrite)),
    wanted = GREATEST(wanted, done) + 1
"""

# SQLite lets every expression see the old row; the order means nothing there.
_UPSERT_SQLITE = """
INSERT INTO overview_mark ({columns}) VALUES {rows}
ON CONFLICT (course_key) DO UPDATE SET
    dirty_since = CASE WHEN wanted <= done OR next_attempt_at > {held_back}
        THEN excluded.dirty_since ELSE dirty_since END,
    looks = CASE WHEN wanted <= done OR next_attempt_at > {held_back} THEN 0 ELSE looks END,
    next_attempt_at = CASE WHEN excluded.next_attempt_at IS NULL OR wanted <= done
        THEN excluded.next_attempt_at ELSE next_attempt_at END,
    attempts = 0,
    announced_version = CASE WHEN excluded.announced_at IS NOT NULL
        AND (announced_at IS NULL OR excluded.announced_at >= announced_at)
        THEN excluded.announced_version ELSE announced_version END,
    announced_at = CASE WHEN excluded.announced_at IS NOT NULL
        AND (announced_at IS NULL OR excluded.announced_at >= announced_at)
        THEN excluded.announced_at ELSE announced_at END,
    last_event_id = excluded.last_event_id,
    last_event_type = excluded.last_event_type,
    last_event_at = excluded.last_event_at,
    published_since = CASE WHEN wanted <= done OR published_since IS NULL
        THEN excluded.published_since ELSE published_since END,
    delete_announced = CASE WHEN wanted <= done OR delete_announced IS NULL
        THEN excluded.delete_announced
        ELSE delete_announced OR COALESCE(excluded.delete_announced, FALSE) END,
    rewrite = CASE WHEN wanted <= done THEN excluded.rewrite
        ELSE MAX(rewrite, excluded.rewrite) END,
    wanted = MAX(wanted, done) + 1
"""

_UPSERTS = {"mysql": _UPSERT_MYSQL, "sqlite": _UPSERT_SQLITE}


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseMark:
    """One reason to rebuild one course, with what is known of the version announced."""

    course_key: str
    announced_version: str | None = None
    announced_at: datetime | None = None
    event_id: str = ""
    event_type: str = ""
    #: Write row, tabs and projection even where they are what the state remembers.
    rewrite: bool = False
    #: A publish that nobody announced has been waiting for so long already.
    lost_for_seconds: int | None = None


def mark_of(event: Event) -> CourseMark:
    """Return the mark that ``event`` stands for."""
    version: str | None = None
    at: datetime | None = None
    match event:
        case CoursePublished():
            version, at = event.published_version, event.published_at
        case CourseDeleted():
            version, at = ANNOUNCED_DELETE, event.deleted_at
    if version is None or at is None:  # a version without its time cannot be ordered: say nothing
        version = at = None
    return CourseMark(
        course_key=event.course_key,
        announced_version=version,
        announced_at=at,
        event_id=event.event_id,
        event_type=event.type_name,
    )


def mark_courses(
    marks: Iterable[CourseMark],
    *,
    not_before_seconds: int | None = None,
    commits: bool = False,
    using: str = DEFAULT_DB_ALIAS,
) -> None:
    """Mark courses dirty with one statement, in the caller's transaction if there is one.

    Of several marks of one course the newest announcement is kept. ``not_before_seconds`` keeps the
    sweeper away for so long: for callers that enqueue the rebuilds themselves. ``commits``: nothing
    follows in the caller's transaction, and the commit travels with the statement: a process that is
    frozen between the two would keep the marks, and Studio would wait for them. It has no effect where
    that transaction is itself inside another one.

    Raises:
        django.db.DatabaseError: the database refused or did not answer.
    """
    marks = list(marks)
    merged = merge_marks(marks)
    if not merged:
        return
    connection = connections[using]
    now = now_sql(connection.vendor)
    next_attempt = (
        "NULL"
        if not_before_seconds is None
        else now_sql(connection.vendor, offset_seconds=not_before_seconds)
    )
    published = _published_since(marks, vendor=connection.vendor)
    deleted = _deletes_announced(marks)
    rewritten = {mark.course_key for mark in marks if mark.rewrite}
    row = f"(%s, 1, 0, 0, '', %s, %s, {now}, {next_attempt}, %s, %s, {now}, {{since}}, %s, %s)"
    statement = _UPSERTS[connection.vendor].format(
        columns=_COLUMNS,
        rows=", ".join(row.format(since=published.get(mark.course_key, "NULL")) for mark in merged),
        held_back=now_sql(connection.vendor, offset_seconds=HELD_BACK_SECONDS),
    )
    parameters: list[Any] = []
    for mark in merged:
        parameters += [
            mark.course_key,
            mark.announced_version,
            connection.ops.adapt_datetimefield_value(_milliseconds(mark.announced_at)),
            mark.event_id,
            mark.event_type,
            deleted.get(mark.course_key),
            mark.course_key in rewritten,
        ]
    is_alone = connection.in_atomic_block and not connection.savepoint_ids
    ends = commits and is_alone and connection.vendor == "mysql"
    with connection.cursor() as cursor:
        cursor.execute(f"{statement.strip()}; COMMIT" if ends else statement, parameters)
        while ends and cursor.nextset():  # raises what the commit has met
            pass


def merge_marks(marks: Iterable[CourseMark]) -> Sequence[CourseMark]:
    """Return one mark a course, sorted by course key (so that statements lock in one order)."""
    merged: dict[str, CourseMark] = {}
    for mark in marks:
        known = merged.get(mark.course_key)
        if known is None or _announces_newer(mark, known):
            merged[mark.course_key] = mark
    return [merged[course_key] for course_key in sorted(merged)]


def _published_since(marks: Sequence[CourseMark], *, vendor: str) -> dict[str, str]:
    """Return ``{course key: SQL of when its publish was marked}``, for publishes only."""
    since: dict[str, str] = {}
    for mark in marks:
        if mark.lost_for_seconds is not None:
            since[mark.course_key] = now_sql(vendor, offset_seconds=-mark.lost_for_seconds)
        elif mark.event_type in PUBLISH_EVENT_TYPES:
            since.setdefault(mark.course_key, now_sql(vendor))
    return since


def _deletes_announced(marks: Sequence[CourseMark]) -> dict[str, bool]:
    """Return, for courses with a publish or delete among ``marks``, whether there is a delete."""
    deleted: dict[str, bool] = {}
    for mark in marks:
        if mark.event_type in PUBLISH_EVENT_TYPES:
            is_delete = mark.event_type == CourseDeleted.type_name
            deleted[mark.course_key] = is_delete or deleted.get(mark.course_key, False)
    return deleted


def _announces_newer(mark: CourseMark, known: CourseMark) -> bool:
    if known.announced_at is None:
        return True
    return mark.announced_at is not None and mark.announced_at >= known.announced_at


def _milliseconds(moment: datetime | None) -> datetime | None:
    """Cut to MongoDB's precision, the coarser of the two course indexes."""
    if moment is None:
        return None
    in_utc = moment.astimezone(UTC)
    return in_utc.replace(microsecond=in_utc.microsecond // 1000 * 1000)
