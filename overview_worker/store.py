"""The SQL side of a rebuild: lock state rows, upsert rows, tabs and images, mark done.

The only module that writes overview rows. MariaDB, MySQL (READ COMMITTED) and, for the embedded
mode, SQLite, whose write transactions exclude each other as a whole.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import groupby
from typing import Any

from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connections,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Q

from lms_integration.data import (
    COURSE_OVERVIEW_VERSION,
    CourseOverviewData,
    CourseOverviewTabData,
)
from lms_integration.database_clock import DatabaseNow, now_sql
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    OverviewMark,
    OverviewState,
    OverviewTombstone,
)
from overview_worker.dead_letters import fingerprint_of, record_dead_letter
from overview_worker.documents import DeadLetterEntry, DeadLetterSource
from overview_worker.errors import RetryableError, RowRefused, StoreUnavailable
from overview_worker.ports import (
    Change,
    LockedCourse,
    NothingToBuild,
    PostponeRebuild,
    RecordFault,
    RemoveOverview,
    StoredState,
    WriteOverview,
)

logger = logging.getLogger(__name__)

#: A permanent fault is tried again this late, in case the cause was elsewhere after all.
FAULT_RETRY_SECONDS = 6 * 3600
#: How long the sweeper leaves a course alone that it has enqueued.
LEASE_SECONDS = 30
#: The sweeper leaves younger marks to the event that came with them, in seconds.
SWEEP_GRACE_SECONDS = 2
#: Cap of the back-off between attempts, in milliseconds; it begins with 100 and doubles.
BACKOFF_CAP_MS = 10_000
LAST_ERROR_LENGTH = 500

# MySQL answers a NOWAIT lock that is taken with 3572, MariaDB with 1205 (lock wait timeout).
_LOCK_IS_TAKEN = frozenset({1205, 3572})
# MariaDB tells a killed connection so (1927) where it can; a server that stops says 1053.
_CONNECTION_LOST = frozenset({1053, 1927, 2006, 2013, 2055, 4031})
# Values that do not fit their column, which the driver takes for a trouble of the server.
_VALUE_REFUSED = frozenset({1292, 1366})

# The done statement is an upsert only so that one statement can carry a value a course; the row
# always exists. An announcement that has been answered is forgotten; a mark that came meanwhile
# begins a new dirty time.
_DONE_MYSQL = """
INSERT INTO overview_mark (course_key, wanted, done, attempts, last_error, last_event_id,
                           last_event_type)
VALUES {rows}
ON DUPLICATE KEY UPDATE
    dirty_since = IF(wanted > VALUES(done), {now}, NULL),
    announced_version = IF(wanted > VALUES(done), announced_version, NULL),
    announced_at = IF(wanted > VALUES(done), announced_at, NULL),
    next_attempt_at = NULL,
    attempts = 0,
    last_error = '',
    done = GREATEST(done, VALUES(done))
"""
_DONE_SQLITE = """
INSERT INTO overview_mark (course_key, wanted, done, attempts, last_error, last_event_id,
                           last_event_type)
VALUES {rows}
ON CONFLICT (course_key) DO UPDATE SET
    dirty_since = CASE WHEN wanted > excluded.done THEN {now} ELSE NULL END,
    announced_version = CASE WHEN wanted > excluded.done THEN announced_version ELSE NULL END,
    announced_at = CASE WHEN wanted > excluded.done THEN announced_at ELSE NULL END,
    next_attempt_at = NULL,
    attempts = 0,
    last_error = '',
    done = MAX(done, excluded.done)
"""
_DONE = {"mysql": _DONE_MYSQL, "sqlite": _DONE_SQLITE}

# 100 ms, doubled with each attempt. A mark that came after the one that failed is not held back.
_BACKOFF_MYSQL = """
UPDATE overview_mark SET
    next_attempt_at = {now} + INTERVAL LEAST(100 << LEAST(attempts, 10), {cap}) * 1000 MICROSECOND,
    attempts = attempts + 1,
    last_error = %s
