"""How many messages come a second, of late."""

import pytest

from overview_worker.arrival_rate import ArrivalRate


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rate(clock) -> ArrivalRate:
    return ArrivalRate(clock=clock)


def test_there_is_none_at_first(rate):
    assert rate.per_second() == 0


@pytest.mark.parametrize("count", [1, 20])
def test_a_steady_flow_is_measured_however_it_is_told(rate, clock, count):
    for _ in range(5 * 500 // count):
        clock.seconds += count / 500
        rate.note(count)

    assert rate.per_second() == pytest.approx(500, rel=0.05)


def test_a_flow_that_has_ended_is_soon_forgotten(rate, clock):
    for _ in range(500):
        clock.seconds += 0.01
        rate.note(5)

    clock.seconds += 3

    assert rate.per_second() < 50


def test_one_burst_counts_for_a_moment(rate, clock):
    rate.note(300)

    assert rate.per_second() == pytest.approx(300)
    clock.seconds += 1
    assert rate.per_second() == pytest.approx(110, rel=0.01)
