"""The course index as current Open edX keeps it: a MySQL table, authoritative there.

``common/djangoapps/split_modulestore_django``: saved before MongoDB's ``active_versions``, and rolled
back with the Studio request, which MongoDB's copy is not.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections

from lms_integration.course_keys import is_course_key
from overview_worker.documents import PublishedPointer
from overview_worker.errors import ModulestoreUnavailable

TABLE = "split_modulestore_django_splitmodulestorecourseindex"
_PAGE_SIZE = 1000
#: ``course_id`` is utf8mb3: a key with a character beyond it cannot be in the table.
_LAST_UTF8MB3_CHARACTER = "\uffff"

_FIND = f"SELECT course_id, published_version, last_update FROM {TABLE} WHERE course_id IN "  # noqa: S608
_PAGE = (
    f"SELECT course_id, published_version, last_update FROM {TABLE} "  # noqa: S608
    f"WHERE course_id > %s AND published_version <> '' ORDER BY course_id LIMIT {_PAGE_SIZE}"
)


class SqlCourseIndex:
    """``CourseIndex`` on the platform's table, through a Django connection."""

    def __init__(self, *, using: str = DEFAULT_DB_ALIAS) -> None:
        self._using = using

    def find(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        """Return the entries of those of ``course_keys`` that have a published branch."""
        keys = [key for key in course_keys if max(key) <= _LAST_UTF8MB3_CHARACTER]
        if not keys:
            return {}
        placeholders = ", ".join(["%s"] * len(keys))
        rows = self._rows(f"{_FIND} ({placeholders})", keys)
        wanted = frozenset(keys)
        return {
            key: PublishedPointer(course_key=key, structure_id=version, updated_at=_aware(updated))
            for key, version, updated in rows
            if key in wanted and version
        }

    def iterate(self) -> Iterator[PublishedPointer]:
        """Yield all entries of courses with a published branch, in pages and in the order of keys."""
        after = ""
        while rows := self._rows(_PAGE, [after]):
            after = rows[-1][0]
            for key, version, updated in rows:
                if is_course_key(key):
                    yield PublishedPointer(
                        course_key=key, structure_id=version, updated_at=_aware(updated)
                    )

    def _rows(self, statement: str, parameters: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        try:
            with connections[self._using].cursor() as cursor:
                cursor.execute(statement, parameters)
                rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
        except (DatabaseError, InterfaceError) as error:
            reason = f"{type(error).__name__}: {error}"[:300]
            raise ModulestoreUnavailable(f"course index in SQL: {reason}") from error
        return rows


def _aware(moment: datetime | str | None) -> datetime | None:
    if isinstance(moment, str):  # SQLite
        moment = datetime.fromisoformat(moment)
    return None if moment is None else moment.replace(tzinfo=UTC)
