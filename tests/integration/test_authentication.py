"""Every way to sign in, and what is refused; each asks for the caller's own enrolments."""

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import AccessToken
from rest_framework.authtoken.models import Token

from lms_integration.http.tokens import verifiers
from tests.token_keys import browser, key_set, private_key, public_pem, verify_tokens_with

pytestmark = pytest.mark.django_db

ADDRESS = "/api/mobile/v1/users/ada/enrollments_status/"
KEY = "a key that signs the tokens of these tests and nothing else at all"
ISSUER = "https://lms.example.org"
OTHER_KEY = "a key of somebody who would like to sign tokens for this site too"


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password="correct horse")


@pytest.fixture
def jwt_key(settings: Any) -> None:
    verify_tokens_with(KEY, settings=settings, issuer=ISSUER, audience="lms")


@pytest.fixture
def both_keys(settings: Any) -> None:
    """A secret and two public keys at once, as while a platform changes its key pair."""
    verify_tokens_with(
        KEY,
        settings=settings,
        issuer=ISSUER,
        audience="lms",
        public_keys=key_set("old", "new"),
    )


def status(**headers: str) -> int:
    return int(Client().get(ADDRESS, headers=headers).status_code)


def token(
    key: Any = KEY, *, algorithm: str = "HS256", key_id: str | None = None, **claims: Any
) -> str:
    expires = int((timezone.now() + timedelta(hours=1)).timestamp())
    about = {"preferred_username": "ada", "iss": ISSUER, "aud": "lms"}
    headers = {"kid": key_id} if key_id else None
    return "JWT " + jwt.encode(
        {**about, "exp": expires, **claims}, key, algorithm=algorithm, headers=headers
    )


# --- sessions


def test_a_session_signs_in(ada: User):
    client = Client()
    client.force_login(ada)

    assert client.get(ADDRESS).status_code == 200


def test_an_account_that_is_not_activated_keeps_its_session(ada: User):
    client = Client()
    client.force_login(ada)
    User.objects.update(is_active=False)

    assert client.get(ADDRESS).status_code == 200


def test_a_write_by_session_needs_the_csrf_token(ada: User):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)

    response = client.post("/api/enrollment/v1/enrollment", {}, content_type="application/json")

    assert response.status_code == 403
    assert "CSRF" in response.content.decode()


def test_a_write_by_token_needs_no_csrf_token(ada: User, jwt_key: None):
    client = Client(enforce_csrf_checks=True)

    response = client.post(
        "/api/enrollment/v1/enrollment",
        {},
        content_type="application/json",
        headers={"Authorization": token()},
    )

    assert response.status_code == 400  # it says what is missing


# --- JSON Web Tokens


def test_a_signed_token_signs_in(ada: User, jwt_key: None):
    assert status(authorization=token()) == 200


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(lambda: token(OTHER_KEY), id="signed by somebody else"),
        pytest.param(lambda: token(exp=1), id="expired"),
        pytest.param(lambda: token(iss="https://evil.example.org"), id="of another issuer"),
        pytest.param(lambda: token(aud="cms"), id="for another audience"),
        pytest.param(lambda: token(preferred_username="nobody"), id="of nobody here"),
        pytest.param(lambda: token("", algorithm="none"), id="not signed"),
        pytest.param(lambda: "JWT abc.def.ghi", id="garbage"),
    ],
)
def test_a_token_that_is_not_ours_is_refused_and_says_no_more(
    ada: User, jwt_key: None, forged: Any
):
    response = Client().get(ADDRESS, headers={"Authorization": forged()})

    assert response.status_code == 401
    assert response.json() == {"detail": "Invalid token."}
    assert response.headers["WWW-Authenticate"] == 'JWT realm="api"'


def test_without_a_key_no_token_is_believed(ada: User, settings: Any):
    verify_tokens_with("", settings=settings)

    assert status(authorization=token()) == 401


def test_a_token_makes_no_account(ada: User, jwt_key: None):
    status(authorization=token(preferred_username="nobody"))

    assert list(User.objects.values_list("username", flat=True)) == ["ada"]


