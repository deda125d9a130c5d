"""Puts a key for JSON Web Tokens in force: the library makes its verifier once, when it is imported."""

from typing import Any

import pytest
from rest_framework_simplejwt import state
from rest_framework_simplejwt.backends import TokenBackend


def verify_tokens_with(
    key: str,
    *,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    issuer: str | None = None,
    audience: str | None = None,
) -> None:
    """Let tokens be verified with a secret, until the test ends; '' verifies none."""
    settings.SIMPLE_JWT = {
        **settings.SIMPLE_JWT,
        "ALGORITHM": "HS256",
        "SIGNING_KEY": key,
        "VERIFYING_KEY": key,
        "ISSUER": issuer,
        "AUDIENCE": audience,
    }
    backend = TokenBackend("HS256", key, key, audience=audience, issuer=issuer)
    monkeypatch.setattr(state, "token_backend", backend)
