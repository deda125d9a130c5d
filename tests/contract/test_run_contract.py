"""What every ``run_ports.RunStore`` and page reader promises: twins and the real ones keep it alike."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from lms_integration.database_clock import DatabaseNow
from lms_integration.events import CoursePublished
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    CourseOverview,
    OverviewMark,
    OverviewProjection,
    OverviewRebuildLane,
    OverviewRebuildRun,
    OverviewRunFailure,
    OverviewState,
)
from lms_integration.models import RunDepth as StoredDepth
from lms_integration.models import RunOrigin as StoredOrigin
from lms_integration.models import RunScope as StoredScope
from lms_integration.rebuild_desk import RunRequest, ask_for_run
from overview_worker.rebuild import BUILDER_VERSION
from overview_worker.run_ports import (
    CRASH_LIMIT,
    ENQUEUED_SECONDS,
    TAKE_OVER_SECONDS,
    TIMEOUT_LIMIT,
    Checkpoint,
    Claim,
    Failure,
    RunDepth,
    RunOrder,
    RunScope,
    RunStage,
    RunState,
    Standstill,
    Tally,
)
from overview_worker.run_testing import InMemoryRunStore, InMemoryStoredPages
from overview_worker.store.conf import StoreConf
from overview_worker.store.run_store import DjangoRunStore
from overview_worker.store.stored_pages import DjangoStoredPages
from overview_worker.testing import InMemoryOverviewStore
from tests.race_scene import real_store
from tests.written_overviews import apply, removed, written

KEYS = [f"course-v1:RunX+C{number}+R1" for number in range(6)]
START = Checkpoint()
MIDDLE = Checkpoint(after_key=KEYS[2])
OUT = Checkpoint(stage=RunStage.PROJECTIONS, is_claimed_out=True)


class InMemory:
    """The twins, and what the tests need beside the ports."""

    def __init__(self) -> None:
        self.store = InMemoryOverviewStore()
        self.runs = InMemoryRunStore(self.store)
        self.pages = InMemoryStoredPages(self.store)
        self._count = 0

    def ask(self, *, org: str = "", rate: float | None = None, **values: Any) -> int:
        self._count += 1
        scope = RunScope.ORG if org else RunScope.ALL
        depth = RunDepth.REWRITE
        self.runs.ask(
            RunOrder(run_id=self._count, scope=scope, depth=depth, org=org, rate=rate, **values)
        )
        return self._count

    def set_state(self, run_id: int, state: RunState) -> None:
        self.runs.runs[run_id].state = state

    def delay(self, run_id: int, seconds: float) -> None:
        self.runs.runs[run_id].not_before = self.store.seconds + seconds

    def state(self, run_id: int) -> RunState:
        return self.runs.runs[run_id].state

    def error(self, run_id: int) -> str:
        return self.runs.runs[run_id].error

    def counts(self, run_id: int) -> dict[str, int]:
        return dict(self.runs.runs[run_id].counts)

    def total(self, run_id: int) -> int | None:
        return self.runs.runs[run_id].total

    def failures(self, run_id: int) -> dict[str, tuple[str, str]]:
        found = self.runs.runs[run_id].counted.failures
        return {key: (each.outcome, each.reason) for key, each in found.items()}

    def pass_time(self, seconds: float) -> None:
        self.store.pass_time(seconds)

    def mark(self, key: str, **values: Any) -> None:
        self.store.mark(key, **values)

    def marked(self, key: str) -> tuple[bool, bool]:
        course = self.store.course(key)
        return course.is_dirty, course.rewrite

    def forget_state(self, key: str) -> None:
        self.store.course(key).has_state = False


class Real:
    """The real ones, and the same beside them."""

    def __init__(self) -> None:
        conf = StoreConf(builder_version=BUILDER_VERSION)
        self.store = real_store()
        self.runs = DjangoRunStore(conf)
        self.pages = DjangoStoredPages(conf)

    def ask(self, *, org: str = "", rate: float | None = None, **values: Any) -> int:
        request = RunRequest(
            scope=StoredScope.ORG if org else StoredScope.ALL,
            depth=StoredDepth.REWRITE,
            asked_from=StoredOrigin.COMMAND,
            org=org,
            rate=rate,
            **values,
        )
        return int(ask_for_run(request).pk)

    def set_state(self, run_id: int, state: RunState) -> None:
        OverviewRebuildRun.objects.filter(pk=run_id).update(state=state.value)

    def delay(self, run_id: int, seconds: float) -> None:
        later = DatabaseNow(offset_seconds=int(seconds))
        OverviewRebuildRun.objects.filter(pk=run_id).update(not_before=later)

    def state(self, run_id: int) -> RunState:
        return RunState(OverviewRebuildRun.objects.get(pk=run_id).state)

    def error(self, run_id: int) -> str:
        return OverviewRebuildRun.objects.get(pk=run_id).error

    def counts(self, run_id: int) -> dict[str, int]:
        row = OverviewRebuildRun.objects.get(pk=run_id)
        names = ("unchanged", "written", "tombstoned", "busy", "failed")
        found = {name: getattr(row, f"{name}_count") for name in names}
        return {name: count for name, count in found.items() if count}

    def total(self, run_id: int) -> int | None:
        return OverviewRebuildRun.objects.get(pk=run_id).total_count

    def failures(self, run_id: int) -> dict[str, tuple[str, str]]:
        rows = OverviewRunFailure.objects.filter(run_id=run_id)
        return {row.course_key: (row.outcome, row.reason) for row in rows}

    def pass_time(self, seconds: float) -> None:
        """Make everything older, as the database's clock cannot be set."""
        shift = timedelta(seconds=seconds)
        for name in ("progressed_at", "not_before"):
            OverviewRebuildRun.objects.update(**{name: F(name) - shift})
        for name in ("heard_at", "enqueued_at", "claimed_at"):
            OverviewRebuildLane.objects.update(**{name: F(name) - shift})
        OverviewMark.objects.update(published_since=F("published_since") - shift)

    def mark(self, key: str, **values: Any) -> None:
        mark_courses([CourseMark(course_key=key, **values)])

    def marked(self, key: str) -> tuple[bool, bool]:
        row = OverviewMark.objects.get(course_key=key)
        return row.wanted > row.done, row.rewrite

    def forget_state(self, key: str) -> None:
        OverviewState.objects.filter(course_key=key).delete()
        OverviewProjection.objects.filter(course_key=key).delete()


