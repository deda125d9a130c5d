"""The soak's mix of events, on real servers: what nobody marks or announces is left to the inspector."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from kombu import Connection
from pymongo.database import Database

from benchmarks import event_mix
from benchmarks.event_mix import EventMix, silent_keys_for
from dev.authoring.index import SqlCourseIndex
from dev.authoring.index_table import TABLE
from lms_integration.events import QUEUE
from lms_integration.models import OverviewMark

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = [f"course-v1:MixX+C{number}+R1" for number in range(3)]


@pytest.fixture
def mix(mongo_database: Database[dict[str, Any]], broker_url: str) -> Iterator[EventMix]:
    """Courses that are there, of which one is silent; every event is of a real edit."""
    SqlCourseIndex(mongo_database).create_table()
    made = EventMix(
        mongo_database, broker_url, KEYS, edit_share=1, silent_keys=silent_keys_for(len(KEYS))
    )
    for _ in made.create_courses():
        pass
    yield made
    made.finish()
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")


def waiting_events(url: str) -> int:
    with Connection(url) as opened:
        channel: Any = opened.channel()
        return int(channel.queue_declare(queue=QUEUE, passive=True).message_count)


def test_an_edit_in_silence_changes_the_index_and_leaves_neither_mark_nor_event(
    mix: EventMix,
    mongo_database: Database[dict[str, Any]],
    broker_url: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(event_mix, "UNMARKED_SHARE", 1.0)
    (silent_key,) = mix.silent_keys
    index = SqlCourseIndex(mongo_database)
    before = index.find(silent_key)

    for _ in range(5):
        mix.send_one()
    mix.finish()

    after = index.find(silent_key)
    assert before is not None
    assert after is not None
    assert after.published_version != before.published_version
    assert mix.figures.unmarked == 5
    assert not OverviewMark.objects.exists()
    assert waiting_events(broker_url) == 0


def test_no_other_edit_is_silent_and_no_event_is_of_a_silent_course(
    mix: EventMix, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(event_mix, "UNMARKED_SHARE", 0.5)

    for _ in range(40):
        mix.send_one()

    marked = set(OverviewMark.objects.values_list("course_key", flat=True))
    assert 0 < mix.figures.unmarked < 40
    assert mix.figures.real_edits == 40 - mix.figures.unmarked
    assert marked <= set(KEYS)
    assert marked