WHERE course_key IN ({keys}) AND wanted > done
"""
_BACKOFF_SQLITE = """
UPDATE overview_mark SET
    next_attempt_at = STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW',
        '+' || (MIN(100 << MIN(attempts, 10), {cap}) / 1000.0) || ' seconds'),
    attempts = attempts + 1,
    last_error = %s
WHERE course_key IN ({keys}) AND wanted > done
"""
_BACKOFF = {"mysql": _BACKOFF_MYSQL, "sqlite": _BACKOFF_SQLITE}

_OVERVIEW_COLUMNS = tuple(field.name for field in fields(CourseOverviewData))
#: Columns that a rebuild overwrites; the catalog's own are not among them.
_UPDATED_COLUMNS = ("modified", *(name for name in _OVERVIEW_COLUMNS if name != "id"))
_TAB_COLUMNS = tuple(field.name for field in fields(CourseOverviewTabData))
_DELETE_ROW = f"DELETE FROM {CourseOverview._meta.db_table} WHERE id = %s"  # noqa: S608


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreConf:
    """What the store must know of the deployment."""

    builder_version: int
    #: The course catalog owns the column ``language``: keep what it wrote.
    catalog_owns_language: bool = False
    using: str = DEFAULT_DB_ALIAS


class DjangoOverviewStore:
    """``ports.OverviewStore`` on a Django connection; one instance a process, any thread."""

    def __init__(self, conf: StoreConf) -> None:
        self._conf = conf

    @contextmanager
    def transaction(self, course_keys: Sequence[str]) -> Iterator["DjangoRebuildTransaction"]:
        """Open a transaction whose first statement locks the courses' state rows, without waiting."""
        keys = sorted(course_keys)
        self._renew_lost_connection()
        while True:
            with self._errors_translated(), transaction.atomic(using=self._conf.using):
                opened = DjangoRebuildTransaction(self._conf, keys)
                missing = opened.lock()
                if not missing:
                    yield opened
                    return
            # Only rows that exist can be locked: locking a missing one deadlocks or collides.
            self._create_states(missing)

    def still_dirty(self, course_keys: Sequence[str]) -> list[str]:
        """Return those of ``course_keys`` that were marked again meanwhile."""
        if not course_keys:
            return []
        with self._errors_translated():
            return list(
                self._marks()
                .filter(course_key__in=course_keys, wanted__gt=F("done"))
                .order_by("course_key")
                .values_list("course_key", flat=True)
            )

    def postpone(self, course_keys: Sequence[str], error: RetryableError) -> None:
        """Count a failed attempt for each dirty course and set when the sweeper tries again."""
        with self._errors_translated():
            _postpone(connections[self._conf.using], sorted(course_keys), str(error))

    def take_due(self, *, limit: int) -> list[str]:
        """Return dirty courses whose time has come, oldest first, and lease them for a while."""
        connection = connections[self._conf.using]
        now = DatabaseNow()
        with self._errors_translated():
            due = list(
                self._marks()
                .filter(
                    Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=now),
                    dirty_since__lt=DatabaseNow(offset_seconds=-SWEEP_GRACE_SECONDS),
                )
                .order_by("dirty_since")
                .values_list("course_key", flat=True)[:limit]
            )
            if due:
                _lease(connection, sorted(due))
        return due

    def _marks(self) -> Any:
        return OverviewMark.objects.using(self._conf.using)

    def _create_states(self, course_keys: Sequence[str]) -> None:
        with self._errors_translated():
            OverviewState.objects.using(self._conf.using).bulk_create(
                [OverviewState(course_key=key) for key in sorted(course_keys)],
                ignore_conflicts=True,
            )

    def _renew_lost_connection(self) -> None:
        """Drop a connection that failed before, or that the server closed while it was idle."""
        connection = connections[self._conf.using]
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        try:
            yield
        except (DataError, IntegrityError):
            raise
        except (OperationalError, InterfaceError) as error:
            connection = connections[self._conf.using]
            if not connection.in_atomic_block and _error_code(error) in _CONNECTION_LOST:
                connection.close()
            raise StoreUnavailable(f"overview database: {_short(error)}") from error


