"""The intake on real brokers: marks, tasks, dead letters, acknowledgements."""

import gzip
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db.models import F
from kombu import Connection, Producer

from lms_integration.events import CONTENT_TYPE, CoursePublished, Event, encode_event
from lms_integration.identity import database_identity
from lms_integration.models import DeadLetter, OverviewMark
from lms_integration.topology import dead_letter_queue, event_queue
from overview_worker import intake
from overview_worker.compression import refuse_compressed_messages
from overview_worker.documents import DeadLetterEntry, DeadLetterSource
from overview_worker.errors import StoreUnavailable
from overview_worker.intake_store import DjangoIntakeStore
from overview_worker.waiting_letters import MAX_WAITING
from tests.running_intake import (
    IDLE_SECONDS,
    RecordedQueue,
    RunningIntake,
    events_left,
    publish,
    wait_for,
)

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "course-v1:TestX+Intake+R1"
OTHER = "course-v1:TestX+Intake+R2"


@pytest.fixture(params=["rabbitmq", "redis"])
def url(request, broker_url: str, redis_url: str) -> Iterator[str]:
    if request.param == "rabbitmq":
        yield broker_url
        return
    redis_database = redis_url.rpartition("/")[0] + "/9"
    with Connection(redis_database) as connection:
        channel: Any = connection.default_channel
        channel.client.flushdb()
        yield redis_database
        channel.client.flushdb()


@pytest.fixture
def queue() -> RecordedQueue:
    return RecordedQueue()


@pytest.fixture
def start(queue, monkeypatch) -> Iterator[Callable[..., RunningIntake]]:
    monkeypatch.setattr(intake, "IDLE_SECONDS", IDLE_SECONDS)
    running: list[RunningIntake] = []

    def _start(url: str, store: DjangoIntakeStore | None = None) -> RunningIntake:
        running.append(RunningIntake(url, store or DjangoIntakeStore(), queue))
        return running[-1]

    refuse_compressed_messages()
    yield _start
    for each in running:
        each.stop()


def wanted(course_key: str) -> int:
    mark = OverviewMark.objects.filter(course_key=course_key).first()
    return 0 if mark is None else mark.wanted


def event(course_key: str = KEY, **values) -> Event:
    return CoursePublished(course_key=course_key, **values)


def test_an_event_marks_its_course_and_gives_one_task(url, start, queue):
    publish(url, encode_event(event(event_id="e-1")))

    start(url)
    wait_for(lambda: queue.course_keys == [KEY])

    mark = OverviewMark.objects.get(course_key=KEY)
    assert (mark.wanted, mark.done, mark.last_event_id) == (1, 0, "e-1")


def test_many_events_of_one_course_in_a_batch_give_one_mark_and_one_task(url, start, queue):
    publish(url, *[encode_event(event()) for _ in range(300)], encode_event(event(OTHER)))

    start(url)
    wait_for(lambda: OTHER in queue.course_keys)

    assert wanted(KEY) <= 10
    assert queue.course_keys.count(KEY) <= 10
    wait_for(lambda: events_left(url) == 0)


def test_an_event_that_was_marked_in_this_database_is_not_marked_again(url, start, queue):
    OverviewMark.objects.create(course_key=KEY, wanted=3, done=2, dirty_since=datetime.now(UTC))
    publish(url, encode_event(event(marked_in=database_identity())))

    start(url)
    wait_for(lambda: queue.course_keys == [KEY])

    assert wanted(KEY) == 3


def test_an_event_that_was_marked_elsewhere_is_marked_here(url, start, queue):
    publish(url, encode_event(event(marked_in=str(uuid.uuid4()))))

    start(url)
    wait_for(lambda: queue.course_keys == [KEY])

    assert wanted(KEY) == 1


