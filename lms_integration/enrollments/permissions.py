"""Who may ask the Enrollment API at all."""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from lms_integration.enrollments.orders import Caller
from lms_integration.http.authentication import has_api_key


class ApiKeyOrSignedIn(BasePermission):
    """Other servers with the site's API key, and everybody who is signed in."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the request is answered."""
        return has_api_key(request) or bool(request.user.is_authenticated)


def caller_of(request: Request) -> Caller:
    """Return who asks."""
    return Caller(
        username=request.user.get_username(),
        is_staff=bool(getattr(request.user, "is_staff", False)),
        has_api_key=has_api_key(request),
    )
