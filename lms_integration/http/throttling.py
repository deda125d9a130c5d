"""How often somebody may ask, as Open edX allows it; team members of the site more often.

The history of a person's calls is shared by all views that count for the same scope, as in Open edX.
It lives in Django's cache, which is each process's own unless ``OVERVIEW_CACHE_URL`` names a shared one.
A cache that is away lets everybody through: it must not stop a learner.
"""

import logging
import time
from collections.abc import Callable, Mapping

from rest_framework.request import Request
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from lms_integration.http.addresses import client_address
from lms_integration.http.authentication import has_api_key

_logger = logging.getLogger(__name__)

#: Packages of cache clients, whose errors are their own; none of them need be installed.
_CACHE_CLIENTS = frozenset({"redis", "pymemcache", "pylibmc", "memcache"})


#: A cache that failed is left alone for so long: waiting for it costs each request the timeout.
PAUSE_SECONDS = 5.0


class CacheOutage:
    """Whether the cache is away: it is asked again after a pause, and told of once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause_ends: float | None = None

    @property
    def is_pause(self) -> bool:
        """Whether the cache is not to be asked now."""
        return self._pause_ends is not None and self._clock() < self._pause_ends

    def note(self, error: Exception) -> None:
        """Begin a pause, or another one; the first one of an outage is warned of."""
        if self._pause_ends is None:
            _logger.warning("calls are not counted, because the cache is away: %s", error)
        self._pause_ends = self._clock() + PAUSE_SECONDS

    def end(self) -> None:
        """Note that the cache has answered."""
        if self._pause_ends is not None:
            _logger.warning("calls are counted again: the cache is back")
        self._pause_ends = None


#: Of the cache of this process.
CACHE_OUTAGE = CacheOutage()


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
        if CACHE_OUTAGE.is_pause:
            return True
        try:
            is_allowed = bool(super().allow_request(request, view))
        except Exception as error:
            if not _is_of_cache(error):
                raise
            CACHE_OUTAGE.note(error)
            return True
        CACHE_OUTAGE.end()
        return is_allowed

    def get_ident(self, request: Request) -> str:
        """Return what a visitor is counted by: an address that they cannot choose."""
        return client_address(request)


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
