"""URLs of the web process."""

from django.urls import path

from lms_integration.health import health

urlpatterns = [path("health", health, name="health")]