@pytest.fixture(
    params=[
        "memory",
        pytest.param("real", marks=[pytest.mark.service, pytest.mark.django_db(transaction=True)]),
    ]
)
def harness(request: pytest.FixtureRequest) -> InMemory | Real:
    if request.param == "memory":
        return InMemory()
    request.getfixturevalue("transactional_db")
    return Real()


def begun(harness, **values: Any) -> int:
    run_id: int = harness.ask(**values)
    harness.runs.begin(run_id, total_count=len(KEYS))
    return run_id


def claimed(
    harness,
    run_id: int,
    *,
    lane: int = 0,
    worker: str = "one",
    at: Checkpoint = START,
    until_key: str = KEYS[2],
    then: Checkpoint = MIDDLE,
) -> Claim:
    claim: Claim | None = harness.runs.claim(
        run_id, lane=lane, worker=worker, at=at, until_key=until_key, then=then
    )
    assert claim is not None
    return claim


# --- Beginning


def test_a_run_that_is_asked_for_is_planned_and_not_begun(harness):
    run_id = harness.ask(org="RunX", rate=2.5)

    sight = harness.runs.look(run_id)

    assert (sight.state, sight.is_begun, sight.checkpoint) == (RunState.PLANNED, False, START)
    assert sight.order == RunOrder(
        run_id=run_id, scope=RunScope.ORG, depth=RunDepth.REWRITE, org="RunX", rate=2.5
    )


