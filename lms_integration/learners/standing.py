"""Reads what a person is: roles in courses and organizations, and unfulfilled prerequisites."""

from collections.abc import Iterable

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, QuerySet

from lms_integration.learners.access import ANONYMOUS, Standing
from lms_integration.platform_tables.models import (
    CourseAccessRole,
    CourseMilestone,
    UserMilestone,
)
from lms_integration.prepared_queries import Parameter, PreparedQuery, number

#: Roles that see a course as its team does, and those that may do all that its team may.
STAFF_ROLE = "staff"
INSTRUCTOR_ROLE = "instructor"
BETA_ROLE = "beta_testers"
#: Staff without access to Studio: in the LMS it counts as ``staff`` (Open edX: its ``BASE_ROLE``).
LIMITED_STAFF_ROLE = "limited_staff"
_ROLES = (STAFF_ROLE, LIMITED_STAFF_ROLE, INSTRUCTOR_ROLE, BETA_ROLE)
_REQUIRES = "requires"


def standing_of(user: AbstractBaseUser | AnonymousUser) -> Standing:
    """Return a person's roles: one query, none for an anonymous visitor."""
    if not user.is_authenticated or user.pk is None:
        return ANONYMOUS
    return standing_with(user, _ROLES_OF.rows(user_id=user.pk))


def roles_of(user_id: int | Parameter) -> QuerySet[CourseAccessRole]:
    """Return the query of the roles that decide access."""
    return CourseAccessRole.objects.filter(user_id=user_id, role__in=_ROLES)


_ROLES_OF = PreparedQuery(
    lambda: roles_of(number("user_id")).values_list("role", "org", "course_id")
)


def standing_with(
    user: AbstractBaseUser | AnonymousUser, role_rows: Iterable[tuple[str, str, str]]
) -> Standing:
    """Return what a signed-in person with these roles is: (role, organization, course key)."""
    roles = set(role_rows)
    return Standing(
        user_id=user.pk,
        is_global_staff=bool(getattr(user, "is_staff", False)),
        staff_courses=_courses(roles, STAFF_ROLE),
        limited_staff_courses=_courses(roles, LIMITED_STAFF_ROLE),
        instructor_courses=_courses(roles, INSTRUCTOR_ROLE),
        staff_orgs=_orgs(roles, STAFF_ROLE) | _orgs(roles, LIMITED_STAFF_ROLE),
        instructor_orgs=_orgs(roles, INSTRUCTOR_ROLE),
        beta_courses=_courses(roles, BETA_ROLE),
    )


def _courses(roles: set[tuple[str, str, str]], role: str) -> frozenset[str]:
    return frozenset(course_id for name, _, course_id in roles if name == role and course_id)


def _orgs(roles: set[tuple[str, str, str]], role: str) -> frozenset[str]:
    return frozenset(org for name, org, course_id in roles if name == role and not course_id)


def unfulfilled_courses(user_id: int | None, course_ids: Iterable[str]) -> frozenset[str]:
    """Return those of the courses that require something the person has not reached: one query."""
    keys = list(course_ids)
    if user_id is None or not keys:
        return frozenset()
    unreached = unreached_requirements(user_id).filter(course_id__in=keys)
    return frozenset(unreached.values_list("course_id", flat=True))


def unreached_requirements(user_id: int | Parameter) -> QuerySet[CourseMilestone]:
    """Return the query of what courses require and the person has not reached."""
    reached = UserMilestone.objects.filter(
        user_id=user_id, milestone_id=OuterRef("milestone_id"), active=True
    )
    return CourseMilestone.objects.filter(
        ~Exists(reached),
        active=True,
        milestone__active=True,
        milestone_relationship_type__name=_REQUIRES,
    )
