"""A worker's event loop turns when the worker is told to stop."""

import signal
import time
from collections.abc import Iterator
from socket import socketpair
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.pool import Worker
from celery.signals import worker_shutting_down
from kombu.asynchronous import Hub, get_event_loop, set_event_loop

from overview_worker.prompt_stop import stop_promptly


@pytest.fixture
def no_event_loop() -> Iterator[None]:
    """A process without an event loop."""
    before = get_event_loop()
    set_event_loop(None)
    yield
    set_event_loop(before)


@pytest.fixture
def hub(no_event_loop: None) -> Iterator[Hub]:
    """An event loop that waits."""
    hub = Hub()
    set_event_loop(hub)
    yield hub
    hub.close()


def test_the_signal_to_stop_ends_the_wait_of_the_event_loop(hub: Hub):
    stop_promptly()
    waits: list[object] = []
    poll = hub.poller.poll

    def noted_poll(timeout: float) -> object:
        waits.append(poll(timeout))
        return waits[-1]

    hub.poller.poll = noted_poll
    before = signal.signal(signal.SIGALRM, lambda *_: worker_shutting_down.send(sender="live@here"))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    read_end, write_end = socketpair()
    with read_end, write_end:
        hub.add_reader(read_end, lambda: None)
        try:
            next(hub.create_loop())
        finally:
            signal.signal(signal.SIGALRM, before)

    ended_by = waits[0]
    assert ended_by, "the wait ended because its time was over"


@pytest.mark.usefixtures("no_event_loop")
def test_without_an_event_loop_nothing_has_to_be_woken():
    stop_promptly()

    answers = worker_shutting_down.send(sender="live@here")

    assert [answer for _, answer in answers] == [None]  # an error would be an answer, too


def test_a_pool_process_waits_two_seconds_for_a_main_process_that_reads_no_more(monkeypatch):
    stop_promptly()
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    pool_process: Any = Worker
    nothing_is_noted = SimpleNamespace(on_ready_counter=SimpleNamespace(value=0))

    assert pool_process._ensure_messages_consumed(nothing_is_noted, completed=1) is False

    assert sum(waits) == pytest.approx(2)
