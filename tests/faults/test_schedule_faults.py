"""The operators' schedule and the internal jobs beside it, while databases and clocks go wrong."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from lms_integration.models import OverviewRebuildRun, RunOrigin
from overview_worker.store.scheduled_runs import ASK_FOR_FULL_RUN
from tests.faults.scene import Scene, wait_for
from tests.faults.test_faults import WrongClock

pytestmark = pytest.mark.service

_LONG_AGO = "2026-01-01T00:00Z"
_SWEPT = "Sending due task sweep"
_COMPLAINT = "the schedule cannot be read; the internal jobs go on"


def due_entry(name: str) -> PeriodicTask:
    """An entry whose time has come, of a run that has nothing to do."""
    weekly = IntervalSchedule.objects.get_or_create(every=7, period="days")[0]
    entry = PeriodicTask.objects.create(
        name=name,
        task=ASK_FOR_FULL_RUN,
        interval=weekly,
        kwargs=f'{{"org": "{name}", "jitter_seconds": 0}}',
    )
    PeriodicTask.objects.filter(pk=entry.pk).update(last_run_at=_LONG_AGO)
    return entry


def runs_of(name: str) -> list[OverviewRebuildRun]:
    return list(OverviewRebuildRun.objects.filter(asked_from=RunOrigin.SCHEDULE, org=name))


def test_beat_sends_the_internal_jobs_while_the_database_is_away_and_the_schedule_afterwards(
    scene: Scene,
):
    scene.sql_server.stop()
    try:
        wait_for(lambda: _COMPLAINT in scene.processes.log("beat"), "the complaint")
        swept = scene.processes.log("beat").count(_SWEPT)
        wait_for(lambda: scene.processes.log("beat").count(_SWEPT) > swept + 3, "sweeps")
    finally:
        scene.sql_server.start()
    wait_for(lambda: bool(due_entry("AwayX")), "the database")

    wait_for(lambda: bool(runs_of("AwayX")), "the run")

    assert len(runs_of("AwayX")) == 1


def test_an_entry_is_sent_once_by_three_beats_whose_clocks_are_wrong_and_no_other_is(
    scene: Scene, tmp_path: Path
):
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    clocks = [WrongClock(folder) for folder in folders]
    beats = [
        scene.more_processes(f"beat {number}", clock.environment)
        for number, clock in enumerate(clocks)
    ]
    later = due_entry("LaterX")
    now = timezone.now()
    hour = (now + timedelta(hours=2)).hour
    crontab = CrontabSchedule.objects.create(minute="0", hour=str(hour), timezone="UTC")
    PeriodicTask.objects.filter(pk=later.pk).update(interval=None, crontab=crontab, last_run_at=now)
    with scene.without("beat"), beats[0], beats[1], beats[2]:
        for clock, ahead_seconds in zip(clocks, (-4 * 3600, 0, 4 * 3600), strict=True):
            clock.set(ahead_seconds)
        for each in beats:
            each.start("beat")
        for clock, ahead_seconds in ((clocks[0], -4 * 3600), (clocks[2], 4 * 3600)):
            wait_for(lambda: clock.is_seen(ahead_seconds, process_count=1), "the clocks")  # noqa: B023 - waited for here
        once = due_entry("OnceX")
        wait_for(lambda: bool(runs_of("OnceX")), "the run")
        swept = [each.log("beat").count(_SWEPT) for each in beats]
        for each, before in zip(beats, swept, strict=True):
            wait_for(
                lambda each=each, before=before: each.log("beat").count(_SWEPT) > before + 4,  # type: ignore[misc]
                "some seconds of each beat",
            )

    once.refresh_from_db()
    assert once.total_run_count == 1
    assert len(runs_of("OnceX")) == 1
    assert runs_of("LaterX") == []
