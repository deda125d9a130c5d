"""What all admin pages share: nothing can be changed, and what strangers wrote is shown, never obeyed."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from lms_integration.course_keys import is_course_key
from lms_integration.log_lines import one_line

#: Longest reason or error in a list, in characters.
SHORT_LENGTH = 120

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:  # at run time Django's classes take no type parameters
    _ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(_ModelAdmin):
    """Lists and shows, and changes nothing whatever the permissions."""

    list_per_page = 50
    show_full_result_count = False

    class Media:
        """Long texts are folded."""

        css = {"all": ("lms_integration/admin.css",)}  # noqa: RUF012 - Django's own declaration

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Rows are written by the pipeline alone."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Rows are written by the pipeline alone."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Rows are removed by the pipeline alone; a dead letter is discarded."""
        return False


def may(request: HttpRequest, permission: str) -> bool:
    """Return whether the person has a permission of ours, such as ``replay_deadletter``."""
    return request.user.has_perm(f"lms_integration.{permission}")


def explain_link(course_key: str) -> str:
    """Return a link to a course's story; mere text where it is no course key."""
    if not is_course_key(course_key):
        return one_line(course_key) or "-"
    address = reverse("admin:lms_integration_explain", args=[course_key])
    return format_html('<a href="{}">{}</a>', address, course_key)


def shortened(text: str) -> str:
    """Return the beginning of ``text`` on one line."""
    return one_line(text[:SHORT_LENGTH])


def folded(text: str) -> SafeString:
    """Return text of any length, to be folded by the browser."""
    return format_html('<span class="overview-text">{}</span>', text)
