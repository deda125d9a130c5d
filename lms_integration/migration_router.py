"""Keeps migrations away from the tables of a platform whose database we share."""

from typing import Any

from django.conf import settings

#: The limit on signing in, which a platform does without.
_SIGN_IN_LIMIT = "axes"
#: Models of this app whose tables are Open edX's.
_PLATFORM_MODELS = frozenset({"courseoverview", "courseoverviewtab", "courseoverviewimageset"})


class MigrationRouter:
    """Says which tables ``migrate`` may make; where queries go is left to Django.

    With ``OVERVIEW_PLATFORM_TABLES_EXIST`` only the pipeline's own tables are made, with those of the limit
    on signing in; neither the overview tables nor those of accounts, sessions and tokens are touched.
    """

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **hints: Any
    ) -> bool | None:
        """Return False for a table that is the platform's; None leaves it to other routers."""
        if not getattr(settings, "OVERVIEW_PLATFORM_TABLES_EXIST", False):
            return None
        if app_label == _SIGN_IN_LIMIT:
            return None
        if app_label != "lms_integration" or model_name in _PLATFORM_MODELS:
            return False
        return None
