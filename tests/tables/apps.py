"""Keeps what depends on the time of day out of the tables."""

from datetime import timedelta
from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate
from django.utils import timezone


class TablesConfig(AppConfig):
    """Has to be installed behind ``overview_worker``, whose entry it changes."""

    name = "tests.tables"

    def ready(self) -> None:
        """Have ``migrate`` and ``flush`` put off the nightly run."""
        post_migrate.connect(_put_off_nightly_run, sender=apps.get_app_config("django_celery_beat"))


def _put_off_nightly_run(*, using: str, **_: Any) -> None:
    """Have the entry count from tomorrow: else it is due in each test after 03:17 of a run that began before."""
    from django_celery_beat.models import PeriodicTask

    from overview_worker.store.operator_schedule import NIGHTLY_NAME

    entries = PeriodicTask.objects.using(using).filter(name=NIGHTLY_NAME)
    entries.update(date_changed=timezone.now() + timedelta(days=1))
