"""The broker objects of the event contract, declared the same way by publishers and the intake.

RabbitMQ: quorum queue, bounded, with a delivery limit and at-least-once dead-lettering to
``overview.dead`` (a quorum queue drops what is over its limit unless a dead-letter exchange is
set). Redis ignores the arguments.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any

from amqp import AccessRefused
from kombu import Connection, Exchange, Queue

from lms_integration.events import EXCHANGE, QUEUE, ROUTING_PATTERN

DEAD_LETTER_EXCHANGE_NAME = "overview.dlx"
DEAD_LETTER_QUEUE_NAME = "overview.dead"


class QueueSight(Enum):
    """What an account knows of the queues."""

    THERE = "there"  #: declared, or seen
    HIDDEN = "hidden"  #: it may not even see them; a publish must be ``mandatory`` to tell


def quorum_arguments() -> dict[str, Any]:
    """Return the queue arguments of every queue whose messages must not be lost."""
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,
        "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE_NAME,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-max-length": 1_000_000,
    }


def event_exchange() -> Exchange:
    """Return the topic exchange that publishers write to."""
    return Exchange(EXCHANGE, type="topic", durable=True)


def event_queue() -> Queue:
    """Return the intake's queue, bound to every course event."""
    return Queue(
        QUEUE,
        exchange=event_exchange(),
        routing_key=ROUTING_PATTERN,
        durable=True,
        queue_arguments=quorum_arguments(),
    )


def dead_letter_queue() -> Queue:
    """Return the queue in which the broker puts what nobody could take."""
    return Queue(
        DEAD_LETTER_QUEUE_NAME,
        exchange=Exchange(DEAD_LETTER_EXCHANGE_NAME, type="topic", durable=True),
        routing_key="#",
        durable=True,
        queue_arguments={"x-queue-type": "quorum", "x-max-length": 1_000_000},
    )


def declare_queues(connection: Connection, queues: Sequence[Queue]) -> QueueSight:
    """Declare queues with their exchanges, or, where the account may not, see that they are there.

    An account that only publishes should have no right to configure; the workers' declares for it.
    RabbitMQ before 4.2.6 shows queues to everybody, later ones only to accounts with some right on them.

    Raises:
        amqp.NotFound: a queue is not there, and this account may not make it.
        kombu.exceptions.OperationalError, OSError: the broker did not answer.
    """
    try:
        channel: Any = connection.channel()
        for queue in queues:
            queue(channel).declare()
        channel.close()
    except AccessRefused:  # it has closed the channel
        return _look_for(connection, queues)
    return QueueSight.THERE


def _look_for(connection: Connection, queues: Sequence[Queue]) -> QueueSight:
    try:
        channel: Any = connection.channel()
        for queue in queues:
            channel.queue_declare(queue.name, passive=True)
        channel.close()
    except AccessRefused:
        return QueueSight.HIDDEN
    return QueueSight.THERE
