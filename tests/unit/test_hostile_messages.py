"""Whatever a message is made of, the intake makes an event or a dead letter of it, and goes on.

``OVERVIEW_HOSTILE_EXAMPLES`` is how many messages of each class are tried.
"""

import bz2
import gzip
import os
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kombu.message import Message

from overview_worker.compression import refuse_compressed_messages
from overview_worker.dead_letters import fingerprint_of
from overview_worker.documents import DeadLetterEntry
from overview_worker.intake import sort_messages
from tests.hostile_messages import CLASSES, encoded, message_of

#: Of each of the classes; together more than ten thousand.
EXAMPLES = int(os.environ.get("OVERVIEW_HOSTILE_EXAMPLES", "850"))
MAX_BYTES = 10_000_000


@pytest.fixture(autouse=True, scope="module")
def _as_in_the_intake():
    refuse_compressed_messages()


def dead_letter_of(message: Message) -> DeadLetterEntry:
    batch = sort_messages([message])
    assert batch.events == ()
    (letter,) = batch.dead_letters
    return letter


@pytest.mark.parametrize("name", CLASSES)
def test_a_hostile_message_becomes_a_dead_letter_whose_reason_is_one_printable_line(name):
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(CLASSES[name])
    def check(message: Message) -> None:
        letter = dead_letter_of(message)
        assert letter.reason.isprintable()
        assert 0 < len(letter.reason) < 1_500
        assert len(fingerprint_of(letter)) == 64

    check()


@settings(max_examples=max(100, EXAMPLES // 4), deadline=None, database=None)
@given(st.lists(st.one_of(*CLASSES.values()), max_size=8), st.integers(0, 8))
def test_hostile_messages_take_no_event_of_their_batch_with_them(messages, place):
    batch = sort_messages([*messages[:place], message_of(encoded({})), *messages[place:]])

    assert len(batch.events) == 1
    assert len(batch.dead_letters) == len(messages)


@pytest.mark.parametrize("compression", ["gzip", "application/x-gzip", "zlib", "bzip2", "lzma"])
def test_a_bomb_is_not_inflated(compression):
    bomb = (
        bz2.compress(b"0" * 50_000_000) if "bz" in compression else gzip.compress(b"0" * 50_000_000)
    )
    tracemalloc.start()
    try:
        letter = dead_letter_of(message_of(bomb, headers={"compression": compression}))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert "compressed messages are refused" in letter.reason
    assert peak < MAX_BYTES


@pytest.mark.parametrize("name", CLASSES)
def test_reading_a_hostile_message_takes_little_memory(name):
    @settings(
        max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(CLASSES[name])
    def check(message: Message) -> None:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        dead_letter_of(message)
        _, peak = tracemalloc.get_traced_memory()
        assert peak - before < MAX_BYTES

    tracemalloc.start()
    try:
        check()
    finally:
        tracemalloc.stop()
