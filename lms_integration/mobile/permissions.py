"""Who may ask the mobile API about a learner: the learner, and nobody else."""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView


class IsUserInUrl(BasePermission):
    """The asker is the one named in the URL, in any case.

    Everybody else is refused without a look at the database, so that nobody learns who exists.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the asker asks about themselves."""
        username: str = view.kwargs["username"]
        return request.user.is_authenticated and (
            request.user.get_username().lower() == username.lower()
        )
