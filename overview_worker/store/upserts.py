"""Upserts of many rows with one statement, written out.

They are on the way of every publish, and most of the work of a rebuild run: Django's ``bulk_create``,
which makes an object of each row and asks each field about each value, takes four times as long.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, DecimalField, Field, JSONField, Model

#: Fields whose values the driver does not take as they are.
_CONVERTED = (DateTimeField, DecimalField, JSONField)
#: What stands in the statement itself: to escape a value costs more than all else that is done with it.
_NULL, _TRUE, _FALSE, _EMPTY = "NULL", "1", "0", "''"


class Upsert:
    """An upsert of one table, by its primary key, in the dialect of one connection."""

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        model: type[Model],
        *,
        columns: Sequence[str],
        updated: Sequence[str],
    ) -> None:
        """Take the model's fields by name: those that are inserted, and of them those that are updated."""
        self._connection = connection
        self._text = _texts(connection.vendor, model, tuple(columns), tuple(updated))
        self._converted = _converted(model, tuple(columns))
        # SQLite's limit of parameters, where there is one.
        limit = connection.features.max_query_params
        self._at_once = max(1, limit // len(columns)) if limit else None

    def run(self, rows: Iterable[Sequence[Any]]) -> None:
        """Write rows, each a sequence of the columns' values; no rows are no statement."""
        for group in self._groups(list(rows)):
            before, after = self._text
            parameters: list[Any] = []
            known: dict[Any, Any] = {}  # many rows have the same times, most have empty lists
            rows_written = [_written(self._values(row, known), parameters) for row in group]
            with self._connection.cursor() as cursor:
                cursor.execute(f"{before}{', '.join(rows_written)}{after}", parameters)

    def _groups(self, rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
        at_once = self._at_once or max(1, len(rows))
        for start in range(0, len(rows), at_once):
            yield rows[start : start + at_once]

    def _values(self, row: Sequence[Any], known: dict[Any, Any]) -> Sequence[Any]:
        """Return the values as the driver takes them; ``known`` are those that were converted before."""
        values = list(row)
        for place, field in self._converted:
            value = values[place]
            if value is None:
                continue
            key = _key_of(place, value)
            if key is None:
                values[place] = self._convert(field, value)
            else:
                if key not in known:
                    known[key] = self._convert(field, value)
                values[place] = known[key]
        return values

    def _convert(self, field: "Field[Any, Any]", value: Any) -> Any:
        if isinstance(value, datetime):
            return self._connection.ops.adapt_datetimefield_value(value)
        return field.get_db_prep_save(value, connection=self._connection)


def _key_of(place: int, value: Any) -> tuple[int, Any] | None:
    """Return what a value is known by in its column; None for a list or an object with something in it."""
    if isinstance(value, list | dict):
        return None if value else (place, type(value))
    return place, value


def _written(values: Sequence[Any], parameters: list[Any]) -> str:
    """Return a row as it stands in the statement; what has to be escaped is added to ``parameters``."""
    texts: list[str] = []
    for value in values:
        if value is None:
            texts.append(_NULL)
        elif value is True:
            texts.append(_TRUE)
        elif value is False:
            texts.append(_FALSE)
        elif value == "":
            texts.append(_EMPTY)
        else:
            texts.append("%s")
            parameters.append(value)
    return f"({', '.join(texts)})"


@cache
def _texts(
    vendor: str, model: type[Model], columns: tuple[str, ...], updated: tuple[str, ...]
) -> tuple[str, str]:
    """Return what comes before the rows of a statement, and after."""
    quote = {"mysql": "`", "sqlite": '"'}[vendor]
    names = {name: f"{quote}{model._meta.get_field(name).column}{quote}" for name in columns}  # type: ignore[union-attr]
    key = f"{quote}{model._meta.pk.column}{quote}"
    before = (
        f"INSERT INTO {quote}{model._meta.db_table}{quote} ({', '.join(names.values())}) VALUES "  # noqa: S608
    )
    if vendor == "mysql":
        assignments = ", ".join(f"{names[name]} = VALUES({names[name]})" for name in updated)
        return before, f" ON DUPLICATE KEY UPDATE {assignments}"
    assignments = ", ".join(f"{names[name]} = excluded.{names[name]}" for name in updated)
    return before, f" ON CONFLICT ({key}) DO UPDATE SET {assignments}"


@cache
def _converted(
    model: type[Model], columns: tuple[str, ...]
) -> tuple[tuple[int, "Field[Any, Any]"], ...]:
    fields = [(place, model._meta.get_field(name)) for place, name in enumerate(columns)]
    return tuple(
        (place, field)
        for place, field in fields
        if isinstance(field, Field) and isinstance(field, _CONVERTED)
    )
