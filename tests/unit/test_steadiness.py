"""What is judged of a load that does not end: growing, flat and saturated series."""

from random import Random

import pytest

from benchmarks.steadiness import Load, Series, growth_of, violations

SECONDS = 600


def series(value_at) -> Series:
    return [(float(second), float(value_at(second))) for second in range(SECONDS)]


def load(**changes) -> Load:
    chance = Random(1)  # noqa: S311 - no secret
    usual = {
        "course_count": 10_000,
        "wanted_per_second": 500,
        "sent_per_second": 499.0,
        "dirty": series(lambda second: chance.gauss(60, 25)),
        "oldest_seconds": series(lambda second: second % 62),
        "waiting_events": series(lambda second: chance.uniform(0, 300)),
        "growth_mib": {"live 1": 3.2, "intake 2": -0.5},
    }
    return Load(**{**usual, **changes})


def test_a_load_that_is_kept_up_with_violates_nothing():
    assert list(violations(load())) == []


def test_a_backlog_that_grows_by_one_course_in_three_seconds_is_found():
    (line,) = violations(load(dirty=series(lambda second: 30 + second / 3)))

    assert line == "the backlog grows: by 100 courses in the second half, median 180"


def test_a_backlog_that_grew_only_at_first_is_not_taken_for_a_growing_one():
    filling = series(lambda second: min(second * 2, 400))

    assert growth_of(filling) == pytest.approx(0)
    assert list(violations(load(dirty=filling))) == []


def test_a_backlog_that_cannot_grow_any_more_is_found_although_it_is_flat():
    saturated = series(lambda second: 9_900)

    (line,) = violations(load(dirty=saturated))

    assert growth_of(saturated) == pytest.approx(0)
    assert line == "the backlog is saturated: 9900 of 10000 courses are dirty"


def test_the_former_thousand_courses_of_which_991_are_dirty_are_found():
    (line,) = violations(load(course_count=1_000, dirty=series(lambda second: 991)))

    assert "saturated" in line


def test_one_course_that_is_never_rebuilt_is_found_by_its_age():
    lines = list(violations(load(oldest_seconds=series(lambda second: second))))

    assert lines == [
        "a course was dirty for 599 s",
        "dirty courses grow older: by 299 s in the second half",
    ]


def test_events_that_the_intake_does_not_take_are_found_although_no_course_is_dirty():
    (line,) = violations(
        load(dirty=series(lambda second: 0), waiting_events=series(lambda second: 50 * second))
    )

    assert line == "22475 events wait for the intake"


def test_each_process_whose_memory_grows_is_named():
    (line,) = violations(load(growth_mib={"live 1": 12.0, "intake 2": 9.9}))

    assert line == "live 1 grows: by 12.0 MiB"


def test_a_sender_that_is_too_slow_shows_nothing():
    (line,) = violations(load(sent_per_second=300.0))

    assert line == "the sender kept 300 events/s of 500: nothing is shown"


def test_a_run_that_nobody_looked_at_shows_nothing():
    (line,) = violations(load(dirty=[], oldest_seconds=[], waiting_events=[]))

    assert line == "looked 0 times only: nothing is shown"


def test_two_looks_tell_of_no_growth():
    assert growth_of([(0.0, 1.0), (1.0, 5.0)]) == 0
