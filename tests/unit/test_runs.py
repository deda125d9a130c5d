"""Rebuild runs on the in-memory twins: ranges, counts, crashes, back-off, cancel and pause."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

import celeryconfig
from lms_integration import models
from lms_integration.events import CoursePublished
from overview_worker import run_ports
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.documents import BuiltOverview, PublishedCourse, PublishedPointer
from overview_worker.errors import ModulestoreUnavailable, StoreUnavailable
from overview_worker.inspection_testing import CURRENT
from overview_worker.ports import RebuildCause
from overview_worker.queueing import TEND_RUNS, WORK_ON_RUN
from overview_worker.rebuild import (
    OWN_VERSIONS,
    RebuildDepth,
    RebuildReport,
    rebuild_overviews,
)
from overview_worker.run_pages import MergedPages
from overview_worker.run_ports import (
    CRASH_LIMIT,
    TAKE_OVER_SECONDS,
    TIMEOUT_LIMIT,
    RunDepth,
    RunOrder,
    RunScope,
    RunState,
)
from overview_worker.run_steps import FIRST_STEP_LENGTH, STEP_LENGTH, STEP_SECONDS
from overview_worker.run_testing import InMemoryRun, InMemoryRunStore, InMemoryStoredPages
from overview_worker.runs import (
    CRASHES_OF_ONE_COURSE,
    LANE_HERE,
    PAGE_LENGTH,
    PATIENCE_SECONDS,
    RebuildRuns,
    tend,
)
from overview_worker.testing import InMemoryModulestore, InMemoryOverviewStore
from overview_worker.versions import RowVersions

RUN = 1
SLICE = 10.0


def key(number: int, *, org: str = "RunX") -> str:
    return f"course-v1:{org}+C{number:03}+R1"


def build(course: PublishedCourse) -> BuiltOverview:
    return build_overview(course, settings=BuilderSettings())


class Dead(BaseException):
    """A worker is killed: nothing of it runs any more, and it reaches no database."""


class Mortal:
    """A port that nobody reaches any more once its worker is dead."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.is_dead = False

    def __getattr__(self, name: str) -> Any:
        if self.is_dead:
            raise Dead
        return getattr(self._port, name)


@dataclass(kw_only=True)
class Site:
    """Courses, runs, and workers that take no time unless a test says so."""

    modulestore: InMemoryModulestore = field(default_factory=InMemoryModulestore)
    store: InMemoryOverviewStore = field(default_factory=InMemoryOverviewStore)
    #: Called before each rebuild with its course keys.
    before_rebuild: Callable[[Sequence[str]], object] = lambda keys: None
    rebuilds: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.run_store = InMemoryRunStore(self.store)

    def publish(self, *numbers: int, org: str = "RunX", name: str = "Changed") -> None:
        for number in numbers:
            self.modulestore.publish(key(number, org=org), display_name=name)

    def fill(self, count: int) -> None:
        """Publish courses and build them."""
        self.publish(*range(count), name="Course")
        self.rebuild([key(number) for number in range(count)], RebuildDepth.BUILD, RebuildCause())
        self.rebuilds.clear()

    def ask(self, depth: RunDepth = RunDepth.REWRITE, **values: Any) -> InMemoryRun:
        values = {"scope": RunScope.ALL, **values}
        return self.run_store.ask(RunOrder(run_id=RUN, depth=depth, **values))

    def rebuild(
        self, keys: Sequence[str], depth: RebuildDepth, cause: RebuildCause
    ) -> RebuildReport:
        self.before_rebuild(keys)
        self.rebuilds.append(tuple(keys))
        return rebuild_overviews(
            keys,
            modulestore=self.modulestore,
            store=self.store,
            build=build,
            depth=depth,
            cause=cause,
        )

    def engine(self, worker: str = "worker") -> RebuildRuns:
        mortal = Mortal(self.run_store)

        def rebuild(keys: Sequence[str], depth: RebuildDepth, cause: RebuildCause) -> RebuildReport:
            try:
                return self.rebuild(keys, depth, cause)
            except Dead:
                mortal.is_dead = True
                raise

        return RebuildRuns(
            store=mortal,
            pages=MergedPages(published=self.modulestore, stored=InMemoryStoredPages(self.store)),
            rebuild=rebuild,
            versions=lambda: CURRENT,
            worker=worker,
            now=lambda: self.store.seconds,
            sleep=self.store.pass_time,
            time_up=(_TimeUp,),
        )

    def work(self, lane: int = 0, *, seconds: float = SLICE) -> bool:
        return self.engine().work(RUN, lane, seconds=seconds)

    def enqueued(self) -> list[tuple[int, int]]:
        """Return what a beat enqueues now."""
        queued: list[tuple[int, int]] = []
        tend(store=self.run_store, enqueue=lambda run_id, lane: queued.append((run_id, lane)))
        return queued

    def finish(self, run: InMemoryRun) -> None:
        """Let workers and beat go on until the run is over."""
        for _ in range(200):
            self.store.pass_time(2)
            for run_id, lane in self.enqueued():
                while self.engine().work(run_id, lane, seconds=SLICE):
                    pass
            if run.state not in run_ports.MOVING_STATES:
                return
        raise AssertionError(f"the run does not end: {run}")

    def rows(self) -> list[str]:
        return sorted(key for key, course in self.store.courses.items() if course.row is not None)


