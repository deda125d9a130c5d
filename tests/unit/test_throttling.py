"""How often somebody may ask, and that a cache that is away stops nobody."""

import logging
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import cache
from django.test import RequestFactory, override_settings
from rest_framework.request import Request
from rest_framework.views import APIView

from lms_integration.http.addresses import client_address
from lms_integration.http.throttling import (
    CACHE_OUTAGE,
    PAUSE_SECONDS,
    CacheOutage,
    CourseListThrottle,
    EnrollmentThrottle,
)

pytestmark = pytest.mark.usefixtures("_no_history")


@pytest.fixture
def _no_history() -> Any:
    cache.clear()
    CACHE_OUTAGE.end()
    yield
    cache.clear()
    CACHE_OUTAGE.end()


def request_of(
    user: User | AnonymousUser, *, address: str = "192.0.2.1", **headers: str
) -> Request:
    request = Request(RequestFactory(REMOTE_ADDR=address).get("/", headers=headers))
    request.user = user
    return request


def allowed(throttle: type[EnrollmentThrottle | CourseListThrottle], user: Any, calls: int) -> int:
    """Return how many of so many calls are let through."""
    return sum(throttle().allow_request(request_of(user), APIView()) for _ in range(calls))


def test_the_sites_team_may_ask_more_often():
    assert allowed(EnrollmentThrottle, User(pk=1), 50) == 40
    assert allowed(EnrollmentThrottle, User(pk=2, is_staff=True), 130) == 120


def test_the_history_is_shared_between_lists():
    allowed(EnrollmentThrottle, User(pk=1), 15)

    assert allowed(CourseListThrottle, User(pk=1), 10) == 5


def test_where_another_rate_is_exceeded_there_is_no_time_to_wait_for():
    allowed(EnrollmentThrottle, User(pk=1), 40)
    throttle = CourseListThrottle()

    assert not throttle.allow_request(request_of(User(pk=1)), APIView())
    assert throttle.wait() is None


def test_other_servers_are_not_counted():
    with override_settings(EDX_API_KEY="secret"):
        request = request_of(AnonymousUser(), **{"X-Edx-Api-Key": "secret"})

        assert all(EnrollmentThrottle().allow_request(request, APIView()) for _ in range(50))


@pytest.mark.parametrize(
    ("module", "is_let_through"), [("redis.exceptions", True), ("lms_integration.models", False)]
)
def test_a_cache_that_is_away_lets_everybody_through(
    module: str, is_let_through: bool, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise error("away")

    error = type("AwayError", (Exception,), {"__module__": module})
    monkeypatch.setattr(EnrollmentThrottle, "cache", type("Cache", (), {"get": fail})())

    if is_let_through:
        assert EnrollmentThrottle().allow_request(request_of(User(pk=1)), APIView())
    else:
        with pytest.raises(error):
            EnrollmentThrottle().allow_request(request_of(User(pk=1)), APIView())


def visits(count: int, *, address: str = "192.0.2.1", forwarded: str = "{}") -> int:
    """Return how many visits of somebody unknown are let through, ``{}`` being another number in each."""
    asked = (
        request_of(
            AnonymousUser(),
            address=address,
            **{"X-Forwarded-For": forwarded.replace("{}", str(number))},
        )
        for number in range(count)
    )
    return sum(CourseListThrottle().allow_request(each, APIView()) for each in asked)


def proxies(count: int) -> Any:
    return override_settings(REST_FRAMEWORK={**settings.REST_FRAMEWORK, "NUM_PROXIES": count})


@pytest.mark.parametrize("forwarded", ["198.51.100.{}", "{}", "x{}, 198.51.100.{}", ", ,{}"])
def test_another_header_is_no_other_visitor(forwarded: str):
    assert visits(25, forwarded=forwarded) == 20


def test_behind_a_proxy_visitors_are_told_apart_by_what_it_adds():
    with proxies(1):
        assert visits(25, forwarded="198.51.100.{}, 203.0.113.7") == 20
        assert visits(25, forwarded="203.0.113.7, 198.51.100.{}") == 25


def test_the_setting_of_the_site_is_the_one_that_counts():
    assert settings.REST_FRAMEWORK["NUM_PROXIES"] == settings.OVERVIEW_NUM_PROXIES == 0


@pytest.mark.parametrize(
    ("address", "forwarded", "count", "expected"),
    [
        ("192.0.2.1", "", 0, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.1", 0, "192.0.2.1"),
        ("10.0.0.1", "198.51.100.1", 1, "198.51.100.1"),
        ("10.0.0.1", "203.0.113.1, 198.51.100.1", 1, "198.51.100.1"),
        ("10.0.0.1", "203.0.113.1, 198.51.100.1, 10.0.0.2", 2, "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1:4711", 1, "198.51.100.1"),
        ("10.0.0.1", "[2001:db8:1:2:3:4:5:6]:4711", 1, "2001:db8:1:2::"),
        ("10.0.0.1", "unknown", 1, "10.0.0.1"),
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "", 0, "2001:db8:1:2::"),
        ("::ffff:192.0.2.1", "", 0, "192.0.2.1"),
        ("fe80::1%eth0", "", 0, "fe80::"),
        ("", "", 0, "0.0.0.0"),  # noqa: S104 - nothing is bound to it
        ("x" * 500, "", 0, "0.0.0.0"),  # noqa: S104
    ],
)
def test_the_address_of_a_client_is_what_can_be_believed(
    address: str, forwarded: str, count: int, expected: str
):
    request = request_of(AnonymousUser(), address=address, **{"X-Forwarded-For": forwarded})

    with proxies(count):
        assert client_address(request) == expected


def test_an_outage_is_told_of_once_and_the_cache_is_asked_again_after_a_pause(caplog: Any):
    moments = iter([0.0, 1.0, PAUSE_SECONDS, PAUSE_SECONDS, PAUSE_SECONDS + 1])
    outage = CacheOutage(clock=lambda: next(moments))
    caplog.set_level(logging.WARNING)

    outage.note(ConnectionError("away"))
    pauses = [outage.is_pause, outage.is_pause]
    outage.note(ConnectionError("away"))
    pauses.append(outage.is_pause)

    assert pauses == [True, False, True]
    assert len(caplog.messages) == 1


def test_that_the_cache_is_back_is_told_of_too(caplog: Any):
    outage = CacheOutage(clock=lambda: 0.0)
    outage.note(ConnectionError("away"))

    outage.end()
    outage.end()

    assert not outage.is_pause
    assert [each for each in caplog.messages if "is back" in each] == [caplog.messages[-1]]
