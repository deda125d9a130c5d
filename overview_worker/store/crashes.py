"""Rebuild tasks that crashed or ran out of time: put off at first, given up when they go on so."""

from collections.abc import Sequence

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import F

from lms_integration.models import OverviewMark
from overview_worker.dead_letters import fingerprint_of, record_dead_letter
from overview_worker.documents import DeadLetterEntry, DeadLetterSource
from overview_worker.store import mark_statements
from overview_worker.store.failures import errors_translated

#: A course whose tasks have come to nothing so often since it was marked is given up.
GIVE_UP_AFTER_ATTEMPTS = 5


def record_crash(
    course_keys: Sequence[str], reason: str, *, using: str = DEFAULT_DB_ALIAS
) -> list[str]:
    """Count a failed attempt of each dirty course; return those that are given up with it.

    They get a dead letter each and are held back for hours, as a faulty course is. What was done
    before the crash is not touched: a course that is clean by now is left alone.

    Raises:
        StoreUnavailable: the database did not answer.
    """
    connection = connections[using]
    with errors_translated(connection), transaction.atomic(using=using):
        given_up = _about_to_be_given_up(course_keys, using=using)
        letters = [
            DeadLetterEntry(source=DeadLetterSource.TASK, course_key=key, reason=reason)
            for key in given_up
        ]
        for letter in sorted(letters, key=fingerprint_of):
            record_dead_letter(letter, using=using)
        vendor = connection.vendor
        last = [mark_statements.postpone(vendor, sorted(course_keys), reason)]
        if given_up:
            last.append(mark_statements.give_up(vendor, given_up, reason))
        mark_statements.end_with(connection, last)
    return given_up


def _about_to_be_given_up(course_keys: Sequence[str], *, using: str) -> list[str]:
    marks = OverviewMark.objects.using(using).filter(
        course_key__in=course_keys,
        wanted__gt=F("done"),
        attempts__gte=GIVE_UP_AFTER_ATTEMPTS - 1,
    )
    return sorted(marks.values_list("course_key", flat=True))
