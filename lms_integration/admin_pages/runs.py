"""Rebuild runs: the list, the page of one with its progress, and pause, resume, cancel."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST, require_safe

from lms_integration.admin_pages import asking
from lms_integration.admin_pages.asking import OffersRebuild
from lms_integration.admin_pages.read_only import ReadOnlyAdmin, explain_link, may, shortened
from lms_integration.admin_pages.run_words import (
    begins_words,
    count_words,
    counted,
    estimated_words,
    left_words,
    outcome_counts,
    percent,
    rate_words,
    scope_words,
    who_words,
)
from lms_integration.database_clock import DatabaseNow
from lms_integration.log_lines import one_line
from lms_integration.models import OverviewRebuildRun, OverviewRunFailure, RunState
from lms_integration.rebuild_desk import (
    RunProgress,
    RunRefused,
    cancel_run,
    pause_run,
    progress_of_row,
    resume_run,
)
from lms_integration.story import shown_span, shown_time

audit_logger = logging.getLogger("overview_audit")

#: Failures on one page.
FAILURES_PER_PAGE = 50

_Steer = Callable[[int], OverviewRebuildRun]
#: What a person can do: the function, its past tense, and the states in which it is offered.
_STEERING: dict[str, tuple[_Steer, str, tuple[RunState, ...]]] = {
    "pause": (pause_run, "paused", (RunState.PLANNED, RunState.RUNNING)),
    "resume": (resume_run, "resumed", (RunState.PAUSED, RunState.CANCELLED, RunState.FAILED)),
    "cancel": (cancel_run, "cancelled", (RunState.PLANNED, RunState.RUNNING, RunState.PAUSED)),
}


class RebuildRunAdmin(OffersRebuild, ReadOnlyAdmin):
    """Rebuild runs; what can be done about one is what ``rebuild_desk`` does."""

    list_display = (
        *("number", "short_state", "progress_bar", "scope_text", "time_left"),
        *("rate_text", "counts", "who", "why", "age"),
    )
    list_filter = ("state", "scope", "asked_from")
    search_fields = ("org", "asked_by", "reason")
    ordering = ("-created_at", "-id")
    list_display_links = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read the database's clock with the rows, and not the courses that they name."""
        runs: QuerySet[Any] = super().get_queryset(request).annotate(database_now=DatabaseNow())
        return runs.defer("course_keys")

    def has_view_permission(
        self, request: HttpRequest, obj: OverviewRebuildRun | None = None
    ) -> bool:
        """Who may ask for runs may look at them."""
        return super().has_view_permission(request, obj) or may(request, "run_rebuild")

    def get_urls(self) -> list[URLPattern]:
        """Add the form, what the page of a run fetches, and the buttons."""
        view = self.admin_site.admin_view
        steering = [
            path(
                f"<int:run_id>/{action}/",
                view(require_POST(self.steer)),
                {"action": action},
                name=f"lms_integration_{action}_run",
            )
            for action in _STEERING
        ]
        return [
            path("ask/", view(self.ask), name="lms_integration_ask_for_run"),
            path(
                "<int:run_id>/progress/",
                view(require_safe(self.progress)),
                name="lms_integration_run_progress",
            ),
            *steering,
            *super().get_urls(),
        ]

    @admin.display(description="run", ordering="id")
    def number(self, run: OverviewRebuildRun) -> str:
        """The run, linked to its page."""
        return format_html('<a href="{}">Run {}</a>', _address(run.pk), run.pk)

    @admin.display(description="state", ordering="state")
    def short_state(self, run: Any) -> str:
        """Where it is; of one that is to begin later, when."""
        return begins_words(_progress(run)) or str(run.state)

    @admin.display(description="courses", ordering="scope")
    def scope_text(self, run: OverviewRebuildRun) -> str:
        """Which courses it looks at."""
        return shortened(scope_words(run))

    @admin.display(description="who", ordering="asked_by")
    def who(self, run: OverviewRebuildRun) -> str:
        """Who asked for it, and where."""
        return who_words(run)

    @admin.display(description="why")
    def why(self, run: OverviewRebuildRun) -> str:
        """The reason that was given, cut short."""
        return shortened(run.reason) or "-"

    @admin.display(description="progress")
    def progress_bar(self, run: Any) -> str:
        """A bar, and the same in figures."""
        return _bar(_progress(run))

    @admin.display(description="what became of them")
    def counts(self, run: OverviewRebuildRun) -> str:
        """The counts."""
        return count_words(run)

    @admin.display(description="rate")
    def rate_text(self, run: Any) -> str:
        """Courses a second."""
        return rate_words(_progress(run))

    @admin.display(description="time left")
    def time_left(self, run: Any) -> str:
        """How long it still takes."""
        return left_words(_progress(run))

    @admin.display(description="age", ordering="-created_at")
    def age(self, run: Any) -> str:
        """How long ago it was asked for."""
        return shown_span(run.database_now - run.created_at)

    def ask(self, request: HttpRequest) -> HttpResponse:
        """The form, the preview and the run."""
        return asking.ask(self, request)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page of one run."""
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        run = self._run(request, object_id)
        failures = OverviewRunFailure.objects.filter(run_id=run.pk).order_by("course_key")
        page = Paginator(failures, FAILURES_PER_PAGE).get_page(request.GET.get("page"))
        context = {
            **self._run_context(request, run),
            "facts": _facts(run),
            "page": page,
            "failures": [
                (explain_link(each.course_key), each.outcome, one_line(each.reason), each.failed_at)
                for each in page
            ],
            "media": self.media,
        }
        return TemplateResponse(request, "admin/lms_integration/run.html", context)

    def progress(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """The part of the page that changes, for its script."""
        context = self._run_context(request, self._run(request, str(run_id)))
        return TemplateResponse(request, "admin/lms_integration/run_progress.html", context)

    def steer(self, request: HttpRequest, run_id: int, action: str) -> HttpResponse:
        """Pause, resume or cancel; cancelling asks first.

        Raises:
            PermissionDenied: the person may not.
        """
        if not may(request, "run_rebuild"):
            raise PermissionDenied
        run = self._run(request, str(run_id))
        if action == "cancel" and request.POST.get("confirmed") != "yes":
            context = {**self._run_context(request, run), "media": self.media}
            context["title"] = f"Cancel run {run.pk}?"
            return TemplateResponse(request, "admin/lms_integration/cancel_run.html", context)
        self._do(request, run, action)
        return redirect(_address(run.pk))

    def _do(self, request: HttpRequest, run: OverviewRebuildRun, action: str) -> None:
        steer, done, _ = _STEERING[action]
        try:
            with transaction.atomic():
                steer(run.pk)
                self.log_change(request, run, f"{done.capitalize()}.")
        except RunRefused as refused:
            self.message_user(request, f"Refused: {refused}.", messages.ERROR)
            return
        audit_logger.warning(
            "run %d of %s %s by admin user %s",
            *(run.pk, scope_words(run), done, request.user.get_username()),
        )
        self.message_user(request, f"Run {run.pk} is {done}.", messages.SUCCESS)

    def _run(self, request: HttpRequest, run_id: str) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = self.get_object(request, run_id)
        if run is None:
            raise Http404(f"there is no run {run_id}")
        return run

    def _run_context(self, request: HttpRequest, run: Any) -> dict[str, Any]:
        progress = _progress(run)
        is_allowed = may(request, "run_rebuild")
        return {
            **self.admin_site.each_context(request),
            "title": f"Run {run.pk}: {scope_words(run)}",
            "opts": self.opts,
            "run": run,
            "state": begins_words(progress) or RunState(run.state).label,
            "bar": _bar(progress),
            "figures": _figures(progress),
            "is_over": run.state in (RunState.DONE, RunState.CANCELLED, RunState.FAILED),
            "buttons": [
                (action, reverse(f"admin:lms_integration_{action}_run", args=[run.pk]))
                for action, (_, _, states) in _STEERING.items()
                if is_allowed and run.state in states
            ],
        }


def _progress(run: Any) -> RunProgress:
    return progress_of_row(run, now=run.database_now)


def _address(run_id: int) -> str:
    return reverse("admin:lms_integration_overviewrebuildrun_change", args=[run_id])


def _bar(progress: RunProgress) -> str:
    run = progress.run
    total = "?" if run.total_count is None else counted(run.total_count)
    return format_html(
        '<progress aria-label="Progress of run {}" max="1" value="{}"></progress> '
        '<span class="overview-share">{}, {} of {}</span>',
        *(run.pk, f"{progress.share:.4f}", percent(progress), counted(progress.done_count), total),
    )


def _figures(progress: RunProgress) -> list[tuple[str, str]]:
    """Return what changes while a run goes on, by name."""
    run = progress.run
    return [
        *((word.capitalize(), counted(count)) for word, count in outcome_counts(run)),
        ("Rate", rate_words(progress)),
        ("Time left", left_words(progress)),
        ("Expected at first", estimated_words(run)),
        ("Has been running", shown_span(timedelta(seconds=run.running_seconds))),
        ("Last progress", shown_time(run.progressed_at) or "-"),
        ("Finished", shown_time(run.finished_at) or "-"),
        ("Waits for", one_line(run.waiting_for) or "-"),
        ("Why it failed", one_line(run.error) or "-"),
    ]


def _facts(run: OverviewRebuildRun) -> list[tuple[str, str]]:
    """Return what does not change, by name."""
    below = f" (below {run.version_below})" if run.version_below is not None else ""
    return [
        ("Asked for by", who_words(run)),
        ("Why", one_line(run.reason) or "-"),
        ("How thoroughly", f"{run.get_depth_display()}{below}"),
        ("At most", "-" if run.rate is None else f"{run.rate:g} courses a second"),
        ("Worked on by", f"{run.lane_count} processes at a time, at most"),
        ("Asked for", shown_time(run.created_at) or "-"),
        ("Began", shown_time(run.started_at) or "-"),
    ]
