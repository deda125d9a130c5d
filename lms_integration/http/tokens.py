"""What verifies JSON Web Tokens: one secret and any number of public keys, side by side.

Open edX signs tokens for other servers with a secret (HS256) and those of browsers with its private key
(RS512, ``JWT_PRIVATE_SIGNING_JWK``); both name their algorithm themselves. Here the algorithm belongs to
the key: a token is only ever verified by a key of the algorithm that it names, so that nobody can
sign with a public key as if it were a secret, nor not sign at all.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import DEFAULTS
from rest_framework_simplejwt.tokens import AccessToken

#: What Open edX signs with, where a public key does not say otherwise.
PUBLIC_ALGORITHM = "RS512"
_PUBLIC_ALGORITHMS = frozenset({"RS256", "RS384", "RS512"})
_PEM = "-----BEGIN"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verifier:
    """One key with its one algorithm."""

    algorithm: str
    key_id: str | None  #: ``kid``; None for a key without a name
    backend: TokenBackend

    def is_for(self, header: dict[str, Any]) -> bool:
        """Return whether a token with this header may be signed with the key."""
        named = header.get("kid")
        is_its = self.key_id is None or named is None or self.key_id == named
        return header.get("alg") == self.algorithm and is_its


class VerifiedToken(AccessToken):
    """A token whose signature, dates, issuer and audience one of the verifiers has found good."""

    def __init__(self, raw: str | bytes, backend: TokenBackend) -> None:
        self._token_backend = backend
        super().__init__(raw)  # type: ignore[arg-type]  # the library takes the text, too


def verified(raw: str | bytes) -> VerifiedToken:
    """Return a token that is ours, in force, and of the issuer and for the audience of the settings.

    Raises:
        rest_framework_simplejwt.exceptions.TokenError: no key verifies it; or there is none.
    """
    try:
        header = jwt.get_unverified_header(raw)
    except jwt.InvalidTokenError as error:
        raise TokenError("Token is invalid") from error
    failure = TokenError("No key is for such a token")
    for verifier in verifiers():
        if verifier.is_for(header):
            try:
                return VerifiedToken(raw, verifier.backend)
            except TokenError as error:
                failure = error
    raise failure


@cache
def verifiers() -> tuple[Verifier, ...]:
    """Return all keys of the settings ``SIMPLE_JWT`` and ``OVERVIEW_JWT_PUBLIC_KEYS``; none verifies nothing.

    Raises:
        ImproperlyConfigured: a key cannot be what it should be.
    """
    return (*_own_key(), *_public_keys(getattr(settings, "OVERVIEW_JWT_PUBLIC_KEYS", "")))


@receiver(setting_changed)
def _forget(**_: Any) -> None:
    verifiers.cache_clear()


def _own_key() -> Iterator[Verifier]:
    """Yield the one key that the library knows itself, a secret or a public key."""
    key, algorithm = _setting("VERIFYING_KEY"), _setting("ALGORITHM")
    if not key:
        return
    if algorithm.startswith("HS") and str(key).startswith(_PEM):
        raise ImproperlyConfigured(f"SIMPLE_JWT: a public key cannot verify {algorithm}.")
    yield _verifier(key, algorithm=algorithm)


def _public_keys(text: str) -> Iterator[Verifier]:
    """Yield the keys of a PEM file or of a JSON Web Key Set."""
    if not text.strip():
        return
    if text.lstrip().startswith(_PEM):
        yield _verifier(text, algorithm=PUBLIC_ALGORITHM)
        return
    try:
        described = json.loads(text)["keys"]
        for each in described:
            algorithm = each.get("alg", PUBLIC_ALGORITHM)
            if each.get("kty") != "RSA" or "d" in each or algorithm not in _PUBLIC_ALGORITHMS:
                raise ImproperlyConfigured("only public RSA keys are taken")
            key = jwt.PyJWK(each, algorithm=algorithm).key
            yield _verifier(key, algorithm=algorithm, key_id=each.get("kid"))
    except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise ImproperlyConfigured(
            f"OVERVIEW_JWT_PUBLIC_KEYS is neither PEM nor a JSON Web Key Set: {error}"
        ) from error


def _verifier(key: Any, *, algorithm: str, key_id: str | None = None) -> Verifier:
    secret = (
        key if algorithm.startswith("HS") else None
    )  # the library verifies by what it signs with
    backend = TokenBackend(
        algorithm,
        signing_key=secret,
        verifying_key=key,
        audience=_setting("AUDIENCE"),
        issuer=_setting("ISSUER"),
        leeway=_setting("LEEWAY"),
    )
    try:
        backend.get_verifying_key("")  # type: ignore[arg-type]  # prepares the key, or says what is wrong
    except jwt.InvalidKeyError as error:
        raise ImproperlyConfigured(f"A key for JSON Web Tokens cannot be read: {error}") from error
    return Verifier(algorithm=algorithm, key_id=key_id, backend=backend)


def _setting(name: str) -> Any:
    return getattr(settings, "SIMPLE_JWT", {}).get(name, DEFAULTS[name])
