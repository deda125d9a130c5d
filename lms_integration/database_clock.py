"""The database's own clock: the one clock that every process of a deployment shares."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Func
from django.db.models.sql.compiler import SQLCompiler

_NOW = {
    "mysql": "UTC_TIMESTAMP(6)",
    "sqlite": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')",
}
_SHIFTED = {
    "mysql": "UTC_TIMESTAMP(6) + INTERVAL {seconds:d} SECOND",
    "sqlite": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', '{seconds:+d} seconds')",
}


def now_sql(vendor: str, *, offset_seconds: int = 0) -> str:
    """Return the expression for the present time in UTC, shifted; percent signs are doubled.

    ``vendor`` is ``connection.vendor``. SQLite: text as Django stores it, to the millisecond.
    """
    if offset_seconds == 0:
        return _NOW[vendor]
    return _SHIFTED[vendor].format(seconds=offset_seconds)


class DatabaseNow(Func):
    """``now_sql`` as an expression of Django's ORM.

    Django's own ``Now()`` gives the time in the session's time zone on MySQL, which need not be UTC.
    """

    output_field = DateTimeField()

    def __init__(self, *, offset_seconds: int = 0) -> None:
        super().__init__()
        self._offset_seconds = offset_seconds

    def as_sql(
        self,
        compiler: SQLCompiler,
        connection: BaseDatabaseWrapper,
        function: str | None = None,
        template: str | None = None,
        arg_joiner: str | None = None,
        **extra_context: Any,
    ) -> tuple[str, tuple[str | int, ...]]:
        """Return the statement's text; it has no parameters."""
        return now_sql(connection.vendor, offset_seconds=self._offset_seconds), ()
