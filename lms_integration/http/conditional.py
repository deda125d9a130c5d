"""Conditional requests: an answer that its asker still has is not built again.

The validator is made from versions (``row_seq`` of overviews, the enrolment, what access depends on),
read in one query before anything else is done. It covers everything that the answer is made of, the
passing of dates and the release of this package included, so a ``304`` is never wrong, not even for a
second after a publish or a deployment. Nothing is kept on the server.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache, wraps
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.utils import translation
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.http import parse_etags, quote_etag
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from lms_integration.site_settings import site_settings

#: What decides who is asking and in which language.
VARIES_ON = ("Cookie", "Authorization", "X-Edx-Api-Key")

_PACKAGE = "overview-pipeline"
#: Count it up with any change of what an answer is made from; releases change it by themselves.
JSON_FORMAT = 1
#: What of an account shows in answers.
_ACCOUNT = ("pk", "username", "email", "is_active", "is_staff")

#: Lines of versions; None where an answer is made of more than versions tell.
Versions = Sequence[str] | None
View = Callable[..., Response]


def conditional(versions_of: Callable[..., Versions]) -> Callable[[View], View]:
    """Decorate a view's ``get``: answer ``304`` where the asker has what would be answered.

    ``versions_of(request, **url_arguments)`` runs after sign-in, permissions and throttles. Where it
    returns None, the answer is built and its text is what is compared.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def get(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
            versions = versions_of(request, **kwargs)
            if versions is None:
                return view(self, request, *args, **kwargs)
            etag = etag_of(request, versions)
            # Whether there is anything that ``*`` could stand for, only the view can tell.
            if etag in parse_etags(request.headers.get("If-None-Match", "")):
                response = Response(status=status.HTTP_304_NOT_MODIFIED)
            else:
                response = view(self, request, *args, **kwargs)
            if response.status_code in (status.HTTP_200_OK, status.HTTP_304_NOT_MODIFIED):
                response.headers["ETag"] = etag
            return response

        return get

    return decorate


def etag_of(request: Request, versions: Sequence[str]) -> str:
    """Return the weak validator of what a request would be answered with."""
    asked = (
        release(),
        JSON_FORMAT,
        request.build_absolute_uri(),
        translation.get_language(),
        *(getattr(request.user, name, None) for name in _ACCOUNT),
        site_settings(),
    )
    text = "\n".join([repr(asked), *versions])
    return "W/" + quote_etag(hashlib.sha256(text.encode()).hexdigest()[:32])


@cache
def release() -> str:
    """Return the version of this package; '' where it is run without having been installed."""
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return ""


def revalidate(response: Any) -> Any:
    """Say to caches between us and the asker that an answer is theirs alone and to be asked for again."""
    patch_vary_headers(response, VARIES_ON)
    if "Cache-Control" not in response.headers:
        patch_cache_control(response, private=True, no_cache=True)
    return response


class RevalidateMiddleware:
    """Marks every answer that is not a static file as private and to be asked for again."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        """Answer the request."""
        return revalidate(self._get_response(request))
