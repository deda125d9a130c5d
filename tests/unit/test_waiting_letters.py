"""Letters that cannot be written: they wait, not for ever, and hold up nothing."""

import logging
from collections.abc import Sequence

import pytest

from overview_worker.documents import DeadLetterEntry, DeadLetterSource
from overview_worker.errors import StoreUnavailable
from overview_worker.waiting_letters import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    MAX_WAITING,
    RefusedMessage,
    WaitingLetters,
)


class Message:
    """A message that knows whether it was acknowledged."""

    def __init__(self) -> None:
        self.is_acknowledged = False

    def ack(self) -> None:
        assert not self.is_acknowledged
        self.is_acknowledged = True


class Table:
    """A table of letters that can be full, and a clock beside it."""

    def __init__(self) -> None:
        self.is_full = False
        self.written: list[str] = []
        self.dropped_count = 0
        self.tries: list[float] = []
        self.now = 1000.0

    def record(self, entries: Sequence[DeadLetterEntry], *, dropped_count: int) -> None:
        self.tries.append(self.now)
        if self.is_full:
            raise StoreUnavailable("overview database: the table is full")
        self.written += [entry.reason for entry in entries]
        self.dropped_count += dropped_count

    def pass_seconds(self, letters: WaitingLetters, count: int) -> None:
        for _ in range(count):
            self.now += 1
            letters.write()


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def letters(table: Table) -> WaitingLetters:
    return WaitingLetters(table.record, clock=lambda: table.now)


def refused(count: int, *, first: int = 0) -> list[RefusedMessage]:
    return [
        RefusedMessage(
            message=Message(),
            entry=DeadLetterEntry(source=DeadLetterSource.INTAKE, reason=f"#{first + number}"),
        )
        for number in range(count)
    ]


def acknowledged(messages: Sequence[RefusedMessage]) -> int:
    return sum(getattr(each.message, "is_acknowledged", False) for each in messages)


def test_what_can_be_written_is_written_and_acknowledged_at_once(letters, table):
    messages = refused(3)
    letters.add(messages)

    letters.write()
    letters.write()

    assert table.written == ["#0", "#1", "#2"]
    assert acknowledged(messages) == 3
    assert len(table.tries) == 1


def test_what_cannot_be_written_is_not_acknowledged_and_is_written_later(letters, table):
    table.is_full = True
    messages = refused(2)
    letters.add(messages)
    letters.write()
    assert acknowledged(messages) == 0

    table.is_full = False
    table.pass_seconds(letters, 2)

    assert table.written == ["#0", "#1"]
    assert acknowledged(messages) == 2


def test_it_is_tried_more_and_more_rarely_and_never_without_a_pause(letters, table):
    table.is_full = True
    letters.add(refused(1))
    for _ in range(100):  # a loop that turns without a pause tries once
        letters.write()
    assert len(table.tries) == 1

    table.pass_seconds(letters, 600)

    pauses = [after - before for before, after in zip(table.tries, table.tries[1:], strict=False)]
    assert pauses[:4] == [FIRST_PAUSE_SECONDS * 2**number for number in range(4)]
    assert max(pauses) == LONGEST_PAUSE_SECONDS


def test_no_more_than_half_a_prefetch_waits_and_what_is_dropped_is_counted(letters, table, caplog):
    table.is_full = True
    messages = refused(MAX_WAITING + 120)
    letters.add(messages)

    with caplog.at_level(logging.ERROR):
        letters.write()

    assert [acknowledged([each]) for each in messages[119:121]] == [1, 0]
    assert "dropped 120 messages" in caplog.text
    letters.add(refused(30, first=len(messages)))
    letters.write()
    table.is_full = False
    table.pass_seconds(letters, 60)
    assert table.dropped_count == 150
    assert len(table.written) == MAX_WAITING


def test_more_than_may_wait_is_no_reason_to_drop_what_can_be_written(letters, table):
    letters.add(refused(3 * MAX_WAITING))

    letters.write()

    assert (len(table.written), table.dropped_count) == (3 * MAX_WAITING, 0)


def test_the_messages_of_a_lost_connection_are_forgotten(letters, table):
    table.is_full = True
    letters.add(refused(5))
    letters.write()

    letters.forget()
    table.is_full = False
    table.pass_seconds(letters, 60)

    assert table.written == []
