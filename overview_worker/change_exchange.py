"""Sending what has changed to the topic exchange: a batch at a time, and then all its confirms.

One round trip a batch instead of one a message. Nobody is obliged to listen, so an event for which no
queue is bound is confirmed and gone, and that is no error.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

from kombu import Connection, Producer
from kombu.exceptions import KombuError

from lms_integration.broker import broker_connection, open_connection, shown_url
from lms_integration.change_events import CHANGE_ROUTING_KEY, OverviewChanged, encode_change
from lms_integration.events import CONTENT_TYPE, EXCHANGE
from lms_integration.topology import event_exchange
from overview_worker.errors import ExchangeUnavailable

#: The longest that connecting, one write, or all confirms of a batch may take, in seconds.
TIMEOUT_SECONDS = 5.0


class ChangeExchange:
    """Sends events over one connection, opened on first use and again after a failure or a fork."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self._producer: Any = None  # kombu's stubs know no batches
        self._confirms: _Confirms | None = None
        self._pid = 0

    def send(self, events: Sequence[OverviewChanged]) -> None:
        """Send ``events`` in their order; return when the broker has confirmed all of them.

        Raises:
            ExchangeUnavailable: it did not, or not in time; it may have any of them.
        """
        if self._pid != os.getpid():
            self._connection, self._pid = None, os.getpid()
        try:
            self._send(events)
        except self._errors() as error:
            self.close()
            raise ExchangeUnavailable(
                f"{shown_url(self._url)}: {type(error).__name__}: {error}"
            ) from error
        except BaseException:  # a time limit, say: what is on the wire is not known
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection, whatever state it is in."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.collect(socket_timeout=0.1)

    def _send(self, events: Sequence[OverviewChanged]) -> None:
        if self._connection is None:
            self._open()
        producer = self._producer
        destinations = self._destinations(producer.channel)
        with producer.batch():  # on Redis, which confirms nothing: one round trip for all
            for event in events if destinations else ():
                body = encode_change(event)
                for exchange, routing_key in destinations:
                    if self._confirms is not None:
                        self._confirms.expect_one()
                    _publish(producer, body, exchange=exchange, routing_key=routing_key)
        if self._confirms is not None:
            self._confirms.wait(timeout_seconds=TIMEOUT_SECONDS)

    def _destinations(self, channel: Any) -> Sequence[tuple[str, str]]:
        """Return to which exchange, by which routing key: on Redis straight to the queues.

        There the bindings are looked up by the sender, which is a round trip; once a batch will do.
        """
        if self._confirms is not None:
            return [(EXCHANGE, CHANGE_ROUTING_KEY)]
        return [("", queue) for queue in channel._lookup(EXCHANGE, CHANGE_ROUTING_KEY)]

    def _open(self) -> None:
        connection = broker_connection(
            self._url, timeout_seconds=TIMEOUT_SECONDS, waits_for_each_confirm=False
        )
        self._connection = connection
        open_connection(connection)
        channel: Any = connection.channel()
        event_exchange()(channel).declare()
        is_amqp = connection.transport.driver_type == "amqp"
        self._confirms = _Confirms(connection, channel) if is_amqp else None
        self._producer = Producer(channel, auto_declare=False)

    def _errors(self) -> tuple[type[BaseException], ...]:
        """Return what says that the broker is away, or has refused something."""
        if self._connection is None:
            return (KombuError, OSError)
        errors = (*self._connection.connection_errors, *self._connection.channel_errors)
        return (KombuError, OSError, *errors)


def _publish(producer: Any, body: bytes, *, exchange: str, routing_key: str) -> None:
    producer.publish(
        body,
        exchange=exchange,
        routing_key=routing_key,
        content_type=CONTENT_TYPE,
        content_encoding="utf-8",
        delivery_mode=2,
        retry=False,
        timeout=TIMEOUT_SECONDS,
    )


class _Confirms:
    """The confirms of one AMQP channel that are still to come."""

    def __init__(self, connection: Connection, channel: Any) -> None:
        self._connection = connection
        self._sent = 0
        self._waiting: set[int] = set()
        self._refused = False
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)

    def expect_one(self) -> None:
        """Count a message that is about to be sent."""
        self._sent += 1
        self._waiting.add(self._sent)

    def wait(self, *, timeout_seconds: float) -> None:
        """Return when all have come.

        Raises:
            TimeoutError: they did not come in time.
            OSError: the connection is gone, or the broker refused a message: a queue is full.
        """
        deadline = time.monotonic() + timeout_seconds
        while self._waiting:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{len(self._waiting)} confirms are missing")
            self._connection.drain_events(timeout=left)
        if self._refused:
            self._refused = False
            raise OSError("refused: a queue that is bound for changes is full")

    def _on_ack(self, delivery_tag: int, multiple: bool) -> None:
        if multiple:
            self._waiting = {tag for tag in self._waiting if tag > delivery_tag}
        else:
            self._waiting.discard(delivery_tag)

    def _on_nack(self, delivery_tag: int, multiple: bool) -> None:
        self._refused = True
        self._on_ack(delivery_tag, multiple)
