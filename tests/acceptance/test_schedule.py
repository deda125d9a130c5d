"""Beat and a worker as processes: what operators have scheduled becomes runs, beside the internal jobs."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

from django_celery_beat.models import IntervalSchedule, PeriodicTask

from dev.procfile import PROJECT, ProcfileProcesses
from lms_integration.models import OverviewJob, OverviewRebuildRun, RunOrigin
from overview_worker.store.operator_schedule import NIGHTLY_NAME
from overview_worker.store.scheduled_runs import ASK_FOR_FULL_RUN
from tests.acceptance.processes import Pipeline, wait_for

_SWEPT = "Sending due task sweep"
_ENTRY_SENT = "is sent"


def test_what_an_operator_has_scheduled_becomes_a_run(pipeline: Pipeline):
    often = IntervalSchedule.objects.create(every=1, period="seconds")
    entry = PeriodicTask.objects.create(
        name="often", task=ASK_FOR_FULL_RUN, interval=often, kwargs='{"jitter_seconds": 60}'
    )
    pipeline.start("live", "beat")

    wait_for(OverviewRebuildRun.objects.exists, what="the run")
    wait_for(lambda: _times_sent(entry) > 1, what="the entry's next time")

    (run,) = OverviewRebuildRun.objects.all()
    assert (run.asked_from, run.reason) == (RunOrigin.SCHEDULE, "often")
    assert PeriodicTask.objects.get(name=NIGHTLY_NAME).total_run_count == 0
    assert _SWEPT in pipeline.log("beat")
    assert _ENTRY_SENT in pipeline.log("beat")


def test_of_three_beats_one_sends_each_time(pipeline: Pipeline, tmp_path: Path):
    hourly = IntervalSchedule.objects.create(every=1, period="hours")
    entry = PeriodicTask.objects.create(name="hourly", task=ASK_FOR_FULL_RUN, interval=hourly)
    PeriodicTask.objects.filter(pk=entry.pk).update(last_run_at="2026-01-01T00:00Z")
    beats = [
        ProcfileProcesses(tmp_path / f"beat{number}", environment=pipeline.environment)
        for number in range(3)
    ]
    try:
        for each in beats:
            each.start("beat")
        pipeline.start("live")
        wait_for(OverviewRebuildRun.objects.exists, what="the run")
        for each in beats:
            wait_for(lambda each=each: each.log("beat").count(_SWEPT) > 5, what="10 s of each beat")  # type: ignore[misc]
    finally:
        for each in beats:
            each.stop_all()

    assert sum(each.log("beat").count(_ENTRY_SENT) for each in beats) == 1
    assert _times_sent(entry) == 1
    assert OverviewRebuildRun.objects.count() == 1


def test_an_entry_that_cannot_be_run_stops_neither_beat_nor_the_internal_jobs(pipeline: Pipeline):
    often = IntervalSchedule.objects.create(every=1, period="seconds")
    PeriodicTask.objects.create(name="foreign", task="os.system", interval=often)
    pipeline.start("live", "beat")

    wait_for(
        lambda: "periodic task 'foreign' is not run" in pipeline.log("beat"), what="the complaint"
    )
    swept = pipeline.log("beat").count(_SWEPT)
    wait_for(lambda: pipeline.log("beat").count(_SWEPT) > swept, what="the next sweep")

    assert "os.system" not in pipeline.log("live")
    assert not OverviewJob.objects.filter(name="scheduled_run").exists()


def test_on_sqlite_and_redis_too(redis_url: str, tmp_path: Path):
    database = tmp_path / "overview.sqlite3"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "lms_integration.settings",
        "OVERVIEW_DATABASE_URL": f"sqlite:///{database}",
        "OVERVIEW_BROKER_URL": redis_url,
    }
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--noinput", "-v", "0"],
        cwd=PROJECT,
        env=environment,
        check=True,
    )
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute(
            "SELECT enabled FROM django_celery_beat_periodictask WHERE name = ?", [NIGHTLY_NAME]
        ).fetchall() == [(1,)]
        connection.execute(
            "UPDATE django_celery_beat_periodictask SET last_run_at = '2026-01-01 00:00:00'"
        )
        connection.commit()

    with ProcfileProcesses(tmp_path / "logs", environment=environment) as processes:
        processes.start("live", "beat")
        wait_for(lambda: bool(_runs_in(database)), what="the run")

    assert _runs_in(database) == [("schedule", NIGHTLY_NAME)]


def _times_sent(entry: PeriodicTask) -> int:
    return int(PeriodicTask.objects.get(pk=entry.pk).total_run_count)


def _runs_in(database: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(database)) as connection, suppress(sqlite3.OperationalError):
        return connection.execute("SELECT asked_from, reason FROM overview_rebuild_run").fetchall()
    return []
