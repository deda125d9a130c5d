"""Which courses somebody teaches: Open edX's course team roles as conditions on the projection."""

from collections.abc import Iterable

from django.db.models import Q

from lms_integration.learners.access import Standing
from lms_integration.learners.standing import INSTRUCTOR_ROLE, STAFF_ROLE

#: The roles that course keys are listed for.
ROLES = (STAFF_ROLE, INSTRUCTOR_ROLE)

#: Conditions of which Django knows the outcome: an AND of ``NOBODY`` costs no query at all.
NOBODY = Q(pk__in=())
EVERYBODY = ~NOBODY


def in_team(standing: Standing) -> Q:
    """Return the courses that a person sees as their team does."""
    if standing.is_global_staff:
        return EVERYBODY
    courses = _courses(
        {*standing.staff_courses, *standing.limited_staff_courses, *standing.instructor_courses}
    )
    return courses | _courses_of({*standing.staff_orgs, *standing.instructor_orgs})


def leading_team(standing: Standing) -> Q:
    """Return the courses in which a person may do everything."""
    if standing.is_global_staff:
        return EVERYBODY
    return _courses(standing.instructor_courses) | _courses_of(standing.instructor_orgs)


def courses_with_role(role: str, standing: Standing) -> Q:
    """Return the courses that are listed for one of ``ROLES``.

    As in Open edX, a role in a whole organization counts for instructors only, and staff without access
    to Studio do not count as staff here.
    """
    if role == INSTRUCTOR_ROLE or standing.is_global_staff:
        return leading_team(standing)
    return _courses({*standing.staff_courses, *standing.instructor_courses})


def _courses(keys: Iterable[str]) -> Q:
    return Q(course_key__in=sorted(keys))


def _courses_of(orgs: Iterable[str]) -> Q:
    """Return the courses of organizations, whose names are compared byte by byte, as Open edX does.

    By ranges of the key, which every index ends with; the column ``org`` ignores case.
    """
    condition = NOBODY
    for org in sorted(orgs):
        first, behind = f"course-v1:{org}+", f"course-v1:{org},"  # the comma follows the plus sign
        condition |= Q(course_key__gte=first, course_key__lt=behind)
    return condition
