"""Reading all that is stored of some courses, column by column; keys are compared exactly."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from lms_integration.data import (
    CourseOverviewData,
    CourseOverviewImageSetData,
    CourseOverviewListingData,
    CourseOverviewProjectionData,
    CourseOverviewTabData,
)
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    OverviewMark,
    OverviewProjection,
    OverviewState,
)
from overview_worker.inspection_ports import StoredOverview
from overview_worker.versions import RowVersions

ROW_COLUMNS = tuple(field.name for field in fields(CourseOverviewData))
_TAB_COLUMNS = tuple(field.name for field in fields(CourseOverviewTabData))
_PROJECTION_COLUMNS = tuple(
    field.name
    for data in (CourseOverviewListingData, CourseOverviewProjectionData)
    for field in fields(data)
)


def read_stored(using: str, course_keys: Sequence[str]) -> dict[str, StoredOverview]:
    """Return what is stored of each course; states first, so that a rebuild meanwhile is noticed."""
    keys = list(course_keys)
    states = _by_key(OverviewState.objects.using(using).filter(course_key__in=keys))
    marks = _by_key(OverviewMark.objects.using(using).filter(course_key__in=keys))
    rows = _values(CourseOverview.objects.using(using).filter(id__in=keys), ROW_COLUMNS, key="id")
    tabs = tabs_of(using, keys)
    images = image_sets_of(using, keys)
    projections = _values(
        OverviewProjection.objects.using(using).filter(course_key__in=keys),
        _PROJECTION_COLUMNS,
        key="course_key",
    )
    return {
        key: StoredOverview(
            course_key=key,
            row=rows.get(key),
            tabs=tabs.get(key, ()),
            image_set=images.get(key),
            projection=projections.get(key),
            **_of_state(states.get(key)),
            **_of_mark(marks.get(key)),
        )
        for key in keys
    }


def _of_state(state: OverviewState | None) -> dict[str, Any]:
    if state is None:
        return {}
    return {
        "source_version": state.source_version,
        "source_updated_at": state.source_updated_at,
        "versions": RowVersions(builder=state.builder_version, schema=state.schema_version),
        "content_hash": state.content_hash,
        "tabs_hash": state.tabs_hash,
        "projection_hash": state.projection_hash,
        "deleted": state.deleted,
        "row_seq": state.row_seq,
        "degradations": state.degradations,
        "fault": state.fault,
    }


def _of_mark(mark: OverviewMark | None) -> dict[str, Any]:
    return {} if mark is None else {"wanted": mark.wanted, "is_dirty": mark.wanted > mark.done}


def _by_key(rows: Any) -> dict[str, Any]:
    return {row.course_key: row for row in rows}


def _values(rows: Any, columns: Sequence[str], *, key: str) -> dict[str, Mapping[str, Any]]:
    return {row[key]: row for row in rows.values(*columns)}


def tabs_of(using: str, keys: Sequence[str]) -> dict[str, list[CourseOverviewTabData]]:
    """Return the tabs of each course that has any, in their order."""
    found: dict[str, list[CourseOverviewTabData]] = {}
    rows = CourseOverviewTab.objects.using(using).filter(course_overview_id__in=keys)
    for key, *values in rows.order_by("id").values_list("course_overview_id", *_TAB_COLUMNS):
        tab = CourseOverviewTabData(**dict(zip(_TAB_COLUMNS, values, strict=True)))
        found.setdefault(key, []).append(tab)
    return found


def image_sets_of(using: str, keys: Sequence[str]) -> dict[str, CourseOverviewImageSetData]:
    """Return the image set of each course that has one."""
    rows = CourseOverviewImageSet.objects.using(using).filter(course_overview_id__in=keys)
    return {
        key: CourseOverviewImageSetData(small_url=small, large_url=large)
        for key, small, large in rows.values_list("course_overview_id", "small_url", "large_url")
    }
