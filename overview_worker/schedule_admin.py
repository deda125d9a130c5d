"""The schedule in the admin: django-celery-beat's rows, of which only our own task may be one.

What its own pages could do besides is left out: "Run selected tasks" reaches the broker from a request,
and queues, headers or names of other tasks would be ways to break a run.
"""

import json
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django_celery_beat.admin import PeriodicTaskAdmin
from django_celery_beat.models import PeriodicTask

from lms_integration.log_lines import one_line
from overview_worker.store.scheduled_runs import (
    ASK_FOR_FULL_RUN,
    DEFAULT_JITTER_SECONDS,
    DEPTH_CHOICES,
    MAX_JITTER_SECONDS,
    ScheduledRun,
)

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[PeriodicTask]
else:  # at run time Django's classes take no type parameters
    _ModelForm = forms.ModelForm


class ScheduledRunForm(_ModelForm):
    """When a run is to begin, and what the run is to be."""

    depth = forms.ChoiceField(label="How thoroughly", choices=DEPTH_CHOICES)
    org = forms.CharField(
        label="Organisation", required=False, max_length=255, help_text="Empty: all courses."
    )
    rate = forms.FloatField(
        label="At most so many courses a second",
        required=False,
        min_value=0.01,
        help_text="Empty: as fast as the workers can while no publish waits.",
    )
    jitter_seconds = forms.IntegerField(
        label="Jitter in seconds",
        min_value=0,
        max_value=MAX_JITTER_SECONDS,
        initial=DEFAULT_JITTER_SECONDS,
        help_text="The run begins at a random time within so long.",
    )

    class Meta:
        """What can be edited; the task is always ours."""

        model = PeriodicTask
        fields = (
            *("name", "enabled", "description"),
            *("crontab", "interval", "clocked", "one_off", "start_time", "expires"),
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial.update(_order_of(self.instance).as_arguments())

    def clean(self) -> dict[str, Any]:
        """Put the arguments together; each has been looked at already."""
        found = super().clean() or {}
        if not self.errors:
            names = ("depth", "org", "rate", "jitter_seconds")
            order = ScheduledRun.from_arguments({name: found[name] for name in names})
            self.instance.task = ASK_FOR_FULL_RUN
            self.instance.args = "[]"
            self.instance.kwargs = json.dumps(order.as_arguments())
        return found


class ScheduledRunAdmin(PeriodicTaskAdmin):  # type: ignore[misc]  # it has no types
    """The entries of the schedule."""

    form = ScheduledRunForm
    change_form_template = None
    date_hierarchy = None
    list_display = ("name", "enabled", "when", "what", "last_run_at", "total_run_count")
    list_filter = ("enabled",)
    search_fields = ("name", "description")
    actions = ()
    readonly_fields = ("last_run_at", "total_run_count")
    fieldsets = (
        (None, {"fields": ("name", "enabled", "description")}),
        ("What is rebuilt", {"fields": ("depth", "org", "rate", "jitter_seconds")}),
        (
            "When: one of the first three",
            {"fields": ("crontab", "interval", "clocked", "one_off", "start_time", "expires")},
        ),
        ("So far", {"fields": ("last_run_at", "total_run_count")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show the arguments as they are stored where they cannot be changed."""
        if self.has_change_permission(request, obj):
            return super().get_fieldsets(request, obj)
        (top, (title, _), *rest) = self.fieldsets
        return (top, (title, {"fields": ("what", "task", "kwargs")}), *rest)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows of other tasks, which never run here, can be looked at and deleted."""
        is_ours = obj is None or obj.task == ASK_FOR_FULL_RUN
        return is_ours and bool(super().has_change_permission(request, obj))

    @admin.display(description="when")
    def when(self, entry: Any) -> str:
        """Its interval or crontab."""
        return str(entry.scheduler or "-")

    @admin.display(description="what")
    def what(self, entry: Any) -> str:
        """What the run is to be."""
        if entry.task != ASK_FOR_FULL_RUN:
            return f"never run: {one_line(entry.task)} is not {ASK_FOR_FULL_RUN}"
        return _order_of(entry).words


def _order_of(entry: Any) -> ScheduledRun:
    """Return what a row asks for; the default where that cannot be read."""
    try:
        return ScheduledRun.from_arguments(json.loads(entry.kwargs or "{}"))
    except (ValueError, TypeError):
        return ScheduledRun()
