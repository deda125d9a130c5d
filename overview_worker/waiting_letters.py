"""Messages that are no events, on their way into the table of dead letters. Does no I/O of its own.

They are written after the events beside them, so that a table which is full, or locked, holds up no
publish. What cannot be written stays unacknowledged and is tried again, more and more rarely. No more
than ``MAX_WAITING`` wait: else the broker would deliver nothing else any more.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from overview_worker.documents import DeadLetterEntry
from overview_worker.errors import RetryableError

logger = logging.getLogger(__name__)

#: Half of what the broker leaves unacknowledged at one time.
MAX_WAITING = 500
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0


class Acknowledgeable(Protocol):
    """A message, as far as this module has to do with it."""

    def ack(self) -> None:
        """Tell the broker that it is dealt with."""
        ...


class Record(Protocol):
    """Writes letters, and how many were dropped before there was room for them."""

    def __call__(self, entries: Sequence[DeadLetterEntry], *, dropped_count: int) -> None:
        """Write all or none.

        Raises:
            RetryableError: the database did not answer, or there is no room.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedMessage:
    """A message that is no event, and the letter that is to be kept of it."""

    message: Acknowledgeable
    entry: DeadLetterEntry


class WaitingLetters:
    """Writes letters and acknowledges their messages; belongs to one connection at a time."""

    def __init__(self, record: Record, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._record = record
        self._clock = clock
        self._waiting: list[RefusedMessage] = []
        self._failure_count = 0
        self._due_at = 0.0
        #: Acknowledged without having been written, since letters were written last.
        self._dropped_count = 0

    def add(self, refused: Sequence[RefusedMessage]) -> None:
        """Take messages over; ``write`` acknowledges them."""
        self._waiting += refused

    def forget(self) -> None:
        """Let go of the messages of a connection that is lost: the broker delivers them again."""
        self._waiting.clear()

    def write(self) -> None:
        """Write what waits, unless that failed a moment ago; never raises what a retry may mend."""
        if not self._waiting:
            return
        if self._clock() >= self._due_at:
            self._try()
        if len(self._waiting) > MAX_WAITING:
            self._drop(len(self._waiting) - MAX_WAITING)

    def _try(self) -> None:
        try:
            self._record(
                [refused.entry for refused in self._waiting], dropped_count=self._dropped_count
            )
        except RetryableError as error:
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self._failure_count)
            self._failure_count += 1
            self._due_at = self._clock() + pause
            logger.error(
                "%d messages that are no events wait, for %.0f s more: %s",
                len(self._waiting),
                pause,
                error,
            )
            return
        self._failure_count, self._dropped_count = 0, 0
        self._acknowledge(len(self._waiting))

    def _drop(self, count: int) -> None:
        """Let the oldest go; why each was refused is in the log, and the next letters count them."""
        self._dropped_count += count
        logger.error(
            "dropped %d messages that are no events, %d so far: dead letters cannot be written",
            count,
            self._dropped_count,
        )
        self._acknowledge(count)

    def _acknowledge(self, count: int) -> None:
        for refused in self._waiting[:count]:
            refused.message.ack()
        del self._waiting[:count]
