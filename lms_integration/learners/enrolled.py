"""Reads a learner's enrolments with what is known of their courses: one query, none ever lost.

An enrolment whose course has no overview (not built yet, or deleted) is listed like any other, with
its course key, what the tombstone keeps, and a state that says why.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import QuerySet
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from lms_integration.models import CourseOverview, OverviewTombstone
from lms_integration.platform_tables.models import CourseEnrollment


class CourseState(StrEnum):
    """What is known of an enrolled course."""

    AVAILABLE = "available"  #: it has an overview
    NEVER_BUILT = "never_built"  #: no overview yet: the pipeline has not met the course
    DELETED = "deleted"  #: deleted in Studio; a tombstone keeps its name


#: What every list of enrolments needs of the enrolment and of a course without overview.
_ENROLLMENT_COLUMNS = ("course_id", "created", "is_active", "mode", "user_id")
_TOMBSTONE_COLUMNS = tuple(
    f"tombstone__{name}"
    for name in (
        "display_name",
        "display_org_with_default",
        "display_number_with_default",
        "course_image_url",
        "start",
        "end",
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnrolledCourse:
    """One enrolment, with the overview or the tombstone of its course, if there is one."""

    enrollment: CourseEnrollment
    overview: CourseOverview | None
    tombstone: OverviewTombstone | None
    row_seq: int  #: counts the changes of the course's row; 0 where the pipeline never built it

    @property
    def course_id(self) -> str:
        """The course key as the enrolment has it."""
        return self.enrollment.course_id

    @property
    def state(self) -> CourseState:
        """Why there is no overview, or that there is one."""
        if self.overview is not None:
            return CourseState.AVAILABLE
        return CourseState.DELETED if self.tombstone is not None else CourseState.NEVER_BUILT

    @property
    def course(self) -> CourseOverview:
        """The overview; for a course without one, an unsaved one that holds what is known."""
        return self.overview or placeholder(self.course_id, self.tombstone)


def enrolled_courses(
    enrollments: QuerySet[CourseEnrollment], *, columns: Iterable[str]
) -> QuerySet[CourseEnrollment]:
    """Return the query of enrolments with these columns of their overviews, and of their tombstones.

    The caller filters, orders and pages it, and turns its rows into ``EnrolledCourse`` with ``known``.
    """
    return enrollments.select_related("overview", "tombstone", "state").only(
        *_ENROLLMENT_COLUMNS,
        *(f"overview__{name}" for name in columns),
        *_TOMBSTONE_COLUMNS,
        "state__row_seq",
    )


def known(rows: Iterable[CourseEnrollment]) -> Sequence[EnrolledCourse]:
    """Return what is known of each enrolment's course, in the order of the rows."""
    return [
        EnrolledCourse(
            enrollment=row,
            overview=row.overview,
            tombstone=row.tombstone,
            row_seq=row.state.row_seq if row.state is not None else 0,
        )
        for row in rows
    ]


def placeholder(course_id: str, tombstone: OverviewTombstone | None) -> CourseOverview:
    """Return an unsaved overview of a course without a row: what the tombstone or the key tells.

    Nothing can be saved by mistake: it has no ``version``, which the table wants.
    """
    org, number = _org_and_number(course_id)
    return CourseOverview(
        id=course_id,
        location="",
        org=org,
        display_name=course_id if tombstone is None else tombstone.display_name,
        display_org_with_default=tombstone.display_org_with_default if tombstone else org,
        display_number_with_default=tombstone.display_number_with_default if tombstone else number,
        course_image_url=tombstone.course_image_url if tombstone else "",
        start=tombstone.start if tombstone else None,
        end=tombstone.end if tombstone else None,
        pre_requisite_courses_json="[]",
    )


def _org_and_number(course_id: str) -> tuple[str, str]:
    try:
        key = CourseKey.from_string(course_id)
    except InvalidKeyError:  # a platform's table may hold anything
        return "", course_id
    return str(key.org), str(key.course)
