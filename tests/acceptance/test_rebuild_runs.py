"""Rebuild runs as operators have them: asked for in SQL, worked on by the bulk workers' processes."""

import time

import pytest

from dev.authoring.author import SplitAuthor
from dev.authoring.new_course import NewCourse
from lms_integration.models import (
    CourseOverview,
    OverviewRebuildLane,
    OverviewRebuildRun,
    OverviewState,
    RunDepth,
    RunOrigin,
    RunScope,
    RunState,
)
from lms_integration.rebuild_desk import (
    RunRequest,
    ask_for_run,
    cancel_run,
    done_count,
    pause_run,
    resume_run,
)
from overview_worker.celery import app
from overview_worker.queueing import REBUILD_OVERVIEWS
from tests.acceptance.processes import Pipeline, wait_for, wait_for_row

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = 300
#: So soon after a word the workers have left a run alone.
STOP_SECONDS = 2.0


def publish(author: SplitAuthor, count: int = COUNT) -> list[str]:
    keys = [f"course-v1:RunX+C{number:03}+R1" for number in range(count)]
    author.create_courses([NewCourse(course_key=key) for key in keys])
    return keys


def asked(*, rate: float | None = None) -> int:
    request = RunRequest(
        scope=RunScope.ALL, depth=RunDepth.REWRITE, asked_from=RunOrigin.ADMIN, rate=rate
    )
    return int(ask_for_run(request).pk)


def row(run_id: int) -> OverviewRebuildRun:
    return OverviewRebuildRun.objects.get(pk=run_id)


def wait_until_done(run_id: int) -> OverviewRebuildRun:
    wait_for(lambda: row(run_id).state == RunState.DONE, what="the run to be done")
    return row(run_id)


def wait_until_moving(run_id: int, *, done: int) -> None:
    wait_for(lambda: done_count(row(run_id)) >= done, what=f"{done} courses of the run")


def is_left_alone(run_id: int) -> bool:
    return not OverviewRebuildLane.objects.filter(run_id=run_id, claimed_at__isnull=False).exists()


def test_a_run_that_is_written_down_is_worked_on_by_the_bulk_workers(
    pipeline: Pipeline, author: SplitAuthor
):
    keys = publish(author)
    pipeline.start("live", "bulk", "beat")

    run = wait_until_done(asked())

    assert (run.total_count, run.written_count, run.failed_count) == (COUNT, COUNT, 0)
    assert sorted(CourseOverview.objects.values_list("id", flat=True)) == keys


def test_a_run_outlives_its_workers_and_counts_every_course_once(
    pipeline: Pipeline, author: SplitAuthor
):
    publish(author)
    pipeline.start("live", "bulk", "beat")
    run_id = asked(rate=100.0)

    for share in (0.2, 0.5):
        wait_until_moving(run_id, done=int(share * COUNT))
        pipeline.restart_after_kill("bulk")
    run = wait_until_done(run_id)

    assert run.written_count == run.total_count == done_count(run) == COUNT
    assert OverviewState.objects.filter(row_seq__gte=1).count() == COUNT


def test_a_run_stops_and_goes_on_by_a_word(pipeline: Pipeline, author: SplitAuthor):
    publish(author)
    pipeline.start("live", "bulk", "beat")
    run_id = asked(rate=50.0)
    wait_until_moving(run_id, done=20)

    for stop in (pause_run, cancel_run):
        stop(run_id)
        began = time.monotonic()
        wait_for(lambda: is_left_alone(run_id), what="the courses at hand")
        assert time.monotonic() - began < STOP_SECONDS
        stopped = done_count(row(run_id))
        assert stopped < COUNT
        resume_run(run_id)
        wait_until_moving(run_id, done=stopped + 20)
    cancel_run(run_id)
    wait_for(lambda: is_left_alone(run_id), what="the courses at hand")

    assert row(run_id).state == RunState.CANCELLED
    assert CourseOverview.objects.count() == row(run_id).written_count


def test_publishes_are_served_while_a_run_is_under_way(pipeline: Pipeline, author: SplitAuthor):
    published = publish(author)[::100]
    pipeline.start("intake", "live", "bulk", "beat")
    run_id = asked(rate=1.0)
    wait_until_moving(run_id, done=1)

    for number, key in enumerate(published):
        change = author.edit_settings(key, {"display_name": f"Edition {number}"})
        pipeline.command("publish", key)
        assert wait_for_row(change).display_name == f"Edition {number}"
    assert row(run_id).state == RunState.RUNNING
    assert done_count(row(run_id)) < COUNT
    cancel_run(run_id)
    wait_for(lambda: is_left_alone(run_id), what="the courses at hand")

    names = CourseOverview.objects.filter(id__in=published).order_by("id")
    assert [each.display_name for each in names] == ["Edition 0", "Edition 1", "Edition 2"]


def test_what_a_release_without_runs_has_enqueued_is_still_done(
    pipeline: Pipeline, author: SplitAuthor
):
    keys = publish(author, 3)
    pipeline.start("live", "bulk", "beat")
    wait_until_done(asked())
    CourseOverview.objects.update(display_name="By hand")

    app.send_task(REBUILD_OVERVIEWS, args=[keys, True], ignore_result=True)

    wait_for(
        lambda: not CourseOverview.objects.filter(display_name="By hand").exists(),
        what="the rows to be written afresh",
    )
