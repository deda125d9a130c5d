"""The survey where the course index is in SQL too: the server joins the two and tells differences."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from lms_integration.course_keys import is_course_key
from overview_worker.documents import PublishedPointer
from overview_worker.inspection_ports import CurrentVersions, InspectedCourse, Sight, Survey
from overview_worker.store.conf import StoreConf
from overview_worker.store.failures import errors_translated
from overview_worker.store.survey_statements import (
    COUNT_PUBLISHED,
    PAGE_SIZE,
    STATELESS_PROJECTIONS,
    STATELESS_ROWS,
    SurveyStatements,
)

Row = Sequence[Any]


class SqlSurveyor:
    """``Surveyor`` for a course index in the same database: one join each way, pages of differences."""

    def __init__(self, conf: StoreConf) -> None:
        self._using = conf.using

    def survey(self, current: CurrentVersions) -> Survey:
        """Return the courses that differ."""
        connection = connections[self._using]
        statements = SurveyStatements(connection)
        versions = [current.builder, current.schema]
        with errors_translated(connection):
            ((course_count,),) = rows_of(connection, COUNT_PUBLISHED, [])
            published = [
                _published(row)
                for row in pages(connection, statements.published(), versions)
                if is_course_key(row[0])
            ]
            unpublished = [
                Sight(course_key=row[0], pointer=None, stored=inspected(row[0], row[1:]))
                for row in pages(connection, statements.unpublished(), [])
            ]
            stateless = stateless_courses(connection)
        seen = {sight.course_key for sight in published}
        rest = [
            Sight(course_key=course.course_key, pointer=None, stored=course)
            for course in stateless
            if course.course_key not in seen
        ]
        return Survey(course_count=course_count, differing=[*published, *unpublished, *rest])


def pages(
    connection: BaseDatabaseWrapper, statement: str, parameters: Sequence[Any]
) -> Iterator[Row]:
    """Yield the rows of a keyset statement, whose first column and first parameter is the key."""
    after = ""
    while True:
        page = rows_of(connection, statement, [after, *parameters])
        yield from page
        if len(page) < PAGE_SIZE:
            return
        after = page[-1][0]


def rows_of(
    connection: BaseDatabaseWrapper, statement: str, parameters: Sequence[Any]
) -> Sequence[Row]:
    """Return all rows of one statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def inspected(key: str, columns: Row) -> InspectedCourse:
    """Return the typed view of ``survey_statements``' columns of a course that has a state."""
    source_version, builder, schema, deleted, wanted, row_id, projection, tombstone = columns
    return InspectedCourse(
        course_key=key,
        source_version=source_version,
        builder_version=builder,
        schema_version=schema,
        deleted=bool(deleted),
        wanted=wanted,
        has_row=row_id == key,
        collides_with=None if row_id in (None, key) else row_id,
        has_projection=bool(projection),
        has_tombstone=bool(tombstone),
    )


def stateless_courses(connection: BaseDatabaseWrapper) -> list[InspectedCourse]:
    """Return the courses that have a row or a projection, but no state.

    A platform's own table holds rows of courses that are none of ours (CCX, the old modulestore): they
    are not in the course index that we look at, and are to be left alone.
    """
    rows = {key for (key,) in rows_of(connection, STATELESS_ROWS, [])}
    projections = {key for (key,) in rows_of(connection, STATELESS_PROJECTIONS, [])}
    return [
        InspectedCourse(
            course_key=key,
            has_state=False,
            has_row=key in rows,
            has_projection=key in projections,
        )
        for key in sorted(rows | projections)
        if is_course_key(key)
    ]


def _published(row: Row) -> Sight:
    key, version, updated, state_key, *columns = row
    if isinstance(updated, str):  # SQLite
        updated = datetime.fromisoformat(updated)
    pointer = PublishedPointer(
        course_key=key, structure_id=version, updated_at=updated and updated.replace(tzinfo=UTC)
    )
    stored = None if state_key is None else inspected(key, columns)
    return Sight(course_key=key, pointer=pointer, stored=stored)
