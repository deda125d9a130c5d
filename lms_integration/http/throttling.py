"""How often somebody may ask, as Open edX allows it; team members of the site more often.

The history of a person's calls is shared by all views that count for the same scope, as in Open edX.
It lives in Django's cache. A cache that is away lets everybody through: it must not stop a learner.
"""

import logging
from collections.abc import Mapping

from rest_framework.request import Request
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from lms_integration.http.authentication import has_api_key

_logger = logging.getLogger(__name__)

#: Packages of cache clients, whose errors are their own; none of them need be installed.
_CACHE_CLIENTS = frozenset({"redis", "pymemcache", "pylibmc", "memcache"})


class SiteTeamThrottle(UserRateThrottle):
    """Counts a person's calls, or an address's; the site's team has a rate of its own.

    A subclass says ``rates``: calls in a minute of ``user`` and of ``staff``.
    """

    scope = "user"
    rates: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.rate = self.rates["user"]
        self.num_requests, self.duration = self.parse_rate(self.rate)

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return whether this call is within the rate, and count it."""
        if getattr(request.user, "is_staff", False):
            self.scope = "staff"
            self.num_requests, self.duration = self.parse_rate(self.rates["staff"])
        try:
            return bool(super().allow_request(request, view))
        except Exception as error:
            if not _is_of_cache(error):
                raise
            _logger.warning("throttle without its cache: %s", error)
            return True


class EnrollmentThrottle(SiteTeamThrottle):
    """The Enrollment API: 40 calls a minute, 120 for the site's team, any number with the API key."""

    rates = {"user": "40/minute", "staff": "120/minute"}  # noqa: RUF012 - never changed

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return whether this call is within the rate; other servers are not counted."""
        return has_api_key(request) or super().allow_request(request, view)


class CourseListThrottle(SiteTeamThrottle):
    """Lists of courses: 20 calls a minute, 40 for the site's team."""

    rates = {"user": "20/minute", "staff": "40/minute"}  # noqa: RUF012 - never changed


def _is_of_cache(error: Exception) -> bool:
    package = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or package in _CACHE_CLIENTS
