"""Thumbnails of course images: which are wanted, made or refused, and trying again."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from lms_integration.admin_pages.read_only import ReadOnlyAdmin, explain_link, may, shortened
from lms_integration.log_lines import one_line
from lms_integration.models import OverviewThumbnails
from lms_integration.thumbnail_desk import retry_thumbnails


class OverviewThumbnailsAdmin(ReadOnlyAdmin):
    """One row a course; nothing but another try can be asked for."""

    list_display = ("course", "state", "image", "short_reason", "next_attempt_at", "changed_at")
    list_filter = ("state",)
    search_fields = ("course_key", "image_name", "reason")
    ordering = ("course_key",)
    actions = ("retry",)
    fields = (
        *("course", "state", "image", "sizes", "reason_text"),
        *("attempts", "crashes", "next_attempt_at", "changed_at"),
    )
    readonly_fields = fields

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Who may have courses rebuilt may look at their thumbnails."""
        return super().has_view_permission(request, obj) or may(request, "run_rebuild")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whether the person may have courses rebuilt."""
        return may(request, "run_rebuild")

    @admin.display(description="course", ordering="course_key")
    def course(self, row: OverviewThumbnails) -> str:
        """The course, linked to its story."""
        return explain_link(row.course_key)

    @admin.display(description="image", ordering="image_name")
    def image(self, row: OverviewThumbnails) -> str:
        """The image's name, cut short."""
        return shortened(row.image_name) or "-"

    @admin.display(description="reason", ordering="reason")
    def short_reason(self, row: OverviewThumbnails) -> str:
        """The reason, cut short."""
        return shortened(row.reason) or "-"

    @admin.display(description="reason")
    def reason_text(self, row: OverviewThumbnails) -> str:
        """The whole reason."""
        return one_line(row.reason) or "-"

    @admin.action(description="Try again", permissions=["retry"])
    def retry(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Want the thumbnails of the selected courses anew."""
        keys = list(rows.values_list("course_key", flat=True))
        retried = retry_thumbnails(keys)
        text = f"{len(retried)} courses: the workers try again within seconds"
        self.message_user(request, text, messages.SUCCESS if retried else messages.WARNING)
        if len(retried) < len(keys):
            text = f"{len(keys) - len(retried)} courses have no image"
            self.message_user(request, text, messages.WARNING)
