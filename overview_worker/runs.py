"""Rebuild runs: many courses brought up to date in chunks, beside the live publishes.

A run is a row in SQL with a *checkpoint*; workers take ranges of course keys from it into *lanes*
(``docs/decisions/0007-rebuild-runs.md``). What becomes of a range is counted in the same transaction
that moves the lane on, so that a course is counted once, whoever dies when. The courses themselves are
rebuilt by ``rebuild_overviews`` like any other: a run has no way of its own to write a row.
"""

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from overview_worker.errors import RetryableError
from overview_worker.inspection_ports import CurrentVersions, Sight
from overview_worker.inspector import NEEDS_REWRITE, finding_of
from overview_worker.ports import RebuildCause
from overview_worker.rebuild import OWN_VERSIONS, RebuildDepth, RebuildOutcome, RebuildReport
from overview_worker.run_ports import (
    MOVING_STATES,
    Checkpoint,
    Claim,
    Failure,
    RunDepth,
    RunOrder,
    RunPage,
    RunPages,
    RunScope,
    RunSight,
    RunStage,
    RunState,
    RunStore,
    Standstill,
    Tally,
)
from overview_worker.run_steps import StepCutter, StepSize, WantedCourse
from overview_worker.versions import RowVersions

logger = logging.getLogger(__name__)

#: Courses that one look at both sides takes in, each side.
PAGE_LENGTH = {RunDepth.STALE: 2000, RunDepth.OLD: 2000, RunDepth.BUILD: 500, RunDepth.REWRITE: 500}
#: How long a run waits at most while publishes wait without a pause, before it takes one step.
PATIENCE_SECONDS = 5.0
#: After so many breakdowns at the same place, with its courses taken one by one, the first one is it.
CRASHES_OF_ONE_COURSE = 3
#: Waits for a server that is away: doubled from the first to the last.
BACKOFF_SECONDS = (0.2, 2.0)
#: A lane of its own for a process that works without a queue.
LANE_HERE = 1000
_LOOK_SECONDS = 0.25
_HERE_SLICE_SECONDS = 1.0
_SHOWN_WAIT_SECONDS = 1.0

Rebuild = Callable[[Sequence[str], RebuildDepth, RebuildCause], RebuildReport]


@dataclass(frozen=True, kw_only=True, slots=True)
class RebuildRuns:
    """The engine with what it works on; one instance a process."""

    store: RunStore
    pages: RunPages
    rebuild: Rebuild
    versions: Callable[[], CurrentVersions]  #: which a row is to be of; asked anew for each range
    worker: str  #: names the process
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    step_size: StepSize = field(default_factory=StepSize)
    own: RowVersions = OWN_VERSIONS  #: what ``rebuild`` makes
    #: Raised where a task's time is up, in whatever it was doing.
    time_up: tuple[type[Exception], ...] = ()

    def work(self, run_id: int, lane: int, *, seconds: float, takes_over: bool = False) -> bool:
        """Work on one lane of a run for about so long; return whether somebody has to go on with it.

        Whoever calls it while another worker has the lane returns at once, unless it ``takes_over``
        from one that is known to be gone. A server that does not answer is waited for.
        """
        worker = f"{self.worker} {secrets.token_hex(4)}"
        work = _Slice(
            runs=self,
            run_id=run_id,
            lane=lane,
            worker=worker,
            deadline=self.now() + seconds,
            takes_over=takes_over,
        )
        try:
            return work.run()
        except self.time_up as error:
            # A server that froze takes a task's time too: no course's fault before it comes again.
            logger.warning("run %d: lane %d ran out of time", run_id, lane)
            with suppress(RetryableError):
                work.note_timeout(f"{type(error).__name__}: {error}")
            return True
        except Exception as error:
            with suppress(RetryableError):
                work.note_crash(f"{type(error).__name__}: {error}")
            raise
        except BaseException:
            with suppress(RetryableError):
                work.release()
            raise

    def run_here(self, run_id: int, *, on_progress: Callable[[], object] = lambda: None) -> None:
        """Work on a run in this process until it is over, paused or cancelled; beside workers or without.

        ``on_progress`` is called every second or so.
        """
        while True:
            goes_on = self.work(run_id, LANE_HERE, seconds=_HERE_SLICE_SECONDS)
            on_progress()
            sight = _answered(lambda: self.store.look(run_id), sleep=self.sleep)
            if sight is None or sight.state not in MOVING_STATES:
                return
            if not goes_on:  # others have the rest, or it is to begin later
                self.sleep(_LOOK_SECONDS)


