"""Events as a hard life has them: few courses get most, some come twice, late, or never."""

# ruff: noqa: S311 - what happens next is left to chance, not a secret

import heapq
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection, transaction
from kombu import Connection, Producer
from pymongo.database import Database

from dev.authoring.author import PublishedChange, SplitAuthor
from dev.authoring.index import SqlCourseIndex
from dev.authoring.new_course import NewCourse
from dev.trials.restless_author import numbered_settings
from lms_integration.announcements import mark_for_announcement
from lms_integration.events import (
    CONTENT_TYPE,
    CourseDeleted,
    CoursePublished,
    Event,
    encode_event,
)
from lms_integration.publisher import publish_event
from lms_integration.topology import event_exchange, event_queue

DUPLICATE_SHARE = 0.05
REORDERED_SHARE = 0.05
DROPPED_SHARE = 0.01
#: Of the real edits: neither event nor mark came of it, as after a backup that was restored. They are of
#: courses that nobody ever announces, so that the inspector alone can find them.
UNMARKED_SHARE = 0.02
#: So many such courses, as a share of the others, and at least one.
SILENT_SHARE = 0.01
#: Of the real edits: the course is deleted; an edit of a deleted one creates it again.
DELETE_SHARE = 0.03
#: An event that is late comes so many events later, at the most.
LATEST = 1000
#: How steeply the courses' shares of the events fall: the nth gets 1/n to this power.
ZIPF_EXPONENT = 1.0
#: Messages that are sent in one go without waiting for the broker's confirm.
_CREATED_AT_ONCE = 250


@dataclass(kw_only=True, slots=True)
class MixFigures:
    """What was sent."""

    events: int = 0
    real_edits: int = 0
    deletes: int = 0
    creations: int = 0
    duplicated: int = 0
    reordered: int = 0
    dropped: int = 0
    unmarked: int = 0
    longest_publish_block_seconds: float = 0.0


