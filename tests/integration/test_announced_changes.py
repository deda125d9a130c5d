"""Changes on their way to the exchange: at least once, in order for each course, never to the intake."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Event
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection
from django.test import override_settings
from kombu import Connection, Queue

from dev.servers.control import Server, find_server
from lms_integration.change_events import CHANGE_ROUTING_KEY, OverviewChanged, decode_change
from lms_integration.change_history import outbox_figures
from lms_integration.database_clock import DatabaseNow
from lms_integration.events import CONTENT_TYPE
from lms_integration.models import OverviewChange
from lms_integration.topology import dead_letter_queue, event_exchange, event_queue
from overview_worker import change_exchange as exchange_module
from overview_worker import tasks
from overview_worker.announcing import BATCH_SIZE, announce_changes
from overview_worker.change_exchange import ChangeExchange
from overview_worker.errors import ExchangeUnavailable
from overview_worker.rebuild import BUILDER_VERSION
from overview_worker.store.conf import StoreConf
from overview_worker.store.outbox import DjangoChangeOutbox
from overview_worker.store.overview_store import DjangoOverviewStore
from tests.race_scene import PATIENCE_SECONDS, Crew
from tests.written_overviews import apply, removed, written

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "course-v1:TestX+Announced+R1"
OTHER = "course-v1:TestX+Announced+R2"
QUEUE = "test.changes"


def consumer_queue(**arguments: Any) -> Any:
    """A queue such as a search index would bind."""
    return Queue(
        QUEUE,
        exchange=event_exchange(),
        routing_key=CHANGE_ROUTING_KEY,
        durable=True,
        queue_arguments=arguments,
    )


@contextmanager
def listening(url: str, **arguments: Any) -> Iterator[Any]:
    """Bind a consumer's queue; give what takes all that is in it, in order."""
    with Connection(url) as broker:
        channel = broker.channel()
        queue = consumer_queue(**arguments)(channel)
        queue.declare()
        queue.purge()
        event_queue()(channel).declare()
        try:
            yield lambda: _all_of(queue)
        finally:
            queue.delete()


def _all_of(queue: Any) -> list[OverviewChanged]:
    found = []
    while (message := queue.get(no_ack=True)) is not None:
        assert message.content_type == CONTENT_TYPE
        body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
        found.append(decode_change(body))
    return found


@pytest.fixture(params=["rabbitmq", "redis"])
def url(request, broker_url: str, redis_url: str) -> str:
    return broker_url if request.param == "rabbitmq" else redis_url.rpartition("/")[0] + "/9"


@pytest.fixture
def exchange(url: str) -> Iterator[ChangeExchange]:
    opened = ChangeExchange(url)
    yield opened
    opened.close()


@pytest.fixture
def rabbitmq() -> Server:
    return find_server("rabbitmq", folder=Path(os.environ["OVERVIEW_TEST_SERVERS"]))


def change(course_key: str = KEY, *, times: int = 1, name: str = "Tides") -> None:
    """Write a course's row, every time another."""
    store = DjangoOverviewStore(StoreConf(builder_version=BUILDER_VERSION))
    for number in range(times):
        apply(store, written(display_name=f"{name} {number}"), course_key)


def recorded(course_key: str, count: int) -> None:
    """Write down many changes, as fast as a table can be filled."""
    OverviewChange.objects.bulk_create(
        OverviewChange(
            course_key=course_key,
            row_seq=number + 1,
            kind="changed",
            columns={"display_name": ["a", "b"]},
            changed_at=DatabaseNow(),
        )
        for number in range(count)
    )


def announce(send: Any) -> int:
    return announce_changes(DjangoChangeOutbox(), send)


def waiting() -> int:
    return OverviewChange.objects.filter(announced_at__isnull=True).count()


def sequences(events: Sequence[OverviewChanged], course_key: str = KEY) -> list[int]:
    return [event.row_seq for event in events if event.course_key == course_key]


def test_a_listener_hears_every_change_in_order(url, exchange):
    change(times=2)
    apply(DjangoOverviewStore(StoreConf(builder_version=BUILDER_VERSION)), removed, KEY)

    with listening(url) as heard:
        count = announce(exchange.send)
        events = heard()

    assert count == 3
    assert [(each.kind, each.row_seq) for each in events] == [
        ("created", 1),
        ("changed", 2),
        ("deleted", 3),
    ]
    assert events[1].columns["display_name"] == ["Tides 0", "Tides 1"]
    assert events[1].builder_version == BUILDER_VERSION
    stored = OverviewChange.objects.order_by("id")
    assert [each.changed_at for each in stored] == [each.changed_at for each in events]
    assert waiting() == 0
    assert outbox_figures().waiting_count == 0


def test_what_was_announced_is_not_announced_again(url, exchange):
    change()
    with listening(url) as heard:
        announce(exchange.send)
        heard()
        change(name="Dunes")

        announce(exchange.send)

        assert sequences(heard()) == [2]


def test_nobody_has_to_listen(exchange):
    change()

    assert announce(exchange.send) == 1
    assert waiting() == 0


def test_the_intake_hears_nothing_and_nothing_becomes_a_dead_letter(broker_url):
    change(times=2)
    exchange = ChangeExchange(broker_url)

    announce(exchange.send)
    exchange.close()

    with Connection(broker_url) as broker:
        channel = broker.channel()
        for queue in (event_queue(), dead_letter_queue()):
            assert queue(channel).get() is None


