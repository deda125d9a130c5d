"""Who may see a course's page, and who may enrol: Open edX's rules, from overview data alone.

One rule stands above all, where Open edX leaks: a course that is visible to its team only is visible
to its team only, whether or not enrolment is open. Does no I/O and reads no clock.
"""

from dataclasses import dataclass
from datetime import datetime

from lms_integration.learners.access import Standing, has_begun
from lms_integration.models import CourseOverview

_SEE_ABOUT_PAGE = "see_about_page"
#: ``catalog_visibility`` of courses whose author wants the page to be seen.
_WITH_ABOUT_PAGE = frozenset({"both", "about"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """What somebody is to one course."""

    standing: Standing
    is_enrolled: bool = False
    is_invited: bool = False
    is_unfulfilled: bool = False  #: whether the course requires what the person has not reached


def may_see(
    course: CourseOverview,
    visitor: Visitor,
    *,
    permission: str,
    now: datetime,
    start_dates_count: bool = True,
) -> bool:
    """Return whether a person may see a course's page; ``permission`` is the site's setting.

    Who is enrolled sees it: the course is on their dashboard anyway.
    """
    if visitor.standing.is_staff_of(course.id, course.org):
        return True
    if course.visible_to_staff_only:
        return False
    if visitor.is_enrolled:
        return True
    if permission == _SEE_ABOUT_PAGE:
        return course.catalog_visibility in _WITH_ABOUT_PAGE
    has_opened = not start_dates_count or has_begun(course, visitor.standing, now=now)
    return (has_opened and not visitor.is_unfulfilled) or may_enroll(course, visitor, now=now)


def may_enroll(course: CourseOverview, visitor: Visitor, *, now: datetime) -> bool:
    """Return whether a course would take a person that is not in it yet, if it has a place left."""
    return (
        is_open_to_all(course, now=now)
        or visitor.is_invited
        or visitor.standing.is_staff_of(course.id, course.org)
    )


def is_open_to_all(course: CourseOverview, *, now: datetime) -> bool:
    """Return whether no invitation is needed, and the enrolment window is open."""
    has_opened = course.enrollment_start is None or course.enrollment_start < now
    has_closed = course.enrollment_end is not None and course.enrollment_end <= now
    return has_opened and not has_closed and not course.invitation_only