def tend(*, store: RunStore, enqueue: Callable[[int, int], object]) -> int:
    """Enqueue the lanes that nobody works on; return how many. Safe to run any number of times at once.

    ``enqueue`` takes a run and a lane.

    Raises:
        StoreUnavailable: the database did not answer.
    """
    idle = store.take_idle_lanes()
    for run_id, lane in idle:
        enqueue(run_id, lane)
    return len(idle)


def _answered(
    ask: Callable[[], RunSight | None], *, sleep: Callable[[float], None]
) -> RunSight | None:
    """Ask until the database answers."""
    while True:
        try:
            return ask()
        except RetryableError as error:
            logger.warning("waiting for the database: %s", error)
            sleep(BACKOFF_SECONDS[1])


class _Unavailable(RetryableError):
    """A server did not answer while courses were rebuilt."""


@dataclass(kw_only=True, slots=True)
class _Slice:
    """What one worker does with one lane until its time is up."""

    runs: RebuildRuns
    run_id: int
    lane: int
    worker: str
    deadline: float
    takes_over: bool = False
    trouble_count: int = 0  #: times in a row that a server was away
    #: The lane whose range it has: its own, or one that was left behind.
    holds: int | None = None
    cutter: StepCutter = field(init=False)

    def __post_init__(self) -> None:
        self.cutter = StepCutter(weigh=self.runs.pages.structure_bytes)

    def run(self) -> bool:
        """Return whether somebody has to go on with the lane."""
        while self.runs.now() < self.deadline:
            try:
                if not self._take_and_work():
                    return False
                self.trouble_count = 0
            except RetryableError as error:
                self._wait_for_servers(error)
        return True

    def release(self) -> None:
        """Leave the rest of the range that it has."""
        self.runs.store.release(self.run_id, lane=self._held_lane, worker=self.worker)

    def note_crash(self, error: str) -> None:
        """Count an unforeseen error against the place where it happened."""
        self.runs.store.note_crash(
            self.run_id, lane=self._held_lane, worker=self.worker, error=error
        )

    def note_timeout(self, error: str) -> None:
        """Leave the rest of the range that it has, and count that its time ran out."""
        self.runs.store.note_timeout(
            self.run_id, lane=self._held_lane, worker=self.worker, error=error
        )

    @property
    def _held_lane(self) -> int:
        return self.lane if self.holds is None else self.holds

    def _take_and_work(self) -> bool:
        """Do one range, or what comes before the first; return False when the lane has nothing to do."""
        store = self.runs.store
        sight = store.look(self.run_id)
        if sight is None or sight.state not in MOVING_STATES:
            return False
        if not sight.is_begun and sight.wait_seconds > 0:
            return False
        if not self._may_have_part(sight):
            reason = f"workers of {sight.only_for}; these are of {self.runs.own}"
            store.leave_lane(self.run_id, lane=self.lane, reason=reason)
            return False
        if not sight.is_begun:
            store.begin(self.run_id, total_count=self.runs.pages.count(sight.order))
            return True
        found = store.take_open(
            self.run_id, lane=self.lane, worker=self.worker, takes_over=self.takes_over
        )
        self.takes_over = False
        if found is Standstill.TAKEN:
            return False
        if isinstance(found, Claim):
            self._work_on(sight, found, page=None)
            return True
        if sight.checkpoint.is_claimed_out:
            store.finish(self.run_id)
            return False
        self._claim_next(sight)
        return True

    def _may_have_part(self, sight: RunSight) -> bool:
        """Whether rows that workers of this release write are what the run is for."""
        return sight.only_for in (None, self.runs.own)

    def _claim_next(self, sight: RunSight) -> None:
        at = sight.checkpoint
        page = self._read(sight.order, stage=at.stage, after_key=at.after_key, until_key="")
        then = (
            _next_stage(sight.order, at.stage)
            if page.is_last
            else Checkpoint(stage=at.stage, after_key=page.last_key)
        )
        claim = self.runs.store.claim(
            self.run_id,
            lane=self.lane,
            worker=self.worker,
            at=at,
            until_key=page.last_key,
            then=then,
        )
        if claim is not None:
            self._work_on(sight, claim, page=page)

    def _read(self, order: RunOrder, *, stage: RunStage, after_key: str, until_key: str) -> RunPage:
        return self.runs.pages.read(
            order,
            stage=stage,
            after_key=after_key,
            until_key=until_key,
            limit=PAGE_LENGTH[order.depth],
        )

    def _work_on(self, sight: RunSight, claim: Claim, *, page: RunPage | None) -> None:
        """Do a range, step by step; it is left where it is when time is up or the run stops."""
        order, current = sight.order, self._versions_for(sight)
        self.holds = claim.lane
        after_key, crash_count = claim.after_key, claim.crash_count
        while after_key != claim.until_key:
            if page is None:
                page = self._read(
                    order, stage=claim.stage, after_key=after_key, until_key=claim.until_key
                )
            page_end = claim.until_key if page.is_last else page.last_key
            rest: Sequence[WantedCourse] = [
                WantedCourse(
                    course_key=each.course_key,
                    depth=depth_of(each, order, current),
                    pointer=each.pointer,
                )
                for each in page.sights
            ]
            self.cutter.forget()
            while after_key != page_end:
                if not self._may_step(sight):
                    self.release()
                    self.holds = None
                    return
                size = self.runs.step_size
                length = 1 if crash_count else size.length_for(order)
                step, rest = self.cutter.cut(rest, length=length, weight=size.weight)
                tally = self._step(order, step, crash_count=crash_count)
                after_key = step[-1].course_key if rest else page_end
                now = self.runs.store.report(claim, tally, up_to=after_key)
                if now is None:
                    logger.warning("run %d: lane %d is another's now", self.run_id, claim.lane)
                    return
                sight, crash_count = now, min(crash_count, 1)
            page = None
        self.holds = None

    def _versions_for(self, sight: RunSight) -> CurrentVersions:
        """Return which versions rows are to be of; a run for this release rebuilds all others."""
        current = self.runs.versions()
        return replace(current, are_enforced=current.are_enforced or sight.only_for is not None)

    def _may_step(self, sight: RunSight) -> bool:
        """Wait for the rate, and for publishes; return whether the run goes on and there is time."""
        runs = self.runs
        began = runs.now()
        while sight.state is RunState.RUNNING and runs.now() < self.deadline:
            if not self._may_have_part(sight):
                return False
            if sight.wait_seconds > 0:
                runs.sleep(min(_LOOK_SECONDS, sight.wait_seconds))
            elif self._gives_way(sight):
                if runs.now() - began > _SHOWN_WAIT_SECONDS and not sight.waiting_for:
                    runs.store.note_waiting(self.run_id, "publishes wait")
                runs.sleep(0.05)
            else:
                return True
            now = runs.store.look(self.run_id)
            if now is None:
                return False
            sight = now
        return False

    def _gives_way(self, sight: RunSight) -> bool:
        return sight.idle_seconds < PATIENCE_SECONDS and self.runs.store.publishes_wait()

    def _step(self, order: RunOrder, step: Sequence[WantedCourse], *, crash_count: int) -> Tally:
        """Rebuild the courses of a step and count what became of all of them."""
        tally = Tally(unchanged=sum(each.depth is None for each in step))
        if crash_count >= CRASHES_OF_ONE_COURSE:
            wanted = [each.course_key for each in step if each.depth is not None]
            tally.failures |= dict.fromkeys(wanted, _crashed(crash_count))
            return tally
        for depth in (RebuildDepth.BUILD, RebuildDepth.REWRITE):
            keys = [each.course_key for each in step if each.depth is depth]
            if keys:
                self._rebuild(order, keys, depth, tally)
        return tally

    def _rebuild(
        self, order: RunOrder, keys: Sequence[str], depth: RebuildDepth, tally: Tally
    ) -> None:
        began = self.runs.now()
        cause = RebuildCause(run_id=order.run_id, asked_by=order.asked_by)
        report = self.runs.rebuild(keys, depth, cause)
        self.runs.step_size.learn(
            self.runs.now() - began,
            count=len(keys),
            weight=sum(self.cutter.weight_of(key) for key in keys),
        )
        left = self._left_to_others(order, report)
        if left:
            self.runs.store.mark(left, rewrite=depth is RebuildDepth.REWRITE)
        tally.busy += len(left)
        tally.rebuilt += len(keys)
        _count(report, tally)

    def _left_to_others(self, order: RunOrder, report: RebuildReport) -> list[str]:
        """Return the courses that a mark leaves to the live path: it tries them again by itself.

        Raises:
            RetryableError: a server does not answer: nothing can be said of any course.
        """
        left = [key for key, each in report.outcomes.items() if each in _LEFT_TO_OTHERS]
        unavailable = _with_outcome(report, RebuildOutcome.UNAVAILABLE)
        if unavailable and len(report.outcomes) > 1:
            self.runs.step_size.be_careful()
            raise _Unavailable(report.reasons[unavailable[0]])
        if unavailable:
            # Either server is away, or only this course cannot be had: a look at others tells.
            self.runs.pages.read(order, stage=RunStage.COURSES, after_key="", until_key="", limit=1)
        return left + unavailable

    def _wait_for_servers(self, error: RetryableError) -> None:
        logger.warning("run %d waits: %s", self.run_id, error)
        first, last = BACKOFF_SECONDS
        seconds = min(last, first * 2**self.trouble_count)
        self.trouble_count += 1
        try:
            self.runs.store.note_waiting(self.run_id, str(error))
        except RetryableError:
            logger.warning("run %d: the database is away", self.run_id)
        self.runs.sleep(seconds)