def test_a_run_that_is_not_there_is_none(harness):
    assert harness.runs.look(4711) is None


def test_a_run_begins_once(harness):
    run_id = harness.ask()

    harness.runs.begin(run_id, total_count=6)
    harness.runs.begin(run_id, total_count=7)

    sight = harness.runs.look(run_id)
    assert (sight.state, sight.is_begun) == (RunState.RUNNING, True)
    assert harness.total(run_id) == 6


def test_a_run_that_is_to_begin_later_has_no_idle_lanes_until_then(harness):
    run_id = harness.ask()
    harness.delay(run_id, 60)

    assert harness.runs.look(run_id).wait_seconds == pytest.approx(60, abs=2)
    assert harness.runs.take_idle_lanes() == []

    harness.pass_time(61)
    assert harness.runs.take_idle_lanes() == [(run_id, 0), (run_id, 1)]


def test_a_run_that_is_cancelled_before_it_began_does_not_begin(harness):
    run_id = harness.ask()
    harness.set_state(run_id, RunState.CANCELLED)

    harness.runs.begin(run_id, total_count=6)

    assert harness.state(run_id) is RunState.CANCELLED


# --- Claiming


def test_a_claim_has_the_range_and_moves_the_checkpoint(harness):
    run_id = begun(harness)

    claim = claimed(harness, run_id)

    assert claim == Claim(
        run_id=run_id, lane=0, chunk=1, stage=RunStage.COURSES, after_key="", until_key=KEYS[2]
    )
    assert harness.runs.look(run_id).checkpoint == MIDDLE


def test_two_workers_that_read_the_same_checkpoint_get_one_range(harness):
    run_id = begun(harness)
    claimed(harness, run_id)

    again = harness.runs.claim(
        run_id, lane=1, worker="two", at=START, until_key=KEYS[2], then=MIDDLE
    )

    assert again is None


def test_an_empty_page_moves_the_checkpoint_alone(harness):
    run_id = begun(harness)

    claim = harness.runs.claim(run_id, lane=0, worker="one", at=START, until_key="", then=OUT)

    assert claim is None
    assert harness.runs.look(run_id).checkpoint == OUT
    assert harness.runs.take_open(run_id, lane=0, worker="one") is Standstill.NOTHING_OPEN


@pytest.mark.parametrize("state", [RunState.PAUSED, RunState.CANCELLED, RunState.DONE])
def test_of_a_run_that_is_not_running_nothing_is_claimed(harness, state):
    run_id = begun(harness)
    harness.set_state(run_id, state)

    claim = harness.runs.claim(
        run_id, lane=0, worker="one", at=START, until_key=KEYS[2], then=MIDDLE
    )

    assert claim is None
    assert harness.runs.look(run_id).checkpoint == START


def test_a_lane_that_has_a_range_gets_no_other(harness):
    run_id = begun(harness)
    claimed(harness, run_id)

    again = harness.runs.claim(run_id, lane=0, worker="one", at=MIDDLE, until_key=KEYS[5], then=OUT)

    assert again is None


# --- Taking what is open


def test_another_worker_s_lane_is_taken(harness):
    run_id = begun(harness)
    claimed(harness, run_id)

    assert harness.runs.take_open(run_id, lane=0, worker="two") is Standstill.TAKEN
    assert harness.runs.take_open(run_id, lane=1, worker="two") is Standstill.NOTHING_OPEN


def test_a_worker_gets_its_own_range_back_with_another_number(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)

    assert harness.runs.take_open(run_id, lane=0, worker="one") == replace(claim, chunk=2)


def test_a_range_that_was_released_is_taken_by_any_lane(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)
    harness.runs.release(run_id, lane=0, worker="one")

    assert harness.runs.take_open(run_id, lane=1, worker="two") == replace(claim, chunk=2)


