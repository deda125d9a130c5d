"""Publishing on a real broker: confirmed, bounded in time, and never fatal."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from kombu import Connection

from dev.servers.control import Server, find_server
from lms_integration.events import CoursePublished, decode_event
from lms_integration.publisher import PublishOutcome, close_publisher, publish_event
from lms_integration.topology import event_queue

KEY = "course-v1:TestX+Publisher+R1"
EVENT = CoursePublished(course_key=KEY, event_id="e-1")
#: What the product promises Studio, with room for a loaded machine.
PROMISED_SECONDS = 2.0


@pytest.fixture(params=["rabbitmq", "redis"])
def url(request, broker_url: str, redis_url: str):
    chosen = broker_url if request.param == "rabbitmq" else redis_url.rpartition("/")[0] + "/8"
    with override_settings(OVERVIEW_BROKER_URL=chosen, OVERVIEW_PUBLISH_PAUSE_SECONDS=0.0):
        yield chosen


@pytest.fixture
def rabbitmq() -> Server:
    return find_server("rabbitmq", folder=Path(os.environ["OVERVIEW_TEST_SERVERS"]))


def next_event(url: str):
    queue: Any = event_queue()
    with Connection(url) as connection, connection.SimpleQueue(queue) as simple:
        message = simple.get(timeout=10)
        message.ack()
        body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
        return message, decode_event(body)


def test_an_event_is_confirmed_and_stands_in_the_intakes_queue(url):
    assert publish_event(EVENT) is PublishOutcome.SENT

    message, event = next_event(url)
    assert event.course_key == KEY
    assert message.content_type == "application/cloudevents+json"


def test_a_connection_that_the_broker_closed_is_renewed(broker_url, rabbitmq):
    with override_settings(OVERVIEW_BROKER_URL=broker_url, OVERVIEW_PUBLISH_TIMEOUT_SECONDS=5.0):
        assert publish_event(EVENT) is PublishOutcome.SENT
        rabbitmq.restart()
        outcomes = {publish_event(EVENT) for _ in range(3)}

    assert outcomes == {PublishOutcome.SENT}


def test_with_no_broker_configured_publishing_is_switched_off():
    with override_settings(OVERVIEW_BROKER_URL=""):
        assert publish_event(EVENT) is PublishOutcome.SWITCHED_OFF


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_a_broker_that_is_down_costs_little_and_says_so(scheme, caplog):
    with override_settings(
        OVERVIEW_BROKER_URL=f"{scheme}://user:secret@127.0.0.1:9/0",
        OVERVIEW_PUBLISH_PAUSE_SECONDS=60.0,
    ):
        started = time.monotonic()
        first, second = publish_event(EVENT), publish_event(EVENT)
        elapsed = time.monotonic() - started

    assert (first, second) == (PublishOutcome.FAILED, PublishOutcome.PAUSED)
    assert elapsed < PROMISED_SECONDS
    assert KEY in caplog.text
    assert "secret" not in caplog.text


def test_a_broker_that_accepts_and_then_falls_silent_costs_the_timeout_at_most(
    broker_url, rabbitmq, caplog
):
    with override_settings(OVERVIEW_BROKER_URL=broker_url, OVERVIEW_PUBLISH_PAUSE_SECONDS=0.0):
        assert publish_event(EVENT) is PublishOutcome.SENT
        rabbitmq.pause()
        try:
            on_old_connection, first_seconds = _timed_publish()
            on_new_connection, second_seconds = _timed_publish()
        finally:
            rabbitmq.resume()
            close_publisher()

    assert on_old_connection is on_new_connection is PublishOutcome.FAILED
    assert max(first_seconds, second_seconds) < PROMISED_SECONDS
    assert "the course is marked" in caplog.text


def _timed_publish() -> tuple[PublishOutcome, float]:
    started = time.monotonic()
    outcome = publish_event(EVENT)
    return outcome, time.monotonic() - started


def test_after_the_pause_publishing_is_tried_again(broker_url):
    with override_settings(
        OVERVIEW_BROKER_URL="amqp://127.0.0.1:9/x", OVERVIEW_PUBLISH_PAUSE_SECONDS=0.0
    ):
        assert publish_event(EVENT) is PublishOutcome.FAILED
        assert publish_event(EVENT) is PublishOutcome.FAILED

    with override_settings(OVERVIEW_BROKER_URL=broker_url):
        assert publish_event(EVENT) is PublishOutcome.SENT
