"""The Django app of the worker side: it holds the ``overview`` command, and no tables."""

from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class OverviewWorkerConfig(AppConfig):
    """Needs ``lms_integration``, whose tables it writes."""

    name = "overview_worker"
    verbose_name = "Overview Pipeline workers"

    def ready(self) -> None:
        """Have ``migrate`` make the entry of the nightly run; opens no connection."""
        # Models may be imported only once the app registry is filled, hence here.
        from overview_worker.store.operator_schedule import APP, is_schedule_installed

        if is_schedule_installed():
            post_migrate.connect(_after_migrate, sender=apps.get_app_config(APP))


def _after_migrate(*, using: str, **_: Any) -> None:
    from overview_worker.store.operator_schedule import make_nightly_entry

    make_nightly_entry(using=using)