def test_a_worker_releases_its_own_lane_only(harness):
    run_id = begun(harness)
    claimed(harness, run_id)

    harness.runs.release(run_id, lane=0, worker="two")

    assert harness.runs.take_open(run_id, lane=0, worker="two") is Standstill.TAKEN


def test_the_range_of_a_worker_that_is_not_heard_of_is_taken_and_counts_as_a_crash(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)
    harness.pass_time(TAKE_OVER_SECONDS + 1)

    taken = harness.runs.take_open(run_id, lane=0, worker="two")

    assert taken == replace(claim, chunk=2, crash_count=1)


def test_who_knows_that_the_worker_is_gone_takes_its_lane_at_once(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)
    claimed(harness, run_id, lane=1, at=MIDDLE, until_key=KEYS[5], then=OUT)

    taken = harness.runs.take_open(run_id, lane=0, worker="two", takes_over=True)

    assert taken == replace(claim, chunk=2, crash_count=1)


def test_a_worker_that_reports_is_heard_of(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)
    harness.pass_time(TAKE_OVER_SECONDS - 5)
    harness.runs.report(claim, Tally(written=1), up_to=KEYS[0])
    harness.pass_time(TAKE_OVER_SECONDS - 5)

    assert harness.runs.take_open(run_id, lane=0, worker="two") is Standstill.TAKEN


# --- Reporting


def test_what_is_reported_is_counted_and_the_range_gets_shorter(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)

    sight = harness.runs.report(
        claim, Tally(unchanged=1, written=2, tombstoned=3, busy=4), up_to=KEYS[1]
    )

    assert sight.state is RunState.RUNNING
    assert harness.counts(run_id) == {"unchanged": 1, "written": 2, "tombstoned": 3, "busy": 4}
    harness.runs.release(run_id, lane=0, worker="one")
    left = harness.runs.take_open(run_id, lane=0, worker="two")
    assert (left.after_key, left.until_key) == (KEYS[1], KEYS[2])


def test_with_its_last_key_the_lane_is_free(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)

    harness.runs.report(claim, Tally(written=3), up_to=KEYS[2])

    assert harness.runs.take_open(run_id, lane=0, worker="two") is Standstill.NOTHING_OPEN
    claimed(harness, run_id, worker="two", at=MIDDLE, until_key=KEYS[5], then=OUT)


def test_a_claim_whose_range_was_given_to_another_counts_nothing(harness):
    run_id = begun(harness)
    late = claimed(harness, run_id)
    harness.pass_time(TAKE_OVER_SECONDS + 1)
    harness.runs.take_open(run_id, lane=0, worker="two")

    assert harness.runs.report(late, Tally(written=3), up_to=KEYS[2]) is None

    assert harness.counts(run_id) == {}


def test_a_claim_that_has_been_reported_to_its_end_counts_nothing_more(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)
    harness.runs.report(claim, Tally(written=3), up_to=KEYS[2])
    claimed(harness, run_id, at=MIDDLE, until_key=KEYS[5], then=OUT)

    assert harness.runs.report(claim, Tally(written=3), up_to=KEYS[2]) is None

    assert harness.counts(run_id) == {"written": 3}


def test_what_is_finished_after_a_cancel_is_counted(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)
    harness.set_state(run_id, RunState.CANCELLED)

    sight = harness.runs.report(claim, Tally(written=1), up_to=KEYS[0])

    assert sight.state is RunState.CANCELLED
    assert harness.counts(run_id) == {"written": 1}


def test_failures_are_kept_with_their_reasons(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)

    failures = {
        KEYS[0]: Failure(outcome="faulty", reason="start = 'x': not a date \ud800"),
        KEYS[1]: Failure(outcome="held", reason="too many"),
    }
    harness.runs.report(claim, Tally(failures=failures), up_to=KEYS[1])

    assert harness.counts(run_id) == {"failed": 2}
    found = harness.failures(run_id)
    assert found[KEYS[1]] == ("held", "too many")
    assert found[KEYS[0]][1].startswith("start = 'x': not a date")


