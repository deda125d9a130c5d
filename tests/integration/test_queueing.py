"""Into which queue of the real broker rebuilds go, and in how many tasks."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection

from overview_worker.celery import app
from overview_worker.queueing import FEW_COURSES, LIVE_CHUNK_SIZE, RebuildQueue
from overview_worker.tasks import rebuild_overviews_task

LIVE, BULK = "overview.live", "overview.bulk"
KEYS = [f"course-v1:TestX+Queueing+R{number}" for number in range(50)]


@pytest.fixture
def channel(broker_url: str) -> Iterator[Any]:
    with Connection(broker_url) as connection:
        yield connection.channel()


def tasks_in(channel: Any, queue: str) -> list[tuple[str, Any]]:
    """Take all tasks; return name and first argument of each."""
    found = []
    while (message := channel.basic_get(queue, no_ack=True)) is not None:
        headers = message.properties["application_headers"]
        found.append((headers["task"], json.loads(message.body)[0][0]))
    return found


def test_a_few_courses_that_are_published_have_a_task_each(channel):
    RebuildQueue(app).enqueue_together(KEYS[:FEW_COURSES])

    expected = [("overview.rebuild_overview", key) for key in KEYS[:FEW_COURSES]]
    assert tasks_in(channel, LIVE) == expected
    assert tasks_in(channel, BULK) == []


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (FEW_COURSES + 1, [3, 2]),
        (30, [15, 15]),
        (50, [LIVE_CHUNK_SIZE, LIVE_CHUNK_SIZE, 10]),
    ],
)
def test_many_that_are_published_at_once_share_tasks_of_the_live_workers(channel, count, sizes):
    RebuildQueue(app).enqueue_together(KEYS[:count])

    tasks = tasks_in(channel, LIVE)
    assert {name for name, _ in tasks} == {"overview.rebuild_overviews"}
    assert [len(chunk) for _, chunk in tasks] == sizes
    assert [key for _, chunk in tasks for key in chunk] == KEYS[:count]
    assert tasks_in(channel, BULK) == []


def test_a_bulk_chunk_goes_to_the_bulk_workers(channel):
    RebuildQueue(app).enqueue_bulk(KEYS)

    assert tasks_in(channel, BULK) == [("overview.rebuild_overviews", KEYS)]
    assert tasks_in(channel, LIVE) == []


def test_a_live_chunk_whose_worker_has_gone_is_rebuilt_course_by_course(channel):
    task: Any = rebuild_overviews_task
    task.push_request(delivery_info={"routing_key": LIVE, "redelivered": True})
    try:
        task.run(KEYS[:6])
    finally:
        task.pop_request()

    assert tasks_in(channel, LIVE) == [("overview.rebuild_overview", key) for key in KEYS[:6]]