@pytest.fixture
def site() -> Site:
    return Site()


# --- What a run looks at


def test_a_run_that_rewrites_writes_every_course_once(site: Site):
    site.fill(250)
    run = site.ask()

    site.finish(run)

    assert run.state is RunState.DONE
    assert (run.total, run.counts) == (250, {"written": 250})
    assert {site.store.course(key(n)).write_count for n in range(250)} == {2}


def test_a_run_that_builds_writes_what_has_changed(site: Site):
    site.fill(20)
    site.publish(3)
    run = site.ask(RunDepth.BUILD)

    site.finish(run)

    assert run.counts == {"unchanged": 19, "written": 1}


def test_a_run_for_stale_courses_hands_those_alone_to_the_rebuild(site: Site):
    site.fill(20)
    site.publish(3, 30)
    run = site.ask(RunDepth.STALE)

    site.finish(run)

    assert run.counts == {"unchanged": 19, "written": 2}
    assert sorted(each for keys in site.rebuilds for each in keys) == [key(3), key(30)]


def test_pages_of_equal_courses_and_pages_that_differ_are_all_counted(site: Site):
    count = PAGE_LENGTH[RunDepth.STALE] + 150
    site.fill(count)
    site.publish(*range(count - 200, count))
    run = site.ask(RunDepth.STALE)

    site.finish(run)

    assert run.counts == {"unchanged": count - 200, "written": 200}


def test_a_run_of_an_organisation_looks_at_its_courses_alone(site: Site):
    site.publish(1, 2)
    site.publish(1, 2, org="Other")
    run = site.ask(scope=RunScope.ORG, org="runx")

    site.finish(run)

    assert site.rows() == [key(1), key(2)]


def test_a_run_of_named_courses_looks_at_those_alone(site: Site):
    site.publish(*range(10))
    run = site.ask(scope=RunScope.COURSES, course_keys=(key(2), key(5)))

    site.finish(run)

    assert site.rows() == [key(2), key(5)]


def test_a_named_course_that_is_gone_becomes_a_tombstone(site: Site):
    site.fill(3)
    site.modulestore.delete(key(1))
    run = site.ask(RunDepth.STALE, scope=RunScope.COURSES, course_keys=(key(1),))

    site.finish(run)

    assert run.counts == {"tombstoned": 1}


def test_a_run_without_courses_is_done(site: Site):
    run = site.ask()

    site.finish(run)

    assert (run.state, run.total, run.counts) == (RunState.DONE, 0, {})


