"""How long publishes took to become visible: one narrow row each, inside the rebuild's transaction.

An append, so that workers never wait for each other; the inspector counts the rows into hours.
"""

from collections.abc import Sequence
from typing import Any

from django.db import connections

from lms_integration.database_clock import now_sql
from lms_integration.lateness import LATE_AFTER_MS
from overview_worker.lateness import late_reason_of
from overview_worker.ports import Change, LockedCourse, RemoveOverview, WriteOverview
from overview_worker.store.conf import StoreConf
from overview_worker.store.mark_statements import storable

_INSERT = (
    "INSERT INTO overview_served (course_key, served_at, latency_ms, reason, detail, counted) "
    "VALUES {rows}"
)
_DETAIL_LENGTH = 200


class ServedPublishes:
    """The table of publishes that became visible; all those of one rebuild of a course are one."""

    def __init__(self, conf: StoreConf) -> None:
        self._connection = connections[conf.using]

    def insert(self, changes: Sequence[Change], *, elapsed_seconds: float) -> None:
        """Note the publishes that ``changes`` answer; without any there is no statement.

        ``elapsed_seconds``: since the marks were read.
        """
        parameters: list[Any] = []
        for change in changes:
            waited = change.course.published_seconds
            if waited is None or not isinstance(change, WriteOverview | RemoveOverview):
                continue
            latency_ms = max(0, round((waited + elapsed_seconds) * 1000))
            parameters += [change.course.course_key, latency_ms, *_why(change.course, latency_ms)]
        if not parameters:
            return
        row = f"(%s, {now_sql(self._connection.vendor)}, %s, %s, %s, FALSE)"
        statement = _INSERT.format(rows=", ".join([row] * (len(parameters) // 4)))
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters)


def _why(course: LockedCourse, latency_ms: int) -> tuple[str, str]:
    if latency_ms <= LATE_AFTER_MS:
        return "", ""
    detail = course.state.fault or course.notes.last_error
    return late_reason_of(course).value, storable(detail)[:_DETAIL_LENGTH]
