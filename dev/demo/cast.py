"""Which courses of the catalogue play which part; the same ones at every run."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from dev.authoring.catalogue import SampleCourse

#: Written from the right: a terminal would turn the demo's lines around.
_RIGHT_TO_LEFT = frozenset({"ar", None})


@dataclass(frozen=True, kw_only=True, slots=True)
class Cast:
    """One course a part."""

    renamed: SampleCourse
    moved: SampleCourse
    pictured: SampleCourse
    described: SampleCourse
    tabbed: SampleCourse
    graded: SampleCourse
    drafted: SampleCourse
    removed: SampleCourse
    degraded: SampleCourse
    broken: SampleCourse
    hurried: SampleCourse

    @property
    def courses(self) -> tuple[SampleCourse, ...]:
        """All of them, in this order."""
        return tuple(getattr(self, field.name) for field in fields(self))


def choose_cast(catalogue: Sequence[SampleCourse]) -> Cast:
    """Return courses from all over the catalogue that store a start and read from the left."""
    candidates = [
        course
        for course in catalogue
        if "start" in course.settings and course.settings.get("language") not in _RIGHT_TO_LEFT
    ]
    names = [field.name for field in fields(Cast)]
    step = len(candidates) // len(names)
    return Cast(**{name: candidates[number * step] for number, name in enumerate(names)})
