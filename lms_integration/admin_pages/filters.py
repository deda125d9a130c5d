"""What the lists can be narrowed by."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest

from lms_integration.log_lines import one_line
from lms_integration.rebuild_desk import organisations


class DirtyFilter(admin.SimpleListFilter):
    """Waiting for a rebuild, or not."""

    title = "waiting for a rebuild"
    parameter_name = "dirty"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the marks."""
        match self.value():
            case "yes":
                return queryset.filter(wanted__gt=F("done"))
            case "no":
                return queryset.filter(wanted__lte=F("done"))
        return queryset


class FaultFilter(admin.SimpleListFilter):
    """With a fault, degraded, or neither."""

    title = "trouble"
    parameter_name = "trouble"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("fault", "With a fault"), ("degraded", "Degraded"), ("none", "None")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the states."""
        match self.value():
            case "fault":
                return queryset.filter(fault__isnull=False)
            case "degraded":
                return queryset.exclude(degradations=[])
            case "none":
                return queryset.filter(fault__isnull=True, degradations=[])
        return queryset


class OrganisationFilter(admin.SimpleListFilter):
    """The courses of one organisation."""

    title = "organisation"
    parameter_name = "org"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The organisations that there are."""
        return [(org, one_line(org)) for org in organisations()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the rows; letters of either case are the same, as in Open edX's lists."""
        return queryset.filter(org__iexact=self.value()) if self.value() else queryset
