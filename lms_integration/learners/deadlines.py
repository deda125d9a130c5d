"""Until when a learner may upgrade, and until when those who do not pay have access. No I/O, no clock.

Source of the rules: ``common/djangoapps/student/models/course_enrollment.py`` and
``openedx/features/course_duration_limits/access.py`` of edx-platform, as observed in its recorded answers.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol

from lms_integration.learners.access import Standing
from lms_integration.learners.modes import AUDIT, UPGRADEABLE_MODES, VERIFIED, Mode, verified_mode

#: For so long a course can be taken without paying; Open edX's shortest time, and its default.
AUDIT_ACCESS_DURATION = timedelta(weeks=4)


class LearnerSchedule(Protocol):
    """A learner's own time in a course; a ``Schedule`` has it all."""

    active: bool
    start_date: datetime | None
    upgrade_deadline: datetime | None


class CourseDates(Protocol):
    """What of an overview decides on deadlines; a ``CourseOverview`` has it all."""

    id: str
    org: str
    start: datetime | None
    self_paced: bool


def upgrade_deadline(
    course: CourseDates,
    *,
    mode: str,
    offered: Iterable[Mode],
    schedule: LearnerSchedule | None,
    is_dynamic: bool,
    now: datetime,
) -> datetime | None:
    """Return until when a learner in ``mode`` may upgrade; None where that is over, or has no end.

    ``offered`` are the modes that can still be chosen; ``is_dynamic`` lets learners in self-paced
    courses have a deadline of their own, which is never later than the course's.
    """
    verified = verified_mode(offered) if mode in UPGRADEABLE_MODES else None
    if verified is None:
        return None
    own = schedule.upgrade_deadline if schedule is not None and schedule.active else None
    if not (is_dynamic and course.self_paced) or own is None:
        return verified.expiration_datetime
    if own <= now:
        return None
    return min(own, verified.expiration_datetime or own)


def audit_access_expires(
    course: CourseDates,
    standing: Standing,
    *,
    mode: str,
    enrolled_at: datetime | None,
    modes: Iterable[Mode],
    schedule: LearnerSchedule | None,
    limited_since: datetime | None,
) -> datetime | None:
    """Return when the access of a learner who does not pay ends; None where it does not.

    It is limited for enrolments since ``limited_since`` in courses that offer both an audit and a
    verified mode, or have: ``modes`` includes expired ones. The course's team and its beta testers
    are not limited. Time runs from the enrolment or, where that is later, from the start.
    """
    slugs = {each.slug for each in modes}
    if limited_since is None or mode != AUDIT or not {AUDIT, VERIFIED} <= slugs:
        return None
    if enrolled_at is None or enrolled_at < limited_since:
        return None
    if standing.is_staff_of(course.id, course.org) or course.id in standing.beta_courses:
        return None
    own_start = schedule.start_date if schedule is not None else None
    begins = own_start or course.start
    return max(enrolled_at, begins or enrolled_at) + AUDIT_ACCESS_DURATION
