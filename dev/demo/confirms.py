"""The demo says when the broker has confirmed an event: one that it has not is a failure."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_PUBLISHER = "lms_integration.publisher"


class UnconfirmedEvent(Exception):
    """The publisher gave an event up; its course is marked, so the sweeper would rebuild it."""


class Confirms(logging.Handler):
    """Listens to the publisher, which tells of such events in its log and nowhere else."""

    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self._complaints: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what the publisher complains of."""
        self._complaints.append(record.getMessage())

    def check(self) -> None:
        """Raise UnconfirmedEvent if an event was given up."""
        if self._complaints:
            raise UnconfirmedEvent(self._complaints[0])


@contextmanager
def listening(confirms: Confirms) -> Iterator[None]:
    """Listen while the block runs."""
    logger = logging.getLogger(_PUBLISHER)
    logger.addHandler(confirms)
    try:
        yield
    finally:
        logger.removeHandler(confirms)
