"""The nightly run where operators have no schedule to edit: asked for once a night, whoever asks."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.db.models import F

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import (
    DatabaseIdentity,
    OverviewJob,
    OverviewRebuildRun,
    RunDepth,
    RunOrigin,
    RunScope,
)
from lms_integration.rebuild_desk import RunRequest, ask_for_run, cancel_run
from overview_worker import tasks
from overview_worker.store.scheduled_runs import NIGHTLY_JOB, ask_for_nightly_run

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)


@pytest.fixture
def hour() -> int:
    """The hour that it is by the database's clock: the night has begun in it."""
    DatabaseIdentity.objects.get_or_create()
    now = DatabaseIdentity.objects.annotate(now=DatabaseNow()).values_list("now", flat=True)[0]
    return int(now.hour)


@pytest.fixture
def days_later(hour: int) -> None:
    """Two nights have begun since the pipeline was installed."""
    ask_for_nightly_run(hour=hour)
    pass_days(2)


def pass_days(count: int) -> None:
    OverviewJob.objects.filter(name=NIGHTLY_JOB).update(started_at=F("started_at") - count * DAY)
    OverviewJob.objects.exclude(name=NIGHTLY_JOB).update(started_at=None)


def test_the_night_of_the_installation_is_left_out(hour):
    assert ask_for_nightly_run(hour=hour) is None

    assert not OverviewRebuildRun.objects.exists()


def test_a_night_has_one_run_and_nights_that_were_missed_are_made_up_for_by_it(hour, days_later):
    run = ask_for_nightly_run(hour=hour, below=lambda count: count - 1)

    assert run is not None
    assert (run.scope, run.depth, run.asked_from) == (
        RunScope.ALL,
        RunDepth.STALE,
        RunOrigin.SCHEDULE,
    )
    assert run.not_before is not None
    assert run.not_before - run.created_at >= timedelta(seconds=890)  # the jitter
    cancel_run(run.pk)
    OverviewJob.objects.exclude(name=NIGHTLY_JOB).update(started_at=None)
    assert ask_for_nightly_run(hour=hour) is None


def test_before_its_hour_no_run_is_asked_for(hour, days_later):
    OverviewJob.objects.filter(name=NIGHTLY_JOB).update(
        started_at=DatabaseNow(offset_seconds=-22 * 3600)
    )

    assert ask_for_nightly_run(hour=(hour + 1) % 24) is None


def test_a_night_waits_for_the_run_that_is_in_its_way(hour, days_later):
    request = RunRequest(scope=RunScope.ALL, depth=RunDepth.BUILD, asked_from=RunOrigin.COMMAND)
    other = ask_for_run(request)

    assert ask_for_nightly_run(hour=hour) is None

    cancel_run(other.pk)
    assert ask_for_nightly_run(hour=hour) is not None


@pytest.mark.skipif(
    connection.vendor != "mysql", reason="SQLite in memory: threads refuse each other's locks"
)
def test_several_beats_that_ask_at_once_get_one_run(hour, days_later):
    barrier = threading.Barrier(4)

    def ask() -> object:
        try:
            barrier.wait()
            return ask_for_nightly_run(hour=hour)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(barrier.parties) as pool:
        asked = [each.result() for each in [pool.submit(ask) for _ in range(barrier.parties)]]

    assert len([run for run in asked if run is not None]) == 1
    assert OverviewRebuildRun.objects.count() == 1


def test_beat_s_task_asks_where_there_is_no_schedule(hour, days_later, settings, monkeypatch):
    settings.OVERVIEW_NIGHTLY_HOUR = hour
    monkeypatch.setattr(tasks, "is_schedule_installed", lambda: False)

    tasks.ask_nightly_task()

    assert OverviewRebuildRun.objects.count() == 1


def test_beat_s_task_leaves_it_to_the_schedule_that_operators_edit(hour, days_later, settings):
    settings.OVERVIEW_NIGHTLY_HOUR = hour

    tasks.ask_nightly_task()

    assert not OverviewRebuildRun.objects.exists()


def test_a_nightly_run_can_be_switched_off(hour, days_later, settings, monkeypatch):
    settings.OVERVIEW_NIGHTLY_HOUR = None
    monkeypatch.setattr(tasks, "is_schedule_installed", lambda: False)

    tasks.ask_nightly_task()

    assert not OverviewRebuildRun.objects.exists()
