"""Text compared by another rule than its column's: without case, or byte by byte."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Func, TextField
from django.db.models.sql.compiler import SQLCompiler


class _Collated(Func):
    """One text expression; SQLite's own rules stand there, MySQL's collation is named."""

    arity = 1
    template = "%(expressions)s"
    output_field = TextField()
    mysql_collation: str

    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra_context: Any
    ) -> tuple[str, Any]:
        """Return the expression with its collation, whatever character set the column has."""
        return self.as_sql(
            compiler,
            connection,
            template=f"CONVERT(%(expressions)s USING utf8mb4) COLLATE {self.mysql_collation}",
            **extra_context,
        )


class IgnoringCase(_Collated):
    """For ``icontains`` on a key column, whose binary collation would mind case.

    SQLite's LIKE ignores the case of ASCII letters whatever the column.
    """

    mysql_collation = "utf8mb4_unicode_ci"


class ByteByByte(_Collated):
    """For DISTINCT on a text column, whose collation may take two spellings for one."""

    mysql_collation = "utf8mb4_bin"