class DjangoRebuildTransaction:
    """``ports.RebuildTransaction``: lives inside the ``atomic`` block that the store opened."""

    def __init__(self, conf: StoreConf, course_keys: Sequence[str]) -> None:
        self._conf = conf
        self._keys = course_keys
        self._connection = connections[conf.using]
        self._locked: dict[str, LockedCourse] = {}

    @property
    def locked(self) -> Mapping[str, LockedCourse]:
        """The courses that are locked, by key."""
        return self._locked

    def lock(self) -> list[str]:
        """Lock the states and read the marks; return the keys that have no state row yet."""
        states = self._lock_states()
        missing = self._missing(states) if len(states) < len(self._keys) else []
        if not missing and states:
            self._locked = self._with_marks(states)
        return missing

    def apply(self, changes: Sequence[Change]) -> None:
        """Write ``changes``; the marks' ``done`` comes last."""
        try:
            self._write([change for change in changes if isinstance(change, WriteOverview)])
            for change in changes:
                if isinstance(change, RemoveOverview):
                    self._remove(change.course)
            self._forget_faults(
                [change for change in changes if isinstance(change, NothingToBuild)]
            )
            self._record_faults([change for change in changes if isinstance(change, RecordFault)])
            self._update_marks(changes)
        except (DataError, IntegrityError, OperationalError, UnicodeEncodeError) as error:
            if isinstance(error, OperationalError) and _error_code(error) not in _VALUE_REFUSED:
                raise
            keys = ", ".join(change.course.course_key for change in changes[:3])
            raise RowRefused(keys, f"refused by the database: {_short(error)}") from error

    # --- locking

    def _lock_states(self) -> dict[str, OverviewState]:
        rows = OverviewState.objects.using(self._conf.using).filter(course_key__in=self._keys)
        if self._connection.features.has_select_for_update:
            alone = len(self._keys) == 1
            rows = rows.select_for_update(nowait=alone, skip_locked=not alone)
        try:
            return {state.course_key: state for state in rows.order_by("course_key")}
        except OperationalError as error:
            if _error_code(error) in _LOCK_IS_TAKEN:
                return {}
            raise

    def _missing(self, states: Mapping[str, OverviewState]) -> list[str]:
        """Of the rows that were not locked, those that do not exist; the others are taken."""
        absent = [key for key in self._keys if key not in states]
        existing = set(
            OverviewState.objects.using(self._conf.using)
            .filter(course_key__in=absent)
            .values_list("course_key", flat=True)
        )
        return [key for key in absent if key not in existing]

    def _with_marks(self, states: Mapping[str, OverviewState]) -> dict[str, LockedCourse]:
        keys = sorted(states)
        now, marks = self._marks(keys)
        row_ids = self._rows_of(keys)
        return {
            key: _locked_course(marks.get(key), states[key], now, row_id=row_ids.get(key))
            for key in keys
        }

    def _marks(self, keys: Sequence[str]) -> tuple[datetime | None, dict[str, OverviewMark]]:
        rows = OverviewMark.objects.using(self._conf.using).filter(course_key__in=keys)
        marks = list(rows.annotate(database_now=DatabaseNow()))
        now = marks[0].database_now if marks else None
        return now, {mark.course_key: mark for mark in marks}

    def _rows_of(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the id of the overview row that the table finds for each key, where it finds one.

        The platform's own table may match keys without case, so that the row found for a key can be
        another course's.
        """
        found = self._row_ids(keys)
        row_ids = {key: key for key in keys if key in found}
        if found:  # a row of another course may be what the table finds for the other keys
            for key in keys:
                if key not in found:
                    row_ids.update((key, row_id) for row_id in self._row_ids([key]))
        return row_ids

    def _row_ids(self, keys: Sequence[str]) -> set[str]:
        rows = CourseOverview.objects.using(self._conf.using).filter(id__in=keys)
        return set(rows.values_list("id", flat=True))

    # --- writing

    def _write(self, writes: Sequence[WriteOverview]) -> None:
        if not writes:
            return
        self._upsert_rows([write for write in writes if write.row_changed])
        self._replace_tabs([write for write in writes if write.tabs_changed])
        for write in writes:
            if write.course.state.deleted:
                self._tombstones().filter(course_key=write.course.course_key).delete()
            self._update_state_of(write)

    def _upsert_rows(self, writes: Sequence[WriteOverview]) -> None:
        if not writes:
            return
        kept = {"language"} if self._conf.catalog_owns_language else set()
        CourseOverview.objects.using(self._conf.using).bulk_create(
            [_overview_row(write.built.overview) for write in writes],
            update_conflicts=True,
            update_fields=[name for name in _UPDATED_COLUMNS if name not in kept],
            unique_fields=self._conflict_target("id"),
        )
        self._refuse_look_alikes(
            [w.course.course_key for w in writes if not w.course.state.has_row]
        )
        self._upsert_image_sets(
            [
                CourseOverviewImageSet(
                    course_overview_id=write.course.course_key,
                    small_url=write.built.image_set.small_url,
                    large_url=write.built.image_set.large_url,
                )
                for write in writes
                if write.built.image_set is not None
            ]
        )

    def _refuse_look_alikes(self, new_keys: Sequence[str]) -> None:
        """Refuse a chunk two of whose new rows the table took for one; one by one, one is kept."""
        if len(new_keys) < 2:
            return
        lost = sorted(set(new_keys) - self._row_ids(new_keys))
        if lost:
            raise RowRefused(lost[0], "the table cannot tell its key from another course's")

    def _upsert_image_sets(self, image_sets: Sequence[CourseOverviewImageSet]) -> None:
        """Write image sets, over those that are there by their ids.

        By the course, whose index is not the primary one, an upsert locks the gap before its entry
        too, and rebuilds of neighbouring courses wait.
        """
        if not image_sets:
            return
        stored = CourseOverviewImageSet.objects.using(self._conf.using)
        keys = [image_set.course_overview_id for image_set in image_sets]
        ids = dict(
            stored.filter(course_overview_id__in=keys).values_list("course_overview_id", "id")
        )
        for image_set in image_sets:
            image_set.id = ids.get(image_set.course_overview_id)
        stored.bulk_create(
            image_sets,
            update_conflicts=True,
            update_fields=["modified", "small_url", "large_url"],
            unique_fields=self._conflict_target("id"),
        )

    def _conflict_target(self, name: str) -> list[str] | None:
        supported = self._connection.features.supports_update_conflicts_with_target
        return [name] if supported else None

    def _replace_tabs(self, writes: Sequence[WriteOverview]) -> None:
        """Write over the tabs that are there, add those that lack, delete what is too many.

        Only by id: for a DELETE by course the server may choose to scan the table, where it waits
        for tabs that other rebuilds hold, and two chunks deadlock.
        """
        if not writes:
            return
        old_ids = self._tab_ids([w.course.course_key for w in writes if w.course.state.has_row])
        rows: list[CourseOverviewTab] = []
        for write in writes:
            key = write.course.course_key
            ids = old_ids.pop(key, [])
            for tab in write.built.tabs:
                rows.append(_tab_row(tab, course_key=key, row_id=ids.pop(0) if ids else None))
            self._delete_tabs(ids)
        self._tabs().bulk_create(
            rows,
            update_conflicts=True,
            update_fields=_TAB_COLUMNS,
            unique_fields=self._conflict_target("id"),
        )

    def _tab_ids(self, keys: Sequence[str]) -> dict[str, list[int]]:
        """Return ``{course key: ids of its tabs, in their order}``."""
        if not keys:
            return {}
        found: dict[str, list[int]] = {}
        ids = self._tabs().filter(course_overview_id__in=keys).order_by("id")
        for key, tab_id in ids.values_list("course_overview_id", "id"):
            found.setdefault(key, []).append(tab_id)
        return found

    def _delete_tabs(self, ids: Sequence[int]) -> None:
        for tab_id in ids:
            self._tabs().filter(id=tab_id).delete()

    def _update_state_of(self, write: WriteOverview) -> None:
        changed = write.row_changed or write.tabs_changed
        self._states([write.course.course_key]).update(
            source_version=write.pointer.structure_id,
            source_updated_at=write.pointer.updated_at,
            builder_version=self._conf.builder_version,
            schema_version=COURSE_OVERVIEW_VERSION,
            content_hash=write.content_hash,
            tabs_hash=write.tabs_hash,
            deleted=False,
            row_seq=write.course.state.row_seq + changed,
            verified_at=DatabaseNow(),
            degradations=[
                {"field": d.field, "value": d.value, "reason": d.reason}
                for d in write.built.degradations
            ],
            fault=None,
            **({"built_at": DatabaseNow()} if changed else {}),
        )

    def _remove(self, course: LockedCourse) -> None:
        key = course.course_key
        if course.state.has_row:  # else the row that the table finds is another course's
            self._remove_row(key)
        self._tombstones().filter(course_key=key).update(deleted_at=DatabaseNow())
        self._states([key]).update(
            deleted=True,
            content_hash="",
            tabs_hash="",
            row_seq=F("row_seq") + 1,
            built_at=DatabaseNow(),
            verified_at=DatabaseNow(),
            degradations=[],
            fault=None,
        )

    def _remove_row(self, key: str) -> None:
        using = self._conf.using
        self._tombstones().bulk_create(
            [_tombstone(row) for row in CourseOverview.objects.using(using).filter(id=key)],
            update_conflicts=True,
            update_fields=[name for name in _TOMBSTONE_COLUMNS if name != "course_key"],
            unique_fields=self._conflict_target("course_key"),
        )
        for ids in self._tab_ids([key]).values():
            self._delete_tabs(ids)
        CourseOverviewImageSet.objects.using(using).filter(course_overview_id=key).delete()
        # Not through the model: Django would delete the tabs by course once more.
        with self._connection.cursor() as cursor:
            cursor.execute(_DELETE_ROW, [key])

    def _forget_faults(self, absent: Sequence[NothingToBuild]) -> None:
        for change in absent:
            self._states([change.course.course_key]).filter(fault__isnull=False).update(fault=None)

    def _record_faults(self, faults: Sequence[RecordFault]) -> None:
        letters = [
            DeadLetterEntry(
                source=DeadLetterSource.REBUILD,
                course_key=fault.course.course_key,
                reason=_storable(str(fault.error)),
            )
            for fault in faults
        ]
        # In the order of the unique index: an upsert locks the gap before its entry, too.
        for letter in sorted(letters, key=fingerprint_of):
            self._states([letter.course_key]).update(fault=letter.reason)
            record_dead_letter(letter, using=self._conf.using)

    def _update_marks(self, changes: Sequence[Change]) -> None:
        """Lock the marks in the order of their keys, as those do who mark several courses."""
        ordered = sorted(changes, key=lambda change: change.course.course_key)
        for is_finished, group in groupby(ordered, key=_is_finished):
            if is_finished:
                self._mark_done([change.course for change in group])
                continue
            for change in group:
                self._leave_dirty(change)

    def _leave_dirty(self, change: Change) -> None:
        match change:
            case PostponeRebuild():
                _postpone(self._connection, [change.course.course_key], change.reason)
            case RecordFault():
                _hold_back(self._connection, change.course, str(change.error))

    def _mark_done(self, courses: Sequence[LockedCourse]) -> None:
        vendor = self._connection.vendor
        row = "(%s, 0, %s, 0, '', '', '')"
        statement = _DONE[vendor].format(rows=", ".join([row] * len(courses)), now=now_sql(vendor))
        parameters: list[Any] = []
        for course in courses:
            parameters += [course.course_key, course.wanted]
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters)

    def _states(self, keys: Sequence[str]) -> Any:
        return OverviewState.objects.using(self._conf.using).filter(course_key__in=keys)

    def _tabs(self) -> Any:
        return CourseOverviewTab.objects.using(self._conf.using)

    def _tombstones(self) -> Any:
        return OverviewTombstone.objects.using(self._conf.using)


_TOMBSTONE_COLUMNS = (
    "course_key",
    "display_name",
    "display_org_with_default",
    "display_number_with_default",
    "course_image_url",
    "start",
    "end",
    "deleted_at",
)


def _locked_course(
    mark: OverviewMark | None,
    state: OverviewState,
    now: datetime | None,
    *,
    row_id: str | None,
) -> LockedCourse:
    key = state.course_key
    dirty_since = None if mark is None else mark.dirty_since
    dirty_seconds = (
        0.0 if now is None or dirty_since is None else (now - dirty_since).total_seconds()
    )
    return LockedCourse(
        course_key=key,
        wanted=0 if mark is None else mark.wanted,
        done=0 if mark is None else mark.done,
        announced_version=None if mark is None else mark.announced_version,
        announced_at=None if mark is None else mark.announced_at,
        dirty_seconds=dirty_seconds,
        state=StoredState(
            source_version=state.source_version,
            source_updated_at=state.source_updated_at,
            content_hash=state.content_hash,
            tabs_hash=state.tabs_hash,
            deleted=state.deleted,
            row_seq=state.row_seq,
            has_row=row_id == key,
            collides_with=None if row_id == key else row_id,
        ),
    )


def _is_finished(change: Change) -> bool:
    return isinstance(change, WriteOverview | RemoveOverview | NothingToBuild)


def _overview_row(overview: CourseOverviewData) -> CourseOverview:
    return CourseOverview(**{name: getattr(overview, name) for name in _OVERVIEW_COLUMNS})


def _tab_row(
    tab: CourseOverviewTabData, *, course_key: str, row_id: int | None
) -> CourseOverviewTab:
    values = {name: getattr(tab, name) for name in _TAB_COLUMNS}
    return CourseOverviewTab(id=row_id, course_overview_id=course_key, **values)


def _tombstone(row: CourseOverview) -> OverviewTombstone:
    return OverviewTombstone(
        course_key=row.id,
        display_name=row.display_name,
        display_org_with_default=row.display_org_with_default,
        display_number_with_default=row.display_number_with_default,
        course_image_url=row.course_image_url,
        start=row.start,
        end=row.end,
        deleted_at=row.modified,  # set to the database's time right after
    )


def _postpone(connection: BaseDatabaseWrapper, keys: Sequence[str], reason: str) -> None:
    statement = _BACKOFF[connection.vendor].format(
        keys=", ".join(["%s"] * len(keys)), now=now_sql(connection.vendor), cap=BACKOFF_CAP_MS
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [_storable(reason), *keys])


def _hold_back(connection: BaseDatabaseWrapper, course: LockedCourse, reason: str) -> None:
    """Keep a faulty course from the sweeper for hours, unless it was marked again meanwhile."""
    later = now_sql(connection.vendor, offset_seconds=FAULT_RETRY_SECONDS)
    statement = (
        f"UPDATE overview_mark SET next_attempt_at = {later}, attempts = attempts + 1, "  # noqa: S608
        "last_error = %s WHERE course_key = %s AND wanted = %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [_storable(reason), course.course_key, course.wanted])


def _lease(connection: BaseDatabaseWrapper, keys: Sequence[str]) -> None:
    later = now_sql(connection.vendor, offset_seconds=LEASE_SECONDS)
    placeholders = ", ".join(["%s"] * len(keys))
    statement = (
        f"UPDATE overview_mark SET next_attempt_at = {later} "  # noqa: S608
        f"WHERE course_key IN ({placeholders}) AND wanted > done"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, list(keys))


def _storable(text: str) -> str:
    """Cut to the column and drop what utf8mb4 cannot hold."""
    return text[:LAST_ERROR_LENGTH].encode("utf-8", "replace").decode()


def _error_code(error: DatabaseError | InterfaceError) -> int | None:
    return error.args[0] if error.args and isinstance(error.args[0], int) else None


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
