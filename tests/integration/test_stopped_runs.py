"""Runs that stand still: told of where operators look, kept no longer than is said, read narrowly."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import (
    OverviewRebuildLane,
    OverviewRebuildRun,
    OverviewRunFailure,
    RunDepth,
    RunOrigin,
    RunScope,
    RunState,
)
from lms_integration.rebuild_desk import RunRequest, ask_for_run, pause_run, progress_of
from lms_integration.stopped_runs import stopped_runs
from overview_worker.rebuild import BUILDER_VERSION
from overview_worker.store.conf import StoreConf
from overview_worker.store.run_retention import purge_runs
from overview_worker.store.run_store import DjangoRunStore

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = [f"course-v1:TestX+Stopped{number}+R1" for number in range(3)]
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _on_test_servers(mongo_database, broker_url):
    with override_settings(
        OVERVIEW_MONGODB_DATABASE=mongo_database.name, OVERVIEW_BROKER_URL=broker_url
    ):
        yield


def overview(*arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code and what it printed, on one line."""
    output = StringIO()
    code = 0
    try:
        call_command("overview", *arguments, stdout=output)
    except SystemExit as exited:
        code = int(exited.code or 0)
    return code, " ".join(output.getvalue().split())


def asked(scope: RunScope = RunScope.ALL, **values: Any) -> OverviewRebuildRun:
    return ask_for_run(
        RunRequest(scope=scope, depth=RunDepth.STALE, asked_from=RunOrigin.COMMAND, **values)
    )


def ended(state: RunState, *, days: int = 0, **values: Any) -> OverviewRebuildRun:
    run = asked(**values)
    OverviewRebuildRun.objects.filter(pk=run.pk).update(
        state=state,
        full_slot=None,
        error="broke down" if state == RunState.FAILED else "",
        created_at=DatabaseNow(offset_seconds=-days * 86_400),
        finished_at=DatabaseNow(offset_seconds=-days * 86_400),
    )
    return run


def paused(**values: Any) -> OverviewRebuildRun:
    return pause_run(asked(**values).pk)


def pass_days(count: int) -> None:
    OverviewRebuildRun.objects.update(created_at=F("created_at") - count * DAY)


# Told of


def test_a_paused_run_of_all_courses_says_what_waits_for_it_and_what_to_do():
    run = paused()

    [stopped] = stopped_runs()

    assert stopped.sentence == (
        f"run {run.pk} of all courses is paused, and the nightly run waits for it. "
        f"overview runs resume {run.pk}, or overview runs cancel {run.pk}"
    )


def test_a_failed_run_is_told_of_until_one_of_all_courses_is_done():
    run = ended(RunState.FAILED)
    assert [(each.run, each.error) for each in stopped_runs()] == [(run.pk, "broke down")]

    ended(RunState.DONE)

    assert stopped_runs() == []


@pytest.mark.parametrize("state", [RunState.DONE, RunState.CANCELLED, RunState.RUNNING])
def test_a_run_that_needs_nobody_is_not_told_of(state):
    ended(state)

    assert stopped_runs() == []


def test_the_health_view_tells_of_it_and_is_red_after_a_day(client):
    run = paused()
    response = client.get("/health")
    assert response.status_code == 200
    [stopped] = response.json()["stopped_runs"]
    assert (stopped["run"], stopped["state"]) == (run.pk, "paused")

    pass_days(2)

    assert client.get("/health").status_code == 503


def test_a_run_of_an_organisation_that_is_paused_for_long_is_told_of_and_not_red(client):
    paused(scope=RunScope.ORG, org="TidesX")
    pass_days(2)

    response = client.get("/health")

    assert response.status_code == 200
    assert len(response.json()["stopped_runs"]) == 1


def test_status_tells_of_it_and_fails_after_a_day():
    run = paused()
    code, output = overview("status")
    assert code == 0
    assert f"overview runs resume {run.pk}" in output

    pass_days(2)

    assert overview("status")[0] == 1


def test_doctor_tells_of_it_and_of_who_asks_for_the_nightly_run():
    ended(RunState.FAILED)

    _, output = overview("doctor")

    assert "FAIL rebuild runs: run" in output
    assert "broke down" in output
    assert "ok nightly run: by the schedule in the admin" in output


# Kept


def test_runs_that_are_over_for_long_are_purged_with_their_lanes_and_failures():
    old, young = ended(RunState.DONE, days=91), ended(RunState.CANCELLED, days=89)
    for run in (old, young):
        OverviewRebuildLane.objects.create(run_id=run.pk, number=0)
        OverviewRunFailure.objects.create(
            run_id=run.pk, course_key=KEYS[0], outcome="faulty", failed_at=DatabaseNow()
        )

    assert purge_runs(days=90, using="default") == 1

    assert list(OverviewRebuildRun.objects.values_list("pk", flat=True)) == [young.pk]
    assert list(OverviewRebuildLane.objects.values_list("run_id", flat=True)) == [young.pk]
    assert list(OverviewRunFailure.objects.values_list("run_id", flat=True)) == [young.pk]


def test_a_run_that_is_not_over_is_kept_however_old():
    run = paused()
    pass_days(1000)

    assert purge_runs(days=90, using="default") == 0

    assert OverviewRebuildRun.objects.filter(pk=run.pk).exists()


# Read


def test_a_look_at_a_run_reads_its_named_courses_once():
    store = DjangoRunStore(StoreConf(builder_version=BUILDER_VERSION))
    run = asked(RunScope.COURSES, course_keys=KEYS)

    with CaptureQueriesContext(connection) as queries:
        sights = [store.look(run.pk) for _ in range(5)]

    assert all(sight is not None and sight.order.course_keys == tuple(KEYS) for sight in sights)
    assert len([each for each in queries if "course_keys" in each["sql"]]) == 1


def test_whoever_watches_a_run_does_not_read_its_named_courses():
    run = asked(RunScope.COURSES, course_keys=KEYS)

    with CaptureQueriesContext(connection) as queries:
        progress_of(run.pk)
        code, output = overview("runs", "list")

    assert code == 0
    assert "3 courses" in output
    assert not [each for each in queries if "course_keys" in each["sql"]]
