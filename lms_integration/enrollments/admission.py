"""Who may come into a course: to whom it is open, who is invited, and whether there is a place left."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from lms_integration.enrollments.queries import taken_seats
from lms_integration.enrollments.rules import is_open_to_all
from lms_integration.learners.standing import standing_of
from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import CourseEnrollmentAllowed


def is_open_to(person: User, overview: CourseOverview, *, now: datetime) -> bool:
    """Return whether a course is open to a person: to all, to its team, or by an invitation."""
    return (
        is_open_to_all(overview, now=now)
        or (person.is_superuser and person.is_active)
        or standing_of(person).is_staff_of(overview.id, overview.org)
        or _invitations(person, overview.id).exists()
    )


def has_seat(overview: CourseOverview) -> bool:
    """Return whether one more learner may come in, and keep it so until the transaction ends.

    Two who ask at once for the last place wait for each other; courses without a limit are not locked.
    """
    if overview.max_student_enrollments_allowed is None:
        return True
    rows = CourseOverview.objects.select_for_update().filter(id=overview.id)
    limit = rows.values_list("max_student_enrollments_allowed", flat=True).first()
    return limit is None or taken_seats(overview.id) < limit


def claim_invitation(person: User, course_id: str) -> None:
    """Note on a person's invitation whose it was, so that it is nobody else's."""
    _invitations(person, course_id).filter(user__isnull=True).update(user=person)


def _invitations(person: User, course_id: str) -> QuerySet[CourseEnrollmentAllowed]:
    """Return the invitations of a person's address that are not somebody else's already."""
    rows = CourseEnrollmentAllowed.objects.filter(email=person.email, course_id=course_id)
    return rows.filter(Q(user__isnull=True) | Q(user=person)).exclude(email="")
