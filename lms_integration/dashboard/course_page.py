"""One course's page: what it is, when it runs, and how to get in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from lms_integration.api import get_course_about_html
from lms_integration.dashboard import words
from lms_integration.dashboard.about_html import harmless, has_words
from lms_integration.dashboard.cards import language_tag, tint_of
from lms_integration.dashboard.links import home_url, image_url
from lms_integration.dashboard.pages import page, show
from lms_integration.dashboard.visibility import Visitor, may_enroll, may_see
from lms_integration.learners.access import load_access
from lms_integration.learners.enrolled import CourseState
from lms_integration.learners.standing import standing_of, unfulfilled_courses
from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import CourseEnrollment, CourseEnrollmentAllowed
from lms_integration.site_settings import SiteSettings, site_settings

#: What the page is made of, and what decides who sees it.
COLUMNS = (
    "id",
    "org",
    "location",
    "display_name",
    "display_number_with_default",
    "display_org_with_default",
    "course_image_url",
    "start",
    "end",
    "advertised_start",
    "days_early_for_beta",
    "self_paced",
    "language",
    "effort",
    "short_description",
    "visible_to_staff_only",
    "catalog_visibility",
    "enrollment_start",
    "enrollment_end",
    "invitation_only",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenCourse:
    """A course that somebody may see, and what they are to it."""

    overview: CourseOverview
    visitor: Visitor


@page
@require_safe
def course_about(request: HttpRequest, course_id: str) -> HttpResponse:
    """Show a course to everybody who may see it; 404 to everybody else, and where there is none."""
    now, site = timezone.now(), site_settings()
    seen = course_seen_by(request.user, course_id, site=site, now=now)
    return show(request, "course.html", _context(request, seen, site=site, now=now))


def course_seen_by(user: Any, course_id: str, *, site: SiteSettings, now: datetime) -> SeenCourse:
    """Return a course and what somebody is to it.

    Raises Http404 where there is none, and in the same way, after the same queries, where they may not
    see it.
    """
    visitor = _visitor(user, course_id)
    overview = CourseOverview.objects.filter(pk=course_id).only(*COLUMNS).first()
    if overview is None or (site.course_orgs and overview.org not in site.course_orgs):
        raise Http404
    is_visible = may_see(
        overview,
        visitor,
        permission=site.about_permission,
        now=now,
        start_dates_count=not site.has_feature("DISABLE_START_DATES"),
    )
    if not is_visible:
        raise Http404
    return SeenCourse(overview=overview, visitor=visitor)


def _visitor(user: User | AnonymousUser, course_id: str) -> Visitor:
    """Return what somebody is to a course, whether or not there is one."""
    standing = standing_of(user)
    if standing.user_id is None:
        return Visitor(standing=standing)
    mine = CourseEnrollment.objects.filter(user_id=standing.user_id, course_id=course_id)
    return Visitor(
        standing=standing,
        is_enrolled=mine.filter(is_active=True).exists(),
        is_invited=_is_invited(cast(User, user), course_id),
        is_unfulfilled=course_id in unfulfilled_courses(standing.user_id, [course_id]),
    )


def _is_invited(user: User, course_id: str) -> bool:
    """Return whether the person's address was invited, and the invitation is not somebody else's."""
    if user.is_superuser and user.is_active:
        return True
    unused = Q(user__isnull=True) | Q(user_id=user.pk)
    invitations = CourseEnrollmentAllowed.objects.filter(unused, course_id=course_id)
    return bool(user.email) and invitations.filter(email=user.email).exists()


def _context(
    request: HttpRequest, seen: SeenCourse, *, site: SiteSettings, now: datetime
) -> dict[str, Any]:
    course, visitor = seen.overview, seen.visitor
    about = harmless(get_course_about_html(course.id) or "", course.id, site=site)
    access = load_access(
        course,
        visitor.standing,
        unfulfilled={course.id} if visitor.is_unfulfilled else frozenset(),
        now=now,
        start_dates_count=not site.has_feature("DISABLE_START_DATES"),
    )
    return {
        "about": about if has_words(about) else "",
        "can_enroll": may_enroll(course, visitor, now=now),
        "closed": words.enrollment_in_words(course, now=now),
        "course_id": course.id,
        "facts": words.facts_in_words(course, now=now),
        "home_url": home_url(course.id, site) if access.has_access else "",
        "image": image_url(course.course_image_url, site),
        "is_enrolled": visitor.is_enrolled,
        "language": language_tag(course.language),
        "name": words.name_in_words(course, CourseState.AVAILABLE),
        "not_yet": words.access_in_words(access, course, []),
        "number": course.display_number_with_default,
        "org": course.display_org_with_default,
        "short_description": words.plain(course.short_description),
        "tint": tint_of(course.id),
    }