def test_courses_that_are_gone_from_the_index_become_tombstones(site: Site):
    site.fill(30)
    site.modulestore.delete(key(7))
    run = site.ask(RunDepth.BUILD)

    site.finish(run)

    assert run.counts == {"unchanged": 29, "tombstoned": 1}
    assert site.store.course(key(7)).has_tombstone


def test_what_is_buried_already_is_not_counted_again(site: Site):
    site.fill(30)
    site.modulestore.delete(key(7))
    site.finish(site.ask())

    run = site.ask()
    site.finish(run)

    assert (run.total, run.counts) == (29, {"written": 29})


def test_too_many_removals_are_held_and_listed_with_the_reason(site: Site):
    site.fill(40)
    for number in range(20):
        site.modulestore.delete(key(number))
    run = site.ask(RunDepth.STALE)

    site.finish(run)

    assert run.counts == {"unchanged": 20, "failed": 20}
    assert len(site.rows()) == 40
    assert {each.outcome for each in run.counted.failures.values()} == {"held"}
    assert all("vanished" in each.reason for each in run.counted.failures.values())


def test_a_removal_that_a_person_has_refused_is_no_failure(site: Site):
    site.fill(40)
    site.modulestore.delete(key(0))
    site.store.course(key(0)).removal = {"refused": 0.0}
    run = site.ask(RunDepth.BUILD)

    site.finish(run)

    assert run.state is RunState.DONE
    assert run.counts == {"unchanged": 40}


def test_a_row_that_no_state_stands_for_is_buried(site: Site):
    site.fill(30)
    site.modulestore.delete(key(3))
    site.store.course(key(3)).has_state = False
    run = site.ask(RunDepth.STALE)

    site.finish(run)

    assert run.counts == {"unchanged": 29, "tombstoned": 1}


def test_old_rows_are_rewritten(site: Site):
    site.fill(5)
    row = site.store.course(key(2)).row
    assert row is not None
    old = replace(row, overview=replace(row.overview, version=3))
    site.store.course(key(2)).row = old
    run = site.ask(RunDepth.OLD, version_below=4)

    site.finish(run)

    assert run.counts == {"unchanged": 4, "written": 1}
    assert site.store.course(key(2)).row == row


def test_the_history_says_which_run_it_was_and_who_asked(site: Site):
    causes: list[RebuildCause] = []
    site.publish(1)
    run = site.ask(asked_by="ada")
    engine = site.engine()

    def rebuild(keys: Sequence[str], depth: RebuildDepth, cause: RebuildCause) -> RebuildReport:
        causes.append(cause)
        return site.rebuild(keys, depth, cause)

    replace(engine, rebuild=rebuild).run_here(RUN)

    assert run.state is RunState.DONE
    assert causes == [RebuildCause(run_id=RUN, asked_by="ada")]


# --- One bad course


def test_a_course_that_cannot_be_read_is_listed_and_stops_nothing(site: Site):
    site.fill(10)
    site.modulestore.publish_malformed(key(4))
    run = site.ask()

    site.finish(run)

    assert run.counts == {"written": 9, "failed": 1}
    assert run.counted.failures[key(4)].outcome == "faulty"
    assert "expected a list of blocks" in run.counted.failures[key(4)].reason


def test_a_course_that_another_rebuild_has_is_left_to_it_with_a_mark(site: Site):
    site.fill(10)
    run = site.ask()

    with site.store.transaction([key(4)]):
        site.work()

    assert run.counts == {"written": 9, "busy": 1}
    assert site.store.course(key(4)).is_dirty
    assert site.store.course(key(4)).rewrite


def test_a_course_whose_index_entry_lags_is_left_to_the_live_path_with_a_mark(site: Site):
    site.publish(4)
    older = site.modulestore.find_published([key(4)])[key(4)]
    site.fill(10)
    site.modulestore.point_at(older)
    run = site.ask(RunDepth.STALE)

    site.finish(run)

    assert run.counts == {"unchanged": 9, "busy": 1}
    assert site.store.course(key(4)).is_dirty


