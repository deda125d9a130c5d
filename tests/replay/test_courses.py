"""Every recorded exchange of the Courses API, replayed; what we answer otherwise, and that it is listed."""

from typing import Any

import pytest
import time_machine
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from lms_integration.http.throttling import EnrollmentThrottle
from tests.recorded_http import (
    Exchange,
    assert_listed,
    assert_same,
    built_about_page,
    by_path,
    needs_recorded_http,
    prepare_lazy_fill,
    replay,
    send,
    variant_in_force,
)
from tests.replay.course_differences import (
    COURSES_API,
    DIFFERENCES,
    recorded_exchanges,
    whole_list,
)

pytestmark = [needs_recorded_http, pytest.mark.django_db]

PLAIN_FAMILIES = ("courses_list", "courses_detail", "course_ids")
OTHER_FAMILIES = ("lazy_fill", "variants", "throttling")
AFTER_OTHER_VIEW = "throttle.courses_list.anonymous_after_other_view.1"


def replay_course(exchange: Exchange) -> None:
    """Replay; where the recorded modulestore lacks the course, its about page is not compared."""
    if exchange.id in without_documents():
        with time_machine.travel(exchange.recorded_at, tick=False):
            response = send(exchange)
        assert response.json()["overview"] is None
        assert_same(_With(response, overview=exchange.response["overview"]), exchange)
    else:
        replay(exchange, DIFFERENCES)


class _With:
    """An answer of which one value stands for another."""

    def __init__(self, response: Any, **values: Any) -> None:
        self.status_code, self.content = response.status_code, response.content
        self._json = {**response.json(), **values}

    def json(self) -> Any:
        return self._json


def without_documents() -> set[str]:
    """Return the ids of the exchanges that show a course of which the modulestore holds nothing."""
    differing = {name for difference in DIFFERENCES for name in difference.ids}
    return {
        each.id
        for each in recorded_exchanges().values()
        if each.status == 200
        and "overview" in each.response
        and each.id not in differing
        and built_about_page(each.response["id"]) is None
    }


@pytest.mark.parametrize(
    "exchange", [each for name in PLAIN_FAMILIES for each in by_path(name, COURSES_API)]
)
def test_a_recorded_request_is_answered_as_recorded(recorded_state, exchange: Exchange):
    replay_course(exchange)


@pytest.mark.parametrize("exchange", by_path("lazy_fill", COURSES_API))
def test_a_request_for_a_missing_or_stale_row_is_answered(recorded_state, exchange: Exchange):
    prepare_lazy_fill(exchange)

    replay_course(exchange)


@pytest.mark.parametrize("exchange", by_path("variants", COURSES_API))
def test_a_recorded_setting_shows(recorded_state, exchange: Exchange):
    with variant_in_force(exchange):
        replay_course(exchange)


@pytest.mark.parametrize(
    "exchange",
    [each for each in by_path("throttling", COURSES_API) if each.id != AFTER_OTHER_VIEW],
)
def test_the_nth_request_of_a_minute_is_answered_as_recorded(recorded_state, exchange: Exchange):
    first = recorded_exchanges()[exchange.id.rpartition(".")[0] + ".1"]
    with time_machine.travel(first.recorded_at, tick=False):
        for _ in range(exchange.raw["nth_request"] - 1):
            assert send(exchange).status_code == 200

    replay_course(exchange)


def test_calls_of_the_enrollment_api_count_for_the_list_too(recorded_state):
    exchange = recorded_exchanges()[AFTER_OTHER_VIEW]
    request = Request(APIRequestFactory().get("/"))
    with time_machine.travel(exchange.recorded_at, tick=False):
        for _ in range(40):
            assert EnrollmentThrottle().allow_request(request, APIView())

    replay_course(exchange)


def test_errors_say_how_to_sign_in_and_when_to_come_back(recorded_state):
    nobody = send(recorded_exchanges()["ids.anon"])
    calls = [send(recorded_exchanges()["list.apikey"]) for _ in range(21)]

    assert nobody.headers["WWW-Authenticate"] == 'JWT realm="api"'
    assert calls[-1].status_code == 429
    assert 0 < int(calls[-1].headers["Retry-After"]) <= 60


# What is told of the replay itself


def test_every_recorded_request_is_replayed():
    families = (*PLAIN_FAMILIES, *OTHER_FAMILIES)
    replayed = [each.id for name in families for each in by_path(name, COURSES_API)]

    assert sorted(replayed) == sorted(recorded_exchanges())
    assert len(replayed) > 250


def test_only_so_many_about_pages_cannot_be_compared():
    assert len(without_documents()) == 13


def test_a_visitor_s_list_is_the_recorded_one_without_the_eleven_courses_that_leak(recorded_state):
    # Recorded pages of 100: the last says 350 courses, 11 of which are visible to their teams only.
    assert len(whole_list(recorded_exchanges()["list.anon.default"])) == 350 - 11


def test_every_difference_is_listed():
    assert_listed(DIFFERENCES)