def test_a_report_ends_the_waiting(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)
    harness.runs.note_waiting(run_id, "publishes wait")
    assert harness.runs.look(run_id).waiting_for == "publishes wait"

    assert harness.runs.report(claim, Tally(written=1), up_to=KEYS[0]).waiting_for == ""


def test_the_rate_makes_the_next_courses_wait(harness):
    run_id = begun(harness, rate=2.0)
    claim = claimed(harness, run_id)

    sight = harness.runs.report(claim, Tally(written=3, rebuilt=3), up_to=KEYS[2])

    assert sight.wait_seconds == pytest.approx(1.5, abs=0.2)
    harness.pass_time(1.0)
    assert harness.runs.look(run_id).wait_seconds == pytest.approx(0.5, abs=0.3)


def test_time_that_nothing_was_done_in_is_not_made_up_for(harness):
    run_id = begun(harness, rate=2.0)
    claim = claimed(harness, run_id)
    harness.runs.report(claim, Tally(written=1, rebuilt=1), up_to=KEYS[0])
    harness.pass_time(60)

    sight = harness.runs.report(claim, Tally(written=2, rebuilt=2), up_to=KEYS[2])

    assert sight.wait_seconds == pytest.approx(1.0, abs=0.2)


def test_without_rebuilt_courses_nothing_waits(harness):
    run_id = begun(harness, rate=2.0)
    claim = claimed(harness, run_id)

    assert harness.runs.report(claim, Tally(unchanged=3), up_to=KEYS[2]).wait_seconds == 0.0


def test_a_claim_and_a_report_tell_that_the_run_moves(harness):
    run_id = begun(harness)
    harness.pass_time(30)
    assert harness.runs.look(run_id).idle_seconds == pytest.approx(30, abs=1)

    claim = claimed(harness, run_id)
    assert harness.runs.look(run_id).idle_seconds == pytest.approx(0, abs=1)
    harness.pass_time(30)
    assert harness.runs.report(
        claim, Tally(written=1), up_to=KEYS[0]
    ).idle_seconds == pytest.approx(0, abs=1)


# --- Crashes


def test_an_unforeseen_error_releases_the_lane_and_is_counted(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)

    harness.runs.note_crash(run_id, lane=0, worker="one", error="a bug")

    taken = harness.runs.take_open(run_id, lane=0, worker="two")
    assert taken == replace(claim, chunk=2, crash_count=1)


def test_another_worker_s_lane_is_not_released_by_an_error(harness):
    run_id = begun(harness)
    claimed(harness, run_id)

    harness.runs.note_crash(run_id, lane=0, worker="two", error="a bug")

    assert harness.runs.take_open(run_id, lane=0, worker="two") is Standstill.TAKEN


def test_progress_makes_one_crash_of_many(harness):
    run_id = begun(harness)
    claimed(harness, run_id)
    for _ in range(3):
        harness.runs.note_crash(run_id, lane=0, worker="", error="a bug")
        harness.runs.note_crash(run_id, lane=0, worker="one", error="a bug")
    taken = harness.runs.take_open(run_id, lane=0, worker="one")
    assert taken.crash_count >= 3

    harness.runs.report(taken, Tally(written=1), up_to=KEYS[0])
    harness.runs.release(run_id, lane=0, worker="one")

    assert harness.runs.take_open(run_id, lane=0, worker="two").crash_count == 1


def test_a_new_range_has_no_crashes(harness):
    run_id = begun(harness)
    harness.runs.note_crash(run_id, lane=0, worker="one", error="a bug")

    assert claimed(harness, run_id).crash_count == 0


def test_too_many_crashes_at_one_place_fail_the_run(harness):
    run_id = begun(harness)

    for _ in range(CRASH_LIMIT):
        assert harness.state(run_id) is RunState.RUNNING
        harness.runs.note_crash(run_id, lane=0, worker="one", error="a bug")

    assert harness.state(run_id) is RunState.FAILED
    assert harness.error(run_id) == (
        f"broke down {CRASH_LIMIT} times at the same place, the last time: a bug"
    )


