"""How many messages wait in each queue."""

from collections.abc import Iterable
from typing import Any

from kombu import Connection

from lms_integration.broker import open_connection


def queue_depths(connection: Connection, names: Iterable[str]) -> dict[str, int | None]:
    """Return ``{queue: messages ready}``; None for a queue that does not exist.

    Redis has no empty lists, so that a queue which does not exist is an empty one there.

    Raises:
        OSError, kombu.exceptions.KombuError: the broker did not answer.
    """
    open_connection(connection)
    depths: dict[str, int | None] = {}
    for name in names:
        # A passive declaration of a missing queue closes its channel: one channel each.
        channel: Any = connection.channel()
        try:
            depths[name] = channel.queue_declare(queue=name, passive=True).message_count
            channel.close()
        except connection.channel_errors:
            depths[name] = None if connection.transport.driver_type == "amqp" else 0
    return depths