_LEFT_TO_OTHERS = frozenset({RebuildOutcome.BUSY, RebuildOutcome.LAGGING})
_FAILED = frozenset({RebuildOutcome.FAULTY, RebuildOutcome.HELD})


def depth_of(sight: Sight, order: RunOrder, current: CurrentVersions) -> RebuildDepth | None:
    """Return how a course has to be rebuilt in a run; None if it is as it should be."""
    match order.depth:
        case RunDepth.REWRITE:
            return RebuildDepth.REWRITE
        case RunDepth.BUILD:
            return RebuildDepth.BUILD
        case RunDepth.OLD:
            return RebuildDepth.REWRITE if _is_old(sight, order) else None
    finding = finding_of(sight, current)
    if finding is None:
        return None
    return RebuildDepth.REWRITE if finding in NEEDS_REWRITE else RebuildDepth.BUILD


def _is_old(sight: Sight, order: RunOrder) -> bool:
    """Whether a row is of an older schema; one that no state stands for may be of any."""
    stored = sight.stored
    if stored is None or order.version_below is None:
        return False
    return stored.row_version is not None and stored.row_version < order.version_below


def _next_stage(order: RunOrder, stage: RunStage) -> Checkpoint:
    """Return where a run goes on when a stage is over; named courses are all in the first."""
    if order.scope is RunScope.COURSES or stage is RunStage.PROJECTIONS:
        return Checkpoint(stage=stage, is_claimed_out=True)
    return Checkpoint(stage=RunStage(stage + 1))


def _count(report: RebuildReport, tally: Tally) -> None:
    for outcome in report.outcomes.values():
        match outcome:
            case RebuildOutcome.WRITTEN:
                tally.written += 1
            case RebuildOutcome.DELETED:
                tally.tombstoned += 1
            case (
                RebuildOutcome.UNCHANGED
                | RebuildOutcome.REFUSED
                | RebuildOutcome.CLEAN
                | RebuildOutcome.ABSENT
            ):
                tally.unchanged += 1
    for key, outcome in report.outcomes.items():
        if outcome in _FAILED:
            reason = report.reasons.get(key, "")
            tally.failures[key] = Failure(outcome=outcome.value, reason=reason)


def _with_outcome(report: RebuildReport, outcome: RebuildOutcome) -> list[str]:
    return [key for key, each in report.outcomes.items() if each is outcome]


def _crashed(count: int) -> Failure:
    return Failure(
        outcome="crashed",
        reason=f"the workers that rebuilt it alone broke down, {count} times so far",
    )
