"""How many courses of a run are rebuilt in shared round trips: as many as take a fraction of a second.

A step holds the locks of its courses, and a run stops between two steps only. A small course takes a
hundredth of what one of 20,000 blocks does, so a step is bounded by the bytes of its structures too:
how long the last courses took says nothing of the next ones.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from overview_worker.documents import PublishedPointer
from overview_worker.rebuild import RebuildDepth
from overview_worker.run_ports import RunOrder

#: How long a step may take, for which a publish of one of its courses may have to wait.
STEP_SECONDS = 0.15
FIRST_STEP_LENGTH = 25
STEP_LENGTH = 100
#: Structures of so many bytes in all are never too much for a step: 100 courses of 100 blocks.
FIRST_STEP_BYTES = 2 * 1024 * 1024
#: Structures whose size is asked for first: the server loads each for that, so not those of a page.
_FIRST_LOOK = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedCourse:
    """A course of a run, and how it is to be rebuilt; None if it is as it should be."""

    course_key: str
    depth: RebuildDepth | None
    pointer: PublishedPointer | None  #: None where it is not in the index


#: The bytes of the structures that some entries point at, by course key; what is not there is left out.
Weigh = Callable[[Sequence[PublishedPointer]], Mapping[str, int]]


@dataclass(kw_only=True, slots=True)
class StepSize:
    """How much is rebuilt at once, by how long the last steps took."""

    length: int = FIRST_STEP_LENGTH  #: courses
    weight: int = FIRST_STEP_BYTES  #: bytes of their structures, in all

    def length_for(self, order: RunOrder) -> int:
        """Return the length for a run, whose rate may ask for less: a second's worth at most."""
        if order.rate is None:
            return self.length
        return max(1, min(self.length, math.ceil(order.rate)))

    def learn(self, seconds: float, *, count: int, weight: int) -> None:
        """Grow or shrink towards ``STEP_SECONDS``, to the double at most.

        What large courses cost is learned of large courses alone: small ones cost by the course.
        """
        share = STEP_SECONDS / max(seconds, 0.001)
        self.length = max(1, min(STEP_LENGTH, 2 * self.length, math.ceil(count * share)))
        fitting = min(2 * max(self.weight, weight), math.ceil(weight * share))
        self.weight = max(FIRST_STEP_BYTES, fitting)

    def be_careful(self) -> None:
        """Begin with one course again."""
        self.length, self.weight = 1, FIRST_STEP_BYTES


@dataclass(kw_only=True, slots=True)
class StepCutter:
    """Cuts steps off a page, and remembers the sizes that it has asked for meanwhile."""

    weigh: Weigh
    _weights: dict[str, int] = field(default_factory=dict)

    def forget(self) -> None:
        """Forget all sizes: another page begins."""
        self._weights.clear()

    def weight_of(self, course_key: str) -> int:
        """Return the bytes of a course's structure; 0 where it has none, or nobody has asked."""
        return self._weights.get(course_key, 0)

    def cut(
        self, wanted: Sequence[WantedCourse], *, length: int, weight: int
    ) -> tuple[Sequence[WantedCourse], Sequence[WantedCourse]]:
        """Cut after so many courses, or bytes, that have to be rebuilt, but not before the first.

        What follows and has not to be rebuilt is kept.

        Raises:
            ModulestoreUnavailable: MongoDB did not answer.
        """
        places = [place for place, each in enumerate(wanted) if each.depth is not None]
        fitting = self._fitting([wanted[place] for place in places[:length]], weight=weight)
        if fitting == len(places):
            return wanted, ()
        end = places[fitting]
        return wanted[:end], wanted[end:]

    def _fitting(self, courses: Sequence[WantedCourse], *, weight: int) -> int:
        """Return how many of the first courses are light enough together: at least one."""
        total, looked = 0, 0
        for number, each in enumerate(courses):
            if number == looked:
                looked = max(_FIRST_LOOK, 2 * looked)
                self._ask(courses[number:looked])
            total += self.weight_of(each.course_key)
            if total > weight and number:
                return number
        return len(courses)

    def _ask(self, courses: Sequence[WantedCourse]) -> None:
        unknown = [
            each.pointer
            for each in courses
            if each.pointer is not None and each.course_key not in self._weights
        ]
        if unknown:
            found = self.weigh(unknown)
            self._weights |= {each.course_key: found.get(each.course_key, 0) for each in unknown}
