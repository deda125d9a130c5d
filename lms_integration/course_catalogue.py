"""Lets everybody find the courses that they may see, by the Courses API's rules.

Stands above the API and the pages, which do not know each other.
"""

from datetime import datetime

from django.contrib.auth.models import AnonymousUser, User

from lms_integration.courses.queries import CourseKeys, Filters, listed_courses
from lms_integration.courses.viewers import viewer_of


class VisibleCourses:
    """The courses that the Courses API lists for a person."""

    def found(self, user: User | AnonymousUser, text: str, *, now: datetime) -> CourseKeys:
        """Return the keys of the courses with every word of ``text``, in order and not yet read."""
        return listed_courses(viewer_of(user, now=now), Filters(search_term=text))
