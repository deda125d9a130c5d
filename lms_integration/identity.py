"""Which database this process is connected to: how an event says where it has been marked."""

from functools import cache

from django.db import DEFAULT_DB_ALIAS

from lms_integration.models import DatabaseIdentity


@cache
def database_identity(using: str = DEFAULT_DB_ALIAS) -> str:
    """Return the identity that this database was given, giving it one on first use."""
    known = DatabaseIdentity.objects.using(using).order_by("database_id").first()
    if known is None:
        DatabaseIdentity.objects.using(using).create()
        # Two processes may both have created one: all take the smallest.
        known = DatabaseIdentity.objects.using(using).order_by("database_id").first()
    return str(known)
