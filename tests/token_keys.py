"""Keys for JSON Web Tokens, and putting them in force until a test ends."""

import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client


def verify_tokens_with(
    key: str,
    *,
    settings: Any,
    issuer: str | None = None,
    audience: str | None = None,
    public_keys: str = "",
) -> None:
    """Let tokens be verified with a secret, and with public keys; '' verifies none."""
    settings.OVERVIEW_JWT_PUBLIC_KEYS = public_keys
    settings.SIMPLE_JWT = {
        **settings.SIMPLE_JWT,
        "ALGORITHM": "HS256",
        "SIGNING_KEY": key,
        "VERIFYING_KEY": key,
        "ISSUER": issuer,
        "AUDIENCE": audience,
    }


@cache
def private_key(name: str) -> rsa.RSAPrivateKey:
    """Return the key pair of this name, the same for as long as the tests run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(name: str) -> str:
    """Return a public key as text."""
    return (
        private_key(name)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def key_set(*names: str, **more: Any) -> str:
    """Return public keys as Open edX's setting has them, a JSON Web Key Set, each named by its name."""
    to_jwk = jwt.algorithms.RSAAlgorithm.to_jwk
    keys = [
        {**to_jwk(private_key(name).public_key(), as_dict=True), "kid": name, **more}
        for name in names
    ]
    return json.dumps({"keys": keys})


def browser(raw: str, *, uses_cookies: bool = True, checks_csrf: bool = False) -> Client:
    """Return a browser that has the two cookies that Open edX makes of a token."""
    client = Client(
        enforce_csrf_checks=checks_csrf,
        headers={"USE-JWT-COOKIE": "true"} if uses_cookies else {},
    )
    head, body, signature = raw.removeprefix("JWT ").split(".")
    client.cookies["edx-jwt-cookie-header-payload"] = f"{head}.{body}"
    client.cookies["edx-jwt-cookie-signature"] = signature
    return client
