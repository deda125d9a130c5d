"""Marks, states and overview rows, and the page that explains a row."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe

from lms_integration.admin_pages.asking import RebuildsSelected
from lms_integration.admin_pages.filters import DirtyFilter, FaultFilter, OrganisationFilter
from lms_integration.admin_pages.read_only import ReadOnlyAdmin, explain_link, may, shortened
from lms_integration.course_keys import is_course_key
from lms_integration.explaining import explain_course
from lms_integration.models import CourseOverview, OverviewMark, OverviewState


class OverviewMarkAdmin(ReadOnlyAdmin):
    """What waits for a rebuild."""

    list_display = (
        *("course", "wanted", "done", "dirty_since"),
        *("attempts", "next_attempt_at", "short_error"),
    )
    list_filter = (DirtyFilter,)
    search_fields = ("course_key",)
    ordering = ("course_key",)

    @admin.display(description="course", ordering="course_key")
    def course(self, mark: OverviewMark) -> str:
        """The course, linked to its story."""
        return explain_link(mark.course_key)

    @admin.display(description="last error")
    def short_error(self, mark: OverviewMark) -> str:
        """The last error, cut short."""
        return shortened(mark.last_error)


class OverviewStateAdmin(RebuildsSelected, ReadOnlyAdmin):
    """What each row was built from; and the page that explains a row."""

    list_display = (
        *("course", "source_version", "row_seq", "built_at", "verified_at"),
        *("deleted", "short_fault"),
    )
    list_filter = (FaultFilter, "deleted")
    search_fields = ("course_key", "source_version")
    ordering = ("course_key",)

    @admin.display(description="course", ordering="course_key")
    def course(self, state: OverviewState) -> str:
        """The course, linked to its story."""
        return explain_link(state.course_key)

    @admin.display(description="fault")
    def short_fault(self, state: OverviewState) -> str:
        """The fault, cut short."""
        return shortened(state.fault or "")

    def get_urls(self) -> list[URLPattern]:
        """Add the page that explains a row."""
        explain = self.admin_site.admin_view(require_safe(self.explain))
        name = "lms_integration_explain"
        return [path("explain/<str:course_key>/", explain, name=name), *super().get_urls()]

    def explain(self, request: HttpRequest, course_key: str) -> TemplateResponse:
        """The story of one course's row, from SQL alone."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not is_course_key(course_key):
            raise Http404(f"{course_key!r} is not a course key")
        story = explain_course(course_key)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Explain {course_key}",
            "opts": self.opts,
            "story": story,
            "sections": (story.source, story.row, story.mark),
            "may_see_letters": may(request, "view_deadletter"),
            "may_see_changes": may(request, "view_overviewchange"),
            "media": self.media,
        }
        return TemplateResponse(request, "admin/lms_integration/explain.html", context)


class CourseOverviewAdmin(RebuildsSelected, ReadOnlyAdmin):
    """The rows as readers see them."""

    list_display = ("course", "display_name", "org", "start", "end", "modified")
    list_filter = (OrganisationFilter,)
    search_fields = ("id", "display_name", "org")
    ordering = ("id",)

    @admin.display(description="course", ordering="id")
    def course(self, row: CourseOverview) -> str:
        """The course, linked to its story."""
        return explain_link(row.id)
