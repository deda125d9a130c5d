"""The queries of the Courses API: keys from the narrow projection, then the rows of one page.

No number of courses makes more queries. Lists are in the order of Open edX's: by key, in the collation
that its tables have.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from lms_integration.courses.roles import courses_with_role
from lms_integration.courses.viewers import Viewer
from lms_integration.courses.visibility import visible_courses
from lms_integration.learners.access import Standing
from lms_integration.models import CourseOverview, OverviewProjection
from lms_integration.platform_tables.models import CourseEnrollment
from lms_integration.site_settings import site_settings

#: More words than that narrow a search no further; each one is a condition of its own.
MOST_SEARCHED_WORDS = 20
#: The columns that an item of the list is made of; nothing else is read.
LISTED_COLUMNS = (
    "id",
    "location",
    "display_name",
    "display_number_with_default",
    "display_org_with_default",
    "start",
    "end",
    "advertised_start",
    "banner_image_url",
    "course_image_url",
    "course_video_url",
    "mobile_available",
    "enrollment_start",
    "enrollment_end",
    "invitation_only",
    "catalog_visibility",
    "short_description",
    "effort",
    "self_paced",
    "image_set__small_url",
    "image_set__large_url",
)
#: What one course shows beyond that.
DETAIL_COLUMNS = (*LISTED_COLUMNS, "certificate_available_date")

CourseKeys = QuerySet[OverviewProjection, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """What a list of courses is narrowed to; empty and None ask nothing."""

    search_term: str = ""
    org: str = ""
    mobile: bool | None = None
    active_only: bool | None = None
    permissions: Sequence[str] = ()
    course_keys: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseDetail:
    """One course and its about page."""

    overview: CourseOverview
    about_html: str | None


def listed_courses(viewer: Viewer, filters: Filters) -> CourseKeys:
    """Return the keys of the courses in a person's list, ordered and not yet read."""
    site = site_settings()
    permissions = {site.catalog_permission, *filters.permissions}
    visible = visible_courses(viewer, permissions=permissions)
    return _keys(
        visible
        & _of_orgs(filters.org, site_orgs=site.course_orgs)
        & _filtered(filters, viewer)
        & _searched(filters.search_term, searchable=site.has_feature("ENABLE_COURSEWARE_SEARCH"))
    )


def courses_of_role(standing: Standing, *, role: str) -> CourseKeys:
    """Return the keys of the courses in which a person has a role, ordered and not yet read."""
    return _keys(courses_with_role(role, standing))


def read_overviews(course_keys: Iterable[str]) -> list[CourseOverview]:
    """Return the overviews of a page in its order, as far as they are still there: one query."""
    keys = list(course_keys)
    found = _overviews(keys, columns=LISTED_COLUMNS)
    return [found[key] for key in keys if key in found]


def read_detail(viewer: Viewer, course_key: str) -> CourseDetail | None:
    """Return one course if the person may see it: two queries, one where there is none to be seen.

    None does not tell whether the course is hidden, deleted, or never was.
    """
    visible = visible_courses(viewer, permissions=[site_settings().about_permission])
    rows = OverviewProjection.objects.filter(visible, course_key=course_key)
    about = list(rows.values_list("overview_html", flat=True))
    found = _overviews([course_key], columns=DETAIL_COLUMNS) if about else {}
    if course_key not in found:
        return None
    return CourseDetail(overview=found[course_key], about_html=about[0])


def is_enrolled(user_id: int, course_key: str) -> bool:
    """Return whether a person is actively enrolled in a course: one query."""
    return CourseEnrollment.objects.filter(
        user_id=user_id, course_id=course_key, is_active=True
    ).exists()


def _keys(condition: Q) -> CourseKeys:
    courses = OverviewProjection.objects.filter(condition).order_by("sort_key", "course_key")
    return courses.values_list("course_key", flat=True)


def _overviews(course_keys: Sequence[str], *, columns: Sequence[str]) -> dict[str, CourseOverview]:
    if not course_keys:
        return {}
    rows = CourseOverview.objects.filter(pk__in=course_keys)
    return {row.pk: row for row in rows.select_related("image_set").only(*columns)}


def _of_orgs(org: str, *, site_orgs: frozenset[str]) -> Q:
    """Return the courses of an organization, if the site shows it, or of all that the site shows."""
    if org and site_orgs and org not in site_orgs:
        return Q(pk__in=())
    if org:
        return Q(org=org)
    return Q(org__in=sorted(site_orgs)) if site_orgs else Q()


def _filtered(filters: Filters, viewer: Viewer) -> Q:
    condition = Q()
    if filters.course_keys:
        condition &= Q(course_key__in=filters.course_keys)
    if filters.mobile is not None:
        condition &= Q(mobile_available=filters.mobile)
    if filters.active_only:
        condition &= Q(end__isnull=True) | Q(end__gte=viewer.now)
    return condition


def _searched(search_term: str, *, searchable: bool) -> Q:
    """Return the courses in whose text every word occurs; all where the site has no search."""
    condition = Q()
    if searchable:
        for word in list(dict.fromkeys(search_term.split()))[:MOST_SEARCHED_WORDS]:
            condition &= Q(search_text__icontains=word)
    return condition
