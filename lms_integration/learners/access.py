"""Whether a person may open a course: Open edX's ``has_access`` rules, from overview data alone.

Source of the rules: ``lms/djangoapps/courseware/access.py`` and ``access_response.py`` of edx-platform,
as observed in its recorded answers. Does no I/O and reads no clock.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from lms_integration.data import DEFAULT_START


class MobileFacts(Protocol):
    """What of an overview decides whether the mobile apps show it; a ``CourseOverview`` has it all."""

    @property
    def id(self) -> str:
        """The course key."""

    @property
    def org(self) -> str:
        """The organization, as it is written."""

    @property
    def mobile_available(self) -> bool:
        """Whether the author has flagged it so."""


class CourseFacts(Protocol):
    """What of an overview decides access; a ``CourseOverview`` has it all."""

    id: str
    org: str
    start: datetime | None
    visible_to_staff_only: bool
    days_early_for_beta: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What a person is in courses and organizations; an anonymous visitor is nothing anywhere."""

    user_id: int | None = None
    #: ``is_staff`` of the account; a superuser without it has no access of its own.
    is_global_staff: bool = False
    staff_courses: AbstractSet[str] = (
        frozenset()
    )  #: keys of courses where the person is course team
    #: keys of courses where the person is course team in the LMS, but not in Studio
    limited_staff_courses: AbstractSet[str] = frozenset()
    instructor_courses: AbstractSet[str] = frozenset()
    staff_orgs: AbstractSet[str] = frozenset()  #: organizations, as they are written
    instructor_orgs: AbstractSet[str] = frozenset()
    beta_courses: AbstractSet[str] = frozenset()

    def is_staff_of(self, course_id: str, org: str) -> bool:
        """Return whether the person sees the course as its team does."""
        return (
            self.is_global_staff
            or course_id in self.staff_courses
            or course_id in self.limited_staff_courses
            or course_id in self.instructor_courses
            or org in self.staff_orgs
            or org in self.instructor_orgs
        )


ANONYMOUS = Standing()


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """An answer to "may they?", in the form that Open edX's clients read."""

    error_code: str | None = None
    developer_message: str | None = None
    user_message: str | None = None
    additional_context_user_message: str | None = None
    user_fragment: str | None = None

    @property
    def has_access(self) -> bool:
        """Whether nothing stands against it."""
        return self.error_code is None

    def to_json(self) -> dict[str, str | bool | None]:
        """Return the six keys of ``courseware_access``."""
        return {
            "has_access": self.has_access,
            "error_code": self.error_code,
            "developer_message": self.developer_message,
            "user_message": self.user_message,
            "additional_context_user_message": self.additional_context_user_message,
            "user_fragment": self.user_fragment,
        }


GRANTED = Access()
NOT_VISIBLE = Access(
    error_code="not_visible_to_user",
    developer_message="Course is not visible to this user",
    user_message="You do not have access to this course",
)
UNFULFILLED_MILESTONES = Access(
    error_code="unfulfilled_milestones",
    developer_message="User has unfulfilled milestones",
    user_message="You have unfulfilled milestones",
)
NOT_ON_MOBILE = Access(
    error_code="mobile_unavailable",
    developer_message="Course is not available on mobile for this user",
    user_message="You do not have access to this course on a mobile device",
)
#: No overview yet: nobody knows who may open the course.
NEVER_BUILT = Access(
    error_code="course_not_built",
    developer_message="Course has no overview yet",
    user_message="This course is not available yet",
)
DELETED = Access(
    error_code="course_deleted",
    developer_message="Course has been deleted",
    user_message="This course is no longer available",
)


def load_access(
    course: CourseFacts,
    standing: Standing,
    *,
    unfulfilled: AbstractSet[str],
    now: datetime,
    start_dates_count: bool = True,
) -> Access:
    """Return whether a person may open a course.

    ``unfulfilled`` holds the keys of courses whose prerequisites the person has not passed;
    ``start_dates_count`` is false where ``FEATURES['DISABLE_START_DATES']`` is set.
    """
    if standing.is_staff_of(course.id, course.org):
        return GRANTED
    if course.visible_to_staff_only:
        return NOT_VISIBLE
    if start_dates_count and not has_begun(course, standing, now=now):
        return not_started(course.start)
    if course.id in unfulfilled:
        return UNFULFILLED_MILESTONES
    return GRANTED


def is_mobile_available(course: MobileFacts, standing: Standing, *, flag_counts: bool) -> bool:
    """Return whether a course is shown in the mobile apps: flagged so, or the person tests it."""
    return (
        not flag_counts
        or course.mobile_available
        or course.id in standing.beta_courses
        or standing.is_staff_of(course.id, course.org)
    )


def has_begun(course: CourseFacts, standing: Standing, *, now: datetime) -> bool:
    """Return whether a course has begun for a person; beta testers begin some days early."""
    if course.start is None:
        return True
    early_days = course.days_early_for_beta or 0 if course.id in standing.beta_courses else 0
    return now > _earlier(course.start, early_days)


def _earlier(start: datetime, days: float) -> datetime:
    try:
        return start - timedelta(days=days)
    except OverflowError:  # so many days that they leave the calendar
        return datetime.min.replace(tzinfo=UTC) if days > 0 else datetime.max.replace(tzinfo=UTC)


def not_started(start: datetime | None) -> Access:
    """Return the refusal of a course that begins later; English, as Open edX's clients get it."""
    if start is None or start == DEFAULT_START:
        message = developer_message = "Course has not started"
    else:
        message = f"Course does not start until {start:%B %d, %Y}"
        developer_message = f"Course does not start until {start}"
    return Access(
        error_code="course_not_started",
        developer_message=developer_message,
        user_message=message,
    )


def audit_expired(*, username: str, course_id: str, name: str | None, expires: datetime) -> Access:
    """Return the refusal of a course that was taken without paying and is over; English."""
    day = f"{expires:%b} {expires.day}, {expires.year}"
    return Access(
        error_code="audit_expired",
        developer_message=f"User {username} had access to {course_id} until {expires}",
        user_message=f"Access expired on {day}",
        additional_context_user_message=f"Access to {name or course_id} expired on {day}",
    )
