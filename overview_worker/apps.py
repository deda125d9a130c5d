"""The Django app of the worker side: it holds the ``overview`` command and no tables."""

from django.apps import AppConfig


class OverviewWorkerConfig(AppConfig):
    """Needs ``lms_integration``, whose tables it writes."""

    name = "overview_worker"
    verbose_name = "Overview Pipeline workers"
