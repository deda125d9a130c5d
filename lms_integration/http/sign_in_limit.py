"""Guessing passwords is limited: after some wrong ones an account can, from there, not be signed in to for a while.

The counting is django-axes', in SQL, so that all web processes count together. Our page and the admin's
are both held to it; requests with a token have no password to guess and are not touched. Whether an
account exists makes no difference.
"""

import unicodedata
from collections.abc import Mapping
from typing import Any

from axes.backends import AxesStandaloneBackend
from axes.handlers.database import AxesDatabaseHandler
from django.db import OperationalError

#: Width of the column that names are counted in.
_NAME_LENGTH = 255
#: Of MySQL: a deadlock, and a lock that was waited for too long.
_LOCK_TROUBLE = frozenset({1205, 1213})
_MOST_TRIES = 3


class SignInLimit(AxesStandaloneBackend):  # type: ignore[misc]  # untyped library
    """Refuses whoever has guessed too often, before the password is looked at; knows no accounts itself."""

    def authenticate(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Let pass, or end the sign-in; what is no request, such as a command, is not counted.

        Raises:
            django.core.exceptions.PermissionDenied: there were too many wrong passwords.
        """
        if request is not None:
            super().authenticate(request, *args, **kwargs)


class SignInFailures(AxesDatabaseHandler):  # type: ignore[misc]  # untyped library
    """Counts wrong passwords by account and address."""

    def user_login_failed(self, *args: Any, **kwargs: Any) -> None:
        """Count one more; those who guess with many hands at once get in each other's way, and not by."""
        for tries_left in reversed(range(_MOST_TRIES)):
            try:
                super().user_login_failed(*args, **kwargs)
            except OperationalError as error:
                if not tries_left or error.args[0] not in _LOCK_TROUBLE:
                    raise
            else:
                return


def counted_name(_request: Any, credentials: Mapping[str, Any] | None) -> str:
    """Return the name that a sign-in is counted under: one for all spellings that databases take for it."""
    name = str((credentials or {}).get("username") or "")
    letters = unicodedata.normalize("NFKD", name)
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return bare.casefold().strip()[:_NAME_LENGTH]
