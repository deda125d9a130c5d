"""Writing down what changed of each row, inside the rebuild's transaction: the history and outbox.

Under the courses' locks one statement reads what the tables hold of the courses that are written, one
more their tabs if those are written, and one statement inserts all that differs.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connections
from django.db.models import Model

from lms_integration.database_clock import now_sql
from lms_integration.models import (
    ChangeKind,
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    OverviewProjection,
)
from overview_worker.column_changes import (
    IMAGE_SET,
    IMAGE_SET_COLUMNS,
    PROJECTION_COLUMNS,
    ROW_COLUMNS,
    TAB_COLUMNS,
    TABS,
    column_differences,
    written_columns,
)
from overview_worker.ports import Change, RemoveOverview, WriteOverview
from overview_worker.store.conf import StoreConf
from overview_worker.store.mark_statements import storable
from overview_worker.store.stored_tabs import StoredTabs

#: The most text that one statement carries, in characters, unless a single course has more: a server
#: refuses statements beyond its ``max_allowed_packet``.
STATEMENT_LENGTH = 1_000_000
#: What is said to have caused a change that no mark asked for.
RUN_CAUSE = "rebuild run"

_WORKER_LENGTH = 100
_ASKED_BY_LENGTH = 150
_COLUMNS = (
    *("course_key", "row_seq", "kind", "columns", "source_version", "builder_version"),
    *("cause", "event_id", "run_id", "asked_by", "worker"),
)
# Written out, because it is on the way of every publish: Django's bulk_create takes several times as long.
_INSERT = (
    f"INSERT INTO overview_change ({', '.join(f'{{quote}}{name}{{quote}}' for name in _COLUMNS)}, "  # noqa: S608
    "changed_at, signal_attempts, signal_error) VALUES {rows}"
)

#: ``{course key: {column: value}}`` of what is stored.
StoredColumns = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldChange:
    """One real change of a row: which columns differ, and what it was."""

    change: WriteOverview | RemoveOverview
    kind: ChangeKind
    columns: Mapping[str, Sequence[Any]]

    @property
    def touches_row(self) -> bool:
        """Whether Open edX's own row has changed, not only its tabs, images or projection."""
        return self.kind is not ChangeKind.CHANGED or bool(_ROW_COLUMNS & self.columns.keys())


_ROW_COLUMNS = frozenset(ROW_COLUMNS)


class OverviewChanges:
    """The table of changes: ``tell`` before anything is written, ``insert`` after."""

    def __init__(self, conf: StoreConf) -> None:
        self._using = conf.using
        self._connection = connections[conf.using]
        self._catalog_owns_language = conf.catalog_owns_language
        self._builder_version = conf.builder_version
        self._worker = storable(conf.worker)[:_WORKER_LENGTH]
        #: By course key, of the courses whose tabs ``tell`` has read: nobody writes them meanwhile.
        self.stored_tabs: dict[str, StoredTabs] = {}

    def tell(self, changes: Sequence[Change]) -> list[ToldChange]:
        """Return what ``changes`` really change; a write of what is there already changes nothing.

        Courses without a row are not read; with nothing to read there is no statement.
        """
        stored = self._read([each for each in changes if _touches(each)])
        return [told for change in changes if (told := self._told(change, stored)) is not None]

    def insert(self, told: Sequence[ToldChange]) -> None:
        """Write down ``told``, with one statement unless it is very long."""
        for group in _in_statements([(each, _json(each.columns)) for each in told]):
            self._insert(group)

    def _told(self, change: Change, stored: StoredColumns) -> ToldChange | None:
        old = stored.get(change.course.course_key, {})
        match change:
            case WriteOverview(anything_changed=True):
                new = written_columns(change, catalog_owns_language=self._catalog_owns_language)
                columns = column_differences({name: old.get(name) for name in new}, new)
                created = not change.course.state.has_row
                if not created and not columns:
                    return None
                kind = ChangeKind.CREATED if created else ChangeKind.CHANGED
                return ToldChange(change=change, kind=kind, columns=columns)
            case RemoveOverview():
                columns = column_differences(old, {})
                return ToldChange(change=change, kind=ChangeKind.DELETED, columns=columns)
        return None

    def _insert(self, group: Sequence[tuple[ToldChange, str]]) -> None:
        row = f"({', '.join(['%s'] * len(_COLUMNS))}, {now_sql(self._connection.vendor)}, 0, '')"
        statement = _INSERT.format(
            quote=self._connection.ops.quote_name("x")[0], rows=", ".join([row] * len(group))
        )
        parameters: list[Any] = []
        for told, columns in group:
            parameters += self._values(told, columns)
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters)

    def _values(self, told: ToldChange, columns: str) -> list[Any]:
        change = told.change
        course, cause = change.course, change.cause
        wanted = course.is_dirty  # else the newest event is answered long since
        no_event = RUN_CAUSE if cause.run_id is not None else ""
        published_by = ""  # of a version that was built before, it is told already
        if isinstance(change, WriteOverview):
            is_new = change.pointer.structure_id != course.state.source_version
            published_by = change.built.published_by if is_new else ""
        return [
            course.course_key,
            course.state.row_seq + 1,
            told.kind.value,
            columns,
            change.pointer.structure_id if isinstance(change, WriteOverview) else "",
            self._builder_version,
            (course.notes.event_type if wanted else "") or no_event,
            course.notes.event_id if wanted else "",
            cause.run_id,
            storable(cause.asked_by)[:_ASKED_BY_LENGTH] or published_by,
            self._worker,
        ]

    def _read(self, touched: Sequence[Change]) -> StoredColumns:
        with_row = [each for each in touched if each.course.state.has_row]
        if not with_row:
            return {}
        stored = self._read_rows(
            [each.course.course_key for each in with_row],
            with_projection=any(_touches_projection(each) for each in with_row),
        )
        with_tabs = [each.course.course_key for each in with_row if _touches_tabs(each)]
        self.stored_tabs |= self._read_tabs([key for key in with_tabs if key in stored])
        for key, tabs in self.stored_tabs.items():
            stored[key][TABS] = [dict(zip(TAB_COLUMNS, row, strict=True)) for row in tabs.rows]
        return stored

    def _read_rows(
        self, keys: Sequence[str], *, with_projection: bool
    ) -> dict[str, dict[str, Any]]:
        """Read rows, image sets and projections, by key; a look-alike's row is no row of the course."""
        columns = _stored_columns(self._using, with_projection=with_projection)
        statement = columns.statement.format(keys=", ".join(["%s"] * len(keys)))
        with self._connection.cursor() as cursor:
            cursor.execute(statement, list(keys))
            found = cursor.fetchall()
        asked = set(keys)
        return {row[0]: columns.values(row, self._connection) for row in found if row[0] in asked}

    def _read_tabs(self, keys: Sequence[str]) -> dict[str, StoredTabs]:
        if not keys:
            return {}
        found = {key: StoredTabs(ids=[], rows=[]) for key in keys}
        tabs = CourseOverviewTab.objects.using(self._using).filter(course_overview_id__in=keys)
        for key, tab_id, *row in tabs.order_by("id").values_list(
            "course_overview_id", "id", *TAB_COLUMNS
        ):
            if key in found:
                found[key].ids.append(tab_id)
                found[key].rows.append(tuple(row))
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class _StoredColumns:
    """The statement that reads all that is stored of some courses, and how its values are read."""

    statement: str
    names: Sequence[str]  #: in the order of the statement, after the key
    converters: Sequence[tuple[int, Sequence[Any], Any]]  #: (place, converters, expression)

    def values(self, row: Sequence[Any], connection: Any) -> dict[str, Any]:
        """Return ``{column: value}`` of one row of the result."""
        values = list(row)
        for place, converters, expression in self.converters:
            for convert in converters:
                values[place] = convert(values[place], expression, connection)
        columns = dict(zip(self.names, values[1:], strict=True))
        images = {name: columns.pop(f"{IMAGE_SET}.{name}") for name in IMAGE_SET_COLUMNS}
        has_images = all(value is not None for value in images.values())
        return {**columns, IMAGE_SET: images if has_images else None}


