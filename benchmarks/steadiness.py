"""Does a load that does not end leave things as they are? A judgement on series of samples, without I/O."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

#: A series: a time in seconds and a value, look by look.
Series = Sequence[tuple[float, float]]

#: The backlog of distinct courses grows if it would grow by so many courses, and by this share of its
#: median, in as long again as is judged. Less is noise: Zipf's law has quiet seconds.
GROWTH_COURSES = 50.0
GROWTH_SHARE = 0.25
#: Where so large a share of all courses is dirty, there is no room left in which the backlog could grow.
SATURATED_SHARE = 0.2
#: An event of a deleted course that comes late keeps the course dirty for a minute, until it is disbelieved;
#: so the oldest dirty course may be a minute old, and some seconds.
OLDEST_SECONDS = 90.0
OLDEST_GROWTH_SECONDS = 45.0
#: Events that wait for the intake: two seconds' worth.
WAITING_SECONDS = 2.0
#: Memory that grows by less than so much after the warm-up is flat: pools and caches breathe.
FLAT_MIB = 10.0
#: Fewer events than this share of those that were due, and nothing has been shown.
PACE_SHARE = 0.98
#: Fewer looks than this show nothing either.
FEWEST_LOOKS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What was seen of a load."""

    course_count: int
    wanted_per_second: float
    sent_per_second: float
    dirty: Series  #: distinct dirty courses
    oldest_seconds: Series  #: how long the course has been dirty that has been for the longest
    waiting_events: Series  #: in the queue of the intake
    growth_mib: Mapping[str, float]  #: of each process, from the warm-up's end to the end


def violations(load: Load) -> Iterator[str]:
    """Yield a line for everything that does not stay as it is; nothing for a load that is kept up with."""
    if len(load.dirty) < FEWEST_LOOKS:
        yield f"looked {len(load.dirty)} times only: nothing is shown"
    if load.sent_per_second < PACE_SHARE * load.wanted_per_second:
        yield (
            f"the sender kept {load.sent_per_second:.0f} events/s of {load.wanted_per_second:.0f}: "
            "nothing is shown"
        )
    yield from _backlog(load)
    yield from _age(load)
    waiting = _second_half(load.waiting_events)
    if (median := _median(waiting)) > WAITING_SECONDS * load.wanted_per_second:
        yield f"{median:.0f} events wait for the intake"
    for name, mib in sorted(load.growth_mib.items()):
        if mib >= FLAT_MIB:
            yield f"{name} grows: by {mib:.1f} MiB"


def growth_of(series: Series) -> float:
    """Return by how much a series grows in its second half, by least squares."""
    half = _second_half(series)
    if len(half) < 3:
        return 0.0
    times, values = [time for time, _ in half], [value for _, value in half]
    return statistics.linear_regression(times, values).slope * (times[-1] - times[0])


def _backlog(load: Load) -> Iterator[str]:
    median = _median(_second_half(load.dirty))
    growth = growth_of(load.dirty)
    if growth > max(GROWTH_COURSES, GROWTH_SHARE * median):
        yield f"the backlog grows: by {growth:.0f} courses in the second half, median {median:.0f}"
    if median > SATURATED_SHARE * load.course_count:
        yield f"the backlog is saturated: {median:.0f} of {load.course_count} courses are dirty"


def _age(load: Load) -> Iterator[str]:
    oldest = max((seconds for _, seconds in _second_half(load.oldest_seconds)), default=0.0)
    if oldest > OLDEST_SECONDS:
        yield f"a course was dirty for {oldest:.0f} s"
    growth = growth_of(load.oldest_seconds)
    if growth > OLDEST_GROWTH_SECONDS:
        yield f"dirty courses grow older: by {growth:.0f} s in the second half"


def _second_half(series: Series) -> Series:
    return series[len(series) // 2 :]


def _median(series: Series) -> float:
    return statistics.median([value for _, value in series] or [0.0])
