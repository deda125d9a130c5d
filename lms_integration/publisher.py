"""Sending events to the broker: one confirmed publish, bounded in time, never fatal to Studio.

The mark has been committed before an event is sent, so an event that cannot be sent costs latency
(the sweeper's period) and nothing else.
"""

import logging
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from enum import Enum

from kombu import Connection, Producer

from lms_integration.broker import broker_connection, open_connection, shown_url
from lms_integration.conf import PublisherConf, publisher_conf
from lms_integration.events import CONTENT_TYPE, QUEUE, Event, encode_event
from lms_integration.topology import (
    dead_letter_queue,
    declare_queues,
    event_exchange,
    event_queue,
)

logger = logging.getLogger(__name__)


class PublishOutcome(Enum):
    """What became of an event."""

    SENT = "sent"
    FAILED = "failed"  #: tried, and not confirmed in time
    PAUSED = "paused"  #: not tried: an attempt failed a moment ago
    SWITCHED_OFF = "switched off"  #: no broker is configured


class UnroutableEvent(Exception):
    """The broker took an event that no queue is bound for."""


class EventPublisher:
    """Publishes events of one process over one connection, from a thread of its own.

    The thread is what bounds the time: a broker that accepts connections and then falls silent
    can hold the thread, never the caller.
    """

    def __init__(self, conf: PublisherConf) -> None:
        self.conf = conf
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._channel = _EventChannel(conf)
        self._executor = _new_executor()
        self._paused_until = 0.0

    def publish(self, event: Event) -> PublishOutcome:
        """Send ``event`` and wait for the broker's confirm, for ``timeout_seconds`` at most."""
        if not self.conf.broker_url:
            return PublishOutcome.SWITCHED_OFF
        if time.monotonic() < self._paused_until:
            logger.info("publish paused, the mark will do", extra=_about(event))
            return PublishOutcome.PAUSED
        future = self._executor.submit(self._channel.send, event)
        return self._outcome(event, future)

    def close(self) -> None:
        """Close the connection; a later ``publish`` opens a new one."""
        with self._lock:
            self._replace_channel()

    def _outcome(self, event: Event, future: "Future[None]") -> PublishOutcome:
        try:
            future.result(timeout=self.conf.timeout_seconds)
        except FutureTimeout:
            self._give_up(event, f"no confirm within {self.conf.timeout_seconds} s")
            return PublishOutcome.FAILED
        except Exception as error:  # noqa: BLE001 - whatever the transport raises, Studio goes on
            self._give_up(event, f"{type(error).__name__}: {error}")
            return PublishOutcome.FAILED
        return PublishOutcome.SENT

    def _give_up(self, event: Event, reason: str) -> None:
        logger.warning(
            "event %s of %s not sent to %s (%s); the course is marked, so it is rebuilt all the same",
            event.event_id,
            event.course_key,
            shown_url(self.conf.broker_url),
            reason,
            extra=_about(event),
        )
        with self._lock:
            self._paused_until = time.monotonic() + self.conf.pause_seconds
            self._replace_channel()

    def _replace_channel(self) -> None:
        old_executor, old_channel = self._executor, self._channel
        self._channel = _EventChannel(self.conf)
        self._executor = _new_executor()
        old_executor.submit(old_channel.close)
        old_executor.shutdown(wait=False)


class _EventChannel:
    """A connection and a producer, opened on first use and again after a failure."""

    def __init__(self, conf: PublisherConf) -> None:
        self._conf = conf
        self._connection: Connection | None = None
        self._producer: Producer | None = None
        self._returned: list[str] = []

    def send(self, event: Event) -> None:
        """Publish with confirm; a connection that the broker has closed meanwhile is renewed once."""
        fresh = self._producer is None
        try:
            self._publish(event)
        except UnroutableEvent:
            raise
        except Exception:
            self.close()
            if fresh:
                raise
            self._publish(event)

    def close(self) -> None:
        """Drop the connection, whatever state it is in."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            connection.collect(socket_timeout=0.1)

    def _publish(self, event: Event) -> None:
        producer = self._producer or self._open()
        self._returned.clear()
        producer.publish(
            encode_event(event, source=self._conf.event_source),
            exchange=event_exchange(),
            routing_key=event.routing_key,
            content_type=CONTENT_TYPE,
            content_encoding="utf-8",
            delivery_mode=2,
            mandatory=True,
            retry=False,
            timeout=self._conf.timeout_seconds,
            confirm_timeout=self._conf.timeout_seconds,
        )
        if self._returned:
            raise UnroutableEvent(f"no queue {QUEUE!r} is bound to take it: {self._returned[0]}")

    def _open(self) -> Producer:
        connection = broker_connection(
            self._conf.broker_url, timeout_seconds=self._conf.timeout_seconds
        )
        self._connection = connection
        # An event for which no queue is bound is confirmed and gone: declare before publishing. Where
        # this account may not even see the queues, the broker returns such an event.
        declare_queues(open_connection(connection), (event_queue(), dead_letter_queue()))
        returns = self._on_return if connection.transport.driver_type == "amqp" else None
        self._producer = Producer(connection.channel(), on_return=returns)
        return self._producer

    def _on_return(self, exception: Exception, *_: object) -> None:
        self._returned.append(str(exception))


_process_lock = threading.Lock()
_process_publisher: EventPublisher | None = None


def publish_event(event: Event) -> PublishOutcome:
    """Send ``event`` with this process's publisher (made on first use, and again after a fork)."""
    return _publisher().publish(event)


def close_publisher() -> None:
    """Close this process's connection, as before a fork or at the end of a command."""
    global _process_publisher
    with _process_lock:
        publisher, _process_publisher = _process_publisher, None
    if publisher is not None and publisher.pid == os.getpid():
        publisher.close()


def _publisher() -> EventPublisher:
    global _process_publisher
    conf = publisher_conf()
    with _process_lock:
        current = _process_publisher
        if current is None or current.pid != os.getpid() or current.conf != conf:
            current = _process_publisher = EventPublisher(conf)
        return current


def _new_executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="overview-publisher")


def _about(event: Event) -> dict[str, str]:
    return {"course_key": event.course_key, "event_id": event.event_id}
