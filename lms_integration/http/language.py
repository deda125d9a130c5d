"""The language of an answer: the cookie that Open edX's front ends set, else the site's own."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers


class LanguageCookieMiddleware:
    """Activates the language of the cookie ``LANGUAGE_COOKIE_NAME`` for one request.

    What a browser accepts counts for nothing, as in Open edX while no languages are released.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer in the language of the cookie; an unknown one is the site's."""
        cookie = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")
        with translation.override(_supported(cookie)):
            response = self._get_response(request)
            response.headers.setdefault("Content-Language", translation.get_language())
        patch_vary_headers(response, ("Cookie",))
        return response


def _supported(code: str) -> str:
    try:
        return translation.get_supported_language_variant(code)
    except LookupError:
        return settings.LANGUAGE_CODE
