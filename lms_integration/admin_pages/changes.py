"""What changed of the rows: the list, and one change with its old and new values side by side."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from lms_integration.admin_pages.read_only import ReadOnlyAdmin, explain_link, shortened
from lms_integration.change_values import shown_text
from lms_integration.events import PUBLISH_EVENT_TYPES, RebuildRequested
from lms_integration.models import OverviewChange
from lms_integration.word_differences import Part, word_differences

#: Columns of a change that the list names.
LISTED_COLUMNS = 6
#: How the inspector calls its reasons (``overview_worker.lateness``).
INSPECTOR_EVENT_PREFIX = "inspector: "
#: What an event type begins with that is one of ours.
_OUR_PREFIX = "org.openedx.overview_pipeline."


class CauseFilter(admin.SimpleListFilter):
    """What had the rows rebuilt: a few kinds, not every value that the column has."""

    title = "cause"
    parameter_name = "cause"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [
            ("publish", "A publish or delete"),
            ("request", "Somebody's request"),
            ("run", "A rebuild run"),
            ("inspector", "The inspector"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the changes."""
        match self.value():
            case "publish":
                return queryset.filter(cause__in=PUBLISH_EVENT_TYPES)
            case "request":
                return queryset.filter(cause=RebuildRequested.type_name)
            case "run":
                return queryset.filter(run_id__isnull=False)
            case "inspector":
                return queryset.filter(cause__startswith=INSPECTOR_EVENT_PREFIX)
        return queryset


class OverviewChangeAdmin(ReadOnlyAdmin):
    """Every real change of a row, newest first."""

    list_display = ("number", "course", "kind", "changed_at", "what", "why", "asked_by", "run_id")
    list_filter = ("kind", CauseFilter, "changed_at")
    search_fields = ("course_key", "asked_by")
    ordering = ("-id",)
    fields = (
        *("course", "kind", "row_seq", "changed_at", "differences"),
        *("source_version", "builder_version", "why", "event_id", "run_id", "asked_by", "worker"),
        *("announced_at", "signalled_at", "signal_attempts", "shown_signal_error"),
    )
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        """Find one course by its whole key through the index; else as Django does."""
        of_course = queryset.filter(course_key=search_term)
        if search_term and of_course.exists():
            return of_course, False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description="change", ordering="id")
    def number(self, change: OverviewChange) -> int:
        """Its number, linked to the change."""
        return change.pk

    @admin.display(description="course", ordering="course_key")
    def course(self, change: OverviewChange) -> str:
        """The course, linked to its story."""
        return explain_link(change.course_key)

    @admin.display(description="what")
    def what(self, change: OverviewChange) -> str:
        """The columns that changed, the first few."""
        names = list(change.columns)
        more = len(names) - LISTED_COLUMNS
        shown = ", ".join(names[:LISTED_COLUMNS])
        return shortened(f"{shown} and {more} more" if more > 0 else shown) or "-"

    @admin.display(description="cause", ordering="cause")
    def why(self, change: OverviewChange) -> str:
        """What had the row rebuilt."""
        return shortened(change.cause.removeprefix(_OUR_PREFIX)) or "-"

    @admin.display(description="signal error")
    def shown_signal_error(self, change: OverviewChange) -> str:
        """Which receiver failed last, and why."""
        return shortened(change.signal_error) or "-"

    @admin.display(description="columns")
    def differences(self, change: OverviewChange) -> SafeString:
        """The old values and the new ones side by side; what authors wrote is escaped."""
        rows = format_html_join("", "{}", ((_row(*each),) for each in change.columns.items()))
        return format_html(
            '<table class="overview-table overview-differences"><thead><tr><th scope="col">column'
            '</th><th scope="col">old</th><th scope="col">new</th></tr></thead><tbody>{}</tbody>'
            "</table>",
            rows,
        )


def _row(name: str, pair: list[Any]) -> SafeString:
    old, new = (shown_text(value, indent=1) for value in pair)
    old_parts, new_parts = word_differences(old, new)
    return format_html(
        '<tr><th scope="row">{}</th><td class="overview-text">{}</td><td class="overview-text">{}'
        "</td></tr>",
        name,
        _marked(old_parts, "<del>{}</del>"),
        _marked(new_parts, "<ins>{}</ins>"),
    )


def _marked(parts: Sequence[Part], form: str) -> SafeString:
    return format_html_join(
        "", "{}", ((format_html(form if part.differs else "{}", part.text),) for part in parts)
    )
