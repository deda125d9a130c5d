"""How much CPU time the worst message of each class takes to refuse, and how much memory: a table.

    python -m benchmarks.hostile_messages [MESSAGES_OF_EACH_CLASS]

The intake's own reading, without broker and database. A class is in ``tests/hostile_messages.py``.
"""

import sys
import time
import tracemalloc
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, settings
from kombu.message import Message

from overview_worker.compression import refuse_compressed_messages
from overview_worker.intake import sort_messages
from tests.hostile_messages import CLASSES


@dataclass(kw_only=True, slots=True)
class Worst:
    """The worst figures of one class."""

    count: int = 0
    events: int = 0
    seconds: float = 0.0
    total_seconds: float = 0.0
    peak_bytes: int = 0


def measure(name: str, *, count: int) -> Worst:
    """Read ``count`` messages of a class: each for its time, best of three, and for its memory."""
    worst = Worst()

    @settings(
        max_examples=count,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(CLASSES[name])
    def read(message: Message) -> None:
        batch = sort_messages([message])
        elapsed = min(
            _read_once(message) for _ in range(3)
        )  # without the garbage collector's pauses
        tracemalloc.start()
        sort_messages([message])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        worst.count += 1
        worst.events += len(batch.events)
        worst.seconds = max(worst.seconds, elapsed)
        worst.total_seconds += elapsed
        worst.peak_bytes = max(worst.peak_bytes, peak)

    read()
    return worst


def _read_once(message: Message) -> float:
    started = time.thread_time()
    sort_messages([message])
    return time.thread_time() - started


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    refuse_compressed_messages()
    line = "{:<28} {:>8} {:>8} {:>10} {:>10} {:>10}\n"
    sys.stdout.write(line.format("class", "messages", "events", "mean ms", "worst ms", "peak KB"))
    for name in CLASSES:
        worst = measure(name, count=count)
        mean_ms = worst.total_seconds / max(1, worst.count) * 1000
        sys.stdout.write(
            line.format(
                *(name, worst.count, worst.events, f"{mean_ms:.3f}"),
                *(f"{worst.seconds * 1000:.2f}", f"{worst.peak_bytes / 1000:.0f}"),
            )
        )


if __name__ == "__main__":
    main()
