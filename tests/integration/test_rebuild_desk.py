"""Asking for rebuild runs and steering them, in SQL."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from lms_integration.data import COURSE_OVERVIEW_VERSION
from lms_integration.database_clock import DatabaseNow
from lms_integration.models import (
    CourseOverview,
    OverviewInspection,
    OverviewRebuildRun,
    RunDepth,
    RunOrigin,
    RunScope,
    RunState,
)
from lms_integration.rebuild_desk import (
    MAX_NAMED_COURSES,
    AlreadyAsked,
    RunRefused,
    RunRequest,
    active_runs,
    ask_for_run,
    cancel_run,
    done_count,
    pause_run,
    progress_of,
    resume_run,
)
from lms_integration.run_estimates import ASSUMED_RATE, estimate

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "course-v1:RunX+C1+R1"
OTHER = "course-v1:RunX+C2+R1"


def request(scope: RunScope = RunScope.ALL, **values: Any) -> RunRequest:
    values = {"depth": RunDepth.STALE, "asked_from": RunOrigin.COMMAND, **values}
    return RunRequest(scope=scope, **values)


def in_state(state: RunState, **values: Any) -> OverviewRebuildRun:
    run = ask_for_run(request(**values))
    full_slot = 1 if state in (RunState.PLANNED, RunState.RUNNING, RunState.PAUSED) else None
    OverviewRebuildRun.objects.filter(pk=run.pk).update(state=state, full_slot=full_slot)
    run.refresh_from_db()
    return run


def test_a_run_says_who_wants_what_and_why():
    run = ask_for_run(
        request(
            RunScope.COURSES,
            course_keys=[OTHER, KEY, OTHER],
            depth=RunDepth.REWRITE,
            asked_by="ada",
            reason="edited by hand",
            rate=3.5,
        )
    )

    assert (run.state, run.course_keys, run.total_count) == (RunState.PLANNED, [KEY, OTHER], 2)
    assert (run.asked_by, run.asked_from) == ("ada", RunOrigin.COMMAND)
    assert (run.reason, run.rate) == ("edited by hand", 3.5)
    assert run.created_at is not None
    assert run.started_at is None


def test_what_is_too_long_for_its_column_is_cut():
    run = ask_for_run(request(asked_by="a" * 200, reason="b" * 600))

    assert (len(run.asked_by), len(run.reason)) == (150, 500)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"scope": RunScope.ORG}, "name the organisation"),
        ({"scope": RunScope.COURSES}, "name the courses"),
        ({"scope": RunScope.COURSES, "course_keys": ["no key"]}, "no key is not a course key"),
        (
            {"scope": RunScope.COURSES, "course_keys": [KEY] * (MAX_NAMED_COURSES + 1)},
            "10000 is the most",
        ),
        ({"depth": RunDepth.OLD}, "takes a schema version"),
        ({"version_below": 3}, "takes a schema version"),
        (
            {"depth": RunDepth.OLD, "version_below": COURSE_OVERVIEW_VERSION + 1},
            f"{COURSE_OVERVIEW_VERSION} is the most",
        ),
        ({"lane_count": 0}, "0 lanes"),
        ({"lane_count": 101}, "1 to 100"),
        ({"rate": 0.0}, "would never end"),
        ({"rate": float("nan")}, "would never end"),
        ({"delay_seconds": -1}, "nothing can begin"),
    ],
)
def test_what_makes_no_sense_is_refused(values, why):
    with pytest.raises(RunRefused, match=why):
        ask_for_run(request(**values))

    assert not OverviewRebuildRun.objects.exists()


@pytest.mark.parametrize("state", [RunState.PLANNED, RunState.RUNNING, RunState.PAUSED])
def test_while_a_run_of_all_courses_is_not_over_another_is_refused(state):
    first = in_state(state, asked_by="ada")

    with pytest.raises(RunRefused, match=rf"run {first.pk} of all courses is {state} .*ada"):
        ask_for_run(request())

    ask_for_run(request(RunScope.ORG, org="RunX"))


@pytest.mark.parametrize("state", [RunState.DONE, RunState.CANCELLED, RunState.FAILED])
def test_once_it_is_over_another_may_be_asked_for(state):
    in_state(state)

    assert ask_for_run(request()).state == RunState.PLANNED


def test_a_cancelled_run_makes_room_for_another():
    cancel_run(ask_for_run(request()).pk)

    assert ask_for_run(request()).state == RunState.PLANNED


@pytest.mark.parametrize(
    ("steer", "state", "then"),
    [
        (pause_run, RunState.PLANNED, RunState.PAUSED),
        (pause_run, RunState.RUNNING, RunState.PAUSED),
        (pause_run, RunState.PAUSED, RunState.PAUSED),
        (resume_run, RunState.PAUSED, RunState.RUNNING),
        (resume_run, RunState.CANCELLED, RunState.RUNNING),
        (resume_run, RunState.FAILED, RunState.RUNNING),
        (resume_run, RunState.PLANNED, RunState.PLANNED),
        (resume_run, RunState.RUNNING, RunState.RUNNING),
        (cancel_run, RunState.PLANNED, RunState.CANCELLED),
        (cancel_run, RunState.RUNNING, RunState.CANCELLED),
        (cancel_run, RunState.PAUSED, RunState.CANCELLED),
        (cancel_run, RunState.FAILED, RunState.CANCELLED),
        (cancel_run, RunState.CANCELLED, RunState.CANCELLED),
    ],
)
def test_a_run_is_steered(steer, state, then):
    run = in_state(state)

    assert steer(run.pk).state == then


@pytest.mark.parametrize(
    ("steer", "state"),
    [
        (pause_run, RunState.DONE),
        (pause_run, RunState.CANCELLED),
        (pause_run, RunState.FAILED),
        (resume_run, RunState.DONE),
        (cancel_run, RunState.DONE),
    ],
)
def test_of_a_run_that_is_over_nothing_can_be_had(steer, state):
    run = in_state(state)

    with pytest.raises(RunRefused, match=f"run {run.pk} is {state}"):
        steer(run.pk)


@pytest.mark.parametrize("ask", [pause_run, resume_run, cancel_run, progress_of])
def test_a_run_that_is_not_there_is_refused(ask):
    with pytest.raises(RunRefused, match="there is no run 4711"):
        ask(4711)


def test_a_cancelled_run_cannot_go_on_beside_another_one():
    first = in_state(RunState.CANCELLED)
    ask_for_run(request())

    with pytest.raises(RunRefused, match="another run of all courses is not over yet"):
        resume_run(first.pk)

    assert OverviewRebuildRun.objects.get(pk=first.pk).state == RunState.CANCELLED


def test_a_run_that_goes_on_is_in_the_way_of_another_again():
    first = in_state(RunState.CANCELLED)
    resume_run(first.pk)

    with pytest.raises(RunRefused):
        ask_for_run(request())


def test_why_a_run_failed_is_kept_until_it_goes_on():
    run = in_state(RunState.FAILED)
    OverviewRebuildRun.objects.filter(pk=run.pk).update(error="a bug")

    assert cancel_run(run.pk).error == "a bug"
    assert resume_run(run.pk).error == ""


def test_the_time_of_a_pause_does_not_count_as_running():
    run = in_state(RunState.PAUSED)
    OverviewRebuildRun.objects.filter(pk=run.pk).update(
        started_at="2026-01-01T00:00:00Z", progressed_at="2026-01-01T00:00:10Z"
    )

    resumed = resume_run(run.pk)

    assert resumed.progressed_at is not None
    assert (resumed.progressed_at - run.created_at).total_seconds() >= 0


def test_progress_is_told_from_the_counts_and_the_time_that_it_ran():
    run = in_state(RunState.RUNNING)
    OverviewRebuildRun.objects.filter(pk=run.pk).update(
        total_count=100,
        unchanged_count=10,
        written_count=5,
        tombstoned_count=4,
        failed_count=3,
        busy_count=3,
        running_seconds=5.0,
    )

    progress = progress_of(run.pk)

    assert progress.done_count == done_count(progress.run) == 25
    assert (progress.share, progress.rate, progress.seconds_left) == (0.25, 5.0, 15.0)


def test_before_the_first_courses_nothing_is_promised():
    progress = progress_of(ask_for_run(request()).pk)

    assert (progress.share, progress.rate, progress.seconds_left) == (0.0, 0.0, None)


def test_a_run_that_is_done_is_done_whatever_was_counted():
    run = in_state(RunState.DONE)

    progress = progress_of(run.pk)

    assert (progress.share, progress.seconds_left) == (1.0, 0.0)


def ended(depth: RunDepth, *, total: int, rebuilt: int, seconds: float, **values: Any) -> None:
    run = in_state(RunState.DONE, depth=depth, **values)
    OverviewRebuildRun.objects.filter(pk=run.pk).update(
        total_count=total, rebuilt_count=rebuilt, running_seconds=seconds
    )


def inspected(count: int, **findings: int) -> None:
    OverviewInspection.objects.create(
        started_at=DatabaseNow(), finished_at=DatabaseNow(), course_count=count, findings=findings
    )


NAMED = request(RunScope.COURSES, course_keys=[KEY, OTHER], depth=RunDepth.REWRITE)


def test_an_estimate_is_a_guess_until_a_run_was_measured():
    guess = estimate(NAMED)
    assert (guess.course_count, guess.rate) == (2, ASSUMED_RATE[RunDepth.REWRITE])
    assert not guess.is_measured

    ended(RunDepth.REWRITE, total=500, rebuilt=500, seconds=2.0)

    measured = estimate(NAMED)
    assert (measured.rate, measured.seconds, measured.is_measured) == (250.0, 2 / 250.0, True)


def test_a_run_with_a_limit_says_nothing_of_how_fast_one_goes_without():
    ended(RunDepth.REWRITE, total=500, rebuilt=500, seconds=500.0, rate=1.0)

    assert not estimate(NAMED).is_measured


def test_a_run_that_had_nothing_to_do_says_nothing_of_how_fast_rows_are_built():
    ended(RunDepth.STALE, total=30_000, rebuilt=3, seconds=1.0)
    inspected(1000, missing=1000)

    found = estimate(request())

    assert (found.rebuilt_count, found.rate) == (1000, ASSUMED_RATE[RunDepth.STALE])
    assert not found.is_measured


def test_a_run_that_will_have_nothing_to_do_is_expected_to_look_only():
    ended(RunDepth.STALE, total=30_000, rebuilt=3, seconds=1.0)
    CourseOverview.objects.create(id=KEY, org="RunX", version=19, pre_requisite_courses_json="[]")
    inspected(1)

    found = estimate(request())

    assert (found.course_count, found.rebuilt_count) == (1, 0)
    assert found.seconds == pytest.approx(1 / 30_000)
    assert found.is_measured


def test_the_first_fill_counts_what_the_inspector_saw():
    inspected(5000)

    found = estimate(request())

    assert (found.course_count, found.rebuilt_count) == (5000, 5000)
    assert found.seconds == 5000 / ASSUMED_RATE[RunDepth.STALE]


@pytest.mark.parametrize("scope", [{"scope": RunScope.ALL}, {"scope": RunScope.ORG, "org": "RunX"}])
def test_what_nobody_has_counted_is_not_known(scope):
    found = estimate(request(**scope))

    assert (found.course_count, found.seconds) == (None, None)


def test_a_pass_that_failed_counts_nothing():
    inspected(5000)
    OverviewInspection.objects.create(
        started_at=DatabaseNow(offset_seconds=60),
        finished_at=DatabaseNow(),
        error="MongoDB is away",
    )

    assert estimate(request()).course_count == 5000


def test_a_run_remembers_what_was_expected_of_it():
    run = ask_for_run(NAMED)

    assert (run.estimated_count, run.estimated_seconds) == (2, 2 / ASSUMED_RATE[RunDepth.REWRITE])


def test_an_estimate_keeps_to_the_rate_that_is_asked_for():
    found = estimate(request(RunScope.COURSES, course_keys=[KEY, OTHER], rate=0.5))

    assert (found.rate, found.seconds) == (0.5, 4.0)


def test_a_run_has_the_lanes_of_the_settings_unless_it_is_told(settings):
    assert ask_for_run(request(RunScope.ORG, org="One")).lane_count == 2

    settings.OVERVIEW_BULK_LANES = 6

    assert ask_for_run(request(RunScope.ORG, org="Two")).lane_count == 6
    assert ask_for_run(request(RunScope.ORG, org="Three", lane_count=3)).lane_count == 3


@pytest.mark.parametrize("lanes", [0, 101, "4", True])
def test_a_number_of_lanes_that_is_none_is_refused(settings, lanes):
    settings.OVERVIEW_BULK_LANES = lanes

    with pytest.raises(ImproperlyConfigured, match="OVERVIEW_BULK_LANES"):
        ask_for_run(request())


def test_asking_with_the_same_token_makes_one_run():
    first = ask_for_run(request(RunScope.ORG, org="One", token="a" * 32))

    with pytest.raises(AlreadyAsked) as refused:
        ask_for_run(request(RunScope.ORG, org="One", token="a" * 32))

    assert refused.value.run == first
    assert OverviewRebuildRun.objects.count() == 1


def test_active_runs_are_those_that_are_not_over_the_oldest_first():
    runs = [
        ask_for_run(request(RunScope.ORG, org=org)).pk for org in ("One", "Two", "Three", "Four")
    ]
    cancel_run(runs[1])
    pause_run(runs[2])

    assert [run.pk for run in active_runs()] == [runs[0], runs[2], runs[3]]
