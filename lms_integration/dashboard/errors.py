"""Pages that say what went wrong: one look, and not a word about what is hidden."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from lms_integration.dashboard.pages import page, show


@page
def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 400."""
    return _error(
        request,
        status=400,
        title=gettext("This request makes no sense to us"),
        text=gettext("Please go back and try again."),
    )


@page
def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 403."""
    return _error(
        request,
        status=403,
        title=gettext("You may not see this page"),
        text=gettext("If you think you should, please contact the course team."),
    )


@page
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 to a form that was not ours, or is too old."""
    return _error(
        request,
        status=403,
        title=gettext("This form is out of date"),
        text=gettext("Nothing was changed. Please go back, reload the page and try again."),
    )


@page
def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 404: the same bytes whether a thing is hidden, deleted or never was."""
    return _error(
        request,
        status=404,
        title=gettext("Page not found"),
        text=gettext("The address may be mistyped, or what was here is no longer offered."),
    )


@page
def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500; reads nothing, because what failed may be the database."""
    return _error(
        request,
        status=500,
        title=gettext("Something went wrong on our side"),
        text=gettext("Your courses are safe. Please try again in a moment."),
    )


@page
def too_many_sign_ins(request: HttpRequest, *_: Any) -> HttpResponse:
    """Answer 429 to a sign-in after too many wrong passwords, whether or not this one is right."""
    minutes = settings.OVERVIEW_SIGN_IN_PAUSE_MINUTES
    text = ngettext(
        "The password was wrong too often. Please wait %(minutes)s minute, then try again. Whoever "
        "runs this site can give you a new password.",
        "The password was wrong too often. Please wait %(minutes)s minutes, then try again. Whoever "
        "runs this site can give you a new password.",
        minutes,
    )
    response = _error(
        request,
        status=429,
        title=gettext("Signing in is paused"),
        text=text % {"minutes": minutes},
        action=(reverse("login"), gettext("Back to signing in")),
    )
    response.headers["Retry-After"] = str(minutes * 60)
    return response


def _error(
    request: HttpRequest,
    *,
    status: int,
    title: str,
    text: str,
    action: tuple[str, str] | None = None,
) -> HttpResponse:
    address, words = action or (reverse("dashboard"), gettext("Go to my courses"))
    context = {
        "title": title,
        "text": text,
        "status": status,
        "action_url": address,
        "action_words": words,
    }
    return show(request, "error.html", context, status=status)
