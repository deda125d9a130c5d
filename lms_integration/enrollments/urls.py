"""URLs of the Enrollment API; Open edX's own, with its idea of what a username and a course id look like."""

from django.urls import URLPattern, URLResolver, path, re_path, register_converter

from lms_integration.enrollments.staff_views import (
    CourseEnrollmentsApiListView,
    EnrollmentAllowedView,
)
from lms_integration.enrollments.views import (
    EnrollmentCourseDetailView,
    EnrollmentListView,
    EnrollmentUserRolesView,
    EnrollmentView,
    OwnEnrollmentView,
)


class _TextConverter:
    """Takes what its expression matches as it is."""

    regex = ""

    def to_python(self, value: str) -> str:
        """Return the text."""
        return value

    def to_url(self, value: str) -> str:
        """Return the text."""
        return value


class CourseIdConverter(_TextConverter):
    """Three parts with ``+`` or ``/`` between them; whether it is a course id is for the view to say."""

    regex = r"[^/+]+(?:/|\+)[^/+]+(?:/|\+)[^/?]+"


class UsernameConverter(_TextConverter):
    """What usernames are made of."""

    regex = r"[\w .@+-]+"


register_converter(CourseIdConverter, "course_id")
register_converter(UsernameConverter, "username")

_ROOT = "api/enrollment/v1"
urlpatterns: list[URLPattern | URLResolver] = [
    path(f"{_ROOT}/enrollment", EnrollmentListView.as_view()),
    path(f"{_ROOT}/enrollment/<username:username>,<course_id:course_id>", EnrollmentView.as_view()),
    path(f"{_ROOT}/enrollment/<course_id:course_id>", OwnEnrollmentView.as_view()),
    path(f"{_ROOT}/course/<course_id:course_id>", EnrollmentCourseDetailView.as_view()),
    path(f"{_ROOT}/roles/", EnrollmentUserRolesView.as_view()),
    path(f"{_ROOT}/enrollment_allowed/", EnrollmentAllowedView.as_view()),
    re_path(rf"^{_ROOT}/enrollments/?$", CourseEnrollmentsApiListView.as_view()),
]
