"""URLs of the web process."""

from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

from lms_integration.health import health

urlpatterns = [
    path("health", health, name="health"),
    path("api-docs/", SpectacularSwaggerView.as_view(url_name="openapi"), name="api-docs"),
    path("api-docs/openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("", include("lms_integration.mobile.urls")),
    path("", include("lms_integration.enrollments.urls")),
    path("", include("lms_integration.courses.urls")),
    path("", include("lms_integration.dashboard.urls")),
]
