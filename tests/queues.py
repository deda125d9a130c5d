"""Queues of the brokers that tests run on."""

from collections.abc import Iterable
from typing import Any

from kombu import Connection, Queue


def empty_queues(url: str, queues: Iterable[Queue]) -> None:
    """Declare queues and throw away what is in them."""
    with Connection(url) as connection:
        channel: Any = connection.channel()
        for queue in queues:
            bound = queue(channel)
            bound.declare()
            bound.purge()
