"""Guessing passwords is limited on our page and the admin's, for accounts that exist and that do not."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.db import close_old_connections, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.authtoken.models import Token

pytestmark = [pytest.mark.service, pytest.mark.django_db]

PASSWORD = "a password of her own"
LIMIT = 10
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"
PAGES = ["/login", "/admin/login/"]


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", password=PASSWORD, is_staff=True)


def sign_in(
    password: str = "wrong",  # noqa: S107 - no secret, that is the point
    *,
    username: str = "ann",
    page: str = "/login",
    address: str = HERE,
    **headers: str,
) -> Any:
    client = Client(REMOTE_ADDR=address)
    return client.post(page, {"username": username, "password": password}, headers=headers)


def guess(count: int, **more: Any) -> list[int]:
    return [sign_in(**more).status_code for _ in range(count)]


@pytest.mark.parametrize("page", PAGES)
def test_after_too_many_wrong_passwords_not_even_the_right_one_is_looked_at(page: str, ann: User):
    statuses = guess(LIMIT + 5, page=page)

    assert statuses == [200] * (LIMIT - 1) + [429] * 6
    assert sign_in(PASSWORD, page=page).status_code == 429


@pytest.mark.parametrize(("guessed", "other"), [PAGES, PAGES[::-1]])
def test_both_pages_count_together(guessed: str, other: str, ann: User):
    guess(LIMIT, page=guessed)

    assert sign_in(PASSWORD, page=other).status_code == 429


@pytest.mark.parametrize("page", PAGES)
def test_the_page_says_in_our_design_what_to_do(page: str, ann: User):
    guess(LIMIT, page=page)

    response = sign_in(page=page)

    text = response.content.decode()
    assert "Signing in is paused" in text
    assert "Please wait 15 minutes" in text
    assert "overview/pages.css" in text
    assert response.headers["Retry-After"] == "900"
    assert "no-store" in response.headers["Cache-Control"]
    assert "Content-Security-Policy" in response.headers


def test_an_account_that_does_not_exist_is_answered_in_the_same_way(ann: User):
    def answers(username: str) -> list[tuple[int, bytes]]:
        found = [sign_in(username=username) for _ in range(LIMIT + 2)]
        return [(each.status_code, _without_its_own(each.content, username)) for each in found]

    assert answers("ann") == answers("nobody")


def _without_its_own(content: bytes, username: str) -> bytes:
    lines = content.replace(username.encode(), b"NAME").splitlines()
    return b"\n".join(line for line in lines if b"csrfmiddlewaretoken" not in line)


def test_an_account_that_does_not_exist_costs_the_same_statements(ann: User):
    counts = {}
    for username in ("ann", "nobody"):
        for _ in range(3):
            with CaptureQueriesContext(connection) as captured:
                sign_in(username=username)
        counts[username] = len(captured)

    assert counts["ann"] == counts["nobody"]


def test_other_accounts_and_other_addresses_are_not_held_up(ann: User):
    User.objects.create_user("bea", password=PASSWORD)
    guess(LIMIT)

    assert sign_in(PASSWORD, username="bea").status_code == 302
    assert sign_in(PASSWORD, address=ELSEWHERE).status_code == 302
    assert sign_in(PASSWORD).status_code == 429


@pytest.mark.parametrize("spelling", ["ANN", "Ann ", "\N{FULLWIDTH LATIN SMALL LETTER A}nn", "änn"])
def test_another_spelling_of_the_name_gives_no_more_guesses(spelling: str, ann: User):
    guess(LIMIT)

    assert sign_in(username=spelling).status_code == 429


@pytest.mark.parametrize("header", ["x-forwarded-for", "x-real-ip", "forwarded", "user-agent"])
def test_headers_give_no_more_guesses(header: str, ann: User):
    for number in range(LIMIT):
        sign_in(**{header: f"198.51.100.{number}"})

    assert sign_in(PASSWORD, **{header: "203.0.113.9"}).status_code == 429


def test_behind_a_proxy_its_word_counts_and_the_clients_does_not(ann: User, settings: Any):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
    for number in range(LIMIT):
        sign_in(**{"x-forwarded-for": f"203.0.113.{number}, {HERE}"}, address="10.0.0.1")

    def status(forwarded: str) -> int:
        answer = sign_in(PASSWORD, address="10.0.0.1", **{"x-forwarded-for": forwarded})
        return int(answer.status_code)

    assert status(f"203.0.113.99, {HERE}") == 429
    assert status(f"{HERE}, {ELSEWHERE}") == 302


def test_after_the_pause_the_account_can_be_signed_in_to(ann: User):
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    with time_machine.travel(now, tick=False) as clock:
        guess(LIMIT)
        clock.move_to(now + timedelta(minutes=14))
        assert sign_in(PASSWORD).status_code == 429

        clock.move_to(now + timedelta(minutes=16))

        assert sign_in(PASSWORD).status_code == 302
        assert not AccessAttempt.objects.exists()


def test_signing_in_forgets_the_wrong_passwords_before(ann: User):
    guess(LIMIT - 1)
    assert sign_in(PASSWORD).status_code == 302

    assert guess(LIMIT - 1) == [200] * (LIMIT - 1)


def test_neither_a_session_nor_a_token_is_held_up(ann: User):
    signed_in = Client(REMOTE_ADDR=HERE)
    signed_in.force_login(ann)
    token = {"Authorization": f"Token {Token.objects.create(user=ann).key}"}
    guess(LIMIT + 1)

    assert signed_in.get("/dashboard").status_code == 200
    answer = Client(REMOTE_ADDR=HERE).get("/api/enrollment/v1/enrollment", headers=token)
    assert answer.status_code == 200


def test_wrong_tokens_are_no_wrong_passwords(ann: User):
    for scheme in ("Token", "Bearer", "JWT"):
        for _ in range(LIMIT):
            Client().get("/api/enrollment/v1/roles/", headers={"Authorization": f"{scheme} x"})

    assert not AccessAttempt.objects.exists()


def test_no_password_is_kept(ann: User):
    sign_in("correct horse battery staple")

    (row,) = AccessAttempt.objects.values()
    assert "horse" not in str(row)


@pytest.mark.django_db(transaction=True)
def test_many_guesses_at_once_are_all_counted(ann: User):
    statuses = at_once(lambda: int(sign_in().status_code), count=8)

    assert set(statuses) <= {200, 429}
    (row,) = AccessAttempt.objects.all()
    assert row.failures_since_start == 8


def at_once(call: Callable[[], int], *, count: int) -> list[int]:
    """Return what calls that all begin at the same moment return."""
    found: list[int] = []
    start = threading.Barrier(count)

    def run() -> None:
        start.wait(timeout=30)
        found.append(call())
        close_old_connections()
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(found) == count
    return found