def test_a_course_that_was_rebuilt_meanwhile_gets_no_task(url, start, queue):
    OverviewMark.objects.create(course_key=KEY, wanted=3, done=3)
    publish(url, encode_event(event(marked_in=database_identity())), encode_event(event(OTHER)))

    start(url)
    wait_for(lambda: OTHER in queue.course_keys)

    assert KEY not in queue.course_keys


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"not json", CONTENT_TYPE, "not JSON"),
        (b"x" * 5000, CONTENT_TYPE, "5000 bytes"),
        (b"[" * 4000, CONTENT_TYPE, "not JSON"),
        (b"\x80\x04N.", "application/x-python-serialize", "only JSON"),
        (b"--- {}", "application/x-yaml", "only JSON"),
        (
            encode_event(event()).replace(b"course-v1:", b"course-v9:"),
            CONTENT_TYPE,
            "not a course key",
        ),
        (encode_event(event()).replace(b".v1", b".v7"), CONTENT_TYPE, "unknown event type"),
    ],
    ids=["not json", "too large", "too deep", "pickle", "yaml", "wrong key", "unknown type"],
)
def test_what_is_no_event_becomes_a_dead_letter_and_stops_nothing(
    url, start, queue, body, content_type, reason
):
    publish(url, body, content_type=content_type)
    publish(url, encode_event(event(OTHER)))

    start(url)
    wait_for(lambda: queue.course_keys == [OTHER] and DeadLetter.objects.exists())

    letter = DeadLetter.objects.get()
    assert letter.origin == "intake"
    assert reason in letter.reason
    assert bytes(letter.body) == body[:8192]
    assert letter.body_bytes == len(body)
    wait_for(lambda: events_left(url) == 0)


def test_a_compressed_message_is_refused_before_it_is_inflated(url, start, queue):
    bomb = gzip.compress(b"0" * 50_000_000)
    publish(url, bomb, headers={"compression": "application/x-gzip"})
    publish(url, encode_event(event(OTHER)))

    start(url)
    wait_for(lambda: queue.course_keys == [OTHER] and DeadLetter.objects.exists())

    letter = DeadLetter.objects.get()
    assert "compressed" in letter.reason
    assert letter.body_bytes == len(bomb)


def test_the_same_poison_again_is_counted_and_fills_no_table(url, start, queue):
    publish(url, *[b"poison"] * 50, encode_event(event(OTHER)))

    start(url)
    wait_for(lambda: queue.course_keys == [OTHER] and events_left(url) == 0)

    wait_for(lambda: seen_counts() == {"poison": 50})


def seen_counts() -> dict[str, int]:
    """Return how often each body was seen; '' is what was not kept."""
    return {
        bytes(body).decode(): count
        for body, count in DeadLetter.objects.values_list("body", "seen_count")
    }


def test_different_garbage_without_end_fills_no_table(url, start, queue, settings):
    settings.OVERVIEW_MAX_DEAD_LETTERS = 3
    publish(url, *[b"garbage %d" % number for number in range(50)], encode_event(event(OTHER)))

    start(url)
    wait_for(lambda: queue.course_keys == [OTHER])

    wait_for(lambda: sum(seen_counts().values()) == 50)
    assert DeadLetter.objects.count() == 4
    assert seen_counts()[""] == 47
    assert DeadLetter.objects.get(body=b"").reason.startswith("not kept, only counted")
    wait_for(lambda: events_left(url) == 0)


def test_a_known_letter_is_counted_although_there_is_no_room(settings):
    settings.OVERVIEW_MAX_DEAD_LETTERS = 1
    store = DjangoIntakeStore()

    for body in (b"known", b"new", b"known"):
        store.record_dead_letters([garbage(body)])

    assert seen_counts() == {"known": 2, "": 1}


def garbage(body: bytes) -> DeadLetterEntry:
    return DeadLetterEntry(source=DeadLetterSource.INTAKE, reason="no event", body=body)


class FullTable(DjangoIntakeStore):
    """Has no room for dead letters until told otherwise."""

    is_full = True

    def record_dead_letters(
        self, entries: Sequence[DeadLetterEntry], *, dropped_count: int = 0
    ) -> None:
        if self.is_full:
            raise StoreUnavailable("the table is full")
        super().record_dead_letters(entries, dropped_count=dropped_count)


def test_a_full_table_of_letters_stops_no_event(url, start, queue):
    store = FullTable()
    publish(url, b"garbage", encode_event(event()))
    start(url, store)
    wait_for(lambda: queue.course_keys == [KEY])

    publish(url, *[b"garbage %d" % number for number in range(1100)], encode_event(event(OTHER)))
    wait_for(lambda: OTHER in queue.course_keys)

    assert not DeadLetter.objects.exists()
    store.is_full = False
    wait_for(lambda: sum(seen_counts().values()) == 1101)
    assert seen_counts()[""] >= 1101 - 2 * MAX_WAITING
    wait_for(lambda: events_left(url) == 0)


