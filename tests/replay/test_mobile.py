"""Every recorded exchange of the mobile API."""

import pytest

from tests.recorded_http import (
    Exchange,
    assert_listed,
    by_id,
    by_path,
    needs_recorded_http,
    prepare_lazy_fill,
    replay,
    variant_in_force,
)
from tests.replay.mobile_differences import DIFFERENCES

pytestmark = [needs_recorded_http, pytest.mark.django_db]

MOBILE = "/api/mobile/"


@pytest.mark.parametrize("exchange", by_id("mobile_course_enrollments") + by_id("mobile_users"))
def test_recorded_exchange(recorded_state: None, exchange: Exchange) -> None:
    replay(exchange, DIFFERENCES)


@pytest.mark.parametrize("exchange", by_path("throttling", MOBILE))
def test_mobile_calls_are_not_throttled(recorded_state: None, exchange: Exchange) -> None:
    replay(exchange, DIFFERENCES)


@pytest.mark.parametrize("exchange", by_path("lazy_fill", MOBILE))
def test_recorded_exchange_with_a_row_missing_or_old(
    recorded_state: None, exchange: Exchange
) -> None:
    prepare_lazy_fill(exchange)

    replay(exchange, DIFFERENCES)


@pytest.mark.parametrize("exchange", by_path("variants", MOBILE))
def test_recorded_exchange_with_other_settings(recorded_state: None, exchange: Exchange) -> None:
    with variant_in_force(exchange):
        replay(exchange, DIFFERENCES)


def test_every_difference_is_documented() -> None:
    assert_listed(DIFFERENCES)
