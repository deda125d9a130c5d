"""Who may see where a request's time goes: the site's team, while debugging.

With ``OVERVIEW_DEBUG=1`` and pyinstrument installed, ``?profile`` at the end of any URL answers with
a picture of the time that the request took instead of the page.
"""

from django.http import HttpRequest


def may_profile(request: HttpRequest) -> bool:
    """Return whether pyinstrument may show the profile of a request to its asker."""
    user = getattr(request, "user", None)
    return bool(user is not None and user.is_authenticated and getattr(user, "is_staff", False))
