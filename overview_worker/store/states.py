"""Writing what the rows were built from, of many courses with one statement."""

import json
from collections.abc import Sequence
from typing import Any

from django.db import connections

from lms_integration.data import COURSE_OVERVIEW_VERSION
from lms_integration.database_clock import now_sql
from overview_worker.ports import WriteOverview
from overview_worker.store.conf import StoreConf

_WRITTEN = (
    *("source_version", "source_updated_at", "builder_version", "schema_version"),
    *("content_hash", "tabs_hash", "projection_hash", "column_digests"),
    *("deleted", "row_seq", "record_seq", "verified_at", "degradations", "fault"),
)
# An upsert only so that one statement can carry the values of many courses: their rows are there, and
# locked. Without a change of the row, the time of the last one stays.
_UPSERT = f"""
INSERT INTO overview_state (course_key, {", ".join(_WRITTEN)}, built_at)
VALUES {{rows}}
{{on_conflict}}
"""  # noqa: S608 - made of the names above
_ON_CONFLICT = {
    "mysql": "ON DUPLICATE KEY UPDATE "
    + ", ".join(f"{name} = VALUES({name})" for name in _WRITTEN)
    + ", built_at = COALESCE(VALUES(built_at), built_at)",
    "sqlite": "ON CONFLICT (course_key) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _WRITTEN)
    + ", built_at = COALESCE(excluded.built_at, built_at)",
}
_ROW = (
    "(%s, %s, %s, %s, %s, %s, %s, %s, %s, FALSE, %s, %s, {now}, %s, NULL, "
    "CASE WHEN %s THEN {now} ELSE NULL END)"
)


class OverviewStates:
    """The table of states, inside the rebuild's transaction."""

    def __init__(self, conf: StoreConf) -> None:
        self._connection = connections[conf.using]
        self._builder_version = conf.builder_version

    def write(self, writes: Sequence[WriteOverview]) -> None:
        """Note what was read and built; by primary key only, in the order given."""
        vendor = self._connection.vendor
        row = _ROW.format(now=now_sql(vendor))
        statement = _UPSERT.format(
            rows=", ".join([row] * len(writes)), on_conflict=_ON_CONFLICT[vendor]
        )
        parameters = [value for write in writes for value in self._values(write)]
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters)

    def _values(self, write: WriteOverview) -> list[Any]:
        state = write.course.state
        return [
            write.course.course_key,
            write.pointer.structure_id,
            self._connection.ops.adapt_datetimefield_value(write.pointer.updated_at),
            self._builder_version,
            COURSE_OVERVIEW_VERSION,
            write.content_hash,
            write.tabs_hash,
            write.projection_hash,
            write.column_digests,
            state.row_seq + write.anything_changed,
            state.record_seq + write.is_news,
            json.dumps(
                [
                    {"field": d.field, "value": d.value, "reason": d.reason}
                    for d in write.built.degradations
                ]
            ),
            write.anything_changed,
        ]
