"""Which courses somebody sees: Open edX's ``has_access`` rules, as conditions on the projection.

Names of permissions are Open edX's. One rule stands above all, where Open edX leaks: a course that is
visible to its team only is visible to its team only, whether or not enrolment is open.
"""

from collections.abc import Callable, Iterable, Mapping

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact

from lms_integration.courses.roles import EVERYBODY, NOBODY, in_team, leading_team
from lms_integration.courses.viewers import Viewer
from lms_integration.learners.standing import unreached_requirements
from lms_integration.platform_tables.models import CourseEnrollmentAllowed
from lms_integration.site_settings import site_settings

_CATALOG_AND_ABOUT = "both"
_ABOUT = "about"


def visible_courses(viewer: Viewer, *, permissions: Iterable[str]) -> Q:
    """Return the condition that holds for the courses of which a person has all ``permissions``.

    Raises ImproperlyConfigured for a permission that does not exist.
    """
    names = set(permissions)
    for_learners = Q(_not_for_its_team_only())
    for name in sorted(names):
        for_learners &= _rule(name)(viewer)
    visible = in_team(viewer.standing) | for_learners
    return visible & leading_team(viewer.standing) if "instructor" in names else visible


def _not_for_its_team_only() -> Exact:
    """Return the condition in a form that no index is looked up by.

    Most courses meet it: with a plain comparison the server reads the far pages of a list through the
    index of that column and sorts all of them, where the index in the list's order has everything.
    """
    return Exact(Coalesce("visible_to_staff_only", Value(True)), Value(False))


def _rule(name: str) -> Callable[[Viewer], Q]:
    rule = _RULES_FOR_LEARNERS.get(name)
    if rule is None:
        raise ImproperlyConfigured(f"{name!r} is not one of the permissions {PERMISSIONS}")
    return rule


def can_load(viewer: Viewer) -> Q:
    """Return the courses that have begun and whose prerequisites are met."""
    return _has_begun(viewer) & _prerequisites_are_met(viewer)


def can_load_on_mobile(viewer: Viewer) -> Q:
    """Return the courses that can be loaded, and that the apps have or the person tests."""
    if site_settings().ignore_mobile_available:
        return can_load(viewer)
    tested = Q(course_key__in=sorted(viewer.standing.beta_courses))
    return can_load(viewer) & (Q(mobile_available=True) | tested)


def can_enroll(viewer: Viewer) -> Q:
    """Return the courses whose enrolment is open to all now, and those that a person is invited to."""
    opened = Q(enrollment_start__isnull=True) | Q(enrollment_start__lt=viewer.now)
    not_closed = Q(enrollment_end__isnull=True) | Q(enrollment_end__gt=viewer.now)
    return (Q(invitation_only=False) & opened & not_closed) | _is_invited(viewer)


def exists_for(viewer: Viewer) -> Q:
    """Return the courses that can be loaded or enrolled in."""
    return can_enroll(viewer) | can_load(viewer)


def is_in_catalog(viewer: Viewer) -> Q:
    """Return the courses whose author wants them in the catalogue."""
    return Q(catalog_visibility=_CATALOG_AND_ABOUT)


def has_about_page(viewer: Viewer) -> Q:
    """Return the courses whose author wants their about page to be seen."""
    return Q(catalog_visibility__in=(_CATALOG_AND_ABOUT, _ABOUT))


def _has_begun(viewer: Viewer) -> Q:
    if site_settings().has_feature("DISABLE_START_DATES"):
        return EVERYBODY
    begun = Q(start__isnull=True) | Q(start__lt=viewer.now)
    return begun | Q(course_key__in=sorted(viewer.begun_early))


def _prerequisites_are_met(viewer: Viewer) -> Q:
    if viewer.user_id is None:
        return EVERYBODY
    unreached = unreached_requirements(viewer.user_id)
    return ~Q(course_key__in=unreached.values_list("course_id", flat=True))


def _is_invited(viewer: Viewer) -> Q:
    if viewer.user_id is None or not viewer.email:
        return NOBODY
    unused = Q(user__isnull=True) | Q(user_id=viewer.user_id)
    invitations = CourseEnrollmentAllowed.objects.filter(unused, email=viewer.email)
    return Q(course_key__in=invitations.values_list("course_id", flat=True))


def _nobody_else(viewer: Viewer) -> Q:
    return NOBODY


#: What the team of a course may always do, others only under these conditions.
_RULES_FOR_LEARNERS: Mapping[str, Callable[[Viewer], Q]] = {
    "load": can_load,
    "load_mobile": can_load_on_mobile,
    "enroll": can_enroll,
    "see_exists": exists_for,
    "see_in_catalog": is_in_catalog,
    "see_about_page": has_about_page,
    "staff": _nobody_else,
    "instructor": _nobody_else,
}
#: The permissions that courses can be listed by.
PERMISSIONS = tuple(_RULES_FOR_LEARNERS)
