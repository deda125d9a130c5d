"""Memory of the pipeline's processes and its backlogs, sampled while it works."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, connections
from kombu import Connection

from benchmarks.steadiness import Series
from dev.procfile import ProcfileProcesses
from dev.trials.processes import resident_mib, tree_of
from lms_integration.database_clock import DatabaseNow
from lms_integration.events import QUEUE
from lms_integration.models import OverviewMark

PERIOD_SECONDS = 1.0
#: The first part of a run, in which processes fill their pools and caches, says nothing of a leak.
WARM_UP_SHARE = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One look."""

    at_seconds: float
    dirty_count: int
    oldest_dirty_seconds: float  #: how long the course has been dirty that has been for the longest
    waiting_events: int  #: in the queue of the intake
    resident_mib: dict[str, float]  #: ``{"live 4711": MiB}``, one for each process


@dataclass(slots=True)
class Samples:
    """All looks of a run."""

    samples: list[Sample] = field(default_factory=list)

    def largest_mib(self) -> dict[str, float]:
        """Return the most memory that any one process of each kind had."""
        largest: dict[str, float] = {}
        for sample in self.samples:
            for name, mib in sample.resident_mib.items():
                kind = name.split()[0]
                largest[kind] = round(max(largest.get(kind, 0.0), mib), 1)
        return largest

    def growth_mib_per_hour(self) -> dict[str, float]:
        """Return how steeply each process's memory rises after the warm-up, by least squares."""
        names = {name for sample in self.samples for name in sample.resident_mib}
        return {name: round(self._slope_of(name) * 3600, 1) for name in sorted(names)}

    def growth_mib(self) -> dict[str, float]:
        """Return each process's memory of the last tenth against that just after the warm-up."""
        names = {name for sample in self._settled() for name in sample.resident_mib}
        return {name: round(self._growth_of(name), 1) for name in sorted(names)}

    def dirty_counts(self) -> list[int]:
        """Return how many courses were dirty, look by look."""
        return [sample.dirty_count for sample in self.samples]

    def series(self, value_of: Callable[[Sample], float]) -> Series:
        """Return a figure's times and values, look by look."""
        return [(sample.at_seconds, value_of(sample)) for sample in self.samples]

    def _settled(self) -> Sequence[Sample]:
        return self.samples[int(len(self.samples) * WARM_UP_SHARE) :]

    def _memory_of(self, name: str) -> tuple[list[float], list[float]]:
        found = [sample for sample in self._settled() if name in sample.resident_mib]
        return [each.at_seconds for each in found], [each.resident_mib[name] for each in found]

    def _slope_of(self, name: str) -> float:
        times, sizes = self._memory_of(name)
        return statistics.linear_regression(times, sizes).slope if len(times) > 2 else 0.0

    def _growth_of(self, name: str) -> float:
        _, sizes = self._memory_of(name)
        tenth = max(1, len(sizes) // 10)
        return statistics.median(sizes[-tenth:]) - statistics.median(sizes[:tenth])


@contextmanager
def sampled(
    processes: ProcfileProcesses, names: Sequence[str], *, key_prefix: str = ""
) -> Iterator[Samples]:
    """Sample meanwhile, in a thread; of the dirty courses those whose keys begin with ``key_prefix``."""
    samples = Samples()
    over = threading.Event()
    begun = time.monotonic()

    def look() -> None:
        try:
            while not over.wait(PERIOD_SECONDS):
                with suppress(DatabaseError, InterfaceError, KeyError, OSError):
                    samples.samples.append(_sample(processes, names, begun, key_prefix))
        finally:
            connections.close_all()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join(30)
        connection.close_if_unusable_or_obsolete()


def _sample(
    processes: ProcfileProcesses, names: Sequence[str], begun: float, key_prefix: str
) -> Sample:
    sizes: dict[str, float] = {}
    for name in names:
        for pid in tree_of(processes.pid(name)):
            if (mib := resident_mib(pid)) is not None:
                sizes[f"{name} {pid}"] = mib
    dirty_count, oldest_seconds = _dirty(key_prefix)
    return Sample(
        at_seconds=time.monotonic() - begun,
        dirty_count=dirty_count,
        oldest_dirty_seconds=oldest_seconds,
        waiting_events=messages_in(QUEUE),
        resident_mib=sizes,
    )


def _dirty(key_prefix: str) -> tuple[int, float]:
    # What other benchmarks have left in the database may be dirty for hours.
    dirty = OverviewMark.objects.filter(
        dirty_since__isnull=False, course_key__startswith=key_prefix
    )
    oldest = dirty.annotate(now=DatabaseNow()).order_by("dirty_since").first()
    if oldest is None or oldest.dirty_since is None:
        return 0, 0.0
    return dirty.count(), max(0.0, (oldest.now - oldest.dirty_since).total_seconds())


def messages_in(queue: str) -> int:
    """Return how many messages wait in a queue of the broker's.

    Raises:
        OSError, kombu.exceptions.KombuError: the broker did not answer.
    """
    with Connection(settings.OVERVIEW_BROKER_URL) as opened:
        channel: Any = opened.channel()
        return int(channel.queue_declare(queue=queue, passive=True).message_count)