# --- JSON Web Tokens: a secret and public keys side by side


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(lambda: token(), id="by the secret"),
        pytest.param(lambda: signed_by("old", key_id="old"), id="by the old key"),
        pytest.param(lambda: signed_by("new", key_id="new"), id="by the new key"),
        pytest.param(lambda: signed_by("new"), id="by a key that is not named"),
    ],
)
def test_a_secret_and_public_keys_verify_side_by_side(ada: User, both_keys: None, good: Any):
    assert status(authorization=good()) == 200


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(lambda: signed_by("stranger"), id="by a stranger"),
        pytest.param(lambda: signed_by("stranger", key_id="new"), id="in the name of our key"),
        pytest.param(lambda: signed_by("old", key_id="new"), id="by another than it names"),
        pytest.param(lambda: signed_by("new", algorithm="RS256"), id="by another algorithm"),
        pytest.param(lambda: token(algorithm="HS512"), id="by another algorithm of secrets"),
        pytest.param(lambda: signed_by("new", exp=1), id="expired"),
        pytest.param(lambda: signed_by("new", exp=None), id="without an end"),
        pytest.param(lambda: token("", algorithm="none"), id="not signed"),
        pytest.param(lambda: signed_with_a_public_key("new"), id="by a public key as a secret"),
    ],
)
def test_a_token_is_verified_by_keys_of_its_own_algorithm_alone(
    ada: User, both_keys: None, forged: Any
):
    assert status(authorization=forged()) == 401


def test_one_public_key_may_stand_alone(ada: User, settings: Any):
    verify_tokens_with("", settings=settings, public_keys=public_pem("new"))

    assert status(authorization=signed_by("new")) == 200
    assert status(authorization=signed_by("old")) == 401
    assert status(authorization=signed_with_a_public_key("new")) == 401
    assert status(authorization=token("", algorithm="none")) == 401


@pytest.mark.parametrize(
    ("secret", "public_keys"),
    [
        pytest.param("", "no keys", id="neither"),
        pytest.param("", '{"keys": [1]}', id="no key"),
        pytest.param("", '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', id="a secret as public"),
        pytest.param("", key_set("new", alg="HS256"), id="an algorithm of secrets"),
        pytest.param("", key_set("new", d="AQAB"), id="a private key"),
        pytest.param("", "-----BEGIN PUBLIC KEY-----\nabc", id="half a key"),
        pytest.param(public_pem("new"), "", id="a public key as secret"),
    ],
)
def test_keys_that_cannot_be_used_are_an_error_of_the_settings(
    settings: Any, secret: str, public_keys: str
):
    verify_tokens_with(secret, settings=settings, public_keys=public_keys)

    with pytest.raises(ImproperlyConfigured):
        verifiers()


def signed_by(name: str, *, algorithm: str = "RS512", **more: Any) -> str:
    return token(private_key(name), algorithm=algorithm, **more)


def signed_with_a_public_key(name: str) -> str:
    """Return the old forgery: signed as by a secret with what everybody may know."""
    head = _part({"alg": "HS256", "typ": "JWT"})
    expires = int((timezone.now() + timedelta(hours=1)).timestamp())
    body = _part({"preferred_username": "ada", "iss": ISSUER, "aud": "lms", "exp": expires})
    signature = hmac.new(public_pem(name).encode(), head + b"." + body, hashlib.sha256).digest()
    return "JWT " + b".".join([head, body, _encoded(signature)]).decode()


def _part(value: Any) -> bytes:
    return _encoded(json.dumps(value).encode())


