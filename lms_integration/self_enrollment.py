"""Lets learners enrol and unenrol themselves on pages, by the Enrollment API's rules.

Stands above both parts, which do not know each other.
"""

from datetime import datetime

from django.contrib.auth.models import User

from lms_integration.dashboard.enrolling import Outcome
from lms_integration.enrollments.enrolling import enroll
from lms_integration.enrollments.errors import Busy, Refused
from lms_integration.enrollments.orders import Caller, Change, Target


class SelfEnrollments:
    """Does what a learner wishes, as the Enrollment API would do it."""

    def enroll(self, user: User, course_id: str, *, now: datetime) -> Outcome:
        """Enrol a person in the course's default mode; twice is once."""
        username = user.get_username()
        return _do(Change(is_active=True), course_id, Caller(username=username), now=now)

    def unenroll(self, user: User, course_id: str, *, now: datetime) -> Outcome:
        """End a person's enrolment. The API lets other servers do that; here the LMS is one."""
        caller = Caller(username=user.get_username(), has_api_key=True)
        return _do(Change(is_active=False), course_id, caller, now=now)


def _do(change: Change, course_id: str, caller: Caller, *, now: datetime) -> Outcome:
    target = Target(course_id=course_id, username=caller.username, email="")
    try:
        enroll(target, change, caller, now=now)
    except Busy:
        return Outcome.BUSY
    except Refused:
        return Outcome.REFUSED
    return Outcome.DONE
