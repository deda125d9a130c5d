"""Overviews with how fresh they are: for callers who tell a missing course from one that is coming."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from django.db.models import F

from lms_integration.course_keys import is_course_key
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import CourseOverview, OverviewMark, OverviewTombstone
from lms_integration.overview_reads import Key, course_key_text


class Freshness(Enum):
    """How the row of a course stands to what was announced of it."""

    FRESH = "fresh"  #: a row, and nothing newer announced
    STALE = "stale"  #: a row that is being brought up to date
    BUILDING = "building"  #: no row yet, but announced; for long only where the course has a fault
    DELETED = "deleted"  #: no row; the tombstone says what it was
    NEVER_BUILT = "never_built"  #: nothing is known of such a course


@dataclass(frozen=True, kw_only=True, slots=True)
class OverviewLookup:
    """What SQL holds of one course."""

    freshness: Freshness
    overview: CourseOverview | None = None  #: FRESH and STALE only
    tombstone: OverviewTombstone | None = None  #: DELETED only


def look_up(
    keys: Iterable[Key],
    *,
    request_rebuild: bool = False,
    with_tabs: bool = False,
    with_properties: bool = False,
) -> Mapping[Key, OverviewLookup]:
    """Return ``{key as it was passed: what SQL holds}`` for every key, in four queries at most.

    ``with_tabs`` adds one query, ``with_properties`` none: it joins. ``request_rebuild`` marks the courses of which nothing is known, and
    then calls them BUILDING; the sweeper finds the marks. Deleted courses are not marked, and neither
    are keys that can be no course's. Ask for it only with keys that a stranger cannot choose.

    Raises:
        django.db.DatabaseError: the database refused or did not answer.
    """
    texts = {key: course_key_text(key) for key in keys}
    found = _look_up_texts(
        set(texts.values()), with_tabs=with_tabs, with_properties=with_properties
    )
    if request_rebuild:
        found |= _request_rebuilds(found)
    return {key: found[text] for key, text in texts.items()}


def _look_up_texts(
    texts: Collection[str], *, with_tabs: bool, with_properties: bool
) -> dict[str, OverviewLookup]:
    # Marks before rows before tombstones: what is rebuilt between two of the queries seems staler than
    # it is, never fresher, and what is deleted between them is found among the tombstones.
    dirty = _dirty(texts)
    overviews = CourseOverview.get_from_ids(
        texts, with_tabs=with_tabs, with_properties=with_properties
    )
    tombstones = _tombstones([text for text, row in overviews.items() if row is None])
    return {
        text: _lookup(overview, tombstones.get(text), is_dirty=text in dirty)
        for text, overview in overviews.items()
    }


def _lookup(
    overview: CourseOverview | None, tombstone: OverviewTombstone | None, *, is_dirty: bool
) -> OverviewLookup:
    if overview is not None:
        freshness = Freshness.STALE if is_dirty else Freshness.FRESH
        return OverviewLookup(freshness=freshness, overview=overview)
    if tombstone is not None:  # until a rebuild has found the course again
        return OverviewLookup(freshness=Freshness.DELETED, tombstone=tombstone)
    return OverviewLookup(freshness=Freshness.BUILDING if is_dirty else Freshness.NEVER_BUILT)


def _dirty(texts: Collection[str]) -> set[str]:
    if not texts:
        return set()
    marks = OverviewMark.objects.filter(course_key__in=texts, wanted__gt=F("done"))
    return set(marks.values_list("course_key", flat=True))


def _tombstones(texts: Collection[str]) -> dict[str, OverviewTombstone]:
    if not texts:
        return {}
    return {row.course_key: row for row in OverviewTombstone.objects.filter(course_key__in=texts)}


def _request_rebuilds(found: Mapping[str, OverviewLookup]) -> dict[str, OverviewLookup]:
    unknown = [
        text
        for text, lookup in found.items()
        if lookup.freshness is Freshness.NEVER_BUILT and is_course_key(text)
    ]
    mark_courses([CourseMark(course_key=text) for text in unknown])
    return {text: OverviewLookup(freshness=Freshness.BUILDING) for text in unknown}