def _encoded(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


# --- JSON Web Tokens in the cookies of a browser


def enrol(client: Client, **headers: str) -> Any:
    return client.post(
        "/api/enrollment/v1/enrollment", {}, content_type="application/json", headers=headers
    )


def test_the_two_cookies_of_a_token_sign_in(ada: User, both_keys: None):
    assert browser(signed_by("new")).get(ADDRESS).status_code == 200
    assert browser(signed_by("new"), uses_cookies=False).get(ADDRESS).status_code == 200


@pytest.mark.parametrize("missing", ["edx-jwt-cookie-header-payload", "edx-jwt-cookie-signature"])
def test_one_cookie_alone_signs_nobody_in(ada: User, both_keys: None, missing: str):
    client = browser(signed_by("new"))
    del client.cookies[missing]

    assert client.get(ADDRESS).status_code == 401


@pytest.mark.parametrize("forged", [{"exp": 1}, {"iss": "https://evil.example.org"}])
def test_cookies_of_a_token_that_is_not_good_are_refused(
    ada: User, both_keys: None, forged: dict[str, Any]
):
    response = browser(signed_by("new", **forged)).get(ADDRESS)

    assert response.status_code == 401
    assert response.json() == {"detail": "Invalid token."}


def test_bad_cookies_do_not_end_a_session_unless_the_page_means_them(ada: User, both_keys: None):
    forgiving = browser(signed_by("new", exp=1), uses_cookies=False)
    meant = browser(signed_by("new", exp=1))
    for client in (forgiving, meant):
        client.force_login(ada)

    assert forgiving.get(ADDRESS).status_code == 200
    assert meant.get(ADDRESS).status_code == 401


def test_a_token_in_the_header_counts_before_cookies(ada: User, both_keys: None):
    client = browser(signed_by("new"))

    assert client.get(ADDRESS, headers={"Authorization": token(exp=1)}).status_code == 401


def test_a_write_by_cookies_needs_the_csrf_token(ada: User, both_keys: None):
    client = browser(signed_by("new"), checks_csrf=True)

    without = enrol(client)
    client.get("/login")
    csrf_token = client.cookies["csrftoken"].value
    wrong = enrol(client, **{"X-CSRFToken": "x" * len(csrf_token)})
    right = enrol(client, **{"X-CSRFToken": csrf_token})

    assert [without.status_code, wrong.status_code] == [403, 403]
    assert "CSRF" in without.json()["detail"]
    assert right.status_code == 400  # it says what is missing


# --- access tokens and REST tokens


def access_token(user: User, *, hours: int) -> str:
    expires = timezone.now() + timedelta(hours=hours)
    row = AccessToken.objects.create(user=user, token="let-me-in", expires=expires, scope="read")
    return f"Bearer {row.token}"


def test_an_access_token_signs_in(ada: User):
    assert status(authorization=access_token(ada, hours=1)) == 200


def test_an_expired_access_token_is_refused(ada: User):
    assert status(authorization=access_token(ada, hours=-1)) == 401


def test_a_rest_token_signs_in_and_an_unknown_one_is_refused(ada: User):
    key = Token.objects.create(user=ada).key

    assert status(authorization=f"Token {key}") == 200
    assert status(authorization="Token unknown") == 401


# --- the key of the site


def enrolments_of_ada(**headers: str) -> int:
    return int(Client().get("/api/enrollment/v1/enrollment?user=ada", headers=headers).status_code)


def test_the_sites_key_lets_servers_in(ada: User, settings: Any):
    settings.EDX_API_KEY = "the key"

    assert enrolments_of_ada(x_edx_api_key="the key") == 200
    assert enrolments_of_ada(x_edx_api_key="another") == 401
    assert enrolments_of_ada() == 401


def test_a_site_without_a_key_lets_nobody_in_by_one(ada: User, settings: Any):
    settings.EDX_API_KEY = None

    assert enrolments_of_ada(x_edx_api_key="None") == 401
    assert enrolments_of_ada(x_edx_api_key="") == 401


# --- whose is whose


def test_nobody_sees_the_enrolments_of_others_nor_whether_they_exist(ada: User, jwt_key: None):
    User.objects.create_user("bob", is_staff=True)
    mine = token(preferred_username="bob")

    answers = [
        Client().get(
            f"/api/mobile/v1/users/{name}/enrollments_status/", headers={"Authorization": mine}
        )
        for name in ("ada", "nobody")
    ]

    assert [each.status_code for each in answers] == [403, 403]
    assert answers[0].content == answers[1].content