@cache
def _stored_columns(using: str, *, with_projection: bool) -> _StoredColumns:
    """Return the statement for a database, worked out once; about pages can be large."""
    connection = connections[using]
    selected = [
        *_selected(CourseOverview, ("id", *ROW_COLUMNS), alias="o"),
        *_selected(CourseOverviewImageSet, IMAGE_SET_COLUMNS, alias="i", prefix=f"{IMAGE_SET}."),
    ]
    joined = f"LEFT JOIN {CourseOverviewImageSet._meta.db_table} i ON i.course_overview_id = o.id"
    if with_projection:
        selected += _selected(OverviewProjection, PROJECTION_COLUMNS, alias="p")
        joined += f" LEFT JOIN {OverviewProjection._meta.db_table} p ON p.course_key = o.id"
    quote = connection.ops.quote_name
    columns = ", ".join(f"{alias}.{quote(field.column)}" for alias, _, field in selected)
    statement = (
        f"SELECT {columns} FROM {CourseOverview._meta.db_table} o {joined} "  # noqa: S608 - names of our models
        "WHERE o.id IN ({keys})"
    )
    converters = []
    for place, (alias, _, field) in enumerate(selected):
        expression = field.get_col(alias)
        found = [
            *connection.ops.get_db_converters(expression),
            *expression.get_db_converters(connection),
        ]
        if found:
            converters.append((place, found, expression))
    names = [name for _, name, _ in selected[1:]]
    return _StoredColumns(statement=statement, names=names, converters=converters)


def _selected(
    model: type[Model], names: Sequence[str], *, alias: str, prefix: str = ""
) -> Iterator[tuple[str, str, Any]]:
    for name in names:
        yield alias, prefix + name, model._meta.get_field(name)


def _touches(change: Change) -> bool:
    if isinstance(change, WriteOverview):
        return change.anything_changed
    return isinstance(change, RemoveOverview)


def _touches_projection(change: Change) -> bool:
    return isinstance(change, RemoveOverview) or (
        isinstance(change, WriteOverview) and change.projection_changed
    )


def _touches_tabs(change: Change) -> bool:
    return isinstance(change, RemoveOverview) or (
        isinstance(change, WriteOverview) and change.tabs_changed
    )


def _json(columns: Mapping[str, Sequence[Any]]) -> str:
    """Return JSON in UTF-8; halves of surrogate pairs, which no column can hold, become ``?``."""
    text = json.dumps(columns, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode()


def _in_statements(
    rows: Sequence[tuple[ToldChange, str]],
) -> Iterator[list[tuple[ToldChange, str]]]:
    """Yield the rows in as few groups as their length allows; nothing when there are none."""
    group: list[tuple[ToldChange, str]] = []
    length = 0
    for row in rows:
        if group and length + len(row[1]) > STATEMENT_LENGTH:
            yield group
            group, length = [], 0
        group.append(row)
        length += len(row[1])
    if group:
        yield group
