"""In-memory twins of the ports of rebuild runs, beside ``testing``'s modulestore and store; no server.

Time is the store's (``InMemoryOverviewStore.pass_time``). Not safe to share between threads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from overview_worker.inspection_ports import InspectedCourse
from overview_worker.inspection_testing import inspected
from overview_worker.run_ports import (
    CRASH_LIMIT,
    ENQUEUED_SECONDS,
    MOVING_STATES,
    TAKE_OVER_SECONDS,
    TIMEOUT_LIMIT,
    WAITING_PUBLISH_MS,
    Checkpoint,
    Claim,
    RunOrder,
    RunSight,
    RunStage,
    RunState,
    Standstill,
    Tally,
)
from overview_worker.testing import InMemoryCourse, InMemoryOverviewStore
from overview_worker.versions import RowVersions


@dataclass(kw_only=True, slots=True)
class InMemoryLane:
    """One lane of an ``InMemoryRun``."""

    number: int
    chunk: int = 0
    stage: RunStage = RunStage.COURSES
    after_key: str = ""
    until_key: str = ""
    worker: str = ""  #: '' while nobody works on it
    heard_at: float | None = None
    enqueued_at: float | None = None
    crash_count: int = 0
    timeout_count: int = 0


@dataclass(kw_only=True, slots=True)
class InMemoryRun:
    """All that ``InMemoryRunStore`` knows of one run."""

    order: RunOrder
    lane_count: int = 2
    state: RunState = RunState.PLANNED
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    lanes: dict[int, InMemoryLane] = field(default_factory=dict)
    begun_at: float | None = None
    progressed_at: float = 0.0
    not_before: float = 0.0
    waiting_for: str = ""
    error: str = ""
    total: int | None = None
    counted: Tally = field(default_factory=Tally)

    @property
    def counts(self) -> Mapping[str, int]:
        """``{what became of courses: how many}``, those that are 0 left out."""
        found = {
            name: getattr(self.counted, name)
            for name in ("unchanged", "written", "tombstoned", "busy")
        }
        found["failed"] = len(self.counted.failures)
        return {name: count for name, count in found.items() if count}


class InMemoryRunStore:
    """``run_ports.RunStore`` on dictionaries. Set ``outage`` on the store beside it to have none."""

    def __init__(self, store: InMemoryOverviewStore) -> None:
        self._store = store
        self.runs: dict[int, InMemoryRun] = {}
        self.target: RowVersions | None = None

    def ask(self, order: RunOrder) -> InMemoryRun:
        """Write down a run, as ``rebuild_desk`` does."""
        self.runs[order.run_id] = InMemoryRun(order=order)
        return self.runs[order.run_id]

    def look(self, run_id: int) -> RunSight | None:
        """Return a run as it is now; None without one."""
        self._fail_while_out()
        run = self.runs.get(run_id)
        return None if run is None else self._sight(run)

    def begin(self, run_id: int, *, total_count: int) -> None:
        """Note that a run has begun, and how many courses it is about; a second time does nothing."""
        self._fail_while_out()
        run = self.runs.get(run_id)
        if run is not None and run.begun_at is None and run.state in MOVING_STATES:
            run.state, run.total = RunState.RUNNING, total_count
            run.begun_at = run.progressed_at = self._now

    def take_open(
        self, run_id: int, *, lane: int, worker: str, takes_over: bool = False
    ) -> Claim | Standstill:
        """Take the range that the lane has open, or one that another lane's worker left behind."""
        self._fail_while_out()
        run = self.runs.get(run_id)
        if run is None or run.state is not RunState.RUNNING:
            return Standstill.NOTHING_OPEN
        for each in sorted(run.lanes.values(), key=lambda one: (one.number != lane, one.number)):
            is_own = each.number == lane
            if not self._is_free(each, worker=worker) and not (is_own and takes_over):
                if is_own:
                    return Standstill.TAKEN
            elif each.until_key:
                if each.worker not in ("", worker):
                    self._note_crash(run, each, f"worker {each.worker} was not heard of")
                return self._hold(run, each, worker=worker)
        return Standstill.NOTHING_OPEN

    def claim(
        self,
        run_id: int,
        *,
        lane: int,
        worker: str,
        at: Checkpoint,
        until_key: str,
        then: Checkpoint,
    ) -> Claim | None:
        """Take the range between ``at`` and ``until_key``, and move the checkpoint to ``then``."""
        self._fail_while_out()
        run = self.runs.get(run_id)
        if run is None or run.state is not RunState.RUNNING or run.checkpoint != at:
            return None
        own = run.lanes.setdefault(lane, InMemoryLane(number=lane))
        if not self._is_free(own, worker=worker) or own.until_key:
            return None
        run.checkpoint, run.progressed_at = then, self._now
        if not until_key:
            return None
        own.stage, own.after_key, own.until_key = at.stage, at.after_key, until_key
        own.crash_count = own.timeout_count = 0
        return self._hold(run, own, worker=worker)

    def report(self, claim: Claim, tally: Tally, *, up_to: str) -> RunSight | None:
        """Count what became of the range's courses up to a key; with its last key the lane is free."""
        self._fail_while_out()
        run = self.runs.get(claim.run_id)
        if run is None or run.lanes[claim.lane].chunk != claim.chunk:
            return None
        lane = run.lanes[claim.lane]
        self._count(run, tally)
        lane.after_key, lane.crash_count = up_to, min(lane.crash_count, 1)
        lane.timeout_count = 0
        lane.heard_at = self._now
        if run.state is not RunState.RUNNING:
            lane.heard_at = lane.enqueued_at = None
        if up_to == lane.until_key:
            lane.after_key = lane.until_key = lane.worker = ""
            lane.crash_count = 0
        return self._sight(run)

    def release(self, run_id: int, *, lane: int, worker: str) -> None:
        """Leave the rest of a range to whoever comes next; only if the lane is this worker's."""
        self._fail_while_out()
        run = self.runs.get(run_id)
        own = None if run is None else run.lanes.get(lane)
        if run is not None and own is not None and own.worker == worker:
            own.worker = ""
            if run.state is not RunState.RUNNING:
                own.heard_at = own.enqueued_at = None

    def note_crash(self, run_id: int, *, lane: int, worker: str, error: str) -> None:
        """Count an unforeseen error, and release the lane; with ``CRASH_LIMIT`` of them the run fails."""
        self._fail_while_out()
        run = self.runs.get(run_id)
        if run is None:
            return
        own = run.lanes.setdefault(lane, InMemoryLane(number=lane))
        if own.worker in ("", worker):
            self._note_crash(run, own, error)
            own.worker, own.heard_at = "", self._now

    def note_timeout(self, run_id: int, *, lane: int, worker: str, error: str) -> None:
        """Release the lane of a worker whose time ran out; the ``TIMEOUT_LIMIT``-th is a breakdown."""
        self._fail_while_out()
        run = self.runs.get(run_id)
        if run is None:
            return
        own = run.lanes.setdefault(lane, InMemoryLane(number=lane))
        if own.worker not in ("", worker):
            return
        own.timeout_count += 1
        own.worker, own.heard_at = "", self._now
        if own.timeout_count >= TIMEOUT_LIMIT:
            own.timeout_count = 0
            self._note_crash(run, own, error)

    def leave_lane(self, run_id: int, *, lane: int, reason: str) -> None:
        """Have a lane enqueued again at once, unless somebody works on it."""
        self._fail_while_out()
        run = self.runs.get(run_id)
        if run is None or run.state not in MOVING_STATES:
            return
        own = run.lanes.setdefault(lane, InMemoryLane(number=lane))
        if not own.worker:
            own.enqueued_at = own.heard_at = None
        if run.begun_at is None or self._now - run.progressed_at > ENQUEUED_SECONDS:
            run.waiting_for = reason

    def finish(self, run_id: int) -> bool:
        """Note that a run is done, if nothing of it is left; return whether it is."""
        self._fail_while_out()
        run = self.runs.get(run_id)
        if run is None or run.state is not RunState.RUNNING or not run.checkpoint.is_claimed_out:
            return False
        if any(lane.until_key for lane in run.lanes.values()):
            return False
        run.state, run.total, run.waiting_for = RunState.DONE, sum(run.counts.values()), ""
        return True

    def note_waiting(self, run_id: int, reason: str) -> None:
        """Note why a run does not move, or with '' that it does."""
        self._fail_while_out()
        if run_id in self.runs:
            self.runs[run_id].waiting_for = reason

    def publishes_wait(self) -> bool:
        """Return whether a publish waits that workers could have served by now."""
        self._fail_while_out()
        return any(self._waits(course) for course in self._store.courses.values())

    def mark(self, course_keys: Sequence[str], *, rewrite: bool) -> None:
        """Mark courses that the run leaves to others."""
        self._fail_while_out()
        for key in course_keys:
            self._store.mark(key, rewrite=rewrite)

    def take_idle_lanes(self) -> Sequence[tuple[int, int]]:
        """Return ``(run, lane)`` of the lanes that nobody works on although there is work."""
        self._fail_while_out()
        return [
            (run.order.run_id, number)
            for run in self.runs.values()
            if run.state in MOVING_STATES
            if run.begun_at is not None or run.not_before <= self._now
            for number in self._take_idle_of(run)
        ]

    def _take_idle_of(self, run: InMemoryRun) -> list[int]:
        wanted: Sequence[int] = range(run.lane_count)
        if run.checkpoint.is_claimed_out:
            wanted = [number for number, lane in run.lanes.items() if lane.until_key] or [0]
        idle = []
        for number in wanted:
            lane = run.lanes.setdefault(number, InMemoryLane(number=number))
            moments = [each for each in (lane.heard_at, lane.enqueued_at) if each is not None]
            is_quiet = all(self._now - moment > ENQUEUED_SECONDS for moment in moments)
            if is_quiet and self._is_free(lane, worker=""):
                lane.enqueued_at = self._now
                idle.append(number)
        return idle

    def _is_free(self, lane: InMemoryLane, *, worker: str) -> bool:
        if lane.worker in ("", worker):
            return True
        return lane.heard_at is not None and self._now - lane.heard_at > TAKE_OVER_SECONDS

    def _hold(self, run: InMemoryRun, lane: InMemoryLane, *, worker: str) -> Claim:
        lane.chunk += 1
        lane.worker, lane.heard_at = worker, self._now
        return Claim(
            run_id=run.order.run_id,
            lane=lane.number,
            chunk=lane.chunk,
            stage=lane.stage,
            after_key=lane.after_key,
            until_key=lane.until_key,
            crash_count=lane.crash_count,
        )

    def _note_crash(self, run: InMemoryRun, lane: InMemoryLane, error: str) -> None:
        lane.crash_count += 1
        if lane.crash_count >= CRASH_LIMIT and run.state in MOVING_STATES:
            run.state = RunState.FAILED
            run.error = (
                f"broke down {lane.crash_count} times at the same place, the last time: {error}"
            )

    def _count(self, run: InMemoryRun, tally: Tally) -> None:
        for name in ("unchanged", "written", "tombstoned", "busy", "rebuilt"):
            setattr(run.counted, name, getattr(run.counted, name) + getattr(tally, name))
        run.counted.failures |= tally.failures
        run.progressed_at, run.waiting_for = self._now, ""
        if run.order.rate and tally.rebuilt:
            run.not_before = max(run.not_before, self._now) + tally.rebuilt / run.order.rate

    def _sight(self, run: InMemoryRun) -> RunSight:
        return RunSight(
            order=run.order,
            state=run.state,
            checkpoint=run.checkpoint,
            is_begun=run.begun_at is not None,
            wait_seconds=max(0.0, run.not_before - self._now),
            idle_seconds=self._now - run.progressed_at,
            waiting_for=run.waiting_for,
            target=self.target,
        )

    def _waits(self, course: InMemoryCourse) -> bool:
        if not course.is_dirty or course.published_since is None:
            return False
        is_due = course.next_attempt_at is None or course.next_attempt_at <= self._now
        return is_due and self._now - course.published_since > WAITING_PUBLISH_MS / 1000

    @property
    def _now(self) -> float:
        return self._store.seconds

    def _fail_while_out(self) -> None:
        if self._store.outage is not None:
            raise self._store.outage


