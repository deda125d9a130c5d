"""Pages of other origins, such as micro-frontends: nobody's by default, and those of the settings in full."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User
from django.test import Client, override_settings

pytestmark = pytest.mark.django_db

ADDRESS = "/api/enrollment/v1/enrollment"
APPS = "https://apps.example.org"
STRANGER = "https://evil.example.org"
GUARD = "lms_integration.http.guard.RequestPathGuard"


@pytest.fixture
def front_end() -> Iterator[None]:
    """The settings that ``OVERVIEW_CORS_ORIGINS`` makes, of one front end."""
    middleware = list(site.MIDDLEWARE)
    middleware.insert(middleware.index(GUARD), "corsheaders.middleware.CorsMiddleware")
    with override_settings(
        INSTALLED_APPS=[*site.INSTALLED_APPS, "corsheaders"],
        MIDDLEWARE=middleware,
        CORS_ALLOWED_ORIGINS=[APPS],
        CSRF_TRUSTED_ORIGINS=[APPS],
    ):
        yield


@pytest.fixture
def client() -> Client:
    """A browser that is signed in and checks CSRF tokens, on a site with TLS."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("ada"))
    return client


def ask(client: Client, origin: str, address: str = ADDRESS, **headers: str) -> Any:
    return client.get(address, headers={"Origin": origin, **headers}, secure=True)


def preflight(client: Client, origin: str, *wanted: str) -> Any:
    return client.options(
        ADDRESS,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": ", ".join(wanted),
        },
    )


def post(client: Client, origin: str) -> Any:
    """Write as front ends do, with the token that they ask for."""
    token = ask(client, origin, "/csrf/api/v1/token").json()["csrfToken"]
    return client.post(
        ADDRESS,
        {},
        content_type="application/json",
        headers={"Origin": origin, "X-CSRFToken": token},
        secure=True,
    )


def test_no_origin_is_allowed_by_default(client: Client):
    answers = [ask(client, APPS), preflight(client, APPS, "use-jwt-cookie")]

    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("Access-Control")]
    assert post(client, APPS).status_code == 403


def test_a_page_of_the_front_end_reads_and_writes_with_the_learners_cookies(
    front_end: None, client: Client
):
    read, written = ask(client, APPS), post(client, APPS)

    assert (read.status_code, written.status_code) == (200, 400)  # 400: it says what is missing
    for answer in (read, written):
        assert answer.headers["Access-Control-Allow-Origin"] == APPS
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"


def test_a_strangers_page_reads_and_writes_nothing(front_end: None, client: Client):
    read = ask(client, STRANGER)

    assert "Access-Control-Allow-Origin" not in read.headers
    assert post(client, STRANGER).status_code == 403


def test_the_front_end_may_send_the_headers_that_open_edx_lets_it_send(
    front_end: None, client: Client
):
    answer = preflight(client, APPS, "use-jwt-cookie", "x-csrftoken", "if-none-match")

    allowed = answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Access-Control-Allow-Origin"] == APPS
    assert all(name in allowed for name in ("use-jwt-cookie", "x-csrftoken", "if-none-match"))


def test_a_cache_keeps_the_answers_to_origins_apart_and_a_304_is_readable_too(
    front_end: None, client: Client
):
    first = ask(client, APPS)

    again = ask(client, APPS, **{"If-None-Match": first.headers["ETag"]})

    assert again.status_code == 304
    for answer in (first, again):
        assert {"origin", "cookie", "authorization"} <= _varies_on(answer)
        assert answer.headers["Access-Control-Allow-Origin"] == APPS
    assert "ETag" in first.headers["Access-Control-Expose-Headers"]


def test_pages_are_not_for_other_origins(front_end: None, client: Client):
    answer = ask(client, APPS, "/dashboard")

    assert "Access-Control-Allow-Origin" not in answer.headers


def _varies_on(answer: Any) -> set[str]:
    return {name.strip().lower() for name in answer.headers["Vary"].split(",")}