def test_a_course_that_kills_its_workers_is_listed_after_a_few_and_stops_nothing(site: Site):
    site.fill(60)

    def die(keys: Sequence[str]) -> None:
        if key(33) in keys:
            raise Dead

    site.before_rebuild = die
    run = site.ask()
    deaths = 0

    while run.state in run_ports.MOVING_STATES:
        try:
            site.finish(run)
        except Dead:
            deaths += 1

    assert run.counts == {"written": 59, "failed": 1}
    assert run.counted.failures[key(33)].outcome == "crashed"
    assert deaths == CRASHES_OF_ONE_COURSE


def test_a_course_that_makes_the_rebuild_raise_is_listed_after_a_few_times(site: Site):
    site.fill(60)

    def fail(keys: Sequence[str]) -> None:
        if key(33) in keys:
            raise ZeroDivisionError("a bug")

    site.before_rebuild = fail
    run = site.ask()
    raised = 0

    while run.state in run_ports.MOVING_STATES:
        try:
            site.finish(run)
        except ZeroDivisionError:
            raised += 1

    assert run.counts == {"written": 59, "failed": 1}
    assert raised == CRASHES_OF_ONE_COURSE


def test_a_bug_that_is_no_course_s_fault_fails_the_run_and_says_what(site: Site):
    site.fill(10)
    run = site.ask()
    site.modulestore.page_published = _raise_bug  # type: ignore[method-assign]

    for _ in range(CRASH_LIMIT):
        with pytest.raises(ZeroDivisionError):
            site.work()

    assert run.state is RunState.FAILED
    assert "a bug" in run.error


def _raise_bug(**_: object) -> Any:
    raise ZeroDivisionError("a bug")


# --- Time that runs out


class _TimeUp(Exception):
    """What a task's time limit raises, wherever it is."""


def test_a_task_whose_time_is_up_once_costs_its_courses_nothing(site: Site):
    site.fill(60)
    frozen = [True]

    def freeze_once(keys: Sequence[str]) -> None:
        if frozen and key(33) in keys:
            frozen.clear()
            raise _TimeUp

    site.before_rebuild = freeze_once
    run = site.ask()

    site.finish(run)

    assert run.counts == {"written": 60}
    assert max(len(keys) for keys in site.rebuilds) > 1
    assert not [keys for keys in site.rebuilds if len(keys) == 1]


def test_a_course_that_never_ends_is_listed_and_stops_nothing(site: Site):
    site.fill(60)
    time_ups = []

    def never_end(keys: Sequence[str]) -> None:
        if key(33) in keys:
            time_ups.append(keys)
            raise _TimeUp

    site.before_rebuild = never_end
    run = site.ask()

    site.finish(run)

    assert run.counts == {"written": 59, "failed": 1}
    assert run.counted.failures[key(33)].outcome == "crashed"
    assert len(time_ups) == CRASHES_OF_ONE_COURSE * TIMEOUT_LIMIT


def test_a_task_whose_time_is_up_is_followed_by_another(site: Site):
    site.fill(10)
    site.before_rebuild = _raise_time_up
    site.ask()

    assert site.work() is True


def _raise_time_up(_: object) -> None:
    raise _TimeUp


# --- Runs of one release


NEWER = RowVersions(builder=9, schema=9)


def test_a_run_of_another_release_is_left_to_its_workers(site: Site):
    site.fill(10)
    run = site.ask(versions=NEWER)

    goes_on = site.work()

    assert not goes_on
    assert (run.state, run.counts) == (RunState.PLANNED, {})
    assert run.waiting_for == f"workers of {NEWER}; these are of {OWN_VERSIONS}"
    assert site.enqueued() == [(RUN, 0), (RUN, 1)]


def test_a_release_that_becomes_the_target_in_the_middle_has_the_rest(site: Site):
    site.fill(100)
    site.run_store.target = OWN_VERSIONS
    run = site.ask(RunDepth.REWRITE)

    def retarget(_: object) -> None:
        site.run_store.target = NEWER

    site.before_rebuild = retarget
    goes_on = site.work()

    assert not goes_on
    assert run.counts == {"written": FIRST_STEP_LENGTH}
    assert run.state is RunState.RUNNING


