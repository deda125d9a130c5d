"""Django looks here for admin pages: the schedule's, where django-celery-beat is installed."""

from django.apps import apps
from django.contrib import admin

if apps.is_installed("django_celery_beat"):
    from django_celery_beat.models import PeriodicTask, SolarSchedule

    from overview_worker.schedule_admin import ScheduledRunAdmin

    admin.site.unregister(PeriodicTask)
    admin.site.register(PeriodicTask, ScheduledRunAdmin)
    admin.site.unregister(SolarSchedule)  # it needs a package that is not here
