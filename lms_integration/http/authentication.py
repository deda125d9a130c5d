"""Who is asking: a browser's session, an OAuth 2 access token, a REST token, a signed JWT, an API key.

Each way is a kept library's; here stands only what Open edX does otherwise: accounts that have not
been activated are served, and errors have its words.
"""

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from oauth2_provider.contrib.rest_framework import OAuth2Authentication
from rest_framework.authentication import CSRFCheck, TokenAuthentication
from rest_framework.authentication import SessionAuthentication as DrfSessionAuthentication
from rest_framework.authtoken.models import Token as RestToken
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.tokens import Token

from lms_integration.http.tokens import verified
from lms_integration.site_settings import site_settings

#: Names the scheme that a 401 asks for, as Open edX's clients know it.
CHALLENGE = 'JWT realm="api"'
API_KEY_HEADER = "X-Edx-Api-Key"
#: Open edX's cookies: header and payload of a token, and its signature.
JWT_COOKIES = ("edx-jwt-cookie-header-payload", "edx-jwt-cookie-signature")
#: With it a browser's page says that the cookies are to count: where they are bad, nobody is asking.
JWT_COOKIE_HEADER = "Use-Jwt-Cookie"


class JwtAuthentication(JWTAuthentication):
    """``Authorization: JWT …``, or Open edX's cookies of a browser, naming an existing account.

    The cookies hold a token in two parts, of which scripts see the first alone. As a browser sends
    them by itself, writes need the CSRF token.
    """

    www_authenticate_realm = "api"

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401."""
        return CHALLENGE

    def authenticate(self, request: Request) -> tuple[Any, Token] | None:
        """Return the account that a token names; None without such a token.

        Raises AuthenticationFailed for a token that is broken, expired or not ours, and
        PermissionDenied where a write comes by cookie without the CSRF token.
        """
        if "Authorization" in request.headers:
            raw = self.get_raw_token(self.get_header(request))
            return None if raw is None else self._account_of(raw)
        token = _token_in_cookies(request)
        return None if token is None else self._by_cookies(request, token)

    def _by_cookies(self, request: Request, token: str) -> tuple[Any, Token] | None:
        try:
            found = self._account_of(token)
        except AuthenticationFailed:
            if JWT_COOKIE_HEADER in request.headers:
                raise
            return None  # nobody asked for them to count: the session may still be good
        enforce_csrf(request)
        return found

    def _account_of(self, raw: str | bytes) -> tuple[Any, Token]:
        try:
            token = verified(raw)
            return self.get_user(token), token
        except (TokenError, InvalidToken, AuthenticationFailed) as error:
            raise AuthenticationFailed("Invalid token.") from error


def _token_in_cookies(request: Request) -> str | None:
    """Return the token that two cookies make together; None unless both are there."""
    parts = [request.COOKIES.get(name, "") for name in JWT_COOKIES]
    return ".".join(parts) if all(parts) else None


def enforce_csrf(request: Request) -> None:
    """Let a write pass that has the CSRF token, and everything that is no write.

    Raises PermissionDenied for others.
    """
    check = CSRFCheck(lambda _: HttpResponse())
    check.process_request(request._request)
    reason = check.process_view(request._request, lambda _: HttpResponse(), (), {})
    if reason:
        raise PermissionDenied(f"CSRF Failed: {reason}")


class OAuth2BearerAuthentication(OAuth2Authentication):  # type: ignore[misc]  # untyped library
    """``Authorization: Bearer …``, an access token of the OAuth 2 provider's table."""

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401."""
        return CHALLENGE

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Return the account that a token was given to; None without such a token.

        Raises AuthenticationFailed for a token that is unknown or expired.
        """
        if not request.headers.get("Authorization", "").lower().startswith("bearer "):
            return None
        found: tuple[Any, Any] | None = super().authenticate(request)
        if found is None or found[0] is None:
            raise AuthenticationFailed(
                {
                    "error_code": "token_nonexistent",
                    "developer_message": "The provided access token does not match any valid tokens.",
                }
            )
        return found


class RestTokenAuthentication(TokenAuthentication):
    """``Authorization: Token …``, a row of REST framework's token table."""

    def authenticate_credentials(self, key: str) -> Any:
        """Return the account of a token, activated or not.

        Raises AuthenticationFailed for an unknown token.
        """
        try:
            token = RestToken.objects.select_related("user").get(key=key)
        except RestToken.DoesNotExist as error:
            raise AuthenticationFailed("Invalid token.") from error
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401."""
        return CHALLENGE


class SessionAuthentication(DrfSessionAuthentication):
    """A browser's session; writes need the CSRF token."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, None] | None:
        """Return the account of the session, activated or not; None for a visitor.

        Raises PermissionDenied where a write comes without the CSRF token.
        """
        user = getattr(request._request, "user", None)
        if user is None or not user.is_authenticated:
            return None
        self.enforce_csrf(request)
        return user, None

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401."""
        return CHALLENGE


def has_api_key(request: Request) -> bool:
    """Return whether a request carries the site's API key; never, where the site has none."""
    key = site_settings().api_key
    sent = request.headers.get(API_KEY_HEADER)
    return bool(key and sent and secrets.compare_digest(key.encode(), sent.encode()))


def refuse_unset_secret() -> None:
    """Refuse to serve with the secret key that stands in this repository.

    Raises ImproperlyConfigured, which ends the web process as it starts.
    """
    if settings.SECRET_KEY == settings.UNSET_SECRET_KEY and not settings.DEBUG:
        raise ImproperlyConfigured(
            "OVERVIEW_SECRET_KEY is not set: sessions could be forged. Set it to a long random text, "
            "for example: python -c 'import secrets; print(secrets.token_urlsafe(50))'"
        )