def test_more_than_a_batch_is_announced_in_one_turn(url, exchange, monkeypatch):
    monkeypatch.setattr("overview_worker.announcing.TURN_SECONDS", PATIENCE_SECONDS)
    recorded(KEY, BATCH_SIZE * 2 + 3)

    with listening(url) as heard:
        assert announce(exchange.send) == BATCH_SIZE * 2 + 3
        assert sequences(heard()) == list(range(1, BATCH_SIZE * 2 + 4))


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_while_the_broker_is_away_changes_wait(scheme, caplog):
    change(times=2)
    exchange = ChangeExchange(f"{scheme}://user:secret@127.0.0.1:9/0")

    assert announce(exchange.send) == 0

    assert waiting() == 2
    (line,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert "changes wait to be announced" in line.getMessage()
    assert "secret" not in line.getMessage()
    figures = outbox_figures()
    assert (figures.waiting_count, figures.is_on) == (2, True)
    assert figures.oldest_seconds >= 0


def test_a_broker_that_falls_silent_is_given_up_and_nothing_is_lost(
    broker_url, rabbitmq, monkeypatch
):
    monkeypatch.setattr(exchange_module, "TIMEOUT_SECONDS", 1.0)
    exchange = ChangeExchange(broker_url)
    with listening(broker_url) as heard:
        change()
        announce(exchange.send)
        change(name="Dunes")
        rabbitmq.pause()
        try:
            assert announce(exchange.send) == 0
        finally:
            rabbitmq.resume()
        assert waiting() == 1
        monkeypatch.setattr(exchange_module, "TIMEOUT_SECONDS", PATIENCE_SECONDS)

        assert announce(exchange.send) == 1
        exchange.close()
        assert list(dict.fromkeys(sequences(heard()))) == [1, 2]


def test_a_connection_that_the_broker_closed_is_renewed(broker_url, rabbitmq):
    exchange = ChangeExchange(broker_url)
    change()
    announce(exchange.send)
    rabbitmq.restart()
    change(name="Dunes")

    turns = [announce(exchange.send) for _ in range(2)]
    exchange.close()

    assert sum(turns) == 1
    assert waiting() == 0


def test_a_listener_whose_queue_is_full_keeps_changes_waiting(broker_url, caplog):
    exchange = ChangeExchange(broker_url)
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    with listening(broker_url, **full) as heard:
        change(times=3)

        assert announce(exchange.send) == 0
        assert waiting() == 3
        assert "is full" in caplog.text
        assert sequences(heard()) == [1]

    assert announce(exchange.send) == 3
    exchange.close()


# Crashes and rivals


def test_a_relay_that_dies_before_it_has_marked_sends_again_in_order(broker_url):
    change(times=2)
    change(OTHER)
    url = urlsplit(os.environ["OVERVIEW_DATABASE_URL"])
    name = str(connection.settings_dict["NAME"])
    with listening(broker_url) as heard:
        died = subprocess.run(
            [sys.executable, "-c", "import django; django.setup(); import tests.killed_relay"],
            cwd=Path(__file__).parents[2],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "OVERVIEW_DATABASE_URL": urlunsplit(url._replace(path=f"/{name}")),
            },
            timeout=60,
            check=False,
        )
        assert died.returncode == -9
        first = heard()
        exchange = ChangeExchange(broker_url)
        while waiting():  # until the server has noticed that the lock's owner is gone
            announce(exchange.send)
        exchange.close()
        second = heard()

    assert sequences(first) == sequences(second) == [1, 2]
    assert [each.event_id for each in first] == [each.event_id for each in second]
    assert sequences(second, OTHER) == [1]


def test_of_two_relays_one_sends_and_the_other_leaves_it_to_it():
    if connection.vendor != "mysql":
        pytest.skip("on SQLite the second waits")
    change(times=2)
    sending, go_on = Event(), Event()
    sent: list[int] = []

    def slow(events: Sequence[OverviewChanged]) -> None:
        sent.extend(event.row_seq for event in events)
        sending.set()
        assert go_on.wait(PATIENCE_SECONDS)

    def never(_: Sequence[OverviewChanged]) -> None:
        raise AssertionError("two relays at a time")

    with Crew() as crew:
        crew.start(announce, slow)
        assert sending.wait(PATIENCE_SECONDS)
        change(name="Meanwhile")  # a rebuild waits for no relay

        assert announce(never) == 0
        go_on.set()

    assert sent == [1, 2]
    assert waiting() == 1


def test_two_relays_at_once_send_each_change_once_in_the_order_of_its_course():
    keys = [f"course-v1:TestX+Announced+{number}" for number in range(5)]
    for key in keys:
        recorded(key, 150)
    sent: list[OverviewChanged] = []
    together = Barrier(2)

    def relay() -> None:
        together.wait(PATIENCE_SECONDS)
        while waiting():
            announce(sent.extend)

    with Crew() as crew:
        crew.start(relay)
        crew.start(relay)

    assert len(sent) == 750
    for key in keys:
        assert sequences(sent, key) == list(range(1, 151))


def test_when_sending_fails_nothing_is_marked():
    change(times=2)

    def fail(_: Sequence[OverviewChanged]) -> None:
        raise ExchangeUnavailable("away")

    assert announce(fail) == 0
    assert waiting() == 2
    heard: list[OverviewChanged] = []
    announce(heard.extend)
    assert sequences(heard) == [1, 2]


# The task


def test_the_task_announces_unless_that_is_switched_off(broker_url, monkeypatch):
    exchange = ChangeExchange(broker_url)
    monkeypatch.setattr(tasks, "change_exchange", lambda: exchange)
    change()

    with override_settings(OVERVIEW_ANNOUNCE_CHANGES=False):
        tasks.announce_changes_task()
        assert waiting() == 1
        assert outbox_figures().is_on is False
    tasks.announce_changes_task()
    exchange.close()

    assert waiting() == 0
