"""From a publish to whoever listens: the processes of the Procfile, and nobody's help."""

from typing import Any

import pytest
from kombu import Connection, Queue

from dev.authoring.author import SplitAuthor
from dev.authoring.studio import Studio
from lms_integration.change_events import CHANGE_ROUTING_KEY, OverviewChanged, decode_change
from lms_integration.models import DeadLetter, OverviewChange
from lms_integration.topology import event_exchange
from tests.acceptance.processes import Pipeline, wait_for, wait_for_row

KEY = "course-v1:TestX+Announced+R1"


@pytest.fixture
def studio(author: SplitAuthor) -> Studio:
    return Studio(author)


def test_a_publish_is_announced_with_old_and_new_values(
    pipeline: Pipeline, studio: Studio, broker_url: str
):
    heard: list[OverviewChanged] = []
    with Connection(broker_url) as broker:
        listener: Any = Queue(
            "test.acceptance.changes", exchange=event_exchange(), routing_key=CHANGE_ROUTING_KEY
        )
        queue = listener(broker.channel())
        queue.declare()

        def has_heard(count: int) -> bool:
            while (message := queue.get(no_ack=True)) is not None:
                heard.append(decode_change(str(message.body).encode()))
            return len(heard) >= count

        try:
            pipeline.start("intake", "live", "beat")
            created = studio.save(
                studio.author.create_course, KEY, settings={"display_name": "Tides"}
            )
            wait_for_row(created)
            wait_for(lambda: has_heard(1), what="the new row to be announced")
            renamed = studio.save(studio.author.edit_settings, KEY, {"display_name": "Dunes"})
            wait_for(lambda: has_heard(2), what="the change to be announced")
        finally:
            queue.delete()

    assert [(each.kind, each.row_seq) for each in heard] == [("created", 1), ("changed", 2)]
    assert heard[1].columns == {"display_name": ["Tides", "Dunes"]}
    assert heard[1].source_version == str(renamed.published_version)
    assert heard[1].cause.endswith("course.published.v1")
    wait_for(
        lambda: not OverviewChange.objects.filter(announced_at__isnull=True).exists(),
        what="the outbox to be empty",
    )
    assert not DeadLetter.objects.exists()
    history = pipeline.command("history", KEY)
    assert history.returncode == 0
    assert "Tides → Dunes" in history.stdout
