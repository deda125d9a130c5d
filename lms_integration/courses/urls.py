"""URLs of the Courses API; Open edX's own."""

from django.urls import URLPattern, URLResolver, path, re_path

from lms_integration.courses.views import CourseDetailView, CourseIdsView, CourseListView

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/courses/v1/courses/", CourseListView.as_view(), name="courses_api_list"),
    # Three parts, whatever stands between them, and no end: what follows the key is not looked at.
    re_path(
        r"^api/courses/v1/courses/(?P<course_key>[^/+]+[/+][^/+]+[/+][^/?]+)",
        CourseDetailView.as_view(),
        name="courses_api_detail",
    ),
    path("api/courses/v1/course_ids/", CourseIdsView.as_view(), name="courses_api_ids"),
]
