"""How long a worker may say nothing in mid-transaction before the server takes its locks away.

A process that is frozen, or whose machine has gone without a word, keeps the lock of its course, and every
other rebuild finds it taken, until the server gives its connection up: after hours, by default.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

#: Longer than any rebuild is silent: while it reads MongoDB (14 s a command at the most) and builds. A
#: task has this long altogether (``task_time_limit``).
IDLE_TRANSACTION_SECONDS = 30

_LIMITED = "overview_idle_limit_seconds"


@contextmanager
def ended_when_idle(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Have the server end the session if a transaction that is opened within stands still for too long.

    MariaDB has a limit for just that, which is set once a connection. MySQL has one for any silence, which
    would end workers that have nothing to do: it is set before the transaction and lifted after it.
    Whoever comes back to an ended session meets the error of a lost connection.
    """
    if connection.vendor != "mysql" or connection.in_atomic_block:
        yield
    elif connection.mysql_is_mariadb:  # type: ignore[attr-defined]  # of Django's MySQL backend
        _limit_once(connection)
        yield
    else:
        _set(connection, f"wait_timeout = {IDLE_TRANSACTION_SECONDS:d}")
        try:
            yield
        finally:
            with suppress(DatabaseError):  # the session is gone: the next use opens another
                _set(connection, "wait_timeout = DEFAULT")


def _limit_once(connection: BaseDatabaseWrapper) -> None:
    connection.ensure_connection()
    if getattr(connection.connection, _LIMITED, None) != IDLE_TRANSACTION_SECONDS:
        _set(connection, f"idle_transaction_timeout = {IDLE_TRANSACTION_SECONDS:d}")
        setattr(connection.connection, _LIMITED, IDLE_TRANSACTION_SECONDS)


def _set(connection: BaseDatabaseWrapper, assignment: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION {assignment}")
