"""The queues of the broker that tests run on."""

from typing import Any

from kombu import Connection

import celeryconfig
from lms_integration.topology import dead_letter_queue, event_queue


def empty_queues(url: str) -> None:
    """Declare the pipeline's queues and throw away what is in them.

    Events and tasks that an earlier test has left tell of courses and runs that this one has never heard of.
    """
    with Connection(url) as connection:
        channel: Any = connection.channel()
        for queue in (event_queue(), dead_letter_queue(), *celeryconfig.task_queues):
            bound = queue(channel)
            bound.declare()
            bound.purge()
