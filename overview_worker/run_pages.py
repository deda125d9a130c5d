"""The courses of a run in pages: what the course index has and what is stored, side by side."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lms_integration.course_keys import is_course_key, parse_course_key
from overview_worker.documents import PublishedPointer
from overview_worker.inspection_ports import InspectedCourse, Sight
from overview_worker.inspector import finding_of_unpublished, merged
from overview_worker.run_ports import (
    PublishedPages,
    RunDepth,
    RunOrder,
    RunPage,
    RunScope,
    RunStage,
    StoredPages,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MergedPages:
    """``run_ports.RunPages``: two streams in the order of the keys, a page of each at a time."""

    published: PublishedPages
    stored: StoredPages

    def read(
        self, order: RunOrder, *, stage: RunStage, after_key: str, until_key: str, limit: int
    ) -> RunPage:
        """Return the next courses after ``after_key``, up to ``until_key`` unless that is ''."""
        if stage is not RunStage.COURSES:
            return self._stateless(order, stage, after_key, until_key, limit)
        if order.scope is RunScope.COURSES:
            page = self._named(order, after_key, until_key, limit)
        else:
            page = self._merged(order, after_key, until_key, limit)
        return self._with_row_versions(page) if order.depth is RunDepth.OLD else page

    def count(self, order: RunOrder) -> int:
        """Return how many courses the run will look at, as far as the course index knows."""
        if order.scope is RunScope.COURSES:
            return len(order.course_keys)
        return self.published.count_published(org=order.org)

    def structure_bytes(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, int]:
        """Return how large the structures are that the pointers name, by course key."""
        return self.published.structure_bytes(pointers)

    def _named(self, order: RunOrder, after_key: str, until_key: str, limit: int) -> RunPage:
        keys = order.course_keys
        begin = bisect_right(keys, after_key)
        end = bisect_right(keys, until_key) if until_key else len(keys)
        chosen = keys[begin : min(end, begin + limit)]
        pointers = self.published.find_published(chosen)
        stored = self.stored.find_stored(chosen)
        return RunPage(
            sights=[
                Sight(course_key=key, pointer=pointers.get(key), stored=stored.get(key))
                for key in chosen
            ],
            last_key=chosen[-1] if chosen else "",
            is_last=begin + limit >= end,
        )

    def _merged(self, order: RunOrder, after_key: str, until_key: str, limit: int) -> RunPage:
        pointers = self.published.page_published(
            after_key=after_key, until_key=until_key, org=order.org, limit=limit
        )
        stored = self.stored.page_stored(
            after_key=after_key, until_key=until_key, org=order.org, limit=limit
        )
        # A side that is full says nothing of what comes after its last key.
        ends = [side[-1].course_key for side in (pointers, stored) if len(side) >= limit]
        end = min(ends, default=None)
        sights = [
            sight
            for sight in merged(pointers, stored)
            if end is None or sight.course_key <= end
            if sight.pointer is not None or finding_of_unpublished(sight.stored) is not None
        ]
        last_key = end or max((each.course_key for each in sights), default="")
        return RunPage(sights=sights, last_key=last_key, is_last=end is None)

    def _with_row_versions(self, page: RunPage) -> RunPage:
        """Return the page with the versions of rows that no state stands for."""
        stateless = [sight.course_key for sight in page.sights if sight.stored is None]
        versions = self.stored.find_row_versions(stateless) if stateless else {}
        return replace(
            page,
            sights=[
                replace(sight, stored=_row_alone(sight.course_key, versions[sight.course_key]))
                if sight.course_key in versions
                else sight
                for sight in page.sights
            ],
        )

    def _stateless(
        self, order: RunOrder, stage: RunStage, after_key: str, until_key: str, limit: int
    ) -> RunPage:
        found = self.stored.page_stateless(
            stage=stage, after_key=after_key, until_key=until_key, limit=limit
        )
        return RunPage(
            sights=[
                Sight(course_key=course.course_key, pointer=None, stored=course)
                for course in found
                if is_course_key(course.course_key) and _is_of_org(course.course_key, order.org)
            ],
            last_key=found[-1].course_key if found else "",
            is_last=len(found) < limit,
        )


def _row_alone(course_key: str, version: int) -> InspectedCourse:
    return InspectedCourse(
        course_key=course_key, has_state=False, has_row=True, row_version=version
    )


def _is_of_org(course_key: str, org: str) -> bool:
    return not org or parse_course_key(course_key).org.casefold() == org.casefold()
