"""Reads enrolments with their courses: one query each, no column that nobody shows, no row lost."""

from collections.abc import Iterable, Mapping, Sequence

from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from lms_integration.learners.access import Standing
from lms_integration.learners.modes import Mode, modes_by_course
from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import CourseAccessRole, CourseEnrollment
from lms_integration.prepared_queries import Parameter, PreparedQuery, text

#: What is shown of a course; ``location`` has the name of those without a ``display_name``.
COURSE_COLUMNS = (
    "id",
    "location",
    "display_name",
    "start",
    "end",
    "enrollment_start",
    "enrollment_end",
    "invitation_only",
    "self_paced",
)
_ENROLLMENT_COLUMNS = ("course_id", "created", "is_active", "mode", "user__username")
_TOMBSTONE_COLUMNS = ("display_name", "start", "end")
#: Roles that see and manage the enrolments of their own course; those of an organization do not.
_TEAM_ROLES = ("staff", "instructor")
#: Roles whose enrolments take nobody's place in a course that holds only so many; as in Open edX, those
#: of limited staff do.
_SEATLESS_ROLES = (*_TEAM_ROLES, "ccx_coach")


def active_enrollments(
    username: str, *, among: Iterable[str] | None = None
) -> Sequence[CourseEnrollment]:
    """Return a person's active enrolments, oldest first, in these courses only where they are given."""
    if among is None:
        return _ACTIVE_ENROLLMENTS.rows(username=username)
    keys = list(among)
    return list(_active(username).filter(course_id__in=keys)) if keys else []


def _active(username: str | Parameter) -> QuerySet[CourseEnrollment]:
    rows = CourseEnrollment.objects.filter(user__username=username, is_active=True)
    return _with_courses(rows).order_by("created", "-id")


_ACTIVE_ENROLLMENTS = PreparedQuery(lambda: _active(text("username")))


def enrollment_of(username: str, course_id: str) -> CourseEnrollment | None:
    """Return one enrolment, active or not, with its course."""
    rows = CourseEnrollment.objects.filter(user__username=username, course_id=course_id)
    return _with_courses(rows).first()


def enrollment_numbered(pk: int) -> CourseEnrollment:
    """Return one enrolment by its number, with its course."""
    return _with_courses(CourseEnrollment.objects.filter(pk=pk)).get()


def _with_courses(rows: QuerySet[CourseEnrollment]) -> QuerySet[CourseEnrollment]:
    return rows.select_related("user", "overview", "tombstone").only(
        *_ENROLLMENT_COLUMNS,
        *(f"overview__{name}" for name in COURSE_COLUMNS),
        *(f"tombstone__{name}" for name in _TOMBSTONE_COLUMNS),
    )


def modes_of(
    rows: Iterable[CourseEnrollment],
) -> Mapping[str, Sequence[Mode]]:
    """Return the modes that can be chosen in the courses of enrolments: one query, none for none."""
    return modes_by_course(row.course_id for row in rows)


def shown_course(course_id: str) -> CourseOverview | None:
    """Return what is shown of a course and decides to whom, if it has an overview."""
    columns = (*COURSE_COLUMNS, "org", "visible_to_staff_only")
    return CourseOverview.objects.filter(id=course_id).only(*columns).first()


def team_courses(standing: Standing) -> frozenset[str]:
    """Return the courses whose enrolments a person may see because they are of their team."""
    return frozenset(
        standing.staff_courses | standing.limited_staff_courses | standing.instructor_courses
    )


def roles_of(user_id: int | None, *, course_id: str | None = None) -> Sequence[CourseAccessRole]:
    """Return a person's roles, in one course where it is given; none of a visitor."""
    if user_id is None:
        return []
    rows = CourseAccessRole.objects.filter(user_id=user_id)
    if course_id:
        rows = rows.filter(course_id=course_id)
    return list(rows.only("org", "course_id", "role").order_by("id"))


def taken_seats(course_id: str) -> int:
    """Return how many learners are in a course; its team does not count."""
    team = CourseAccessRole.objects.filter(course_id=course_id, role__in=_SEATLESS_ROLES)
    return (
        CourseEnrollment.objects.filter(course_id=course_id, is_active=True)
        .exclude(user_id__in=team.values("user_id"))
        .count()
    )


def listed_enrollments(
    *,
    course_id: str = "",
    parts: Sequence[str] = (),
    usernames: Sequence[str] = (),
    emails: Sequence[str] = (),
) -> QuerySet[CourseEnrollment]:
    """Return the query of all enrolments, active or not; what is empty does not filter.

    ``parts`` are found anywhere in a course id, whatever their case; one of them is enough.
    """
    rows = CourseEnrollment.objects.select_related("user", "overview", "tombstone").only(
        *_ENROLLMENT_COLUMNS, "overview__id", "tombstone__course_key"
    )
    if course_id:
        rows = rows.filter(course_id=course_id)
    if parts:
        rows = rows.alias(course_id_lower=Lower("course_id")).filter(_any_part(parts))
    if usernames:
        rows = rows.filter(user__username__in=usernames)
    if emails:
        rows = rows.filter(user__email__in=emails)
    return rows


def _any_part(parts: Sequence[str]) -> Q:
    found = Q()
    for part in parts:
        found |= Q(course_id_lower__contains=part.lower())
    return found
