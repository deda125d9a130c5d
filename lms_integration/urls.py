"""URLs of the web process."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

from lms_integration.course_catalogue import VisibleCourses
from lms_integration.dashboard.urls import page_urls
from lms_integration.health import health
from lms_integration.http.csrf import csrf_token
from lms_integration.self_enrollment import SelfEnrollments

urlpatterns = [
    path("health", health, name="health"),
    path("csrf/api/v1/token", csrf_token, name="csrf_token"),
    path("admin/", admin.site.urls),
    path("api-docs/", SpectacularSwaggerView.as_view(url_name="openapi"), name="api-docs"),
    path("api-docs/openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("", include("lms_integration.mobile.urls")),
    path("", include("lms_integration.enrollments.urls")),
    path("", include("lms_integration.courses.urls")),
    path("", include(list(page_urls(SelfEnrollments(), VisibleCourses())))),
]

handler400 = "lms_integration.dashboard.errors.bad_request"
handler403 = "lms_integration.dashboard.errors.forbidden"
handler404 = "lms_integration.dashboard.errors.not_found"
handler500 = "lms_integration.dashboard.errors.server_error"