class EventMix:
    """An author and a careless broker in one; ``send_one`` does what one event stands for.

    A share of ``edit_share`` of the events announces a real edit, which is written and marked as
    Studio does; the others announce the version that is published already, and the intake marks them.
    ``silent_keys`` are courses whose edits nobody marks or announces, now or later.
    """

    def __init__(
        self,
        database: Database[dict[str, Any]],
        broker_url: str,
        course_keys: Sequence[str],
        *,
        edit_share: float,
        silent_keys: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        self.silent_keys = frozenset(silent_keys)
        self._silent = list(silent_keys)
        self._author = SplitAuthor(database, index=SqlCourseIndex(database))
        self._random = random.Random(seed)
        self._keys = list(course_keys)
        self._random.shuffle(self._keys)
        weights = [1 / (rank + 1) ** ZIPF_EXPONENT for rank in range(len(self._keys))]
        self._cumulative = list(itertools.accumulate(weights))
        self._edit_share = edit_share
        self._number = time.time_ns() // 1_000_000
        self._newest: dict[str, PublishedChange | None] = dict.fromkeys(self._keys)
        self._late: list[tuple[int, int, Event]] = []
        self._serial = itertools.count()
        self._connection = Connection(broker_url)
        self._producer: Producer | None = None
        self.figures = MixFigures()

    def create_courses(self) -> Iterator[int]:
        """Create every course, many at once and without a word; yield how many were created."""
        every = [*self._keys, *self._silent]
        for start in range(0, len(every), _CREATED_AT_ONCE):
            keys = every[start : start + _CREATED_AT_ONCE]
            courses = [NewCourse(course_key=key, settings=self._next_version()) for key in keys]
            with transaction.atomic():
                changes = self._author.create_courses(courses)
            self._newest |= {change.course_key: change for change in changes}
            yield len(keys)

    def send_one(self) -> None:
        """Do one event: it is sent, sent twice, sent later, or not at all."""
        self.figures.events += 1
        key = self._random.choices(self._keys, cum_weights=self._cumulative)[0]
        is_real = self._random.random() < self._edit_share
        if is_real and self._silent and self._random.random() < UNMARKED_SHARE:
            self._edit_in_silence()
            return
        fate = self._random.random()
        if fate < DROPPED_SHARE:
            self.figures.dropped += 1
        elif fate < DROPPED_SHARE + REORDERED_SHARE:
            self.figures.reordered += 1
        if is_real:
            event = self._edit(key, is_sent_at_once=fate >= DROPPED_SHARE + REORDERED_SHARE)
        else:
            event = self._announcement(key)
            if fate >= DROPPED_SHARE + REORDERED_SHARE:
                self._send(event)
        if DROPPED_SHARE <= fate < DROPPED_SHARE + REORDERED_SHARE:
            self._put_off(event)
        if fate >= 1 - DUPLICATE_SHARE:
            self.figures.duplicated += 1
            self._put_off(event)
        self._send_late_ones()

    def finish(self) -> None:
        """Send what is still to come late, and close the connection."""
        for _, _, event in sorted(self._late):
            self._send(event)
        self._late.clear()
        self._connection.close()

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return asdict(self.figures)

    def _edit_in_silence(self) -> None:
        self.figures.unmarked += 1
        with transaction.atomic():
            self._author.edit_settings(self._random.choice(self._silent), self._next_version())

    def _edit(self, key: str, *, is_sent_at_once: bool) -> Event:
        self.figures.real_edits += 1
        begun = 0.0
        with transaction.atomic():
            event = self._write(key)
            begun = time.monotonic()
            event = mark_for_announcement(event)
        if is_sent_at_once:
            publish_event(event)
        blocked = time.monotonic() - begun
        longest = self.figures.longest_publish_block_seconds
        self.figures.longest_publish_block_seconds = max(longest, blocked)
        return event

    def _write(self, key: str) -> Event:
        if self._newest[key] is None:
            self.figures.creations += 1
            change = self._author.create_course(key, settings=self._next_version())
        elif self._random.random() < DELETE_SHARE:
            self.figures.deletes += 1
            change = self._author.delete_course(key)
            self._newest[key] = None
            return CourseDeleted(course_key=key, deleted_at=change.updated_at)
        else:
            change = self._author.edit_settings(key, self._next_version())
        self._newest[key] = change
        return self._announcement(key)

    def _announcement(self, key: str) -> Event:
        change = self._newest[key]
        if change is None:
            return CoursePublished(course_key=key)
        return CoursePublished(
            course_key=key,
            published_version=change.published_version,
            published_at=change.updated_at,
        )

    def _put_off(self, event: Event) -> None:
        due = self.figures.events + self._random.randint(1, LATEST)
        heapq.heappush(self._late, (due, next(self._serial), event))

    def _send_late_ones(self) -> None:
        while self._late and self._late[0][0] <= self.figures.events:
            self._send(heapq.heappop(self._late)[2])

    def _send(self, event: Event) -> None:
        if self._producer is None:
            channel = self._connection.channel()
            event_queue()(channel).declare()
            self._producer = Producer(channel)
        self._producer.publish(
            encode_event(event),
            exchange=event_exchange(),
            routing_key=event.routing_key,
            content_type=CONTENT_TYPE,
            content_encoding="utf-8",
            delivery_mode=2,
        )

    def _next_version(self) -> dict[str, Any]:
        self._number += 1
        return numbered_settings(self._number)


def silent_keys_for(course_count: int) -> list[str]:
    """Return the courses of a mix whose edits nobody marks or announces."""
    count = max(1, int(course_count * SILENT_SHARE))
    return [f"course-v1:SilentX+C{number:06}+R1" for number in range(count)]


def empty_databases(database: Database[dict[str, Any]]) -> None:
    """Drop everything in the private servers' databases, and make the platform's index table."""
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")
        cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    connection.close()
    database.client.drop_database(database.name)
