"""Figures of one series of durations."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Durations:
    """Percentiles of a series, in milliseconds."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


def summarise(seconds: Sequence[float]) -> Durations:
    """Return the percentiles of ``seconds``; of fewer than 100 values p99 is the maximum."""
    ordered = sorted(seconds)

    def percentile(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 2)

    return Durations(
        count=len(ordered),
        p50_ms=round(statistics.median(ordered) * 1000, 2),
        p95_ms=percentile(0.95),
        p99_ms=percentile(0.99),
        max_ms=round(ordered[-1] * 1000, 2),
    )