def test_an_upgrade_rebuilds_rows_of_other_versions_whatever_a_worker_remembers(site: Site):
    site.fill(10)
    outdated = replace(CURRENT, builder=CURRENT.builder + 1, are_enforced=False)
    run = site.ask(RunDepth.STALE, versions=OWN_VERSIONS)

    replace(site.engine(), versions=lambda: outdated).run_here(RUN)

    assert sum(len(keys) for keys in site.rebuilds) == 10
    assert run.state is RunState.DONE


# --- Servers that are away


def test_while_mongodb_is_away_the_run_waits_and_says_so(site: Site):
    site.fill(40)
    run = site.ask()
    site.before_rebuild = lambda keys: _take_mongodb_away(site)

    assert site.work() is True

    assert (run.state, run.counts) == (RunState.RUNNING, {})
    assert run.waiting_for == "MongoDB did not answer: gone"
    site.before_rebuild = lambda keys: None
    site.modulestore.outage = None
    site.finish(run)
    assert (run.counts, run.waiting_for) == ({"written": 40}, "")


def _take_mongodb_away(site: Site) -> None:
    site.modulestore.outage = ModulestoreUnavailable("MongoDB did not answer: gone")


def test_while_the_database_is_away_the_run_waits(site: Site):
    site.fill(40)
    run = site.ask()
    site.store.outage = StoreUnavailable("overview database: gone")

    assert site.work() is True
    site.store.outage = None
    site.finish(run)

    assert run.counts == {"written": 40}


def test_a_course_that_alone_cannot_be_had_is_left_to_the_live_path(site: Site):
    site.fill(40)
    read_published = site.modulestore.read_published

    def read(pointers):
        if key(7) in {pointer.course_key for pointer in pointers}:
            raise ModulestoreUnavailable("MongoDB did not answer: too large")
        return read_published(pointers)

    site.modulestore.read_published = read  # type: ignore[method-assign]
    run = site.ask()

    site.finish(run)

    assert run.counts == {"written": 39, "busy": 1}
    assert site.store.course(key(7)).is_dirty


# --- Crashes


class _ShortLived:
    """A port whose nth call, over all ports of a worker, is its last: before it is made, or after."""

    def __init__(self, port: Any, count: list[int], *, last: int, dies_after: bool) -> None:
        self._port, self._count = port, count
        self._last, self._dies_after = last, dies_after

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        return partial(self, attribute) if callable(attribute) else attribute

    def __call__(self, call: Callable[..., Any], *args: Any, **values: Any) -> Any:
        self._count[0] += 1
        if self._count[0] > self._last or (self._count[0] == self._last and not self._dies_after):
            raise Dead
        answer = call(*args, **values)
        if self._count[0] == self._last:
            raise Dead
        return answer


@pytest.mark.parametrize("dies_after", [False, True])
@pytest.mark.parametrize("depth", [RunDepth.REWRITE, RunDepth.STALE])
def test_wherever_workers_die_every_course_is_done_and_counted_once(depth, dies_after):
    last = 0
    while True:
        last += 1
        site = Site()
        site.fill(60)
        site.publish(*range(10, 50))
        site.modulestore.delete(key(5))
        run = site.ask(depth)
        count = [0]
        engine = site.engine()
        mortal = replace(
            engine,
            store=_ShortLived(engine.store, count, last=last, dies_after=dies_after),
            pages=_ShortLived(engine.pages, count, last=last, dies_after=dies_after),
            rebuild=partial(
                _ShortLived(engine, count, last=last, dies_after=dies_after), engine.rebuild
            ),
        )
        survived = False
        try:
            mortal.work(RUN, 0, seconds=SLICE)
            survived = True
        except Dead:
            pass

        site.finish(run)

        expected = {"tombstoned": 1, "written": 40, "unchanged": 19}
        if depth is RunDepth.REWRITE:
            expected = {"tombstoned": 1, "written": 59}
        # What was rebuilt and not counted is found as it is: unchanged, or buried already.
        assert run.total == sum(run.counts.values()) == 59 + run.counted.tombstoned
        assert "failed" not in run.counts
        assert site.rows() == [key(number) for number in range(60) if number != 5]
        if survived:
            assert run.counts == expected
            break
    assert last > 10


