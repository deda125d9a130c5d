"""The course index, as Studio writes it: which structure each branch of a course points at.

Open edX keeps it twice: in SQL, which it reads, and in MongoDB's ``active_versions``, written second
and not rolled back with the SQL transaction (``common/djangoapps/split_modulestore_django``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from bson import ObjectId
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from pymongo.database import Database

from dev.authoring.documents import (
    DRAFT_BRANCH,
    EDITED_BY,
    PUBLISHED_BRANCH,
    SCHEMA_VERSION,
    Document,
    course_key_parts,
)
from dev.authoring.index_table import COLUMNS, TABLE, create_table_statements
from dev.authoring.steps import Step, WriteStep

ACTIVE_VERSIONS = "modulestore.active_versions"


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseIndexEntry:
    """One course in the index."""

    entry_id: ObjectId  #: new for each creation, also of a course that was deleted before
    course_key: str
    draft_version: ObjectId
    published_version: ObjectId | None
    wiki_slug: str
    edited_on: datetime  #: when the course was created
    last_update: datetime


class CourseIndexWriter(Protocol):
    """Where an author finds the versions of a course and saves new ones."""

    def find(self, course_key: str) -> CourseIndexEntry | None:
        """Return the entry of a course, None if there is none; keys are compared exactly."""
        ...

    def course_keys(self) -> frozenset[str]:
        """Return the keys of all courses."""
        ...

    def insert(self, entries: Sequence[CourseIndexEntry], *, step: Step) -> None:
        """Write the entries of courses that are not in the index."""
        ...

    def replace(self, entry: CourseIndexEntry, *, step: Step) -> None:
        """Write the new versions of a course that is in the index."""
        ...

    def delete(self, entry: CourseIndexEntry, *, step: Step) -> None:
        """Take a course out of the index."""
        ...

    def as_stored(self, moment: datetime) -> datetime:
        """Return an aware moment with the precision that this index keeps."""
        ...


class MongoCourseIndex:
    """The index of older Open edX releases, and of a modulestore without SQL: MongoDB alone."""

    def __init__(self, database: Database[Any]) -> None:
        self._active_versions = database[ACTIVE_VERSIONS]
        self._is_indexed = False

    def create_index(self) -> None:
        """Create the unique index that keeps two courses from having one key."""
        key = [("org", 1), ("course", 1), ("run", 1)]
        self._active_versions.create_index(key, unique=True)
        self._is_indexed = True

    def find(self, course_key: str) -> CourseIndexEntry | None:
        """Return the entry of a course, None if there is none."""
        org, course, run = course_key_parts(course_key)
        document = self._active_versions.find_one({"org": org, "course": course, "run": run})
        return None if document is None else _from_document(document)

    def course_keys(self) -> frozenset[str]:
        """Return the keys of all courses; libraries have no draft branch."""
        query = {f"versions.{DRAFT_BRANCH}": {"$exists": True}}
        documents = self._active_versions.find(query, {"org": 1, "course": 1, "run": 1})
        return frozenset(_course_key(document) for document in documents)

    def insert(self, entries: Sequence[CourseIndexEntry], *, step: Step) -> None:
        """Write new entries; a key that is taken raises ``pymongo.errors.BulkWriteError``."""
        if not self._is_indexed:
            self.create_index()
        step(WriteStep.MONGO_INDEX)
        self._active_versions.insert_many([_to_document(entry) for entry in entries])

    def replace(self, entry: CourseIndexEntry, *, step: Step) -> None:
        """Write the new versions of a course."""
        step(WriteStep.MONGO_INDEX)
        self._active_versions.replace_one({"_id": entry.entry_id}, _to_document(entry))

    def delete(self, entry: CourseIndexEntry, *, step: Step) -> None:
        """Take a course out of the index."""
        step(WriteStep.MONGO_INDEX)
        self._active_versions.delete_one({"_id": entry.entry_id})

    def as_stored(self, moment: datetime) -> datetime:
        """Return the moment in milliseconds, all that BSON keeps."""
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class SqlCourseIndex:
    """The index of current Open edX: the SQL table first, MongoDB second, in that order.

    Reads and writes join the caller's SQL transaction; the MongoDB write does not.
    """

    def __init__(self, database: Database[Any], *, using: str = DEFAULT_DB_ALIAS) -> None:
        self._mongo = MongoCourseIndex(database)
        self._using = using

    @property
    def _connection(self) -> BaseDatabaseWrapper:
        # Looked up each time: Django's connections belong to threads.
        return connections[self._using]

    def create_table(self) -> None:
        """Create the SQL table if it is missing; on MySQL this ends an open transaction."""
        if TABLE in self._connection.introspection.table_names():
            return
        with self._connection.cursor() as cursor:
            for statement in create_table_statements(self._connection.vendor):
                cursor.execute(statement)

    def replace_all(self, rows: Iterable[Sequence[Any]]) -> None:
        """Make the SQL table hold exactly these rows, each in the order of ``COLUMNS``."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {TABLE}")  # noqa: S608 - a constant name
            cursor.executemany(_insert_statement(COLUMNS), [tuple(row) for row in rows])

    def find(self, course_key: str) -> CourseIndexEntry | None:
        """Return the entry of a course, None if there is none."""
        course_key_parts(course_key)  # raises for what is no course key
        with self._connection.cursor() as cursor:
            cursor.execute(_FIND, [course_key])
            row = cursor.fetchone()
        return None if row is None else _from_row(course_key, row)

    def course_keys(self) -> frozenset[str]:
        """Return the keys of all courses; libraries have no draft branch."""
        with self._connection.cursor() as cursor:
            cursor.execute(_COURSE_KEYS)
            return frozenset(course_key for (course_key,) in cursor.fetchall())

    def insert(self, entries: Sequence[CourseIndexEntry], *, step: Step) -> None:
        """Write new entries; a key that is taken raises ``IntegrityError``."""
        step(WriteStep.SQL_INDEX)
        with self._connection.cursor() as cursor:
            cursor.executemany(
                _insert_statement(COLUMNS[1:]), [_to_row(entry) for entry in entries]
            )
        self._mongo.insert(entries, step=step)

    def replace(self, entry: CourseIndexEntry, *, step: Step) -> None:
        """Write the new versions of a course."""
        step(WriteStep.SQL_INDEX)
        published_version = _version_text(entry.published_version)
        values = [str(entry.draft_version), published_version, _sql_time(entry.last_update)]
        with self._connection.cursor() as cursor:
            cursor.execute(_REPLACE, [*values, str(entry.entry_id)])
        self._mongo.replace(entry, step=step)

    def delete(self, entry: CourseIndexEntry, *, step: Step) -> None:
        """Take a course out of the index."""
        step(WriteStep.SQL_INDEX)
        with self._connection.cursor() as cursor:
            cursor.execute(_DELETE, [str(entry.entry_id)])
        self._mongo.delete(entry, step=step)

    def as_stored(self, moment: datetime) -> datetime:
        """Return the moment as it is: SQL keeps the microseconds."""
        return moment


