"""Publishing as Studio does: the documents, then the signal in the same transaction."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from pymongo import MongoClient

from benchmarks.watcher import Expected, Watcher
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


class Names:
    """Numbers that grow with every publish of the run, also beyond those of earlier runs."""

    def __init__(self) -> None:
        self._next = time.time_ns() // 1000

    def next(self) -> int:
        """Return the next number."""
        self._next += 1
        return self._next


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One publish: when the signal was sent, and what the pipeline cost the publisher."""

    at: float  #: ``time.monotonic()``
    cost_seconds: float  #: mark, commit and event


def publish(author: SplitAuthor, course_key: str, name: str) -> Published:
    """Give a course another name and publish it."""
    with transaction.atomic():
        change = author.edit_settings(course_key, {"display_name": name})
        started = time.monotonic()
        course_published.send(
            sender=None,
            course_key=course_key,
            published_version=change.published_version,
            published_at=change.updated_at,
        )
    return Published(at=started, cost_seconds=time.monotonic() - started)


def publish_and_expect(
    author: SplitAuthor, course_key: str, number: int, watcher: Watcher
) -> Published:
    """Publish a course under a numbered name that the watcher is to see."""
    published = publish(author, course_key, f"Benchmark #{number}")
    watcher.expect(Expected(course_key=course_key, number=number, published_at=published.at))
    return published
