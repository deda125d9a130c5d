"""Runs a transaction again where the database ended it because of another one."""

import logging
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError, transaction

from lms_integration.enrollments.errors import Busy

_logger = logging.getLogger(__name__)
_T = TypeVar("_T")

#: So often in all.
ATTEMPTS = 3
#: Error numbers of MySQL and MariaDB: deadlock, record has changed. At once, all may be well.
_GAVE_WAY = frozenset({1213, 1020})
#: Lock wait timeout: after so long a wait, it is the asker's turn to decide.
_WAITED = frozenset({1205})
_SQLITE_WAITED = "database is locked"


def in_transaction(work: Callable[[], _T]) -> _T:
    """Return what ``work`` returns, run in a transaction of its own.

    Raises Busy where a lock was not to be had, or the transaction was ended three times; inside
    somebody else's transaction the first time, for that one is lost with it.
    """
    is_outermost = not transaction.get_connection().in_atomic_block
    for attempt in range(ATTEMPTS if is_outermost else 1):
        try:
            with transaction.atomic():
                return work()
        except OperationalError as error:
            code = error.args[0] if error.args else None
            if code in _WAITED or _SQLITE_WAITED in str(error):
                break
            if code not in _GAVE_WAY:
                raise
            _logger.warning("enrolment gave way to others, attempt %s: %s", attempt + 1, error)
    raise Busy("Too many enrollments at the same time: try again.")
