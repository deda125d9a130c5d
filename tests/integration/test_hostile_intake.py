"""Hostile messages on the real brokers: the intake outlives them all and goes on with the next event."""

import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from amqp.basic_message import Message
from hypothesis import HealthCheck, Phase, given, settings
from kombu import Connection

from lms_integration.events import CoursePublished, encode_event
from lms_integration.models import DeadLetter
from lms_integration.topology import dead_letter_queue, event_queue
from overview_worker import intake
from overview_worker.compression import refuse_compressed_messages
from overview_worker.dead_letters import BODY_MAX_BYTES
from overview_worker.intake_store import DjangoIntakeStore
from overview_worker.tolerant_amqp import tolerate_unreadable_messages
from tests.hostile_messages import CLASSES
from tests.running_intake import (
    IDLE_SECONDS,
    RecordedQueue,
    RunningIntake,
    events_left,
    publish,
    wait_for,
)

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "course-v1:TestX+Hostile+R1"
EVENT = encode_event(CoursePublished(course_key=KEY))
SAMPLES = 8


@pytest.fixture
def queue() -> RecordedQueue:
    return RecordedQueue()


@pytest.fixture
def start(queue, monkeypatch) -> Iterator[Callable[[str], None]]:
    monkeypatch.setattr(intake, "IDLE_SECONDS", IDLE_SECONDS)
    running: list[RunningIntake] = []
    refuse_compressed_messages()
    tolerate_unreadable_messages()
    yield lambda url: running.append(RunningIntake(url, DjangoIntakeStore(), queue))
    for each in running:
        each.stop()


def table(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def nested_table(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = b"\x01aF" + table(content)
    return table(content)


_CONTENT_TYPE, _ENCODING, _HEADERS, _MESSAGE_ID = 1 << 15, 1 << 14, 1 << 13, 1 << 7
#: Properties as they stand on the wire: flags, then the values.
UNREADABLE_PROPERTIES = {
    "headers nested 5,000 deep": struct.pack(">H", _HEADERS) + nested_table(5_000),
    "a content type that is no UTF-8": struct.pack(">H", _CONTENT_TYPE) + b"\x02\xff\xfe",
    "an encoding that is no UTF-8": struct.pack(">H", _ENCODING) + b"\x01\x80",
    "an id that is no UTF-8": struct.pack(">H", _MESSAGE_ID) + b"\x02\xc0\xaf",
    "a time in the year 146 billion": struct.pack(">H", _HEADERS)
    + table(b"\x01aT" + struct.pack(">Q", 2**62)),
}


def publish_raw(
    url: str, *, properties: bytes | None = None, routing_key: Any = "course.x", body: bytes = EVENT
) -> None:
    """Publish with properties, or a routing key, that no client library would write."""
    with Connection(url, transport_options={"confirm_publish": True}) as connection:
        channel: Any = connection.channel()
        for each in (event_queue(), dead_letter_queue()):
            each(channel).declare()
        message: Any = Message(body)
        if properties is not None:
            message._serialize_properties = lambda: properties
        else:
            message.properties["content_type"] = "application/cloudevents+json"
        channel.basic_publish(message, exchange="course-authoring", routing_key=routing_key)


@pytest.mark.parametrize("name", UNREADABLE_PROPERTIES)
def test_a_message_that_the_client_library_cannot_read_is_a_dead_letter_and_stops_nothing(
    broker_url, start, queue, name
):
    publish_raw(broker_url, properties=UNREADABLE_PROPERTIES[name])
    publish(broker_url, EVENT)

    start(broker_url)
    wait_for(lambda: queue.course_keys == [KEY] and DeadLetter.objects.exists())

    letter = DeadLetter.objects.get()
    assert (letter.origin, bytes(letter.body)) == ("intake", EVENT)
    assert letter.reason.startswith("unreadable properties: ")
    wait_for(lambda: events_left(broker_url) == 0)


class RawName(str):
    """A name that is sent as the bytes it was made of."""

    raw = b"course.\xff\xfe"

    def encode(self, *_: Any) -> bytes:
        return self.raw


def test_a_routing_key_that_is_no_utf8_stops_nothing(broker_url, start, queue):
    publish_raw(broker_url, routing_key=RawName("course.x"))

    start(broker_url)
    wait_for(lambda: queue.course_keys == [KEY])

    assert not DeadLetter.objects.exists()
    wait_for(lambda: events_left(broker_url) == 0)


def test_what_the_broker_gave_up_is_not_read_for_ever_either(broker_url, start, queue):
    with Connection(broker_url) as connection:
        channel: Any = connection.channel()
        dead_letter_queue()(channel).declare()
        message: Any = Message(b"{}")
        message._serialize_properties = lambda: UNREADABLE_PROPERTIES["headers nested 5,000 deep"]
        channel.basic_publish(message, exchange="overview.dlx", routing_key="x")
    publish(broker_url, EVENT)

    start(broker_url)
    wait_for(lambda: queue.course_keys == [KEY] and DeadLetter.objects.exists())

    assert DeadLetter.objects.get().origin == "broker"


def test_a_slow_codec_that_a_sender_names_is_not_used(broker_url, start, queue):
    body = b"a-" + b"b9" * 60_000
    with Connection(broker_url, transport_options={"confirm_publish": True}) as connection:
        channel: Any = connection.channel()
        for each in (event_queue(), dead_letter_queue()):
            each(channel).declare()
        message = Message(body, content_encoding="punycode")
        channel.basic_publish(message, exchange="course-authoring", routing_key="course.x")
    publish(broker_url, EVENT)

    start(broker_url)
    wait_for(lambda: queue.course_keys == [KEY] and DeadLetter.objects.exists())

    letter = DeadLetter.objects.get()
    assert letter.body_bytes == len(body)
    assert bytes(letter.body) == body[:BODY_MAX_BYTES]


@pytest.mark.parametrize("broker", ["rabbitmq", "redis"])
def test_a_sample_of_every_class_of_hostile_messages_becomes_dead_letters(
    broker_url, redis_url, start, queue, broker
):
    url = broker_url if broker == "rabbitmq" else redis_url.rpartition("/")[0] + "/9"
    sent = send_samples(url)
    publish(url, EVENT)

    start(url)
    wait_for(lambda: queue.course_keys == [KEY])

    wait_for(lambda: sum(DeadLetter.objects.values_list("seen_count", flat=True)) == sent)
    wait_for(lambda: events_left(url) == 0)


def send_samples(url: str) -> int:
    sent = 0
    for strategy in CLASSES.values():

        @settings(
            max_examples=SAMPLES,
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy.filter(is_sendable))
        def send(message) -> None:
            nonlocal sent
            publish(
                url,
                message.body,
                content_type=message.content_type,
                headers=message.headers,
            )
            sent += 1

        send()
    return sent


#: ``max_message_size`` of the tests' RabbitMQ, as docs/operations/security.md advises.
BROKER_MAX_BYTES = 262_144


def is_sendable(message) -> bool:
    """Whether kombu can send it as it is: text in its properties, headers that JSON knows too.

    And the broker takes it: larger ones are refused to whoever sends them.
    """
    return (
        isinstance(message.content_type, str)
        and len(message.content_type) < 256
        and isinstance(message.body, bytes)
        and len(message.body) <= BROKER_MAX_BYTES
        and message.delivery_info["exchange"] == "course-authoring"
        and (not message.headers or set(message.headers) <= {"compression"})
        and isinstance(message.headers.get("compression", ""), str)
    )
