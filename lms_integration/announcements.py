"""Mark first, tell the broker after the commit: the one way in which a change is announced."""

from dataclasses import replace
from functools import partial

from django.db import DEFAULT_DB_ALIAS, transaction

from lms_integration.events import Event
from lms_integration.identity import database_identity
from lms_integration.marks import mark_courses, mark_of
from lms_integration.publisher import publish_event


def announce(event: Event, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Mark the event's course in the caller's transaction and publish the event after its commit.

    Rolled back with the transaction; sent at once outside of one.

    Raises:
        django.db.DatabaseError: the mark could not be written.
    """
    marked = mark_for_announcement(event, using=using)
    transaction.on_commit(partial(publish_event, marked), using=using, robust=True)


def mark_for_announcement(event: Event, *, using: str = DEFAULT_DB_ALIAS) -> Event:
    """Mark the event's course and return the event as it is to be sent: saying where it is marked.

    Raises:
        django.db.DatabaseError: the mark could not be written.
    """
    marked = replace(event, marked_in=database_identity(using))
    mark_courses([mark_of(marked)], using=using)
    return marked
