"""What changed of the rows, when and why: read from SQL for the command line, the admin and the status."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Count, Min

from lms_integration.conf import announces_changes
from lms_integration.database_clock import DatabaseNow
from lms_integration.models import OverviewChange

#: The row of ``overview_job`` that says who sends signals, in ``after_key``, and when they last did.
SIGNAL_JOB = "send_signals"


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxFigures:
    """The changes that the exchange has not been told of yet."""

    waiting_count: int
    oldest_seconds: float  #: age of the oldest of them; 0.0 when there is none
    is_on: bool  #: ``OVERVIEW_ANNOUNCE_CHANGES``


def changes_of(course_key: str, *, limit: int) -> Sequence[OverviewChange]:
    """Return the newest changes of a course, newest first.

    Raises:
        django.db.DatabaseError: the database refused or did not answer.
    """
    rows = OverviewChange.objects.filter(course_key=course_key)
    return list(rows.order_by("-id")[:limit])


def change_count(course_key: str) -> int:
    """Return how many changes of a course are kept."""
    return OverviewChange.objects.filter(course_key=course_key).count()


def outbox_figures(*, using: str = DEFAULT_DB_ALIAS) -> OutboxFigures:
    """Return how many changes wait to be announced, and for how long, by the database's clock."""
    waiting = OverviewChange.objects.using(using).filter(announced_at__isnull=True)
    found = waiting.aggregate(count=Count("id"), oldest=Min("changed_at"), now=Min(DatabaseNow()))
    age = (found["now"] - found["oldest"]).total_seconds() if found["count"] else 0.0
    return OutboxFigures(
        waiting_count=found["count"],
        oldest_seconds=round(max(0.0, age), 3),
        is_on=announces_changes(),
    )
