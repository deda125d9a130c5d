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

from lms_integration.learners.access import DELETED, NEVER_BUILT, Access
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
_SCHEDULE_COLUMNS = ("schedule__active", "schedule__start_date", "schedule__upgrade_deadline")


@dataclass(frozen=True, kw_only=True, slots=True)
class EnrolledCourse:
    """One enrolment, with the overview or the tombstone of its course, if there is one."""

    enrollment: CourseEnrollment
    overview: CourseOverview | None
    tombstone: OverviewTombstone | None
    #: Counts the changes of the course's row; 0 where the pipeline never built it, or not asked for.
    row_seq: int

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
    def refusal(self) -> Access | None:
        """Why nobody can open the course, whoever they are; None where there is an overview."""
        match self.state:
            case CourseState.AVAILABLE:
                return None
            case CourseState.NEVER_BUILT:
                return NEVER_BUILT
            case CourseState.DELETED:
                return DELETED

    @property
    def course(self) -> CourseOverview:
        """The overview; for a course without one, an unsaved one that holds what is known."""
        return self.overview or placeholder(self.course_id, self.tombstone)


def enrolled_courses(
    enrollments: QuerySet[CourseEnrollment],
    *,
    columns: Iterable[str],
    with_row_seq: bool = True,
    with_schedule: bool = False,
) -> QuerySet[CourseEnrollment]:
    """Return the query of enrolments with these columns of their overviews, and of their tombstones.

    The caller filters, orders and pages it, and turns its rows into ``EnrolledCourse`` with ``known``.
    """
    state = ("state__row_seq",) if with_row_seq else ()
    schedule = _SCHEDULE_COLUMNS if with_schedule else ()
    along = {name.partition("__")[0] for name in (*state, *schedule)}
    return enrollments.select_related("overview", "tombstone", *sorted(along)).only(
        *_ENROLLMENT_COLUMNS,
        *(f"overview__{name}" for name in columns),
        *_TOMBSTONE_COLUMNS,
        *state,
        *schedule,
    )


def known(rows: Iterable[CourseEnrollment]) -> Sequence[EnrolledCourse]:
    """Return what is known of each enrolment's course, in the order of the rows."""
    return [
        EnrolledCourse(
            enrollment=row,
            overview=row.overview,
            tombstone=row.tombstone,
            row_seq=_row_seq(row),
        )
        for row in rows
    ]


def _row_seq(row: CourseEnrollment) -> int:
    """Return the counter that was read along; 0 where there is none, or it was not asked for."""
    state = row._state.fields_cache.get("state")
    return 0 if state is None else state.row_seq


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


def org_of(course_id: str) -> str:
    """Return the organization that a course key names; '' for what is no course key."""
    return _org_and_number(course_id)[0]


def _org_and_number(course_id: str) -> tuple[str, str]:
    try:
        key = CourseKey.from_string(course_id)
    except InvalidKeyError:  # a platform's table may hold anything
        return "", course_id
    return str(key.org), str(key.course)