def test_a_worker_that_was_thought_dead_counts_nothing(site: Site):
    site.fill(20)
    run = site.ask()

    def be_taken_over(keys: Sequence[str]) -> None:
        site.before_rebuild = lambda keys: None
        site.store.pass_time(TAKE_OVER_SECONDS + 1)
        site.finish(run)

    site.before_rebuild = be_taken_over
    site.work(seconds=1000.0)

    assert run.counts == {"written": 20}


def test_who_knows_that_the_worker_is_gone_goes_on_at_once(site: Site):
    site.fill(20)
    run = site.ask()

    def die(keys: Sequence[str]) -> None:
        raise Dead

    site.before_rebuild = die
    with pytest.raises(Dead):
        site.work()
    site.before_rebuild = lambda keys: None

    assert site.engine().work(RUN, 0, seconds=SLICE) is False
    assert run.counts == {}
    site.engine().work(RUN, 0, seconds=SLICE, takes_over=True)
    assert run.counts == {"written": 20}


def test_a_lane_that_another_worker_has_is_left_to_it(site: Site):
    site.fill(20)
    run = site.ask()
    answers: list[bool] = []
    site.before_rebuild = lambda keys: answers.append(site.engine("second").work(RUN, 0, seconds=1))

    site.work()

    assert set(answers) == {False}
    assert run.counts == {"written": 20}


def test_two_lanes_share_the_courses(site: Site):
    count = 2 * PAGE_LENGTH[RunDepth.REWRITE]
    site.fill(count)
    run = site.ask()

    def work_beside(keys: Sequence[str]) -> None:
        site.before_rebuild = lambda keys: None
        site.work(lane=1)

    site.before_rebuild = work_beside
    site.work(lane=0)

    assert run.counts == {"written": count}
    assert {lane.number for lane in run.lanes.values() if lane.chunk} == {0, 1}


def test_a_range_that_a_dead_process_left_behind_is_taken_by_any_lane(site: Site):
    site.fill(20)
    run = site.ask()

    def die(keys: Sequence[str]) -> None:
        raise Dead

    site.before_rebuild = die
    with pytest.raises(Dead):
        site.engine().run_here(RUN)
    site.before_rebuild = lambda keys: None
    assert run.lanes[LANE_HERE].until_key

    site.store.pass_time(TAKE_OVER_SECONDS + 1)
    site.finish(run)

    assert run.counts == {"written": 20}


# --- Steering


@pytest.mark.parametrize("state", [RunState.CANCELLED, RunState.PAUSED])
def test_a_run_that_is_stopped_does_no_more_than_the_courses_at_hand(site: Site, state: RunState):
    site.fill(200)
    run = site.ask()
    site.before_rebuild = lambda keys: setattr(run, "state", state)

    assert site.work() is False

    assert run.counts == {"written": len(site.rebuilds[0])}
    assert len(site.rebuilds) == 1


def test_a_paused_run_goes_on_where_it_was(site: Site):
    site.fill(200)
    run = site.ask()
    site.before_rebuild = lambda keys: setattr(run, "state", RunState.PAUSED)
    site.work()
    site.before_rebuild = lambda keys: None

    run.state = RunState.RUNNING
    queued = site.enqueued()
    site.finish(run)

    assert queued == [(RUN, 0), (RUN, 1)]
    assert run.counts == {"written": 200}
    assert sorted(each for keys in site.rebuilds for each in keys) == [key(n) for n in range(200)]


def test_a_run_that_was_stopped_before_it_began_does_nothing(site: Site):
    site.fill(5)
    run = site.ask()
    run.state = RunState.CANCELLED

    assert site.work() is False

    assert run.counts == {}


