"""The benchmark of hostile messages fails where one costs too much, and not where many cost little."""

from benchmarks.hostile_messages import Cost, measure, too_costly


def test_a_message_that_takes_too_long_is_named_however_quick_the_others_are():
    cost = Cost(seconds=[0.0001] * 999 + [0.012])

    assert list(too_costly("nested", cost)) == ["nested: a message took 12.0 ms"]


def test_a_message_that_takes_too_much_memory_is_named():
    cost = Cost(seconds=[0.0001], peak_bytes=204_000_000)

    assert list(too_costly("compressed", cost)) == ["compressed: a message took 204.0 MB"]


def test_messages_within_both_limits_are_not_named():
    cost = Cost(seconds=[0.0099, 0.0001], peak_bytes=9_999_999)

    assert list(too_costly("nested", cost)) == []


def test_time_and_memory_of_every_message_are_measured():
    cost = measure("not UTF-8", count=5)

    assert len(cost.seconds) >= 1
    assert cost.peak_bytes > 0
    assert cost.events == 0
