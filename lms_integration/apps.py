"""The Django app of the Studio and LMS side."""

from django.apps import AppConfig


class LmsIntegrationConfig(AppConfig):
    """Connects the receivers and the system checks when Django is ready."""

    name = "lms_integration"
    verbose_name = "Overview Pipeline"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect receivers and register checks; opens no connection."""
        # Models may be imported only once the app registry is filled, hence here.
        from lms_integration import checks, signals

        checks.register_checks()
        signals.connect_receivers()