def dead_letter_task(url: str, task: str, arguments: list[str], *, reason: str) -> None:
    with Connection(url) as connection:
        channel = connection.channel()
        for each in (event_queue(), dead_letter_queue()):
            each(channel).declare()
        Producer(channel).publish(
            [arguments, {}, {}],
            exchange="overview.dlx",
            routing_key="overview.live",
            headers={
                "task": task,
                "x-death": [{"queue": "overview.live", "reason": reason, "count": 1}],
            },
        )


@pytest.mark.parametrize(
    "deaths",
    [["nonsense"], [{"queue": "overview.live", "reason": "expired"}], [], "nonsense", 5],
    ids=["no note", "expired", "no death", "text", "number"],
)
def test_an_event_that_claims_to_be_a_dead_letter_is_read_like_any_other(url, start, queue, deaths):
    publish(url, encode_event(event()), headers={"x-death": deaths})

    start(url)
    wait_for(lambda: queue.course_keys == [KEY])

    assert not DeadLetter.objects.exists()


def test_a_sweep_that_expired_while_no_worker_ran_is_no_dead_letter(broker_url, start, queue):
    dead_letter_task(broker_url, "overview.sweep", [], reason="expired")
    publish(broker_url, encode_event(event(OTHER)))

    start(broker_url)
    wait_for(lambda: queue.course_keys == [OTHER])

    assert not DeadLetter.objects.exists()


def test_an_event_that_a_consumer_rejected_comes_back_from_the_broker_as_a_dead_letter(
    broker_url, start, queue
):
    publish(broker_url, encode_event(event()))
    with Connection(broker_url) as connection:
        channel: Any = connection.channel()
        wait_for(lambda: events_left(broker_url) == 1)
        message = channel.basic_get("overview.events")
        channel.basic_reject(message.delivery_tag, requeue=False)

    start(broker_url)
    wait_for(lambda: DeadLetter.objects.exists())

    letter = DeadLetter.objects.get()
    assert (letter.origin, letter.course_key) == ("broker", KEY)
    assert "overview.events: rejected" in letter.reason
    assert queue.course_keys == []


def test_a_message_that_the_broker_gave_up_is_kept_and_its_course_held_back(
    broker_url, start, queue
):
    OverviewMark.objects.create(course_key=KEY, wanted=1, done=0, dirty_since=datetime.now(UTC))
    dead_letter_task(broker_url, "overview.rebuild_overview", [KEY], reason="delivery_limit")

    start(broker_url)
    wait_for(lambda: DeadLetter.objects.exists())

    letter = DeadLetter.objects.get()
    assert (letter.origin, letter.course_key) == ("broker", KEY)
    assert "overview.live: delivery_limit" in letter.reason
    mark = OverviewMark.objects.get(course_key=KEY)
    assert mark.next_attempt_at is not None
    assert (mark.next_attempt_at - datetime.now(UTC)).total_seconds() > 3600


def test_nothing_is_acknowledged_before_the_tasks_are_enqueued(broker_url, start, queue):
    queue.failures.append(OSError("broker refused the task"))
    publish(broker_url, encode_event(event()))

    start(broker_url)
    wait_for(lambda: queue.course_keys == [KEY])

    assert wanted(KEY) == 2  # delivered, and marked, twice: harmless, where a loss is not
    wait_for(lambda: events_left(broker_url) == 0)


class DatabaseAwayOnce(DjangoIntakeStore):
    """Answers with an outage at first."""

    outages = 1

    def mark_events(self, events: Sequence[Event]) -> Mapping[str, datetime | None]:
        if self.outages:
            self.outages -= 1
            raise StoreUnavailable("away")
        return super().mark_events(events)


def test_while_the_database_is_away_the_batch_is_kept(url, start, queue):
    publish(url, encode_event(event()))

    start(url, DatabaseAwayOnce())
    wait_for(lambda: queue.course_keys == [KEY])

    assert wanted(KEY) == 1
    wait_for(lambda: events_left(url) == 0)


def test_a_course_whose_task_is_on_its_way_gets_no_second_one(url, start, queue):
    start(url)
    publish(url, encode_event(event()))
    wait_for(lambda: queue.course_keys == [KEY])

    publish(url, encode_event(event()))
    wait_for(lambda: wanted(KEY) == 2 and events_left(url) == 0)
    tasks_while_dirty = list(queue.course_keys)
    OverviewMark.objects.filter(course_key=KEY).update(done=F("wanted"), dirty_since=None)
    publish(url, encode_event(event()))

    wait_for(lambda: queue.course_keys == [KEY, KEY])
    assert tasks_while_dirty == [KEY]
