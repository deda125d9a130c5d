"""An overview as plain JSON values, in the shape of Open edX's ``CourseOverviewBaseSerializer``."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from lms_integration.models import CourseOverview


def overview_as_json(overview: CourseOverview, *, now: datetime | None = None) -> dict[str, Any]:
    """Return every column by its name, and four values derived from them; reads nothing.

    Times are ISO 8601 texts in UTC that end with ``Z``, decimals are texts.
    """
    columns = {
        str(field.column): _plain(getattr(overview, field.attname))
        for field in CourseOverview._meta.concrete_fields
    }
    return {
        **columns,
        "display_name_with_default": overview.display_name_with_default,
        "has_started": overview.has_started(now),
        "has_ended": overview.has_ended(now),
        "pacing": overview.pacing,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, Decimal) else value
