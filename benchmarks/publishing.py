"""Publishing as Studio does: the documents, then the signal in the same transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import transaction
from pymongo import MongoClient

from dev.authoring.author import SplitAuthor
from dev.authoring.index import MongoCourseIndex
from lms_integration.signals import course_published


@contextmanager
def studio() -> Iterator[SplitAuthor]:
    """Give an author of the modulestore that the settings name."""
    client: MongoClient[dict[str, Any]] = MongoClient(settings.OVERVIEW_MONGODB_URL)
    try:
        database = client[settings.OVERVIEW_MONGODB_DATABASE]
        yield SplitAuthor(database, index=MongoCourseIndex(database))
    finally:
        client.close()


def publish(author: SplitAuthor, course_key: str, name: str) -> None:
    """Give a course another name and publish it."""
    with transaction.atomic():
        change = author.edit_settings(course_key, {"display_name": name})
        course_published.send(
            sender=None,
            course_key=course_key,
            published_version=change.published_version,
            published_at=change.updated_at,
        )
