"""Which marks' time has come, also by a clock that was set back.

Every time on a mark is the database's own. If that clock is set back, what was written before lies in
the future, and a course must not wait until the clock has come there again. So a time that nothing
writes counts as come.
"""

from django.db.models import F, Q

from lms_integration.database_clock import DatabaseNow, now_sql
from lms_integration.models import HELD_BACK_SECONDS
from overview_worker.store.mark_statements import FAULT_RETRY_SECONDS

#: No lease or back-off is longer; what is to wait for a person waits for hours.
LONGEST_LEASE_SECONDS = 120
#: Nobody holds a course back for longer.
LONGEST_HOLD_SECONDS = FAULT_RETRY_SECONDS
#: A time is in the future if it is further away: statements of one moment begin at several.
SLACK_SECONDS = 30


_IS_DUE = """wanted > done
AND (dirty_since < {grace} OR dirty_since > {slack})
AND (
    next_attempt_at IS NULL
    OR next_attempt_at <= {now}
    OR (next_attempt_at > {beyond_a_lease} AND (next_attempt_at <= {held_back} OR last_error = ''))
    OR next_attempt_at > {beyond_a_hold}
)"""


def due_sql(vendor: str, *, grace_seconds: int) -> str:
    """Return the condition that a mark is dirty for longer than ``grace_seconds`` and its next attempt due.

    A hold cannot be told from a lease by its time alone while it has less than ``HELD_BACK_SECONDS``
    to go: then it ends early. Whoever holds a course back says why.
    """
    return _IS_DUE.format(
        now=now_sql(vendor),
        grace=now_sql(vendor, offset_seconds=-grace_seconds),
        slack=now_sql(vendor, offset_seconds=SLACK_SECONDS),
        beyond_a_lease=now_sql(vendor, offset_seconds=LONGEST_LEASE_SECONDS + SLACK_SECONDS),
        held_back=now_sql(vendor, offset_seconds=HELD_BACK_SECONDS),
        beyond_a_hold=now_sql(vendor, offset_seconds=LONGEST_HOLD_SECONDS + SLACK_SECONDS),
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
