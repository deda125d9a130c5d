"""How much CPU time each class of hostile messages takes to refuse, and how much memory: a table.

    python -m benchmarks.hostile_messages [MESSAGES_OF_EACH_CLASS]

The intake's own reading, without broker and database. A class is in ``tests/hostile_messages.py``.
*ratio* is the median against that of an event that is none. Exit code 1: some message took 10 ms of CPU
time or more, the best of three times, or 10 MB or more.
"""

import logging
import statistics
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, given, settings
from kombu.message import Message

from overview_worker.compression import refuse_compressed_messages
from overview_worker.intake import sort_messages
from tests.hostile_messages import CLASSES, encoded, message_of

#: The most that one message may cost.
MOST_SECONDS = 0.010
MOST_BYTES = 10_000_000
_PLAIN_COUNT = 300


@dataclass(kw_only=True, slots=True)
class Cost:
    """What the messages of one class cost."""

    events: int = 0
    seconds: list[float] = field(default_factory=list)  #: of each message, the best of three times
    peak_bytes: int = 0  #: of the worst message

    @property
    def median_ms(self) -> float:
        """The median time of a message."""
        return statistics.median(self.seconds) * 1000

    @property
    def worst_ms(self) -> float:
        """The time of the slowest message."""
        return max(self.seconds) * 1000


def too_costly(name: str, cost: Cost) -> Iterator[str]:
    """Yield a line for each limit that some message of a class reached."""
    if cost.worst_ms >= MOST_SECONDS * 1000:
        yield f"{name}: a message took {cost.worst_ms:.1f} ms"
    if cost.peak_bytes >= MOST_BYTES:
        yield f"{name}: a message took {cost.peak_bytes / 1e6:.1f} MB"


def measure(name: str, *, count: int) -> Cost:
    """Read ``count`` messages of a class: each for its time, best of three, and for its memory."""
    cost = Cost()

    @settings(
        max_examples=count,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(CLASSES[name])
    def read(message: Message) -> None:
        cost.events += len(sort_messages([message]).events)
        cost.seconds.append(_seconds_of(message))
        tracemalloc.start()
        sort_messages([message])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        cost.peak_bytes = max(cost.peak_bytes, peak)

    read()
    return cost


def _seconds_of(message: Message) -> float:
    """Return the CPU time of a reading: of three, the one without the garbage collector's pause."""
    return min(_read_once(message) for _ in range(3))


def _read_once(message: Message) -> float:
    started = time.thread_time()
    sort_messages([message])
    return time.thread_time() - started


def main() -> int:
    """Print the table; return the exit code."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    refuse_compressed_messages()
    logging.disable()  # a line for each dead letter
    plain = message_of(encoded({}))
    plain_ms = statistics.median(_seconds_of(plain) for _ in range(_PLAIN_COUNT)) * 1000
    line = "{:<28} {:>8} {:>8} {:>10} {:>8} {:>10} {:>10}\n"
    headings = ("class", "messages", "events", "median ms", "ratio", "worst ms", "peak KB")
    sys.stdout.write(line.format(*headings))
    problems: list[str] = []
    for name in CLASSES:
        cost = measure(name, count=count)
        problems += too_costly(name, cost)
        sys.stdout.write(
            line.format(
                *(name, len(cost.seconds), cost.events, f"{cost.median_ms:.3f}"),
                *(f"{cost.median_ms / plain_ms:.1f}", f"{cost.worst_ms:.2f}"),
                f"{cost.peak_bytes / 1000:.0f}",
            )
        )
    for problem in problems:
        sys.stdout.write(f"TOO COSTLY  {problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
