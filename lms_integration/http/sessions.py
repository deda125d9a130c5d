"""Sessions and accounts as Django keeps them, read with queries that are compiled once.

Both are read for every request of somebody who is signed in; the rest is Django's.
"""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import AllowAllUsersModelBackend
from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.utils import timezone

from lms_integration.prepared_queries import PreparedQuery, moment, number, text


class SessionStore(db.SessionStore):
    """Django's sessions in the database; its engine is ``SESSION_ENGINE``."""

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        found = _LIVE_SESSION.rows(session_key=self.session_key, now=timezone.now())
        if found:
            return found[0]
        self._session_key = None  # as Django does: a key that is not ours is never taken over
        return None


class Accounts(AllowAllUsersModelBackend):
    """Django's accounts, those included that have not been activated, as in Open edX."""

    def get_user(self, user_id: Any) -> Any:
        """Return the account of a session; None where it is gone."""
        found = _ACCOUNT.rows(user_id=user_id)
        return found[0] if found and self.user_can_authenticate(found[0]) else None


_LIVE_SESSION = PreparedQuery(
    lambda: SessionStore.get_model_class().objects.filter(
        session_key=text("session_key"), expire_date__gt=moment("now")
    )
)
_ACCOUNT = PreparedQuery(lambda: get_user_model()._default_manager.filter(pk=number("user_id")))
