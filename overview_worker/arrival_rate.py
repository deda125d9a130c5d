"""How many messages come a second, of late."""

import math
import time
from collections.abc import Callable

#: What came so long ago counts for a third.
MEMORY_SECONDS = 1.0


class ArrivalRate:
    """An average that forgets; belongs to one thread."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._per_second = 0.0
        self._noted_at = clock()

    def note(self, count: int) -> None:
        """Take note of messages that have come since the last note."""
        self._per_second = self.per_second() + count / MEMORY_SECONDS
        self._noted_at = self._clock()

    def per_second(self) -> float:
        """Return the rate as it is now; it falls while nothing comes."""
        age = max(0.0, self._clock() - self._noted_at)
        return self._per_second * math.exp(-age / MEMORY_SECONDS)
