"""What all pages have in common: their language, who may keep them, and what browsers may load.

Pages carry no script and no inline style; a policy holds browsers to that, whatever an author writes.
"""

from collections.abc import Callable
from functools import cache, partial, wraps
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages import get_messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.backends.utils import csrf_input
from django.template.response import SimpleTemplateResponse
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_cache_control, patch_vary_headers

from lms_integration.dashboard.links import image_origins, search_url
from lms_integration.dashboard.templates import render
from lms_integration.site_settings import SiteSettings, site_settings

View = Callable[..., HttpResponseBase]
POLICY = "Content-Security-Policy"
_LOCALES = Path(__file__).resolve().parent.parent / "locale"
#: The language that the pages are written in.
_SOURCE_LANGUAGE = "en"
_NOBODY = AnonymousUser()


def page(view: View) -> View:
    """Decorate a view that answers with a page."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with translation.override(page_language(translation.get_language())):
            response = view(request, *args, **kwargs)
            if isinstance(response, SimpleTemplateResponse):
                response.render()  # here, where the language is the page's
            response.headers["Content-Language"] = translation.get_language() or _SOURCE_LANGUAGE
        response.headers[POLICY] = content_policy(site_settings())
        patch_cache_control(response, private=True, no_store=True)
        patch_vary_headers(response, ("Cookie",))
        return response

    return answer


def content_policy(site: SiteSettings) -> str:
    """Return what browsers may load: nothing but ours, and images of the hosts that settings name."""
    directives = {
        "default-src": ("'self'",),
        "script-src": ("'none'",),
        "img-src": ("'self'", *image_origins(site)),
        "object-src": ("'none'",),
        "base-uri": ("'none'",),
        "form-action": ("'self'",),
        "frame-ancestors": ("'none'",),
    }
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items())


def page_language(active: str | None) -> str:
    """Return the active language where the pages are translated into it, else the site's own.

    Else a page would say of itself that it is in a language that its dates alone are in.
    """
    code = active or settings.LANGUAGE_CODE
    return code if _is_translated(code) else settings.LANGUAGE_CODE


@cache
def _is_translated(code: str) -> bool:
    names = {translation.to_locale(code), code.partition("-")[0]}
    return _SOURCE_LANGUAGE in names or any(
        (_LOCALES / name / "LC_MESSAGES" / "django.mo").is_file() for name in names
    )


def show(
    request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Render a page, with what its frame needs."""
    return HttpResponse(render(template, {**_frame(request), **context}), status=status)


def _frame(request: HttpRequest) -> dict[str, Any]:
    """Return what the frame of every page shows; whoever asks is looked up where that is shown."""
    site = site_settings()
    return {
        "csrf_input": partial(csrf_input, request),
        "dashboard_url": reverse("dashboard"),
        "is_bidi": translation.get_language_bidi(),
        "messages": get_messages(request),
        "page_language": translation.get_language(),
        "page_name": request.resolver_match.url_name if request.resolver_match else None,
        "path": request.path,
        "platform_name": site.platform_name,
        "search_url": search_url(site),
        "site_navigation": translation.pgettext("name of a navigation", "Site"),
        "user": getattr(request, "user", _NOBODY),
    }
