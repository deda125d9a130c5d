"""How often somebody may ask, and that a cache that is away stops nobody."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import cache
from django.test import RequestFactory, override_settings
from rest_framework.request import Request
from rest_framework.views import APIView

from lms_integration.http.throttling import CourseListThrottle, EnrollmentThrottle

pytestmark = pytest.mark.usefixtures("_no_history")


@pytest.fixture
def _no_history() -> Any:
    cache.clear()
    yield
    cache.clear()


def request_of(user: User | AnonymousUser, **headers: str) -> Request:
    request = Request(RequestFactory().get("/", headers=headers))
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