def test_a_worker_whose_time_is_up_leaves_its_range_and_that_is_no_crash(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)

    harness.runs.note_timeout(run_id, lane=0, worker="one", error="time up")

    assert harness.runs.take_open(run_id, lane=0, worker="two") == replace(claim, chunk=2)


def test_a_place_where_time_is_up_again_and_again_counts_as_a_crash(harness):
    run_id = begun(harness)
    claimed(harness, run_id)

    for _ in range(TIMEOUT_LIMIT - 1):
        harness.runs.note_timeout(run_id, lane=0, worker="one", error="time up")
    before = harness.runs.take_open(run_id, lane=0, worker="one")
    harness.runs.note_timeout(run_id, lane=0, worker="one", error="time up")
    after = harness.runs.take_open(run_id, lane=0, worker="one")

    assert (before.crash_count, after.crash_count) == (0, 1)


def test_progress_forgets_that_time_was_up(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)
    for number in range(TIMEOUT_LIMIT + 1):
        harness.runs.report(claim, Tally(written=1), up_to=KEYS[number % 2])
        harness.runs.note_timeout(run_id, lane=0, worker="one", error="time up")
        claim = harness.runs.take_open(run_id, lane=0, worker="one")

    assert claim.crash_count == 0


def test_another_worker_s_lane_is_not_released_by_a_timeout(harness):
    run_id = begun(harness)
    claimed(harness, run_id)

    harness.runs.note_timeout(run_id, lane=0, worker="two", error="time up")

    assert harness.runs.take_open(run_id, lane=0, worker="two") is Standstill.TAKEN


# --- Runs of one release


def test_a_lane_that_is_left_to_others_is_enqueued_again_at_once_and_the_run_says_why(harness):
    run_id = harness.ask()
    harness.runs.take_idle_lanes()
    assert harness.runs.take_idle_lanes() == []

    harness.runs.leave_lane(run_id, lane=0, reason="workers of another release")

    assert harness.runs.take_idle_lanes() == [(run_id, 0)]
    assert harness.runs.look(run_id).waiting_for == "workers of another release"


def test_a_lane_that_somebody_works_on_is_not_enqueued_by_who_leaves_it(harness):
    run_id = begun(harness)
    claimed(harness, run_id)

    harness.runs.leave_lane(run_id, lane=0, reason="workers of another release")

    assert (run_id, 0) not in harness.runs.take_idle_lanes()
    assert harness.runs.look(run_id).waiting_for == ""


def test_a_run_that_is_over_is_not_said_to_wait(harness):
    run_id = begun(harness)
    harness.set_state(run_id, RunState.DONE)

    harness.runs.leave_lane(run_id, lane=0, reason="workers of another release")

    assert harness.runs.look(run_id).waiting_for == ""


# --- The end


def test_a_run_is_done_when_nothing_is_left(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id, until_key=KEYS[5], then=OUT)
    harness.runs.report(claim, Tally(written=4), up_to=KEYS[5])

    assert harness.runs.finish(run_id)

    assert harness.state(run_id) is RunState.DONE
    assert harness.total(run_id) == 4


def test_a_run_is_not_done_while_courses_are_left(harness):
    run_id = begun(harness)
    claim = claimed(harness, run_id)
    harness.runs.report(claim, Tally(written=3), up_to=KEYS[2])

    assert not harness.runs.finish(run_id)
    assert harness.state(run_id) is RunState.RUNNING


def test_a_run_is_not_done_while_a_lane_has_a_range(harness):
    run_id = begun(harness)
    claimed(harness, run_id, until_key=KEYS[5], then=OUT)

    assert not harness.runs.finish(run_id)


