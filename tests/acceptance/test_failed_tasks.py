"""Whatever happens to a task on the real broker, it ends in the one table, or is not lost at all."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import schedule
from kombu import Connection, Producer

from dev.procfile import PROJECT
from lms_integration.dead_letter_desk import DeskOutcome, replay_dead_letter
from lms_integration.models import DeadLetter, OverviewMark
from lms_integration.topology import quorum_arguments
from overview_worker.queueing import REBUILD_OVERVIEWS
from tests.acceptance.processes import PATIENCE_SECONDS, Pipeline, wait_for

LIVE = "overview.live"
DELIVERY_LIMIT = quorum_arguments()["x-delivery-limit"]
REBUILD = "overview.rebuild_overview"


@pytest.fixture
def worker(pipeline: Pipeline, tmp_path: Path) -> Iterator[None]:
    """The intake, and a live worker that misbehaves where a course says so."""
    with misbehaving(pipeline, tmp_path, seconds=1):
        yield


@pytest.fixture
def patient_worker(pipeline: Pipeline, tmp_path: Path) -> Iterator[None]:
    """The same, with time to see that one of its processes was killed."""
    with misbehaving(pipeline, tmp_path, seconds=30):
        yield


@contextmanager
def misbehaving(pipeline: Pipeline, tmp_path: Path, *, seconds: int) -> Iterator[None]:
    pipeline.start("intake")
    log = tmp_path / "misbehaving.log"
    command = ["-m", "celery", "-A", "tests.misbehaving_worker", "worker", "-Q", LIVE]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, *command, "--concurrency", "3", "--loglevel", "INFO"],
            cwd=PROJECT,
            env={**pipeline.environment, "MISBEHAVING_SECONDS": str(seconds)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            wait_for(
                lambda: "ready." in log.read_text(errors="replace") or process.poll() is not None,
                what="the worker",
            )
            assert process.poll() is None, log.read_text(errors="replace")
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)
            if os.environ.get("SHOW_WORKER_LOG"):
                print(log.read_text(errors="replace"))  # noqa: T201


def key(run: str) -> str:
    return f"course-v1:TestX+FailedTasks+{run}"


def mark(course_key: str) -> None:
    OverviewMark.objects.create(
        course_key=course_key, wanted=1, done=0, dirty_since=datetime.now(UTC)
    )


def send(url: str, body: bytes | list[Any], *, task: str | None = REBUILD, **properties: Any):
    """Send a message to the live queue as Celery does, or as it should never be."""
    headers = {} if task is None else {"task": task, "id": "1-2-3", "lang": "py"}
    headers |= properties.pop("headers", {})
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with Connection(url) as connection:
        Producer(connection.channel()).publish(
            raw,
            exchange="overview",
            routing_key=LIVE,
            headers=headers,
            delivery_mode=2,
            **{"content_type": "application/json", "content_encoding": "utf-8", **properties},
        )


def letter_with(text: str) -> DeadLetter:
    wait_for(
        lambda: DeadLetter.objects.filter(reason__contains=text).exists(),
        what=f"a letter that says {text!r}",
    )
    return DeadLetter.objects.get(reason__contains=text)


UNREADABLE: dict[str, tuple[bytes | list[Any], dict[str, Any]]] = {
    "unknown task": ([[key("R1")], {}, {}], {"task": "overview.no_such_task"}),
    "no task at all": ({"hello": "world"}, {"task": None}),  # type: ignore[dict-item]
    "not JSON": (b"not json", {}),
    "not JSON, no task": (b"not json either", {"task": None}),
    "pickle": (b"\x80\x04N.", {"content_type": "application/x-python-serialize"}),
    "arguments of another shape": ([1, 2], {}),
    "keyword arguments of another shape": ([[key("R2")], 5, {}], {}),
    "with a callback": ([[key("R3")], {}, {"callbacks": [{"task": "overview.sweep"}]}], {}),
    "compressed": (gzip.compress(b"[]"), {"headers": {"compression": "application/x-gzip"}}),
}


def test_messages_that_no_worker_can_read_end_in_the_table(broker_url, worker):
    for body, properties in UNREADABLE.values():
        send(broker_url, body, **properties)

    wait_for(
        lambda: DeadLetter.objects.count() == len(UNREADABLE),
        what=f"{len(UNREADABLE)} letters",
    )

    kept = {bytes(letter.body) for letter in DeadLetter.objects.filter(origin="broker")}
    assert b"not json" in kept
    assert b"not json either" in kept
    assert DeadLetter.objects.filter(reason__contains="task overview.no_such_task").exists()
    for letter in DeadLetter.objects.filter(origin="broker"):
        assert "from overview.live: rejected" in letter.reason


def test_a_job_of_a_newer_release_s_beat_is_dropped_and_said_so_once(broker_url, worker, tmp_path):
    beat = Celery("newer", broker=broker_url, set_as_current=False)
    beat.config_from_object("celeryconfig")
    job = ScheduleEntry(
        name="new", task="overview.new_job", schedule=schedule(1), app=beat, options={"queue": LIVE}
    )
    scheduler = Scheduler(beat, lazy=True)

    for _ in range(3):
        scheduler.apply_async(job, advance=False)
    send(broker_url, [[key("R1")], {}, {}], task="overview.no_such_task")

    # In the order of the queue: by then the jobs before it are dealt with.
    assert letter_with("overview.no_such_task").origin == "broker"
    assert DeadLetter.objects.count() == 1
    with Connection(broker_url) as connection:
        channel: Any = connection.channel()
        assert channel.queue_declare(LIVE, passive=True).message_count == 0
    log = (tmp_path / "misbehaving.log").read_text(errors="replace")
    assert log.count("overview.new_job is unknown to this release and dropped") == 1


def test_a_task_for_no_course_of_ours_is_kept_with_its_arguments(broker_url, worker):
    send(broker_url, [[{"no": "course"}, "and one too many"], {}, {}])

    letter = letter_with("TypeError")

    assert (letter.origin, letter.course_key) == ("task", "")
    assert json.loads(bytes(letter.body))[0] == [{"no": "course"}, "and one too many"]
    assert replay_dead_letter(letter.id, by="a test").outcome is DeskOutcome.STAYS


@pytest.mark.parametrize(
    ("run", "error"),
    [
        ("Crashes", "KeyError: 'a bug'"),
        ("Slow", "SoftTimeLimitExceeded"),
        ("Hangs", "TimeLimitExceeded: TimeLimitExceeded(2"),
    ],
)
def test_a_rebuild_that_fails_again_and_again_is_put_off_then_given_up(
    broker_url, worker, run, error
):
    mark(key(run))

    send(broker_url, [[key(run)], {}, {}])
    wait_for(
        lambda: OverviewMark.objects.get(course_key=key(run)).attempts == 1, what="the failure"
    )
    first = OverviewMark.objects.get(course_key=key(run))
    assert error in first.last_error
    assert not DeadLetter.objects.exists()

    send(broker_url, [[key(run)], {}, {}])
    letter = letter_with(error)
    assert (letter.origin, letter.course_key) == ("task", key(run))
    held_back = OverviewMark.objects.get(course_key=key(run)).next_attempt_at
    assert held_back is not None
    assert (held_back - datetime.now(UTC)).total_seconds() > 3600

    assert replay_dead_letter(letter.id, by="a test").outcome is DeskOutcome.REPLAYED
    assert OverviewMark.objects.get(course_key=key(run)).next_attempt_at is None


def test_a_course_that_kills_its_worker_takes_none_with_it_that_was_published_beside_it(
    broker_url, patient_worker
):
    innocent = [key(f"R{number}") for number in range(5)]
    for each in (key("Kills"), *innocent):
        mark(each)

    send(broker_url, [[[key("Kills"), *innocent]], {}, {}], task=REBUILD_OVERVIEWS)

    wait_for(
        lambda: not OverviewMark.objects.filter(course_key__in=innocent, done=0).exists(),
        what="the others",
    )
    assert OverviewMark.objects.get(course_key=key("Kills")).done == 0


def test_a_task_that_comes_back_again_and_again_is_given_up_by_the_broker(broker_url, pipeline):
    """As the message of a task that kills its worker each time does."""
    pipeline.start("intake")
    mark(key("Kills"))
    send(broker_url, [[key("Kills")], {}, {}])

    with Connection(broker_url) as connection:
        channel: Any = connection.channel()
        for _ in range(DELIVERY_LIMIT + 1):
            message = None
            while message is None:
                message = channel.basic_get(LIVE)
            channel.basic_reject(message.delivery_tag, requeue=True)
    letter = letter_with("delivery_limit")

    assert (letter.origin, letter.course_key) == ("broker", key("Kills"))
    held_back = OverviewMark.objects.get(course_key=key("Kills"))
    assert held_back.next_attempt_at is not None
    assert replay_dead_letter(letter.id, by="a test").outcome is DeskOutcome.REPLAYED
    assert OverviewMark.objects.get(course_key=key("Kills")).next_attempt_at is None
