"""Which marks' time has come, also by a clock that was set back.

Every time on a mark is the database's own. If that clock is set back, what was written before lies in
the future, and a course must not wait until the clock has come there again. So a time that nothing
writes counts as come.
"""

from django.db.models import F, Q

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import HELD_BACK_SECONDS
from overview_worker.store.mark_statements import FAULT_RETRY_SECONDS

#: No lease or back-off is longer; what is to wait for a person waits for hours.
LONGEST_LEASE_SECONDS = 120
#: Nobody holds a course back for longer.
LONGEST_HOLD_SECONDS = FAULT_RETRY_SECONDS
#: A time is in the future if it is further away: statements of one moment begin at several.
SLACK_SECONDS = 30


def is_time_come() -> Q:
    """Return the condition that a dirty mark's next attempt is due.

    A hold cannot be told from a lease by its time alone while it has less than ``HELD_BACK_SECONDS``
    to go: then it ends early. Whoever holds a course back says why.
    """
    beyond_a_lease = Q(next_attempt_at__gt=_from_now(LONGEST_LEASE_SECONDS + SLACK_SECONDS))
    is_no_hold = Q(next_attempt_at__lte=_from_now(HELD_BACK_SECONDS)) | Q(last_error="")
    return (
        Q(next_attempt_at__isnull=True)
        | Q(next_attempt_at__lte=_from_now(0))
        | (beyond_a_lease & is_no_hold)
        | is_held_too_long()
    )


def is_held_too_long() -> Q:
    """Return the condition that a mark is held back for longer than anybody holds one."""
    return Q(next_attempt_at__gt=_from_now(LONGEST_HOLD_SECONDS + SLACK_SECONDS))


def is_from_the_future() -> Q:
    """Return the condition that a mark has been dirty since a time that is not yet."""
    return Q(dirty_since__gt=_from_now(SLACK_SECONDS))


def is_dirty() -> Q:
    """Return the condition that a rebuild is wanted."""
    return Q(wanted__gt=F("done"))


def _from_now(seconds: int) -> DatabaseNow:
    return DatabaseNow(offset_seconds=seconds)
