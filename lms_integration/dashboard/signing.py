"""Signing in and out: Django's own views with our pages."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from lms_integration.dashboard.pages import page, show


class SignIn(LoginView):
    """Asks for username and password; goes on to ``next`` where that is on this host."""

    redirect_authenticated_user = True

    def render_to_response(self, context: dict[str, Any], **_: Any) -> HttpResponse:
        """Show the form."""
        return show(self.request, "login.html", context)


class SignOut(LogoutView):
    """Ends the session; ``POST`` only, so that no link and no image can do it."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """End the session and say so."""
        response = super().post(request, *args, **kwargs)
        messages.success(request, gettext("You are signed out."))
        return response


sign_in = page(SignIn.as_view())
sign_out = page(SignOut.as_view())