class InMemoryStoredPages:
    """``run_ports.StoredPages`` on what an ``InMemoryOverviewStore`` holds."""

    def __init__(self, store: InMemoryOverviewStore) -> None:
        self._store = store

    def page_stored(
        self, *, after_key: str, until_key: str, org: str, limit: int
    ) -> Sequence[InspectedCourse]:
        """Return the courses that have a state, after a key, in the order of the keys."""
        self._fail_while_out()
        prefix = f"course-v1:{org}+".casefold() if org else ""
        found = [
            inspected(self._store, key, course)
            for key, course in self._between(after_key, until_key)
            if course.has_state and key.casefold().startswith(prefix)
        ]
        return found[:limit]

    def find_stored(self, course_keys: Sequence[str]) -> Mapping[str, InspectedCourse]:
        """Return those of ``course_keys`` that have a state."""
        self._fail_while_out()
        return {
            key: inspected(self._store, key, self._store.course(key))
            for key in course_keys
            if self._store.course(key).has_state
        }

    def find_row_versions(self, course_keys: Sequence[str]) -> Mapping[str, int]:
        """Return the versions of the overview rows of those of ``course_keys`` that have one."""
        self._fail_while_out()
        rows = {key: self._store.course(key).row for key in course_keys}
        return {key: row.overview.version for key, row in rows.items() if row is not None}

    def page_stateless(
        self, *, stage: RunStage, after_key: str, until_key: str, limit: int
    ) -> Sequence[InspectedCourse]:
        """Return rows that no state stands for; the twin's projections are with their rows."""
        self._fail_while_out()
        found = [
            replace(inspected(self._store, key, course), has_projection=False)
            for key, course in self._between(after_key, until_key)
            if stage is RunStage.ROWS and course.row is not None and not course.has_state
        ]
        return found[:limit]

    def _between(self, after_key: str, until_key: str) -> Sequence[tuple[str, InMemoryCourse]]:
        return [
            (key, course)
            for key, course in sorted(self._store.courses.items())
            if key > after_key and (not until_key or key <= until_key)
        ]

    def _fail_while_out(self) -> None:
        if self._store.outage is not None:
            raise self._store.outage
