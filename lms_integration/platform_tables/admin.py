"""The admin of Open edX's configuration tables: to change one is to add a row, as in Open edX."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from lms_integration.admin_pages.read_only import ReadOnlyAdmin
from lms_integration.platform_tables.models import CourseOverviewImageConfig

_SIZES = ("small_width", "small_height", "large_width", "large_height")


class CourseOverviewImageConfigAdmin(ReadOnlyAdmin):
    """Whether courses get thumbnails, and of which sizes: the newest row is in force."""

    list_display = ("change_date", "changed_by", "enabled", *_SIZES)
    ordering = ("-change_date", "-id")
    fields = ("enabled", *_SIZES)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever may add a row changes the configuration."""
        return bool(request.user.has_perm("platform_tables.add_courseoverviewimageconfig"))

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Begin with what is in force."""
        newest = CourseOverviewImageConfig.objects.order_by(*self.ordering).first()
        if newest is None:
            return {}
        return {name: getattr(newest, name) for name in self.fields}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Keep who has changed it."""
        obj.changed_by = request.user
        super().save_model(request, obj, form, change)


admin.site.register(CourseOverviewImageConfig, CourseOverviewImageConfigAdmin)
