"""Freshness as a figure: nines, hours, and the reasons of late publishes."""

from datetime import UTC, datetime

import pytest

from lms_integration.freshness import LIMITS, Share
from lms_integration.lateness import LateReason
from overview_worker.store.freshness import BUCKETS, hours_of


@pytest.mark.parametrize(
    ("within", "total", "nines"),
    [
        (9, 10, 1.0),
        (999, 1000, 3.0),
        (99_990, 100_000, 4.0),
        (1, 2, 0.3),
        (0, 5, 0.0),
        (0, 0, 0.0),
        pytest.param(1000, 1000, 3.0, id="a thousand prove three nines, not more"),
        pytest.param(1, 1, 0.0, id="one proves none"),
    ],
)
def test_nines_are_what_so_many_publishes_can_prove(within, total, nines):
    assert Share(within=within, total=total).nines == pytest.approx(nines, abs=0.01)


def test_a_share_of_nothing_is_whole():
    assert Share(within=0, total=0).ratio == 1.0


def test_publishes_are_counted_into_their_hours():
    first = datetime(2026, 3, 1, 9, 59, 59, 999_999, tzinfo=UTC)
    second = datetime(2026, 3, 1, 10, tzinfo=UTC)

    hours = hours_of([(first, 1_000), (second, 1_001), (second, 300_001)])

    early, late = (
        hours[each.replace(minute=0, second=0, microsecond=0)] for each in (first, second)
    )
    assert (early.total, early.within_1_second, early.max_ms) == (1, 1, 1_000)
    assert (late.total, late.within_1_second, late.within_10_seconds) == (2, 0, 1)
    assert (late.within_60_seconds, late.within_5_minutes, late.max_ms) == (1, 1, 300_001)


def test_the_reader_and_the_writer_mean_the_same_limits():
    assert {name: seconds * 1000 for seconds, name in LIMITS.items()} == BUCKETS


def test_every_reason_has_a_sentence_and_fits_its_column():
    for reason in LateReason:
        assert reason.sentence
        assert len(reason.value) <= 20
