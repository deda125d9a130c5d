"""Writing Open edX's own history of overview rows, where it is wanted; inside the rebuild's transaction.

Open edX (django-simple-history) leaves a row at each ``save()``, changed or not; we leave one for
each real change of the row, copied from the row itself by one statement.
"""

from collections.abc import Sequence

from django.db import connections

from lms_integration.database_clock import now_sql
from lms_integration.models import ChangeKind, CourseOverview
from lms_integration.sql_roles import PLATFORM_HISTORY_TABLE
from overview_worker.store.changes import ToldChange
from overview_worker.store.conf import StoreConf

#: django-simple-history's letters.
_TYPES = {ChangeKind.CREATED: "+", ChangeKind.CHANGED: "~", ChangeKind.DELETED: "-"}
_COLUMNS = tuple(str(field.column) for field in CourseOverview._meta.concrete_fields)
_COPY = (
    "INSERT INTO {table} ({columns}, history_date, history_change_reason, history_type, "
    "history_user_id) SELECT {columns}, {now}, NULL, %s, NULL FROM {overviews} WHERE id IN ({keys})"
)


class PlatformHistory:
    """The table ``course_overviews_historicalcourseoverview``; does nothing unless it is switched on."""

    def __init__(self, conf: StoreConf) -> None:
        self._is_wanted = conf.writes_platform_history
        self._connection = connections[conf.using]

    def copy_deleted(self, told: Sequence[ToldChange]) -> None:
        """Copy the rows that are about to be removed; called before they are."""
        with_row = [each for each in told if each.change.course.state.has_row]
        self._copy(with_row, (ChangeKind.DELETED,))

    def copy_written(self, told: Sequence[ToldChange]) -> None:
        """Copy the rows that were created or changed; called after they were written."""
        self._copy(told, (ChangeKind.CREATED, ChangeKind.CHANGED))

    def _copy(self, told: Sequence[ToldChange], kinds: Sequence[ChangeKind]) -> None:
        if not self._is_wanted:
            return
        for kind in kinds:
            keys = [
                each.change.course.course_key
                for each in told
                if each.kind is kind and each.touches_row
            ]
            if keys:
                self._copy_rows(keys, history_type=_TYPES[kind])

    def _copy_rows(self, keys: Sequence[str], *, history_type: str) -> None:
        quote = self._connection.ops.quote_name
        statement = _COPY.format(
            table=PLATFORM_HISTORY_TABLE,
            overviews=CourseOverview._meta.db_table,
            columns=", ".join(quote(name) for name in _COLUMNS),
            now=now_sql(self._connection.vendor),
            keys=", ".join(["%s"] * len(keys)),
        )
        with self._connection.cursor() as cursor:
            cursor.execute(statement, [history_type, *keys])
