"""A publisher's account on RabbitMQ that may do nothing but publish, and what the doctor says of it."""

from io import StringIO
from typing import Any

import pytest
from amqp import AccessRefused
from amqp.basic_message import Message
from django.core.management import call_command
from django.test import override_settings
from kombu import Connection

from lms_integration.events import CoursePublished
from lms_integration.publisher import PublishOutcome, publish_event
from lms_integration.topology import dead_letter_queue, event_queue
from overview_worker.commands import deploy_checks
from tests.rabbitmq_accounts import rabbitmq_account

pytestmark = pytest.mark.django_db

EVENT = CoursePublished(course_key="course-v1:TestX+Account+R1")
#: As docs/operations/security.md has it.
PUBLISHER = {"configure": "^$", "write": "^course-authoring$", "read": "^$"}


@pytest.fixture
def publisher_url(broker_url):
    with rabbitmq_account("studio", **PUBLISHER) as url:
        yield url


def test_an_account_that_may_only_publish_is_enough_for_studio(broker_url, publisher_url):
    with override_settings(OVERVIEW_BROKER_URL=publisher_url, OVERVIEW_PUBLISH_TIMEOUT_SECONDS=5.0):
        outcome = publish_event(EVENT)

    assert outcome is PublishOutcome.SENT
    queue: Any = event_queue()
    with Connection(broker_url) as connection, connection.SimpleQueue(queue) as simple:
        simple.get(timeout=10).ack()


def test_without_the_queue_such_an_account_publishes_nothing_and_says_so(
    broker_url, publisher_url, caplog
):
    with Connection(broker_url) as connection:
        for queue in (event_queue(), dead_letter_queue()):
            queue(connection.channel()).delete()

    with override_settings(OVERVIEW_BROKER_URL=publisher_url, OVERVIEW_PUBLISH_TIMEOUT_SECONDS=5.0):
        outcome = publish_event(EVENT)

    assert outcome is PublishOutcome.FAILED
    assert "no queue 'overview.events'" in caplog.text


@pytest.mark.parametrize(
    "attempt",
    [
        lambda channel: channel.queue_delete("overview.events"),
        lambda channel: channel.queue_purge("overview.events"),
        lambda channel: channel.basic_consume("overview.events"),
        lambda channel: channel.queue_declare("mine"),
        lambda channel: channel.queue_bind("overview.events", "course-authoring", "x"),
        lambda channel: channel.exchange_declare("mine", "topic"),
        lambda channel: channel.basic_get("overview.live"),
    ],
    ids=["delete", "purge", "consume", "declare", "bind", "exchange", "read tasks"],
)
def test_such_an_account_can_take_nothing_away_and_read_nothing(publisher_url, attempt):
    with Connection(publisher_url) as connection, pytest.raises(AccessRefused):
        attempt(connection.channel())


def test_such_an_account_can_give_the_workers_no_task(publisher_url):
    with Connection(publisher_url) as connection:
        channel: Any = connection.channel()
        channel.confirm_select()
        with pytest.raises(AccessRefused):
            channel.basic_publish_confirm(
                Message("{}"), exchange="overview", routing_key="overview.live"
            )


def doctor(monkeypatch, url: str) -> str:
    monkeypatch.setattr(deploy_checks, "BROKER_ADDRESS", url)
    output = StringIO()
    with override_settings(OVERVIEW_BROKER_URL=url), pytest.raises(SystemExit):
        call_command("overview", "doctor", "--deploy", "--role", "publisher", stdout=output)
    return output.getvalue()


def test_the_doctor_tells_a_publisher_that_may_configure(broker_url, monkeypatch):
    output = doctor(monkeypatch, broker_url)

    assert "may configure queues and the exchange of the events" in output
    assert "rabbitmqctl set_permissions" in output


def test_the_doctor_has_nothing_to_say_of_an_account_that_may_only_publish(
    publisher_url, monkeypatch
):
    assert "may configure" not in doctor(monkeypatch, publisher_url)


def test_the_doctor_says_that_redis_cannot_tell_publishers_from_workers(redis_url, monkeypatch):
    assert "Redis cannot keep a publisher" in doctor(monkeypatch, redis_url)
