"""What a database error means: the server was away, a lock was taken, or a value was refused."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from overview_worker.errors import StoreUnavailable

# MySQL answers a NOWAIT lock that is taken with 3572, MariaDB with 1205 (lock wait timeout).
_LOCK_IS_TAKEN = frozenset({1205, 3572})
# MariaDB tells a killed connection so (1927) where it can; a server that stops says 1053.
_CONNECTION_LOST = frozenset({1053, 1927, 2006, 2013, 2055, 4031})
# Values that do not fit their column, which the driver takes for a trouble of the server.
_VALUE_REFUSED = frozenset({1292, 1366})
_NO_SUCH_TABLE = 1146


def is_taken_lock(error: OperationalError) -> bool:
    """Whether a NOWAIT lock was refused because somebody else has it."""
    return _code(error) in _LOCK_IS_TAKEN


def is_refused_value(error: Exception) -> bool:
    """Whether the database refused what it was to write, rather than being away."""
    if isinstance(error, OperationalError):
        return _code(error) in _VALUE_REFUSED
    return isinstance(error, DataError | IntegrityError | UnicodeEncodeError)


def is_missing_table(error: DatabaseError) -> bool:
    """Whether a statement named a table that is not there; SQLite says so in words only."""
    return _code(error) == _NO_SUCH_TABLE or str(error).startswith("no such table")


@contextmanager
def errors_translated(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Raise ``StoreUnavailable`` for trouble of the server; a lost connection is closed."""
    try:
        yield
    except (DataError, IntegrityError):
        raise
    except (OperationalError, InterfaceError) as error:
        if not connection.in_atomic_block and _code(error) in _CONNECTION_LOST:
            connection.close()
        raise StoreUnavailable(f"overview database: {short(error)}") from error


def short(error: Exception) -> str:
    """Return an error as one readable line."""
    return f"{type(error).__name__}: {error}"[:300]


def _code(error: DatabaseError | InterfaceError) -> int | None:
    return error.args[0] if error.args and isinstance(error.args[0], int) else None
