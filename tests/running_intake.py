"""An intake that runs in a thread of the test, and what a test does to it."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections
from kombu import Connection, Producer

from lms_integration.broker import broker_connection
from lms_integration.events import CONTENT_TYPE
from lms_integration.topology import dead_letter_queue, event_exchange, event_queue
from overview_worker.intake import Intake
from overview_worker.intake_store import DjangoIntakeStore

PATIENCE_SECONDS = 15
#: How soon it sees that it is to stop; the product's half a second adds up over the tests.
IDLE_SECONDS = 0.05


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.01)


class RecordedQueue:
    """What the intake enqueued, in place of Celery."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.failures: list[Exception] = []

    def enqueue(self, course_keys: Sequence[str]) -> None:
        if self.failures:
            raise self.failures.pop()
        self.batches.append(list(course_keys))

    @property
    def course_keys(self) -> list[str]:
        return [key for batch in self.batches for key in batch]


class RunningIntake:
    """An intake in a thread of its own."""

    def __init__(self, url: str, store: DjangoIntakeStore, queue: RecordedQueue) -> None:
        self.intake = Intake(
            connect=lambda: broker_connection(url, timeout_seconds=4, heartbeat_seconds=20),
            store=store,
            enqueue=queue.enqueue,
        )
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.intake.run()
        connections.close_all()

    def stop(self) -> None:
        self.intake.stop()
        self.thread.join(PATIENCE_SECONDS)
        assert not self.thread.is_alive()


def publish(url: str, *bodies: bytes, content_type: str = CONTENT_TYPE, **options) -> None:
    # Confirmed: of more than a few dozen messages that nobody waits for, a quorum queue may lose the
    # last ones when the connection is closed right behind them.
    confirmed = {} if url.startswith("redis") else {"confirm_publish": True}
    with Connection(url, transport_options=confirmed) as connection:
        channel = connection.channel()
        for each in (event_queue(), dead_letter_queue()):
            each(channel).declare()
        producer = Producer(channel)
        for body in bodies:
            producer.publish(
                body,
                exchange=event_exchange(),
                routing_key="course.published",
                content_type=content_type,
                content_encoding="utf-8",
                delivery_mode=2,
                **options,
            )


def events_left(url: str) -> int:
    with Connection(url) as connection:
        channel: Any = connection.channel()
        if url.startswith("redis"):
            return int(channel.client.llen("overview.events") + channel.client.hlen("unacked"))
        return int(channel.queue_declare(queue="overview.events", passive=True).message_count)
