"""A reader in a process of its own: tells when a course's row shows a name that was published."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue

import django
from django.db import connection

#: The watcher asks this often; so much is the measure's own error at the most.
POLL_SECONDS = 0.0005
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """A publish whose row is awaited. Names end with ``#`` and a number that grows."""

    course_key: str
    number: int
    published_at: float  #: ``time.monotonic()``, one clock for all processes of a machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A publish whose row, or a newer one, was read."""

    course_key: str
    number: int
    seconds: float


class Watcher:
    """Sends what is awaited to the reader and gets back what it has seen."""

    def __init__(self, expected: "Queue[Expected | None]", seen: "Queue[Seen]") -> None:
        self._expected = expected
        self._seen = seen

    def expect(self, expected: Expected) -> None:
        """Await a row."""
        self._expected.put(expected)

    def collect(self, count: int, *, timeout_seconds: float) -> list[Seen]:
        """Return the next ``count`` rows seen.

        Raises:
            queue.Empty: one of them has not come in time.
        """
        return [self._seen.get(timeout=timeout_seconds) for _ in range(count)]


@contextmanager
def watching() -> Iterator[Watcher]:
    """Run the reader."""
    expected: Queue[Expected | None] = _SPAWN.Queue()
    seen: Queue[Seen] = _SPAWN.Queue()
    process = _SPAWN.Process(target=_watch, args=(expected, seen), daemon=True)
    process.start()
    try:
        yield Watcher(expected, seen)
    finally:
        expected.put(None)
        process.join(10)


def _watch(expected: "Queue[Expected | None]", seen: "Queue[Seen]") -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lms_integration.settings")
    django.setup()
    waiting: list[Expected] = []
    while True:
        while not waiting or not expected.empty():
            item = expected.get()
            if item is None:
                return
            waiting.append(item)
        numbers = _numbers(sorted({each.course_key for each in waiting}))
        now = time.monotonic()
        still: list[Expected] = []
        for each in waiting:
            if numbers.get(each.course_key, -1) >= each.number:
                seen.put(
                    Seen(
                        course_key=each.course_key,
                        number=each.number,
                        seconds=now - each.published_at,
                    )
                )
            else:
                still.append(each)
        waiting = still
        time.sleep(POLL_SECONDS)


def _numbers(course_keys: list[str]) -> dict[str, int]:
    placeholders = ", ".join(["%s"] * len(course_keys))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, display_name FROM course_overviews_courseoverview "  # noqa: S608
            f"WHERE id IN ({placeholders})",
            course_keys,
        )
        return {key: number_of(name) for key, name in cursor.fetchall()}


def number_of(name: str | None) -> int:
    """Return the number at the end of a name, -1 without one."""
    _, found, number = (name or "").rpartition("#")
    return int(number) if found else -1
