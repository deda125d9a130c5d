"""Open edX's recorded rows as overviews of the model, without a database."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db.models import DateTimeField, DecimalField

from lms_integration.data import CourseOverviewData
from lms_integration.listing import listing_of
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    OverviewProjection,
)


def overview_of(record: Mapping[str, Any]) -> CourseOverview:
    """Return an unsaved overview with its tabs and image set, as reading it would give it."""
    fields = {field.column: field for field in CourseOverview._meta.concrete_fields}
    overview = CourseOverview(
        **{
            fields[name].attname: _read(fields[name], value)
            for name, value in record["row"].items()
        }
    )
    image_set = record["image_set"] and CourseOverviewImageSet(**record["image_set"])
    return with_relations(overview, tabs=tabs_of(record), image_set=image_set)


def tabs_of(record: Mapping[str, Any]) -> list[CourseOverviewTab]:
    """Return the unsaved tabs of a record, numbered in their order."""
    return [
        CourseOverviewTab(id=number, course_overview_id=record["row"]["id"], **tab)
        for number, tab in enumerate(record["tabs"], start=1)
    ]


def projection_of(overview: CourseOverview, **columns: Any) -> OverviewProjection:
    """Return the unsaved projection beside an overview; ``columns`` are what its row cannot tell."""
    values = {field.name: getattr(overview, field.name) for field in fields(CourseOverviewData)}
    return OverviewProjection(**asdict(listing_of(CourseOverviewData(**values))), **columns)


def with_relations(
    overview: CourseOverview,
    *,
    tabs: list[CourseOverviewTab],
    image_set: CourseOverviewImageSet | None = None,
    projection: OverviewProjection | None = None,
) -> CourseOverview:
    """Return the overview with these put where Django keeps what it has read along."""
    overview._state.fields_cache["image_set"] = image_set
    overview._state.fields_cache["projection"] = projection
    overview._prefetched_objects_cache = {"tab_set": tabs}  # type: ignore[attr-defined]
    return overview


def _read(field: Any, value: Any) -> Any:
    """Return a recorded column as the model gives it: aware times, decimals, booleans."""
    if value is None:
        return None
    if isinstance(field, DateTimeField):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    if isinstance(field, DecimalField):
        return Decimal(value)
    return field.to_python(value)
