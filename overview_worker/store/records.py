"""Writing the rebuild records, a ring of the last few of each course: one statement for all."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connections

from lms_integration.database_clock import now_sql
from lms_integration.models import RecordedOutcome
from overview_worker.ports import (
    Change,
    LockedCourse,
    RebuildEffort,
    RecordFault,
    RemoveOverview,
    StoredState,
    WriteOverview,
)
from overview_worker.store.conf import StoreConf
from overview_worker.store.mark_statements import storable

#: Records that are kept of a course; the next one takes the place of the oldest.
KEPT_RECORDS = 20

_WORKER_LENGTH = 100
_KEY = ("course_key", "slot")
_COLUMNS = (
    *("sequence", "outcome", "source_version", "source_updated_at", "builder_version", "row_seq"),
    *("event_id", "event_type", "event_at", "attempts", "last_error"),
    *("waited_ms", "read_ms", "build_ms", "write_ms", "course_count"),
    *("changed_columns", "error", "worker"),
)
# Written out, because it is on the way of every publish: Django's bulk_create takes four times as long.
_INSERT = f"""
INSERT INTO overview_rebuild_record ({", ".join((*_KEY, *_COLUMNS))}, recorded_at)
VALUES {{rows}}
{{on_conflict}}
"""  # noqa: S608 - made of the names above
_ON_CONFLICT = {
    "mysql": "ON DUPLICATE KEY UPDATE "
    + ", ".join(f"{name} = VALUES({name})" for name in (*_COLUMNS, "recorded_at")),
    "sqlite": "ON CONFLICT (course_key, slot) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in (*_COLUMNS, "recorded_at")),
}


class RebuildRecords:
    """The table of rebuild records, inside the rebuild's transaction."""

    def __init__(self, conf: StoreConf) -> None:
        self._connection = connections[conf.using]
        self._builder_version = conf.builder_version
        self._worker = storable(conf.worker)[:_WORKER_LENGTH]

    def upsert(
        self, changes: Sequence[Change], *, locked: Mapping[str, LockedCourse], write_ms: float
    ) -> None:
        """Write one record a change, over the oldest of the course; by primary key only.

        ``locked`` are the courses as they are locked now: a fault may have been met under an
        earlier lock. ``write_ms`` is what writing all of them has taken so far.
        """
        if not changes:
            return
        vendor = self._connection.vendor
        row = f"({', '.join(['%s'] * (len(_KEY) + len(_COLUMNS)))}, {now_sql(vendor)})"
        statement = _INSERT.format(
            rows=", ".join([row] * len(changes)), on_conflict=_ON_CONFLICT[vendor]
        )
        parameters: list[Any] = []
        for change in changes:
            course = locked[change.course.course_key]
            sequence = course.state.record_seq + 1
            values = self._values(change, course, sequence=sequence, write_ms=write_ms)
            parameters += [course.course_key, sequence % KEPT_RECORDS]
            parameters += [values[name] for name in _COLUMNS]
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters)

    def _values(
        self, change: Change, course: LockedCourse, *, sequence: int, write_ms: float
    ) -> dict[str, Any]:
        notes = change.course.notes
        return {
            "sequence": sequence,
            "source_version": "",
            "source_updated_at": None,
            "builder_version": self._builder_version,
            "event_id": notes.event_id,
            "event_type": notes.event_type,
            "event_at": self._time(notes.event_at),
            "attempts": notes.attempts,
            "last_error": notes.last_error,
            "waited_ms": round(change.course.dirty_seconds * 1000, 3),
            "write_ms": round(write_ms, 3),
            "changed_columns": None,
            "error": "",
            "worker": self._worker,
            **_effort_of(change),
            **self._outcome(change, course.state),
        }

    def _outcome(self, change: Change, state: StoredState) -> dict[str, Any]:
        match change:
            case WriteOverview():
                created = not state.has_row
                return {
                    "outcome": (
                        RecordedOutcome.CREATED if created else RecordedOutcome.WRITTEN
                    ).value,
                    "row_seq": state.row_seq + 1,
                    "source_version": change.pointer.structure_id,
                    "source_updated_at": self._time(change.pointer.updated_at),
                    "changed_columns": _json(change.changed_columns),
                }
            case RemoveOverview():
                return {"outcome": RecordedOutcome.DELETED.value, "row_seq": state.row_seq + 1}
            case RecordFault():
                pointer = change.pointer
                return {
                    "outcome": RecordedOutcome.FAULTY.value,
                    "row_seq": state.row_seq,
                    "source_version": "" if pointer is None else pointer.structure_id,
                    "source_updated_at": self._time(
                        None if pointer is None else pointer.updated_at
                    ),
                    "error": storable(str(change.error)),
                }
            case _:
                raise TypeError(f"no record is kept of {type(change).__name__}")

    def _time(self, moment: datetime | None) -> Any:
        return self._connection.ops.adapt_datetimefield_value(moment)


def _effort_of(change: Change) -> dict[str, Any]:
    effort = change.effort if isinstance(change, WriteOverview | RecordFault) else RebuildEffort()
    return {
        "read_ms": round(effort.read_ms, 3),
        "build_ms": round(effort.build_ms, 3),
        "course_count": effort.course_count,
    }


def _json(changed: Mapping[str, str] | None) -> str | None:
    return None if changed is None else json.dumps(changed)
