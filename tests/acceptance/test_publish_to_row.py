"""A publish in Studio becomes a row: every process real, every server real."""

import os
import time
from pathlib import Path

import pytest
from django.db import connection

from dev.authoring.author import SplitAuthor
from dev.authoring.studio import Studio
from dev.servers.control import find_server, find_sql_server
from lms_integration.database_clock import DatabaseNow
from lms_integration.models import CourseOverview, OverviewMark, OverviewState, OverviewTombstone
from lms_integration.publisher import close_publisher
from overview_worker.celery import app
from overview_worker.queueing import RebuildQueue
from overview_worker.sweeper import BEHIND_SECONDS
from tests.acceptance.processes import Pipeline, wait_for, wait_for_row, wait_until_clean

KEY = "course-v1:TestX+Acceptance+R1"
PROMISED_SECONDS = 2.0


@pytest.fixture
def studio(author: SplitAuthor) -> Studio:
    return Studio(author)


def server(name: str):
    return find_server(name, folder=run_folder())


def run_folder() -> Path:
    return Path(os.environ["OVERVIEW_TEST_SERVERS"])


def create(studio: Studio, key: str = KEY, name: str = "As created"):
    return studio.save(studio.author.create_course, key, settings={"display_name": name})


def rename(studio: Studio, name: str, key: str = KEY):
    return studio.save(studio.author.edit_settings, key, {"display_name": name})


def test_the_life_of_a_course_from_creation_to_rebirth(pipeline: Pipeline, studio: Studio):
    pipeline.start("intake", "live", "beat")

    assert wait_for_row(create(studio)).display_name == "As created"
    assert wait_for_row(rename(studio, "Renamed")).display_name == "Renamed"
    studio.save(studio.author.edit_draft, KEY, {"display_name": "Not yet"})
    assert CourseOverview.objects.get(id=KEY).display_name == "Renamed"
    assert wait_for_row(studio.save(studio.author.publish, KEY)).display_name == "Not yet"

    studio.delete_course(KEY)
    wait_for(
        lambda: OverviewTombstone.objects.filter(course_key=KEY).exists(), what="the tombstone"
    )
    assert not CourseOverview.objects.filter(id=KEY).exists()
    assert OverviewTombstone.objects.get(course_key=KEY).display_name == "Not yet"

    assert wait_for_row(create(studio, name="Born again")).display_name == "Born again"
    assert not OverviewTombstone.objects.filter(course_key=KEY).exists()


def test_publishes_while_the_broker_is_down_cost_studio_little_and_are_rebuilt_all_the_same(
    pipeline: Pipeline, studio: Studio
):
    pipeline.start("live", "beat", "intake")
    wait_for_row(create(studio))
    rabbitmq = server("rabbitmq")

    rabbitmq.stop()
    try:
        started = time.monotonic()
        change = rename(studio, "While the broker was away")
        assert time.monotonic() - started < PROMISED_SECONDS
    finally:
        rabbitmq.start()

    assert wait_for_row(change).display_name == "While the broker was away"
    close_publisher()
    assert wait_for_row(rename(studio, "And back")).display_name == "And back"


def test_a_worker_that_is_behind_rebuilds_what_no_task_is_on_its_way_for(
    pipeline: Pipeline, studio: Studio
):
    """Without beat, nobody sweeps; behind a long queue sweeps come too late."""
    lost = create(studio, "course-v1:TestX+Behind+R1")
    late = create(studio, "course-v1:TestX+Behind+R2")
    OverviewMark.objects.update(dirty_since=DatabaseNow(offset_seconds=-2 * int(BEHIND_SECONDS)))

    RebuildQueue(app).enqueue([late.course_key])
    pipeline.start("live")

    wait_for_row(late)
    wait_for_row(lost)


def test_a_worker_that_is_killed_in_mid_rebuild_loses_nothing(pipeline: Pipeline, studio: Studio):
    keys = [f"course-v1:TestX+Killed+R{number}" for number in range(20)]
    for key in keys:
        create(studio, key)
    pipeline.start("intake", "beat", "live")
    wait_until_clean()

    changes = []
    for round_number in range(3):
        changes = [rename(studio, f"Round {round_number}", key) for key in keys]
        pipeline.kill("live")
        pipeline.start("live")

    for change in changes:
        assert wait_for_row(change).display_name == "Round 2"
    wait_until_clean()


def test_mongodb_away_during_publishes_delays_rows_and_loses_none(
    pipeline: Pipeline, studio: Studio
):
    pipeline.start("intake", "live", "beat")
    wait_for_row(create(studio))
    change = rename(studio, "Read after the outage")
    mongodb = server("mongodb")

    mongodb.stop()
    try:
        OverviewState.objects.filter(course_key=KEY).update(source_version="")
        response = pipeline.command("publish", KEY)
        wait_for(
            lambda: "MongoDB did not answer" in OverviewMark.objects.get(course_key=KEY).last_error,
            what="the recorded outage",
        )
        assert CourseOverview.objects.filter(id=KEY).exists()
    finally:
        mongodb.start()

    assert "cannot be checked now" in response.stdout
    assert wait_for_row(change).display_name == "Read after the outage"
    wait_until_clean()


def test_a_sql_server_restarted_during_publishes_is_outlived_by_every_process(
    pipeline: Pipeline, studio: Studio
):
    pipeline.start("intake", "live", "beat")
    wait_for_row(create(studio))

    find_sql_server(folder=run_folder()).restart()
    connection.close()

    assert wait_for_row(rename(studio, "After the restart")).display_name == "After the restart"
    wait_until_clean()


def test_one_broken_course_is_recorded_and_delays_no_other(pipeline: Pipeline, studio: Studio):
    pipeline.start("intake", "live", "beat")
    wait_for_row(create(studio))

    studio.save(studio.author.edit_settings, KEY, {"start": "no date at all"})
    other = create(studio, "course-v1:TestX+Healthy+R1")

    wait_for_row(other)
    wait_for(lambda: OverviewState.objects.get(course_key=KEY).fault is not None, what="the fault")
    assert CourseOverview.objects.get(id=KEY).display_name == "As created"
    explained = pipeline.command("explain", KEY)
    assert explained.returncode == 1
    assert "start = 'no date at all'" in explained.stdout

    mended = studio.save(studio.author.edit_settings, KEY, {"start": None})
    assert wait_for_row(mended).start is None
    assert pipeline.command("explain", KEY).returncode == 0
