"""Whether a person may enrol, and in which mode. Does no I/O and reads no clock.

Source of the rules: ``common/djangoapps/student/models/course_enrollment.py``,
``openedx/core/djangoapps/enrollments`` and ``lms/djangoapps/courseware/access.py`` of edx-platform, as
observed in its recorded answers.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from lms_integration.learners.modes import AUDIT, HONOR, Mode, default_mode


class EnrollmentFacts(Protocol):
    """What of an overview decides who may enrol; a ``CourseOverview`` has it all."""

    enrollment_start: datetime | None
    enrollment_end: datetime | None
    invitation_only: bool


def is_open_to_all(course: EnrollmentFacts, *, now: datetime) -> bool:
    """Return whether anybody may enrol: no invitation is needed, and the window is open."""
    has_opened = course.enrollment_start is None or course.enrollment_start < now
    has_closed = course.enrollment_end is not None and course.enrollment_end <= now
    return has_opened and not has_closed and not course.invitation_only


def unexpired_modes(modes: Iterable[Mode], *, now: datetime) -> Sequence[Mode]:
    """Return the modes that can be chosen; the site's default mode where none is left."""
    left = [
        mode
        for mode in modes
        if mode.expiration_datetime is None or mode.expiration_datetime >= now
    ]
    return left or [default_mode()]


def default_slug(modes: Iterable[Mode]) -> str | None:
    """Return the mode of those who name none; None where the course has no free one."""
    slugs = {mode.slug for mode in modes}
    return next((slug for slug in (AUDIT, HONOR) if slug in slugs), None)


def is_offered(slug: str | None, modes: Iterable[Mode]) -> bool:
    """Return whether a mode is among those."""
    return any(mode.slug == slug for mode in modes)
