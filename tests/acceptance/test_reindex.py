"""A rebuild run from the terminal: the command, the broker, the workers and the servers are real."""

import json
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from django.db import connection

from dev.authoring.author import SplitAuthor
from dev.procfile import PROJECT
from lms_integration.models import CourseOverview, OverviewRebuildLane, OverviewRebuildRun
from tests.acceptance.processes import Pipeline, wait_for

KEYS = [f"course-v1:TestX+Reindex+R{number:02}" for number in range(40)]
#: So few courses a second that a run is under way for longer than a command takes.
SLOWLY = "2"
BROKEN = "course-v1:TestX+Reindex+Broken"


@pytest.fixture
def catalogue(author: SplitAuthor) -> None:
    for key in KEYS:
        author.create_course(key, settings={"display_name": "As published"})


def edited_by_hand() -> int:
    return CourseOverview.objects.filter(display_name="By hand").count()


def edit_all_by_hand() -> None:
    CourseOverview.objects.update(display_name="By hand")


def the_run() -> OverviewRebuildRun:
    connection.close()
    return OverviewRebuildRun.objects.latest("created_at")


def hurry(run: OverviewRebuildRun) -> None:
    """Let the rest of a slow run go as fast as it can."""
    OverviewRebuildRun.objects.filter(pk=run.pk).update(rate=None, not_before=None)


def nobody_works_on(run: OverviewRebuildRun) -> bool:
    lanes = OverviewRebuildLane.objects.filter(run_id=run.pk, claimed_at__isnull=False)
    return not lanes.exists()


@contextmanager
def reindexing(pipeline: Pipeline, *arguments: str):
    """The command as a process, once its run has rebuilt some courses."""
    with subprocess.Popen(
        ["overview", "reindex", *arguments],
        cwd=PROJECT,
        env=pipeline.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            wait_for(
                lambda: OverviewRebuildRun.objects.filter(
                    state="running", written_count__gt=0
                ).exists(),
                what="a run that has rebuilt some courses",
            )
            yield process
        finally:
            process.kill()


def test_the_first_fill_and_then_nothing_to_do(pipeline: Pipeline, catalogue):
    pipeline.start("bulk")

    first = pipeline.command("reindex", "--all", "--json")
    second = pipeline.command("reindex", "--all")

    told = json.loads(first.stdout)
    assert (first.returncode, told["up_to_date"], told["state"]) == (0, True, "done")
    assert (told["total_count"], told["written_count"]) == (len(KEYS), len(KEYS))
    assert CourseOverview.objects.count() == len(KEYS)
    assert second.returncode == 0
    assert f"unchanged: {len(KEYS)}" in second.stdout


def test_a_course_that_fails_is_named_and_the_others_are_rebuilt(
    pipeline: Pipeline, author: SplitAuthor, catalogue
):
    author.create_course(BROKEN, settings={"start": "garbage"})
    pipeline.start("bulk")

    done = pipeline.command("reindex", "--all")

    assert done.returncode == 1
    assert f"{BROKEN}: faulty: start = 'garbage'" in done.stdout
    assert CourseOverview.objects.count() == len(KEYS)


def test_ctrl_c_ends_the_watching_and_the_run_goes_on_to_its_end(pipeline: Pipeline, catalogue):
    pipeline.start("bulk", "live", "beat")
    pipeline.command("reindex", "--all")
    edit_all_by_hand()

    with reindexing(pipeline, "--all", "--force", "--rate", SLOWLY) as process:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        run = the_run()
        assert (process.returncode, run.state) == (130, "running")
        assert f"run {run.pk} goes on without this command" in output

    hurry(run)
    watched = pipeline.command("runs", "watch", str(run.pk))
    assert watched.returncode == 0
    assert edited_by_hand() == 0


def test_a_run_that_ctrl_c_cancels_stops_and_is_resumed_where_it_was(pipeline: Pipeline, catalogue):
    pipeline.start("bulk")
    pipeline.command("reindex", "--all")
    edit_all_by_hand()

    with reindexing(
        pipeline, "--all", "--force", "--rate", SLOWLY, "--cancel-on-interrupt"
    ) as process:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    run = the_run()
    left = edited_by_hand()
    assert (process.returncode, run.state) == (130, "cancelled")
    assert f"overview runs resume {run.pk}" in output
    assert 0 < left < len(KEYS)
    assert nobody_works_on(run)

    hurry(run)
    resumed = pipeline.command("reindex", "--resume", str(run.pk), "--json")
    told = json.loads(resumed.stdout)
    assert (resumed.returncode, told["run"], told["written_count"]) == (0, run.pk, len(KEYS))
    assert edited_by_hand() == 0


def test_a_run_is_paused_and_resumed_from_another_terminal(pipeline: Pipeline, catalogue):
    pipeline.start("bulk")
    pipeline.command("reindex", "--all")
    edit_all_by_hand()

    with reindexing(pipeline, "--all", "--force", "--rate", SLOWLY) as process:
        run = the_run()
        paused = pipeline.command("runs", "pause", str(run.pk))
        wait_for(lambda: nobody_works_on(run), what="the chunks at hand")
        left = edited_by_hand()
        hurry(run)
        listed = json.loads(pipeline.command("runs", "--json").stdout)
        resumed = pipeline.command("runs", "resume", str(run.pk))
        output, _ = process.communicate(timeout=60)

    assert (paused.returncode, resumed.returncode, process.returncode) == (0, 0, 0)
    assert (listed[0]["run"], listed[0]["state"]) == (run.pk, "paused")
    assert left > 0
    assert edited_by_hand() == 0
    assert f"run {run.pk} done" in output


def test_open_edxs_own_command_does_the_same(pipeline: Pipeline, catalogue):
    pipeline.start("bulk")

    done = subprocess.run(
        [sys.executable, "manage.py", "generate_course_overview", "--all-courses"],
        cwd=PROJECT,
        env=pipeline.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert f"written: {len(KEYS)}" in done.stdout
    assert CourseOverview.objects.count() == len(KEYS)
