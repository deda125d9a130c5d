"""The statements that compare whole tables: narrow columns, joined by primary keys, in pages.

Keys are joined as the joined table's own collation has them, so that its index serves; whether two
keys are one is then decided in Python, byte by byte.
"""

from django.db.backends.base.base import BaseDatabaseWrapper

from lms_integration.models import CourseOverview

ROWS = CourseOverview._meta.db_table
INDEX = "split_modulestore_django_splitmodulestorecourseindex"
PAGE_SIZE = 2000

#: What is read of a stored course; ``{key}`` is its key.
_COLUMNS = (
    "s.source_version, s.builder_version, s.schema_version, s.deleted, COALESCE(m.wanted, 0), "
    "o.id, p.course_key IS NOT NULL, t.course_key IS NOT NULL"
)
_JOINS = f"""
LEFT JOIN overview_mark m ON m.course_key = {{key}}
LEFT JOIN {ROWS} o ON o.id = {{row_key}}
LEFT JOIN overview_projection p ON p.course_key = {{key}}
LEFT JOIN overview_tombstone t ON t.course_key = {{key}}
"""

_STATES = f"""
SELECT s.course_key, {_COLUMNS}
FROM overview_state s
{_JOINS}
WHERE s.course_key > %s ORDER BY s.course_key LIMIT {PAGE_SIZE}
"""  # noqa: S608

# Rows and projections that no state stands for; on a platform's own tables, those that it built.
STATELESS_ROWS = f"""
SELECT o.id FROM {ROWS} o
LEFT JOIN overview_state s ON s.course_key = o.id WHERE s.course_key IS NULL
"""  # noqa: S608
STATELESS_PROJECTIONS = """
SELECT p.course_key FROM overview_projection p
LEFT JOIN overview_state s ON s.course_key = p.course_key WHERE s.course_key IS NULL
"""

_STATES_WHERE = f"""
SELECT s.course_key, {_COLUMNS}, o.version
FROM overview_state s
{_JOINS}
WHERE {{condition}} ORDER BY s.course_key
"""  # noqa: S608

_PUBLISHED = f"""
SELECT i.course_id, i.published_version, i.last_update, s.course_key, {_COLUMNS}
FROM {INDEX} i
LEFT JOIN overview_state s ON s.course_key = i.course_id
{_JOINS}
WHERE i.published_version <> '' AND i.course_id > %s AND (
    s.course_key IS NULL OR {{version}} <> i.published_version OR s.deleted
    OR s.builder_version <> %s OR s.schema_version <> %s
    OR o.id IS NULL OR o.id <> {{key}} OR p.course_key IS NULL OR t.course_key IS NOT NULL
)
ORDER BY i.course_id LIMIT {PAGE_SIZE}
"""  # noqa: S608

_UNPUBLISHED = f"""
SELECT s.course_key, {_COLUMNS}
FROM overview_state s
LEFT JOIN {INDEX} i ON i.course_id = {{index_key}} AND i.published_version <> ''
{_JOINS}
WHERE s.course_key > %s AND i.course_id IS NULL AND (
    (s.source_version <> '' AND NOT s.deleted) OR o.id IS NOT NULL OR p.course_key IS NOT NULL
)
ORDER BY s.course_key LIMIT {PAGE_SIZE}
"""  # noqa: S608

COUNT_PUBLISHED = f"SELECT COUNT(*) FROM {INDEX} WHERE published_version <> ''"  # noqa: S608


class SurveyStatements:
    """The statements in the dialect and with the collations of one database."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self.states = _STATES.format(key="s.course_key", row_key=self._row_key("s.course_key"))

    def states_where(self, condition: str) -> str:
        """Return the statement that reads stored courses, their rows' version as the last column."""
        key = "s.course_key"
        return _STATES_WHERE.format(key=key, row_key=self._row_key(key), condition=condition)

    def published(self) -> str:
        """Return the join of the SQL course index with the states, differences only."""
        return _PUBLISHED.format(
            key="i.course_id",
            row_key=self._row_key("i.course_id"),
            version=self._collated("s.source_version", table=INDEX, column="published_version"),
        )

    def unpublished(self) -> str:
        """Return the states whose course is not in the SQL course index, differences only."""
        key = "s.course_key"
        return _UNPUBLISHED.format(
            key=key,
            row_key=self._row_key(key),
            index_key=self._collated(key, table=INDEX, column="course_id"),
        )

    def _row_key(self, expression: str) -> str:
        return self._collated(expression, table=ROWS, column="id")

    def _collated(self, expression: str, *, table: str, column: str) -> str:
        """Return a column as ``table`` compares it; as it is, where that is how our keys are compared.

        A platform's tables have the collation of the server that they were made on; ours, but for
        keys, that of the database as it is now. MySQL refuses to compare two that both ignore case.
        """
        if self._connection.vendor != "mysql":
            return expression
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLUMNS "
                "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND COLUMN_NAME = %s",
                [table, column],
            )
            found = cursor.fetchone()
        if found is None or found[1] == "utf8mb4_bin":
            return expression
        return f"CONVERT({expression} USING {found[0]}) COLLATE {found[1]}"
