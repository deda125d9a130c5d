"""Announcing: batch by batch while there is time, in order, and nothing is lost while nobody takes it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

import celeryconfig
from lms_integration.change_events import OverviewChanged
from overview_worker.announcing import BATCH_SIZE, TURN_SECONDS, announce_changes
from overview_worker.announcing_ports import Send
from overview_worker.errors import ExchangeUnavailable, StoreUnavailable
from overview_worker.queueing import ANNOUNCE_CHANGES


def event(number: int) -> OverviewChanged:
    return OverviewChanged(
        event_id=str(number),
        course_key="course-v1:TestX+Announcing+R1",
        row_seq=number,
        kind="changed",
        changed_at=datetime(2026, 1, 1, tzinfo=UTC),
        columns={},
    )


class ListOutbox:
    """The outbox as a list; ``is_busy`` while another relay has it."""

    def __init__(self, length: int) -> None:
        self.waiting = [event(number) for number in range(length)]
        self.is_busy = False

    def relay_batch(self, send: Send, *, limit: int) -> int | None:
        if self.is_busy:
            return None
        batch = self.waiting[:limit]
        if batch:
            send(batch)
            del self.waiting[:limit]
        return len(batch)


class Listener:
    """Hears what is sent; raises ``error`` from the batch of number ``fails_at`` on."""

    def __init__(self, *, fails_at: int | None = None, error: Exception | None = None) -> None:
        self.heard: list[int] = []
        self.batches = 0
        self._fails_at = fails_at
        self._error = error or ExchangeUnavailable("amqp://localhost: no answer")

    def __call__(self, events: Sequence[OverviewChanged]) -> None:
        self.batches += 1
        self.heard += [each.row_seq for each in events]
        if self._fails_at is not None and self.batches > self._fails_at:
            raise self._error


def standing_still() -> float:
    return 0.0


def test_all_that_waits_is_announced_in_order():
    outbox, listener = ListOutbox(2 * BATCH_SIZE + 5), Listener()

    announced = announce_changes(outbox, listener, now=standing_still)

    assert announced == 2 * BATCH_SIZE + 5
    assert listener.heard == list(range(announced))
    assert listener.batches == 3
    assert outbox.waiting == []


def test_with_nothing_waiting_nobody_is_asked():
    listener = Listener()

    assert announce_changes(ListOutbox(0), listener, now=standing_still) == 0
    assert listener.batches == 0


def test_a_turn_ends_in_time_and_leaves_the_rest_to_the_next():
    outbox, listener = ListOutbox(100 * BATCH_SIZE), Listener()
    clock = (step * TURN_SECONDS / 5 for step in count())

    announced = announce_changes(outbox, listener, now=lambda: next(clock))

    assert 0 < announced < 10 * BATCH_SIZE
    assert len(outbox.waiting) == 100 * BATCH_SIZE - announced


def test_while_another_relay_has_the_outbox_nothing_is_sent():
    outbox, listener = ListOutbox(5), Listener()
    outbox.is_busy = True

    assert announce_changes(outbox, listener, now=standing_still) == 0
    assert listener.heard == []


def test_while_the_broker_is_away_changes_wait_and_one_line_says_so(caplog):
    outbox, listener = ListOutbox(3 * BATCH_SIZE), Listener(fails_at=1)

    announced = announce_changes(outbox, listener, now=standing_still)

    assert announced == BATCH_SIZE
    assert len(outbox.waiting) == 2 * BATCH_SIZE
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "changes wait to be announced: amqp://localhost: no answer" in caplog.text


def test_what_may_have_been_sent_is_sent_again_in_the_same_order():
    outbox = ListOutbox(2 * BATCH_SIZE)
    announce_changes(outbox, Listener(fails_at=1), now=standing_still)
    listener = Listener()

    announce_changes(outbox, listener, now=standing_still)

    assert listener.heard == list(range(BATCH_SIZE, 2 * BATCH_SIZE))


def test_trouble_of_the_database_is_the_callers():
    with pytest.raises(StoreUnavailable):
        announce_changes(
            ListOutbox(1),
            Listener(fails_at=0, error=StoreUnavailable("away")),
            now=standing_still,
        )


def test_beat_asks_every_second_and_what_nobody_took_does_not_pile_up():
    entry: Any = celeryconfig.beat_schedule["announce_changes"]

    assert entry["task"] == ANNOUNCE_CHANGES
    assert entry["schedule"].run_every.total_seconds() == 1
    assert entry["options"]["confirm_timeout"] > 0
    assert {"expires", "expiration"} & entry["options"].keys()
    assert celeryconfig.task_routes[ANNOUNCE_CHANGES]["queue"] == celeryconfig.LIVE_QUEUE
