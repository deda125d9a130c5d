"""``GET /csrf/api/v1/token``: where micro-frontends of Open edX get the CSRF token for their writes."""

from django.http import HttpRequest, JsonResponse
from django.middleware.csrf import get_token
from django.views.decorators.http import require_safe


@require_safe
def csrf_token(request: HttpRequest) -> JsonResponse:
    """Answer the token, and set the cookie that it is compared with."""
    return JsonResponse({"csrfToken": get_token(request)})
