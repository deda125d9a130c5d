"""What other applications call: overviews of one or many courses, from SQL alone.

Names follow Open edX's ``course_overviews/api.py``. Nothing here builds a row, reads MongoDB or talks
to a broker; nothing writes but ``look_up`` when asked to. Keys may be CourseKey objects or text.
See docs/python-api.md.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.http import Http404

from lms_integration.lookup import Freshness, OverviewLookup, look_up
from lms_integration.models import CourseOverview, OverviewProjection
from lms_integration.overview_json import overview_as_json
from lms_integration.overview_reads import CourseKeyLike, Key, course_key_text

__all__ = [
    "Freshness",
    "OverviewLookup",
    "get_course_about_html",
    "get_course_overview",
    "get_course_overview_or_404",
    "get_course_overview_or_none",
    "get_course_overviews",
    "get_course_overviews_from_ids",
    "look_up",
]


def get_course_overview(course_id: CourseKeyLike) -> CourseOverview:
    """Return the overview of one course.

    Raises:
        CourseOverview.DoesNotExist: it has no row.
    """
    return CourseOverview.get_from_id(course_id)


def get_course_overview_or_none(course_id: CourseKeyLike) -> CourseOverview | None:
    """Return the overview of one course, None when it has no row; a database error is raised."""
    return CourseOverview.get_from_ids([course_id], with_properties=True)[course_id]


def get_course_overview_or_404(course_id: CourseKeyLike) -> CourseOverview:
    """Return the overview of one course, for a view.

    Raises:
        django.http.Http404: it has no row.
    """
    overview = get_course_overview_or_none(course_id)
    if overview is None:
        raise Http404(f"no overview of {course_id}")
    return overview


def get_course_overviews_from_ids(
    course_ids: Iterable[Key], *, with_properties: bool = False
) -> dict[Key, CourseOverview | None]:
    """Return ``{key as it was passed: overview}``, None for a course that has no row; one query.

    ``with_properties`` joins what the eleven properties show, such as ``hide_progress_tab``.
    """
    return CourseOverview.get_from_ids(course_ids, with_properties=with_properties)


def get_course_about_html(course_id: CourseKeyLike) -> str | None:
    """Return the HTML of a course's about page, as Open edX's course detail has it; one query.

    None where the course has no such page, or is not there; '' where the page is empty.
    """
    text = course_key_text(course_id)
    found = OverviewProjection.objects.filter(course_key=text)
    return dict(found.values_list("course_key", "overview_html")).get(text)


def get_course_overviews(
    course_ids: Iterable[CourseKeyLike], *, now: datetime | None = None
) -> list[dict[str, Any]]:
    """Return the overviews as JSON values, sorted by key; courses without a row are left out.

    Each has every column by its name and ``display_name_with_default``, ``has_started``,
    ``has_ended`` and ``pacing``. One query.
    """
    rows = get_course_overviews_from_ids({course_key_text(key) for key in course_ids})
    return [overview_as_json(row, now=now) for _, row in sorted(rows.items()) if row is not None]