def test_a_cancelled_run_is_not_done(harness):
    run_id = begun(harness)
    harness.runs.claim(run_id, lane=0, worker="one", at=START, until_key="", then=OUT)
    harness.set_state(run_id, RunState.CANCELLED)

    assert not harness.runs.finish(run_id)
    assert harness.state(run_id) is RunState.CANCELLED


# --- Lanes that nobody works on


def test_the_lanes_of_a_planned_run_are_idle_once(harness):
    run_id = harness.ask()

    assert harness.runs.take_idle_lanes() == [(run_id, 0), (run_id, 1)]
    assert harness.runs.take_idle_lanes() == []

    harness.pass_time(ENQUEUED_SECONDS + 1)
    assert harness.runs.take_idle_lanes() == [(run_id, 0), (run_id, 1)]


def test_a_lane_that_is_worked_on_is_not_idle(harness):
    run_id = begun(harness)
    claimed(harness, run_id)
    harness.pass_time(ENQUEUED_SECONDS + 1)

    assert harness.runs.take_idle_lanes() == [(run_id, 1)]


def test_the_lane_of_a_dead_worker_is_idle_and_enqueuing_it_does_not_revive_it(harness):
    run_id = begun(harness)
    claimed(harness, run_id)
    harness.pass_time(TAKE_OVER_SECONDS + 1)

    assert harness.runs.take_idle_lanes() == [(run_id, 0), (run_id, 1)]
    assert isinstance(harness.runs.take_open(run_id, lane=0, worker="two"), Claim)


def test_once_all_is_claimed_the_lanes_with_ranges_alone_are_idle(harness):
    run_id = begun(harness)
    claimed(harness, run_id, lane=7, until_key=KEYS[5], then=OUT)
    harness.pass_time(TAKE_OVER_SECONDS + 1)

    assert harness.runs.take_idle_lanes() == [(run_id, 7)]


def test_a_run_that_has_only_to_be_finished_has_one_idle_lane(harness):
    run_id = begun(harness)
    harness.runs.claim(run_id, lane=0, worker="one", at=START, until_key="", then=OUT)
    harness.pass_time(ENQUEUED_SECONDS + 1)

    assert harness.runs.take_idle_lanes() == [(run_id, 0)]


@pytest.mark.parametrize("state", [RunState.PAUSED, RunState.CANCELLED, RunState.FAILED])
def test_a_run_that_does_not_move_has_no_idle_lanes(harness, state):
    run_id = harness.ask()
    harness.set_state(run_id, state)

    assert harness.runs.take_idle_lanes() == []


def test_a_run_that_goes_on_after_a_pause_has_idle_lanes_at_once(harness):
    run_id = begun(harness)
    harness.runs.take_idle_lanes()
    claim = claimed(harness, run_id)
    other = claimed(harness, run_id, lane=1, at=MIDDLE, until_key=KEYS[5], then=OUT)
    harness.set_state(run_id, RunState.PAUSED)
    harness.runs.report(claim, Tally(written=1), up_to=KEYS[0])
    harness.runs.release(run_id, lane=0, worker="one")
    harness.runs.report(other, Tally(written=1), up_to=KEYS[3])
    harness.runs.release(run_id, lane=1, worker="one")

    harness.set_state(run_id, RunState.RUNNING)

    assert harness.runs.take_idle_lanes() == [(run_id, 0), (run_id, 1)]


def test_runs_that_were_asked_for_first_come_first(harness):
    first = harness.ask()
    second = harness.ask(org="RunX")

    assert [run_id for run_id, _ in harness.runs.take_idle_lanes()] == [
        first,
        first,
        second,
        second,
    ]


# --- Publishes and marks


def test_a_publish_that_has_just_come_is_not_waited_for(harness):
    harness.mark(KEYS[0], event_type=CoursePublished.type_name)

    assert not harness.runs.publishes_wait()


def test_a_publish_that_nobody_has_served_is_waited_for(harness):
    harness.mark(KEYS[0], event_type=CoursePublished.type_name)
    harness.pass_time(1)

    assert harness.runs.publishes_wait()