def test_a_run_that_is_to_begin_later_waits_without_a_worker(site: Site):
    site.fill(5)
    run = site.ask()
    run.not_before = 3600.0

    assert site.work() is False
    assert site.enqueued() == []

    site.store.pass_time(3600)
    site.finish(run)
    assert run.counts == {"written": 5}


# --- Live before bulk


def test_the_rate_is_kept(site: Site):
    site.fill(120)
    run = site.ask(rate=20.0)
    began = site.store.seconds

    site.engine().run_here(RUN)

    assert run.counts == {"written": 120}
    assert 120 / 20.0 - 1.0 <= site.store.seconds - began <= 120 / 20.0 + 1.0


def test_a_low_rate_does_one_course_at_a_time(site: Site):
    site.fill(5)
    site.ask(rate=0.5)

    site.engine().run_here(RUN)

    assert [len(keys) for keys in site.rebuilds] == [1] * 5


def test_courses_that_are_as_they_should_be_do_not_count_for_the_rate(site: Site):
    site.fill(500)
    run = site.ask(RunDepth.STALE, rate=1.0)
    began = site.store.seconds

    site.engine().run_here(RUN)

    assert run.counts == {"unchanged": 500}
    assert site.store.seconds - began < 1.0


def test_while_publishes_wait_a_run_takes_a_step_every_few_seconds_only(site: Site):
    site.fill(300)
    site.store.mark(key(299), event_type=CoursePublished.type_name)
    site.store.pass_time(1)
    run = site.ask()

    assert site.work(seconds=SLICE) is True

    assert len(site.rebuilds) == SLICE // PATIENCE_SECONDS - 1
    # The patience, then a step, then the patience again: the slice ends while the run waits.
    assert run.waiting_for == "publishes wait"


def test_once_no_publish_waits_the_run_goes_on(site: Site):
    site.fill(30)
    site.store.mark(key(299), event_type=CoursePublished.type_name)
    site.store.pass_time(1)
    run = site.ask()
    site.work(seconds=2.0)
    assert run.waiting_for == "publishes wait"

    site.rebuild([key(299)], RebuildDepth.DIRTY, RebuildCause())
    site.rebuilds.clear()
    site.work()

    assert (run.counts, run.waiting_for) == ({"written": 30}, "")


def test_a_publish_that_is_held_back_does_not_hold_the_run_up(site: Site):
    site.fill(30)
    site.modulestore.publish_malformed(key(3))
    site.store.mark(key(3), event_type=CoursePublished.type_name)
    site.rebuild([key(3)], RebuildDepth.DIRTY, RebuildCause())
    site.rebuilds.clear()
    site.store.pass_time(60)
    run = site.ask(RunDepth.STALE)
    began = site.store.seconds

    site.work()

    assert run.counts["unchanged"] == 29
    assert site.store.seconds - began < PATIENCE_SECONDS


def test_steps_shrink_where_courses_take_long(site: Site):
    site.fill(200)
    site.ask()
    site.before_rebuild = lambda keys: site.store.pass_time(0.05 * len(keys))

    site.engine().run_here(RUN)

    assert {len(keys) for keys in site.rebuilds[1:]} <= {1, 2, 3, 4}


def test_courses_whose_size_is_not_that_of_the_last_ones_make_no_long_step(site: Site):
    small, large = range(400), range(400, 480)
    site.fill(480)
    for number in large:
        site.modulestore.weigh(key(number), 7_000_000)
    run = site.ask()
    steps: list[float] = []

    def take_time(keys: Sequence[str]) -> None:
        steps.append(sum(0.04 if each >= key(large[0]) else 0.001 for each in keys))
        site.store.pass_time(steps[-1])

    site.before_rebuild = take_time
    site.engine().run_here(RUN)

    assert run.counts == {"written": 480}
    assert max(steps) <= 2 * STEP_SECONDS
    assert max(len(keys) for keys in site.rebuilds) == STEP_LENGTH
    # Small ones are not slowed down by it, and large ones are not taken one by one for ever.
    assert len([keys for keys in site.rebuilds if keys[0] < key(small[-1])]) <= 8
    assert len(steps) <= 8 + len(large) / 2


