"""Handing rebuilds to the workers, by task name: the sender needs neither tasks nor their imports."""

import math
from collections.abc import Sequence

from celery import Celery
from kombu import Producer

REBUILD_OVERVIEW = "overview.rebuild_overview"
REBUILD_OVERVIEWS = "overview.rebuild_overviews"
SWEEP = "overview.sweep"
ANNOUNCE_CHANGES = "overview.announce_changes"
ASK_NIGHTLY = "overview.ask_nightly"
INSPECT = "overview.inspect"
KEEP_HOUSE = "overview.keep_house"
KEEP_UP = "overview.keep_up"
WORK_ON_RUN = "overview.work_on_run"
TEND_RUNS = "overview.tend_runs"
TEND_THUMBNAILS = "overview.tend_thumbnails"
MAKE_THUMBNAILS = "overview.make_thumbnails"

#: Courses in one bulk task: their reads and writes share round trips.
BULK_CHUNK_SIZE = 100
#: Courses in one live task, where many are enqueued at once: a tenth of the work for each, and the last
#: one of them is still served within a moment.
LIVE_CHUNK_SIZE = 20
#: So few that are enqueued at once have a task each: they are rebuilt side by side.
FEW_COURSES = 4
#: Longest wait for the broker's confirm of one task, in seconds; without it the wait has no end.
CONFIRM_TIMEOUT_SECONDS = 5


class RebuildQueue:
    """Enqueues rebuilds over one Celery app's connection pool."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def enqueue(self, course_keys: Sequence[str]) -> None:
        """Send one live task a course.

        Raises:
            kombu.exceptions.OperationalError: the broker did not take one of them in time.
        """
        with self._app.producer_or_acquire() as producer:
            for course_key in course_keys:
                self._send(REBUILD_OVERVIEW, [course_key], producer=producer)

    def enqueue_together(self, course_keys: Sequence[str]) -> None:
        """Send live tasks: a few courses have one each, many share them.

        Raises:
            kombu.exceptions.OperationalError: the broker did not take one of them in time.
        """
        if len(course_keys) <= FEW_COURSES:
            self.enqueue(course_keys)
            return
        size = min(LIVE_CHUNK_SIZE, math.ceil(len(course_keys) / 2))  # two processes share a few
        live_queue = self._app.conf.task_routes[REBUILD_OVERVIEW]["queue"]
        with self._app.producer_or_acquire() as producer:
            for start in range(0, len(course_keys), size):
                chunk = list(course_keys[start : start + size])
                self._send(REBUILD_OVERVIEWS, [chunk], producer=producer, queue=live_queue)

    def enqueue_bulk(self, course_keys: Sequence[str]) -> int:
        """Send chunks of courses to the bulk workers; return how many tasks that made.

        Raises:
            kombu.exceptions.OperationalError: the broker did not take one of them in time.
        """
        starts = range(0, len(course_keys), BULK_CHUNK_SIZE)
        with self._app.producer_or_acquire() as producer:
            for start in starts:
                chunk = list(course_keys[start : start + BULK_CHUNK_SIZE])
                self._send(REBUILD_OVERVIEWS, [chunk], producer=producer)
        return len(starts)

    def enqueue_thumbnails(self, course_keys: Sequence[str]) -> None:
        """Send one task a course, so that an image that kills its worker takes no other along.

        Raises:
            kombu.exceptions.OperationalError: the broker did not take one of them in time.
        """
        with self._app.producer_or_acquire() as producer:
            for course_key in course_keys:
                self._send(MAKE_THUMBNAILS, [course_key], producer=producer)

    def enqueue_tending(self) -> None:
        """Have a bulk worker look for wanted thumbnails once those in the queue are made.

        Raises:
            kombu.exceptions.OperationalError: the broker did not take it in time.
        """
        with self._app.producer_or_acquire() as producer:
            self._send(TEND_THUMBNAILS, [], producer=producer)

    def enqueue_lane(self, run_id: int, lane: int) -> None:
        """Have a bulk worker work on one lane of a rebuild run.

        Raises:
            kombu.exceptions.OperationalError: the broker did not take it in time.
        """
        with self._app.producer_or_acquire() as producer:
            self._send(WORK_ON_RUN, [run_id, lane], producer=producer)

    def _send(
        self, name: str, arguments: list[object], *, producer: Producer, queue: str | None = None
    ) -> None:
        """Send a task to a queue; None is the one that ``celeryconfig.task_routes`` names.

        Queues are bound by their names; the name alone would leave the routing key of the route.
        """
        self._app.send_task(
            name,
            args=arguments,
            queue=queue,
            routing_key=queue,
            producer=producer,
            ignore_result=True,
            confirm_timeout=CONFIRM_TIMEOUT_SECONDS,
        )
