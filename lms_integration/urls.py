"""URLs of the web process."""

from django.urls import include, path

from lms_integration.health import health

urlpatterns = [
    path("health", health, name="health"),
    path("", include("lms_integration.mobile.urls")),
    path("", include("lms_integration.enrollments.urls")),
    path("", include("lms_integration.courses.urls")),
    path("", include("lms_integration.dashboard.urls")),
]
