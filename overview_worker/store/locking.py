"""Taking the locks of a rebuild, and reading what must be read under them.

Every rebuild asks the same: Django compiles these queries once for a process.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from django.db import OperationalError, connections

from lms_integration.database_clock import DatabaseNow
from lms_integration.marks import ANNOUNCED_DELETE
from lms_integration.models import CourseOverview, OverviewMark, OverviewState
from lms_integration.prepared_queries import PreparedQuery, padded, texts
from overview_worker.ports import LockedCourse, MarkNotes, StoredState
from overview_worker.store.failures import is_taken_lock
from overview_worker.versions import RowVersions


class CourseLocks:
    """Locks courses by their state rows, inside the transaction that the store has opened."""

    def __init__(self, using: str, course_keys: Sequence[str]) -> None:
        self._using = using
        self._keys = course_keys
        self._connection = connections[using]

    def take(self) -> tuple[dict[str, LockedCourse], list[str]]:
        """Return the courses that are locked now, and the keys that have no state row yet.

        With one key the lock is refused at once if it is taken; of several keys those that are taken
        are left out. While a state row is missing nothing is read: there was nothing to lock.
        """
        states = self._lock_states() if self._keys else {}
        missing = self._missing(states) if len(states) < len(self._keys) else []
        if missing or not states:
            return {}, missing
        return self._with_marks(states), []

    def _lock_states(self) -> dict[str, OverviewState]:
        keys = padded(self._keys)
        query = _states(self._using, len(keys), self._connection.features.has_select_for_update)
        try:
            return {state.course_key: state for state in query.rows(keys=keys)}
        except OperationalError as error:
            if is_taken_lock(error):
                return {}
            raise

    def _missing(self, states: Mapping[str, OverviewState]) -> list[str]:
        """Of the rows that were not locked, those that do not exist; the others are taken."""
        absent = [key for key in self._keys if key not in states]
        existing = set(
            OverviewState.objects.using(self._using)
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
        keys = padded(keys)
        marks = _marks_now(self._using, len(keys)).rows(keys=keys)
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
        keys = padded(keys)
        return set(_row_ids(self._using, len(keys)).rows(keys=keys))


@cache
def _states(using: str, count: int, locks: bool) -> PreparedQuery[OverviewState]:
    def build() -> Any:
        rows = OverviewState.objects.using(using).filter(course_key__in=texts("keys", count))
        if locks:
            rows = rows.select_for_update(nowait=count == 1, skip_locked=count > 1)
        return rows.order_by("course_key")

    return PreparedQuery(build)


@cache
def _marks_now(using: str, count: int) -> PreparedQuery[Any]:
    def build() -> Any:
        rows = OverviewMark.objects.using(using).filter(course_key__in=texts("keys", count))
        return rows.annotate(database_now=DatabaseNow())

    return PreparedQuery(build)


@cache
def _row_ids(using: str, count: int) -> PreparedQuery[str]:
    def build() -> Any:
        rows = CourseOverview.objects.using(using).filter(id__in=texts("keys", count))
        return rows.values_list("id", flat=True)

    return PreparedQuery(build)


def _locked_course(
    mark: OverviewMark | None,
    state: OverviewState,
    now: datetime | None,
    *,
    row_id: str | None,
) -> LockedCourse:
    key = state.course_key
    dirty_seconds = None if mark is None else _seconds(mark.dirty_since, now)
    return LockedCourse(
        course_key=key,
        wanted=0 if mark is None else mark.wanted,
        done=0 if mark is None else mark.done,
        announced_version=None if mark is None else mark.announced_version,
        announced_at=None if mark is None else mark.announced_at,
        dirty_seconds=dirty_seconds or 0.0,
        published_seconds=None if mark is None else _seconds(mark.published_since, now),
        rewrite=mark is not None and mark.rewrite,
        delete_is_announced=mark is not None and announces_delete(mark),
        state=StoredState(
            source_version=state.source_version,
            source_updated_at=state.source_updated_at,
            versions=RowVersions(builder=state.builder_version, schema=state.schema_version),
            content_hash=state.content_hash,
            tabs_hash=state.tabs_hash,
            projection_hash=state.projection_hash,
            column_digests=state.column_digests,
            deleted=state.deleted,
            row_seq=state.row_seq,
            record_seq=state.record_seq,
            fault=state.fault,
            has_row=row_id == key,
            collides_with=None if row_id == key else row_id,
        ),
        notes=MarkNotes() if mark is None else _notes_of(mark),
    )


def _seconds(since: datetime | None, now: datetime | None) -> float | None:
    return None if now is None or since is None else (now - since).total_seconds()


def announces_delete(mark: OverviewMark) -> bool:
    """Whether a delete was announced; Open edX's own signal names no time to order it by."""
    return mark.announced_version == ANNOUNCED_DELETE or bool(mark.delete_announced)


def _notes_of(mark: OverviewMark) -> MarkNotes:
    return MarkNotes(
        event_id=mark.last_event_id,
        event_type=mark.last_event_type,
        event_at=mark.last_event_at,
        attempts=mark.attempts,
        looks=mark.looks,
        last_error=mark.last_error if mark.attempts else "",
    )
