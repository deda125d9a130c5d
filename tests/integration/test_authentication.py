"""Every way to sign in, and what is refused; each asks for the caller's own enrolments."""

from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import AccessToken
from rest_framework.authtoken.models import Token

from tests.token_keys import verify_tokens_with

pytestmark = pytest.mark.django_db

ADDRESS = "/api/mobile/v1/users/ada/enrollments_status/"
KEY = "a key that signs the tokens of these tests and nothing else at all"
OTHER_KEY = "a key of somebody who would like to sign tokens for this site too"


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password="correct horse")


@pytest.fixture
def jwt_key(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    verify_tokens_with(
        KEY,
        settings=settings,
        monkeypatch=monkeypatch,
        issuer="https://lms.example.org",
        audience="lms",
    )


def status(**headers: str) -> int:
    return int(Client().get(ADDRESS, headers=headers).status_code)


def token(key: str = KEY, *, algorithm: str = "HS256", **claims: Any) -> str:
    expires = int((timezone.now() + timedelta(hours=1)).timestamp())
    about = {"preferred_username": "ada", "iss": "https://lms.example.org", "aud": "lms"}
    return "JWT " + jwt.encode({**about, "exp": expires, **claims}, key, algorithm=algorithm)


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


def test_without_a_key_no_token_is_believed(
    ada: User, settings: Any, monkeypatch: pytest.MonkeyPatch
):
    verify_tokens_with("", settings=settings, monkeypatch=monkeypatch)

    assert status(authorization=token()) == 401


def test_a_token_makes_no_account(ada: User, jwt_key: None):
    status(authorization=token(preferred_username="nobody"))

    assert list(User.objects.values_list("username", flat=True)) == ["ada"]


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
