"""Queries that Django compiles once: for a large one it needs longer than the database for its answer.

A query is written as ever, with a ``Parameter`` in place of each value that is only known when it is
run. What Django compiles it to is kept for as long as the process lives; each run binds values to it
and reads rows as the query itself would: instances, tuples or dictionaries.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Generic, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, DateTimeField, Expression, Field, QuerySet, TextField
from django.db.models.sql.compiler import SQLCompiler

Row = TypeVar("Row")
Value = TypeVar("Value")


class Parameter(Expression):
    """A value that is bound when the query is run; ``index`` is its place where a list is bound.

    Its field turns it into what the database's driver takes, as it does with values in a query.
    """

    def __init__(
        self, name: str, output_field: "Field[Any, Any]", *, index: int | None = None
    ) -> None:
        super().__init__(output_field=output_field)
        self.name = name
        self.index = index

    def as_sql(  # type: ignore[override]  # Django takes a list too, and joins it to others
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, list[Any]]:
        """Return a placeholder, with the parameter itself where a value would be."""
        return "%s", [self]

    def value_in(self, values: Mapping[str, Any], connection: BaseDatabaseWrapper) -> Any:
        """Return what the driver is given; raises KeyError where no value is bound."""
        value = values[self.name] if self.index is None else values[self.name][self.index]
        return self.output_field.get_db_prep_value(value, connection=connection)


def number(name: str) -> Parameter:
    """Return the parameter of a whole number."""
    return Parameter(name, BigIntegerField())


def moment(name: str) -> Parameter:
    """Return the parameter of a point in time."""
    return Parameter(name, DateTimeField())


def numbers(name: str, count: int) -> Sequence[Any]:
    """Return the parameters of so many whole numbers, bound as one list: for ``__in``."""
    return _listed(name, BigIntegerField(), count)


def text(name: str) -> Parameter:
    """Return the parameter of a text."""
    return Parameter(name, TextField())


def texts(name: str, count: int) -> Sequence[Any]:
    """Return the parameters of so many texts, bound as one list: for ``__in``."""
    return _listed(name, TextField(), count)


def padded(values: Sequence[Value]) -> Sequence[Value]:
    """Return values for a list, its last one repeated until the next power of two: for ``__in``.

    A list of each length is a query of its own, to be compiled and kept; of these there are ten for up
    to 512 values. What is looked for twice is found once.
    """
    if not values:
        return []
    count = 1 << (len(values) - 1).bit_length()
    return [*values, *repeat(values[-1], count - len(values))]


def _listed(name: str, field: "Field[Any, Any]", count: int) -> Sequence[Parameter]:
    return [Parameter(name, field, index=index) for index in range(count)]


class PreparedQuery(Generic[Row]):
    """One query; ``build`` makes it when it is run first."""

    def __init__(self, build: Callable[[], "QuerySet[Any, Row]"]) -> None:
        self._build = build
        self._queryset: QuerySet[Any, Row] | None = None
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, **values: Any) -> list[Row]:
        """Run the query with these values and return all its rows.

        Raises:
            KeyError: a parameter has no value.
            django.db.DatabaseError: the database refused or did not answer.
        """
        if self._queryset is None:  # two threads may both make it: the same one
            self._queryset = self._build()
        queryset = self._queryset.all()
        query: Any = queryset.query
        bound = self._compiled_for(queryset).bound_to(values)
        query.get_compiler = lambda *_, **__: bound
        return list(queryset)

    def _compiled_for(self, queryset: "QuerySet[Any, Row]") -> "_Compiled":
        if queryset.db not in self._compiled:
            self._compiled[queryset.db] = _compile(queryset)
        return self._compiled[queryset.db]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Compiled:
    """What Django has compiled a query to for one database; nothing in it is changed by a run."""

    database: str
    compiler: SQLCompiler
    sql: str
    parameters: Sequence[Any]  #: parameters, and the values that are the same in each run

    def bound_to(self, values: Mapping[str, Any]) -> Any:
        """Return a compiler that has done its work and only needs to execute it."""
        connection = connections[self.database]  # the running thread's, not that of the first
        bound = tuple(
            each.value_in(values, connection) if isinstance(each, Parameter) else each
            for each in self.parameters
        )
        compiler: Any = copy(self.compiler)
        compiler.connection = connection
        compiler.as_sql = lambda: (self.sql, bound)
        return compiler


def _compile(queryset: "QuerySet[Any, Any]") -> _Compiled:
    compiler: Any = queryset.query.get_compiler(using=queryset.db)
    sql, parameters = compiler.as_sql()
    compiler.connection = (
        None  # this thread's: not to be held open for as long as the process lives
    )
    return _Compiled(database=queryset.db, compiler=compiler, sql=sql, parameters=parameters)