def test_what_the_inspector_has_marked_is_not_waited_for(harness):
    harness.mark(KEYS[0], event_type="inspector: missing")
    harness.pass_time(1)

    assert not harness.runs.publishes_wait()


def test_courses_that_are_left_to_others_are_marked(harness):
    harness.runs.mark([KEYS[0]], rewrite=True)
    harness.runs.mark([KEYS[1]], rewrite=False)

    assert [harness.marked(key) for key in KEYS[:2]] == [(True, True), (True, False)]


# --- What is stored


def page(harness, *, after_key: str = "", until_key: str = "", org: str = "", limit: int = 100):
    found = harness.pages.page_stored(
        after_key=after_key, until_key=until_key, org=org, limit=limit
    )
    return [course.course_key for course in found]


def test_stored_courses_come_in_the_order_of_their_keys_bytes(harness):
    keys = ["course-v1:a+C+R", "course-v1:B+C+R", "course-v1:b+C+R", "course-v1:ä+C+R"]
    apply(harness.store, written(), *keys)

    assert page(harness) == sorted(keys)


def test_a_page_begins_after_a_key_ends_with_one_and_has_no_more_than_asked(harness):
    apply(harness.store, written(), *KEYS)

    assert page(harness, after_key=KEYS[1], until_key=KEYS[4]) == KEYS[2:5]
    assert page(harness, after_key=KEYS[1], limit=2) == KEYS[2:4]


def test_the_courses_of_an_organisation_are_found_without_case_and_its_name_is_no_pattern(harness):
    keys = [f"course-v1:{org}+C+R" for org in ("A_.X", "a_.x", "ABCX", "A_", "A")]
    apply(harness.store, written(), *keys)

    assert page(harness, org="a_.X") == sorted(keys[:2])
    assert page(harness, org="A") == keys[4:]
    assert page(harness, org="%") == []


def test_a_stored_course_is_told_with_the_version_of_its_row(harness):
    apply(harness.store, written(), KEYS[0])

    (course,) = harness.pages.find_stored(KEYS).values()

    assert (course.course_key, course.has_row, course.row_version) == (KEYS[0], True, 19)


def test_a_deleted_course_is_told_as_deleted(harness):
    apply(harness.store, written(), KEYS[0])
    apply(harness.store, removed, KEYS[0])

    (course,) = harness.pages.find_stored(KEYS).values()

    assert (course.deleted, course.has_row, course.row_version) == (True, False, None)


def test_rows_that_no_state_stands_for_are_found(harness):
    apply(harness.store, written(), *KEYS[:3])
    for key in KEYS[:2]:
        harness.forget_state(key)

    def rows(**bounds: str):
        bounds = {"after_key": "", "until_key": "", **bounds}
        found = harness.pages.page_stateless(stage=RunStage.ROWS, limit=10, **bounds)
        return [(course.course_key, course.has_row, course.row_version) for course in found]

    assert rows() == [(KEYS[0], True, 19), (KEYS[1], True, 19)]
    assert rows(after_key=KEYS[0]) == [(KEYS[1], True, 19)]
    assert rows(until_key=KEYS[0]) == [(KEYS[0], True, 19)]
    assert harness.pages.find_row_versions(KEYS) == dict.fromkeys(KEYS[:3], 19)


@pytest.mark.django_db(transaction=True)
def test_projections_that_no_state_stands_for_are_found():
    real = Real()
    apply(real.store, written(), *KEYS[:2])
    OverviewState.objects.filter(course_key=KEYS[1]).delete()
    CourseOverview.objects.filter(id=KEYS[1]).delete()

    (course,) = real.pages.page_stateless(
        stage=RunStage.PROJECTIONS, after_key="", until_key="", limit=10
    )

    assert (course.course_key, course.has_row, course.has_projection) == (KEYS[1], False, True)