# Every name in these statements is a constant of ours; values are always parameters.
_FIND = (
    "SELECT objectid, draft_version, published_version, wiki_slug, edited_on, last_update"  # noqa: S608
    f" FROM {TABLE} WHERE course_id = %s AND draft_version <> ''"
)
_COURSE_KEYS = f"SELECT course_id FROM {TABLE} WHERE draft_version <> ''"  # noqa: S608
_REPLACE = (
    f"UPDATE {TABLE} SET draft_version = %s, published_version = %s, last_update = %s"  # noqa: S608
    " WHERE objectid = %s"
)
_DELETE = f"DELETE FROM {TABLE} WHERE objectid = %s"  # noqa: S608


def _insert_statement(columns: Sequence[str]) -> str:
    places = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {TABLE} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608


def _to_row(entry: CourseIndexEntry) -> tuple[Any, ...]:
    return (
        str(entry.entry_id),
        entry.course_key,
        course_key_parts(entry.course_key)[0],
        str(entry.draft_version),
        _version_text(entry.published_version),
        "",
        entry.wiki_slug,
        "mongodb",
        _sql_time(entry.edited_on),
        _sql_time(entry.last_update),
        EDITED_BY,
    )


def _from_row(course_key: str, row: Sequence[Any]) -> CourseIndexEntry:
    objectid, draft_version, published_version, wiki_slug, edited_on, last_update = row
    return CourseIndexEntry(
        entry_id=ObjectId(objectid),
        course_key=course_key,
        draft_version=ObjectId(draft_version),
        published_version=ObjectId(published_version) if published_version else None,
        wiki_slug=wiki_slug,
        edited_on=_aware(edited_on),
        last_update=_aware(last_update),
    )


def _to_document(entry: CourseIndexEntry) -> Document:
    org, course, run = course_key_parts(entry.course_key)
    versions = {DRAFT_BRANCH: entry.draft_version}
    if entry.published_version is not None:
        versions[PUBLISHED_BRANCH] = entry.published_version
    return {
        "_id": entry.entry_id,
        "org": org,
        "course": course,
        "run": run,
        "edited_by": EDITED_BY,
        "edited_on": entry.edited_on,
        "last_update": entry.last_update,
        "versions": versions,
        "schema_version": SCHEMA_VERSION,
        "search_targets": {"wiki_slug": entry.wiki_slug},
    }


def _from_document(document: Document) -> CourseIndexEntry:
    return CourseIndexEntry(
        entry_id=document["_id"],
        course_key=_course_key(document),
        draft_version=document["versions"][DRAFT_BRANCH],
        published_version=document["versions"].get(PUBLISHED_BRANCH),
        wiki_slug=document["search_targets"]["wiki_slug"],
        edited_on=_aware(document["edited_on"]),
        last_update=_aware(document["last_update"]),
    )


def _course_key(document: Document) -> str:
    return "course-v1:{org}+{course}+{run}".format_map(document)


def _version_text(version: ObjectId | None) -> str:
    return "" if version is None else str(version)


def _sql_time(moment: datetime) -> str:
    # Text suits both: MySQL reads it as datetime(6), and SQLite keeps times as text anyway.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _aware(moment: datetime | str) -> datetime:
    value = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