def test_the_size_of_a_few_courses_alone_is_asked_for_where_they_are_large(site: Site):
    site.fill(200)
    for number in range(200):
        site.modulestore.weigh(key(number), 7_000_000)
    asked: list[int] = []
    engine = site.engine()

    class Pages(MergedPages):
        def structure_bytes(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, int]:
            asked.append(len(pointers))
            return super().structure_bytes(pointers)

    pages = Pages(published=site.modulestore, stored=InMemoryStoredPages(site.store))
    site.ask()
    site.before_rebuild = lambda keys: site.store.pass_time(0.04 * len(keys))

    replace(engine, pages=pages).run_here(RUN)

    assert max(asked) <= 8
    assert sum(asked) <= 220  # each once; a slice that ends forgets what it has asked for


# --- Beat and broker


def test_a_planned_run_is_enqueued_once_for_each_lane_however_many_beats_there_are(site: Site):
    site.fill(5)
    site.ask()

    queued = [lane for _ in range(3) for lane in site.enqueued()]

    assert queued == [(RUN, 0), (RUN, 1)]


def test_a_lane_whose_message_was_lost_is_enqueued_again(site: Site):
    site.fill(5)
    site.ask()
    site.enqueued()

    site.store.pass_time(run_ports.ENQUEUED_SECONDS + 1)

    assert site.enqueued() == [(RUN, 0), (RUN, 1)]


def test_a_lane_that_is_worked_on_is_not_enqueued(site: Site):
    site.fill(200)
    site.ask()
    idle: list[tuple[int, int]] = []

    def look(keys: Sequence[str]) -> None:
        site.store.pass_time(run_ports.ENQUEUED_SECONDS + 1)
        idle.extend(site.run_store.take_idle_lanes())

    site.before_rebuild = look
    site.work()

    assert (RUN, 0) not in idle


def test_a_run_that_is_over_is_not_enqueued(site: Site):
    site.fill(5)
    run = site.ask()
    site.finish(run)

    site.store.pass_time(3600)

    assert site.enqueued() == []


# --- Publishes beside it


def test_a_course_that_is_published_while_the_run_is_under_way_keeps_the_newest_version(site: Site):
    site.fill(30)
    run = site.ask()

    def publish(keys: Sequence[str]) -> None:
        site.before_rebuild = lambda keys: None
        site.modulestore.publish(key(3), display_name="Newest")
        site.store.mark(key(3), event_type=CoursePublished.type_name)

    site.before_rebuild = publish
    site.finish(run)

    row = site.store.course(key(3)).row
    assert row is not None
    assert row.overview.display_name == "Newest"
    assert not site.store.course(key(3)).is_dirty


def test_clean_courses_stay_clean(site: Site):
    site.fill(10)
    run = site.ask()

    site.finish(run)

    assert {site.store.course(key(number)).wanted for number in range(10)} == {0}


# --- The words of the table


@pytest.mark.parametrize("name", ["RunScope", "RunDepth", "RunState"])
def test_the_engine_s_words_are_the_table_s(name: str):
    ours, stored = getattr(run_ports, name), getattr(models, name)

    assert {each.name: each.value for each in ours} == {each.name: each.value for each in stored}


def test_beat_asks_often_and_what_it_asked_does_not_pile_up():
    entry: Any = celeryconfig.beat_schedule["tend_runs"]

    assert entry["task"] == TEND_RUNS
    assert entry["schedule"].run_every.total_seconds() <= 2
    assert entry["options"]["confirm_timeout"] > 0
    assert {"expiration", "expires"} & set(entry["options"])


def test_runs_are_tended_beside_publishes_and_worked_on_apart_from_them():
    assert celeryconfig.task_routes[TEND_RUNS]["queue"] == celeryconfig.LIVE_QUEUE
    assert celeryconfig.task_routes[WORK_ON_RUN]["queue"] == celeryconfig.BULK_QUEUE
