"""The Django app of Open edX's tables, so that it can be left unmigrated beside the platform."""

from django.apps import AppConfig


class PlatformTablesConfig(AppConfig):
    """Tables that are ours to make only where there is no Open edX."""

    name = "lms_integration.platform_tables"
    label = "platform_tables"
    verbose_name = "Open edX tables"
    default_auto_field = "django.db.models.BigAutoField"
