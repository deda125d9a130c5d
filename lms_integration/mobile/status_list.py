"""The status list: in which of the learner's courses something has happened lately. Does no I/O."""

from collections.abc import Iterable, Sequence
from typing import Any

from lms_integration.learners.access import Standing, is_mobile_available
from lms_integration.learners.enrolled import CourseState
from lms_integration.mobile.queries import EnrollmentStatus


def status_items(
    statuses: Iterable[EnrollmentStatus], standing: Standing, *, flag_counts: bool
) -> Sequence[dict[str, Any]]:
    """Return the items of those that the apps show, in their order.

    An enrolment whose course has no overview is shown, with ``course_state``, which says why.
    """
    return [
        _item(each)
        for each in statuses
        if each.enrolled.overview is None
        or is_mobile_available(each.enrolled.overview, standing, flag_counts=flag_counts)
    ]


def _item(status: EnrollmentStatus) -> dict[str, Any]:
    enrolled = status.enrolled
    has_overview = enrolled.state is CourseState.AVAILABLE
    return {
        "course_id": enrolled.course_id,
        "course_name": enrolled.course.display_name,
        "recently_active": status.is_recent,
        **({} if has_overview else {"course_state": enrolled.state.value}),
    }
