"""The course index as current Open edX keeps it: a MySQL table, authoritative there.

``common/djangoapps/split_modulestore_django``: saved before MongoDB's ``active_versions``, and rolled
back with the Studio request, which MongoDB's copy is not.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections

from lms_integration.course_keys import is_course_key
from overview_worker.documents import PublishedPointer
from overview_worker.errors import ModulestoreUnavailable

TABLE = "split_modulestore_django_splitmodulestorecourseindex"
_PAGE_SIZE = 1000
#: ``course_id`` is utf8mb3: a key with a character beyond it cannot be in the table.
_LAST_UTF8MB3_CHARACTER = "\uffff"

_FIND = f"SELECT course_id, {{version}}, last_update FROM {TABLE} WHERE course_id IN "  # noqa: S608
_PAGE = (
    f"SELECT course_id, published_version, last_update FROM {TABLE} "  # noqa: S608
    "WHERE course_id > %s AND published_version <> ''{more} ORDER BY course_id LIMIT %s"
)
_COUNT = f"SELECT COUNT(*) FROM {TABLE} WHERE published_version <> ''{{more}}"  # noqa: S608
_UNTIL = " AND course_id <= %s"
_OF_ORG = " AND LOWER(org) = LOWER(%s)"


class SqlCourseIndex:
    """``CourseIndex`` on the platform's table, through a Django connection."""

    def __init__(self, *, using: str = DEFAULT_DB_ALIAS) -> None:
        self._using = using

    def find(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        """Return the entries of those of ``course_keys`` that have a published branch."""
        return self._find(course_keys, version="published_version")

    def find_drafts(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        """Return where the draft branches of those of ``course_keys`` point that have one."""
        return self._find(course_keys, version="draft_version")

    def _find(self, course_keys: Sequence[str], *, version: str) -> Mapping[str, PublishedPointer]:
        keys = [key for key in course_keys if max(key) <= _LAST_UTF8MB3_CHARACTER]
        if not keys:
            return {}
        placeholders = ", ".join(["%s"] * len(keys))
        rows = self._rows(f"{_FIND.format(version=version)} ({placeholders})", keys)
        wanted = frozenset(keys)
        return {
            key: PublishedPointer(course_key=key, structure_id=found, updated_at=_aware(updated))
            for key, found, updated in rows
            if key in wanted and found
        }

    def iterate(self) -> Iterator[PublishedPointer]:
        """Yield all entries of courses with a published branch, in pages and in the order of keys."""
        yield from self._between(after_key="", until_key="", org="", page_size=_PAGE_SIZE)

    def page(
        self, *, after_key: str, until_key: str, org: str, limit: int
    ) -> Sequence[PublishedPointer]:
        """Return the next entries of courses with a published branch."""
        found = self._between(after_key=after_key, until_key=until_key, org=org, page_size=limit)
        return list(islice(found, limit))

    def count(self, *, org: str) -> int:
        """Return how many entries with a published branch there are."""
        statement = _COUNT.format(more=_OF_ORG if org else "")
        ((count,),) = self._rows(statement, [org] if org else [])
        return int(count)

    def _between(
        self, *, after_key: str, until_key: str, org: str, page_size: int
    ) -> Iterator[PublishedPointer]:
        statement = _PAGE.format(more=(_UNTIL if until_key else "") + (_OF_ORG if org else ""))
        bounds = [each for each in (_as_stored(until_key), org) if each]
        after = _as_stored(after_key)
        while rows := self._rows(statement, [after, *bounds, page_size]):
            after = rows[-1][0]
            for key, version, updated in rows:
                if is_course_key(key):
                    yield PublishedPointer(
                        course_key=key, structure_id=version, updated_at=_aware(updated)
                    )
            if len(rows) < page_size:
                return

    def _rows(self, statement: str, parameters: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        try:
            with connections[self._using].cursor() as cursor:
                cursor.execute(statement, parameters)
                rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
        except (DatabaseError, InterfaceError) as error:
            reason = f"{type(error).__name__}: {error}"[:300]
            raise ModulestoreUnavailable(f"course index in SQL: {reason}") from error
        return rows


def _as_stored(key: str) -> str:
    """Return a bound that the column can be compared with: the table has no key beyond its characters."""
    return "".join(min(character, _LAST_UTF8MB3_CHARACTER) for character in key)


def _aware(moment: datetime | str | None) -> datetime | None:
    if isinstance(moment, str):  # SQLite
        moment = datetime.fromisoformat(moment)
    return None if moment is None else moment.replace(tzinfo=UTC)
