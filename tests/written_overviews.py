"""Changes to write to a store, made of published settings by the product's own builder."""

from collections.abc import Callable, Sequence
from typing import Any

from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.documents import BuiltOverview, PublishedCourse
from overview_worker.errors import MalformedCourse
from overview_worker.ports import (
    Change,
    LockedCourse,
    NothingToBuild,
    OverviewStore,
    PostponeRebuild,
    RecordFault,
    RemoveOverview,
    WriteOverview,
)
from overview_worker.rebuild import content_hash_of, projection_hash_of, tabs_hash_of
from overview_worker.testing import InMemoryModulestore

#: Makes a change of a course that is locked.
MakeChange = Callable[[LockedCourse], Change]

#: One modulestore for all, so that no two versions have the same id or time.
_modulestore = InMemoryModulestore()


def written(
    *, alter: Callable[[BuiltOverview], BuiltOverview] = lambda built: built, **settings: Any
) -> MakeChange:
    """Write the overview of a course with these settings, as a rebuild would."""

    def make(course: LockedCourse) -> WriteOverview:
        pointer = _modulestore.publish(course.course_key, **settings)
        read = _modulestore.read_published([pointer])[course.course_key]
        assert isinstance(read, PublishedCourse)
        built = alter(build_overview(read, settings=BuilderSettings()))
        content_hash, tabs_hash = content_hash_of(built), tabs_hash_of(built)
        projection_hash = projection_hash_of(built)
        state = course.state
        return WriteOverview(
            course=course,
            pointer=pointer,
            built=built,
            content_hash=content_hash,
            tabs_hash=tabs_hash,
            projection_hash=projection_hash,
            row_changed=not state.has_row or content_hash != state.content_hash,
            tabs_changed=not state.has_row or tabs_hash != state.tabs_hash,
            projection_changed=not state.has_row or projection_hash != state.projection_hash,
        )

    return make


def removed(course: LockedCourse) -> RemoveOverview:
    return RemoveOverview(course=course)


def absent(course: LockedCourse) -> NothingToBuild:
    return NothingToBuild(course=course)


def postponed(course: LockedCourse) -> PostponeRebuild:
    return PostponeRebuild(course=course, reason="behind")


def faulty(course: LockedCourse, *, reason: str = "not a date") -> RecordFault:
    error = MalformedCourse(course.course_key, field="start", value="soon", reason=reason)
    return RecordFault(course=course, pointer=None, error=error)


def apply(store: OverviewStore, make: MakeChange, *course_keys: str) -> Sequence[Any]:
    """Apply one change to each course in one transaction; return the changes."""
    with store.transaction(course_keys) as transaction:
        changes = [make(transaction.locked[key]) for key in course_keys]
        transaction.apply(changes)
    return changes


def locked(store: OverviewStore, course_key: str) -> LockedCourse:
    """Return what a rebuild would see of a course."""
    with store.transaction([course_key]) as transaction:
        return transaction.locked[course_key]
