"""``run_ports.RunStore``: runs and their lanes. Whoever changes one locks the row of its run first."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Subquery

from lms_integration.database_clock import DatabaseNow, now_sql
from lms_integration.events import RebuildRequested
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    OverviewRebuildLane,
    OverviewRebuildRun,
    OverviewRunFailure,
    OverviewTarget,
)
from lms_integration.models.versions import TARGET_ID
from overview_worker.run_ports import (
    CRASH_LIMIT,
    ENQUEUED_SECONDS,
    MOVING_STATES,
    TAKE_OVER_SECONDS,
    TIMEOUT_LIMIT,
    WAITING_PUBLISH_MS,
    Checkpoint,
    Claim,
    Failure,
    RunDepth,
    RunOrder,
    RunScope,
    RunSight,
    RunStage,
    RunState,
    Standstill,
    Tally,
)
from overview_worker.store.conf import StoreConf
from overview_worker.store.failures import errors_translated
from overview_worker.store.mark_statements import storable
from overview_worker.versions import RowVersions

#: Longest reason of a failure that is kept, in characters.
REASON_LENGTH = 2000

_COUNTED = ("unchanged", "written", "tombstoned", "busy")
_BEFORE = {
    "mysql": "{now} - INTERVAL {ms:d} * 1000 MICROSECOND",
    "sqlite": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', '-{seconds} seconds')",
}
# One that is due and is not served at once: what is held back or postponed does not wait for workers.
_PUBLISHES_WAIT = (
    "SELECT 1 FROM overview_mark WHERE dirty_since IS NOT NULL AND published_since < {before} "
    "AND (next_attempt_at IS NULL OR next_attempt_at <= {now}) LIMIT 1"
)


class DjangoRunStore:
    """``run_ports.RunStore`` on a Django connection; one instance a process, any thread."""

    def __init__(self, conf: StoreConf) -> None:
        self._conf = conf
        #: The named courses of the run that was looked at last: they never change, and may be many.
        self._named: tuple[object, tuple[str, ...]] = (None, ())

    def look(self, run_id: int) -> RunSight | None:
        """Return a run as it is now; None without one."""
        self._renew_lost_connection()
        with errors_translated(self._connection):
            row = self._rows_of(run_id).first()
            return None if row is None else self._sight(row)

    def begin(self, run_id: int, *, total_count: int) -> None:
        """Note that a run has begun, and how many courses it is about; a second time does nothing."""
        with self._locked(run_id) as run:
            if run is not None and run.started_at is None and run.state in MOVING_STATES:
                self._update(
                    run,
                    state=RunState.RUNNING.value,
                    total_count=total_count,
                    started_at=run.database_now,
                    progressed_at=run.database_now,
                    waiting_for="",
                )

    def take_open(
        self, run_id: int, *, lane: int, worker: str, takes_over: bool = False
    ) -> Claim | Standstill:
        """Take the range that the lane has open, or one that another lane's worker left behind."""
        with self._locked(run_id) as run:
            if run is None or run.state != RunState.RUNNING.value:
                return Standstill.NOTHING_OPEN
            lanes = sorted(self._lanes(run_id), key=lambda each: (each.number != lane, each.number))
            for each in lanes:
                is_own = each.number == lane
                is_free = _is_free(each, run.database_now, worker=worker)
                if not is_free and not (is_own and takes_over):
                    if is_own:
                        return Standstill.TAKEN
                elif each.until_key:
                    return self._take_over(run, each, worker=worker)
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
        with self._locked(run_id) as run:
            if run is None or run.state != RunState.RUNNING.value or _checkpoint(run) != at:
                return None
            own = self._lane(run_id, lane)
            if not _is_free(own, run.database_now, worker=worker) or own.until_key:
                return None
            self._move(
                run,
                stage=then.stage.value,
                after_key=then.after_key,
                is_claimed_out=then.is_claimed_out,
            )
            if not until_key:
                return None
            own.stage, own.after_key, own.until_key = at.stage.value, at.after_key, until_key
            own.crash_count = own.timeout_count = 0
            return self._hold(run, own, worker=worker)

    def report(self, claim: Claim, tally: Tally, *, up_to: str) -> RunSight | None:
        """Count what became of the range's courses up to a key; with its last key the lane is free."""
        with self._locked(claim.run_id) as run:
            if run is None:
                return None
            lane = self._lane(claim.run_id, claim.lane)
            if lane.chunk != claim.chunk:
                return None
            self._count(run, tally)
            lane.after_key = up_to
            lane.crash_count, lane.timeout_count = min(lane.crash_count, 1), 0
            lane.heard_at = run.database_now
            if not _is_running(run):
                lane.heard_at = lane.enqueued_at = None
            if up_to == lane.until_key:
                _empty(lane)
            lane.save(using=self._conf.using)
            return self._sight(run)

    def release(self, run_id: int, *, lane: int, worker: str) -> None:
        """Leave the rest of a range to whoever comes next; only if the lane is this worker's."""
        with self._locked(run_id) as run:
            rows = OverviewRebuildLane.objects.using(self._conf.using)
            rows.filter(run_id=run_id, number=lane, worker=worker).update(
                claimed_at=None,
                worker="",
                **({} if _is_running(run) else {"enqueued_at": None, "heard_at": None}),
            )

    def note_crash(self, run_id: int, *, lane: int, worker: str, error: str) -> None:
        """Count an unforeseen error, and release the lane; with ``CRASH_LIMIT`` of them the run fails."""
        with self._locked(run_id) as run:
            if run is None:
                return
            own = self._lane(run_id, lane)
            if own.worker not in ("", worker):
                return
            own.crash_count += 1
            own.claimed_at, own.worker, own.heard_at = None, "", run.database_now
            own.save(using=self._conf.using)
            self._fail_of_crashes(run, own.crash_count, error)

    def note_timeout(self, run_id: int, *, lane: int, worker: str, error: str) -> None:
        """Release the lane of a worker whose time ran out; the ``TIMEOUT_LIMIT``-th is a breakdown."""
        if not self._connection.in_atomic_block:
            self._connection.close()  # it may have come in the middle of a statement
        with self._locked(run_id) as run:
            if run is None:
                return
            own = self._lane(run_id, lane)
            if own.worker not in ("", worker):
                return
            own.timeout_count += 1
            if own.timeout_count >= TIMEOUT_LIMIT:
                own.timeout_count = 0
                own.crash_count += 1
            own.claimed_at, own.worker, own.heard_at = None, "", run.database_now
            own.save(using=self._conf.using)
            self._fail_of_crashes(run, own.crash_count, error)

    def leave_lane(self, run_id: int, *, lane: int, reason: str) -> None:
        """Have a lane enqueued again at once, unless somebody works on it."""
        with self._locked(run_id) as run:
            if run is None or run.state not in MOVING_STATES:
                return
            own = self._lane(run_id, lane)
            if own.claimed_at is None:
                own.enqueued_at = own.heard_at = None
                own.save(using=self._conf.using)
            if run.progressed_at is None or not _is_recent(run.progressed_at, run.database_now):
                self._update(run, waiting_for=storable(reason))

    def finish(self, run_id: int) -> bool:
        """Note that a run is done, if nothing of it is left; return whether it is."""
        with self._locked(run_id) as run:
            if run is None or run.state != RunState.RUNNING.value or not run.is_claimed_out:
                return False
            if any(lane.until_key for lane in self._lanes(run_id)):
                return False
            counted = sum(getattr(run, f"{name}_count") for name in (*_COUNTED, "failed"))
            self._move(
                run,
                state=RunState.DONE.value,
                total_count=counted,
                finished_at=run.database_now,
                full_slot=None,
                waiting_for="",
            )
            return True

    def note_waiting(self, run_id: int, reason: str) -> None:
        """Note why a run does not move, or with '' that it does."""
        self._renew_lost_connection()
        with errors_translated(self._connection):
            self._runs().filter(pk=run_id).update(waiting_for=storable(reason))

    def publishes_wait(self) -> bool:
        """Return whether a publish waits that workers could have served by now."""
        vendor = self._connection.vendor
        before = _BEFORE[vendor].format(
            now=now_sql(vendor), ms=WAITING_PUBLISH_MS, seconds=WAITING_PUBLISH_MS / 1000
        )
        statement = _PUBLISHES_WAIT.format(before=before, now=now_sql(vendor))
        with errors_translated(self._connection), self._connection.cursor() as cursor:
            cursor.execute(statement, [])
            return cursor.fetchone() is not None

    def mark(self, course_keys: Sequence[str], *, rewrite: bool) -> None:
        """Mark courses that the run leaves to others."""
        marks = [
            CourseMark(course_key=key, event_type=RebuildRequested.type_name, rewrite=rewrite)
            for key in course_keys
        ]
        with errors_translated(self._connection):
            mark_courses(marks, using=self._conf.using)

    def take_idle_lanes(self) -> Sequence[tuple[int, int]]:
        """Return ``(run, lane)`` of the lanes that nobody works on although there is work."""
        self._renew_lost_connection()
        moving = [state.value for state in MOVING_STATES]
        with errors_translated(self._connection):
            numbers = list(
                self._runs()
                .filter(state__in=moving)
                .order_by("created_at")
                .values_list("pk", flat=True)
            )
        idle: list[tuple[int, int]] = []
        for run_id in numbers:
            with self._locked(run_id, is_patient=False) as run:
                if run is not None and run.state in moving and _is_due(run):
                    idle += [(run_id, number) for number in self._take_idle_of(run)]
        return idle

    def _take_idle_of(self, run: Any) -> Iterator[int]:
        lanes = {lane.number: lane for lane in self._lanes(run.pk)}
        wanted: Sequence[int] = range(run.lane_count)
        if run.is_claimed_out:  # what is left are ranges, or only to note that it is done
            wanted = [number for number, lane in lanes.items() if lane.until_key] or [0]
        for number in wanted:
            lane = lanes.get(number) or self._lane(run.pk, number)
            if _is_free(lane, run.database_now, worker="") and _is_quiet(lane, run.database_now):
                lane.enqueued_at = run.database_now
                lane.save(using=self._conf.using)
                yield number

    def _take_over(self, run: Any, lane: OverviewRebuildLane, *, worker: str) -> Claim:
        if lane.claimed_at is not None and lane.worker != worker:  # it has not been heard of
            lane.crash_count += 1
            self._fail_of_crashes(run, lane.crash_count, f"worker {lane.worker} was not heard of")
        return self._hold(run, lane, worker=worker)

    def _hold(self, run: Any, lane: OverviewRebuildLane, *, worker: str) -> Claim:
        lane.chunk += 1
        lane.claimed_at = lane.heard_at = run.database_now
        lane.worker = worker
        lane.save(using=self._conf.using)
        return Claim(
            run_id=run.pk,
            lane=lane.number,
            chunk=lane.chunk,
            stage=RunStage(lane.stage),
            after_key=lane.after_key,
            until_key=lane.until_key,
            crash_count=lane.crash_count,
        )

    def _fail_of_crashes(self, run: Any, crash_count: int, error: str) -> None:
        if crash_count < CRASH_LIMIT or run.state not in MOVING_STATES:
            return
        reason = f"broke down {crash_count} times at the same place, the last time: {error}"
        self._move(
            run,
            state=RunState.FAILED.value,
            error=storable(reason),
            finished_at=run.database_now,
            full_slot=None,
        )

    def _count(self, run: Any, tally: Tally) -> None:
        values: dict[str, Any] = {
            f"{name}_count": getattr(run, f"{name}_count") + getattr(tally, name)
            for name in _COUNTED
        }
        values["failed_count"] = run.failed_count + len(tally.failures)
        values["rebuilt_count"] = run.rebuilt_count + tally.rebuilt
        if run.rate and tally.rebuilt:
            begin = max(run.not_before or run.database_now, run.database_now)
            values["not_before"] = begin + timedelta(seconds=tally.rebuilt / run.rate)
        self._move(run, waiting_for="", **values)
        if tally.failures:
            self._insert_failures(run, tally.failures)

    def _insert_failures(self, run: Any, failures: Mapping[str, Failure]) -> None:
        supported = self._connection.features.supports_update_conflicts_with_target
        OverviewRunFailure.objects.using(self._conf.using).bulk_create(
            [
                OverviewRunFailure(
                    run_id=run.pk,
                    course_key=key,
                    outcome=failure.outcome,
                    reason=failure.reason[:REASON_LENGTH].encode("utf-8", "replace").decode(),
                    failed_at=run.database_now,
                )
                for key, failure in sorted(failures.items())
            ],
            update_conflicts=True,
            update_fields=["outcome", "reason", "failed_at"],
            unique_fields=["run", "course_key"] if supported else None,
        )

    def _move(self, run: Any, **values: Any) -> None:
        """Change a run that was claimed of or counted for, and its running time with it."""
        if run.progressed_at is not None and run.state == RunState.RUNNING.value:
            elapsed = (run.database_now - run.progressed_at).total_seconds()
            # While nobody was heard of, nothing ran.
            values["running_seconds"] = run.running_seconds + min(
                max(0.0, elapsed), TAKE_OVER_SECONDS
            )
        self._update(run, progressed_at=run.database_now, **values)

    def _update(self, run: Any, **values: Any) -> None:
        self._runs().filter(pk=run.pk).update(**values)
        for name, value in values.items():
            setattr(run, name, value)

    @contextmanager
    def _locked(self, run_id: int, *, is_patient: bool = True) -> Iterator[Any]:
        """Lock a run for a transaction; None without one, or if it is locked and one is not patient."""
        self._renew_lost_connection()
        with errors_translated(self._connection), transaction.atomic(using=self._conf.using):
            rows = self._rows_of(run_id)
            if self._connection.features.has_select_for_update:
                rows = rows.select_for_update(skip_locked=not is_patient)
            yield rows.first()

    def _rows_of(self, run_id: int) -> Any:
        """Return a run with the database's time, and with what rows are to be of now."""
        target = OverviewTarget.objects.using(self._conf.using).filter(pk=TARGET_ID)
        return (
            self._runs()
            .filter(pk=run_id)
            .annotate(
                database_now=DatabaseNow(),
                target_builder=Subquery(target.values("builder_version")),
                target_schema=Subquery(target.values("schema_version")),
            )
        )

    def _lanes(self, run_id: int) -> list[OverviewRebuildLane]:
        return list(OverviewRebuildLane.objects.using(self._conf.using).filter(run_id=run_id))

    def _lane(self, run_id: int, number: int) -> OverviewRebuildLane:
        rows = OverviewRebuildLane.objects.using(self._conf.using)
        lane, _ = rows.get_or_create(run_id=run_id, number=number)
        return lane

    def _runs(self) -> Any:
        return OverviewRebuildRun.objects.using(self._conf.using).defer("course_keys")

    def _sight(self, run: Any) -> RunSight:
        return _sight(run, course_keys=self._course_keys(run))

    def _course_keys(self, run: Any) -> tuple[str, ...]:
        """Return the named courses of a run, read once: a run is looked at several times a second."""
        if run.scope != RunScope.COURSES.value:
            return ()
        identity = (run.pk, run.created_at)
        if self._named[0] != identity:
            self._named = (identity, tuple(run.course_keys))
        return self._named[1]

    def _renew_lost_connection(self) -> None:
        """Drop a connection that failed before, or that the server closed while it was idle."""
        if not self._connection.in_atomic_block:
            self._connection.close_if_unusable_or_obsolete()

    @property
    def _connection(self) -> BaseDatabaseWrapper:
        # Looked up each time: Django's connections belong to threads.
        return connections[self._conf.using]


def _sight(run: Any, *, course_keys: tuple[str, ...]) -> RunSight:
    return RunSight(
        order=RunOrder(
            run_id=run.pk,
            scope=RunScope(run.scope),
            depth=RunDepth(run.depth),
            org=run.org,
            course_keys=course_keys,
            version_below=run.version_below,
            rate=run.rate,
            asked_by=run.asked_by,
            versions=_versions(run.builder_version, run.schema_version),
        ),
        state=RunState(run.state),
        checkpoint=_checkpoint(run),
        is_begun=run.started_at is not None,
        wait_seconds=_seconds_until(run.not_before, run.database_now),
        idle_seconds=max(0.0, -_seconds(run.progressed_at, run.database_now)),
        waiting_for=run.waiting_for,
        target=_versions(run.target_builder, run.target_schema),
    )


def _versions(builder: int | None, schema: int | None) -> RowVersions | None:
    if builder is None or schema is None:
        return None
    return RowVersions(builder=builder, schema=schema)


def _checkpoint(run: Any) -> Checkpoint:
    return Checkpoint(
        stage=RunStage(run.stage), after_key=run.after_key, is_claimed_out=run.is_claimed_out
    )


def _is_free(lane: OverviewRebuildLane, now: datetime, *, worker: str) -> bool:
    """Whether a worker may take a lane: nobody has it, it has it itself, or whoever has it is dead."""
    if lane.claimed_at is None or (worker and lane.worker == worker):
        return True
    return -_seconds(lane.heard_at, now) > TAKE_OVER_SECONDS


def _is_quiet(lane: OverviewRebuildLane, now: datetime) -> bool:
    moments = [moment for moment in (lane.heard_at, lane.enqueued_at) if moment is not None]
    return not any(_is_recent(moment, now) for moment in moments)


def _is_recent(moment: datetime, now: datetime) -> bool:
    return -_seconds(moment, now) <= ENQUEUED_SECONDS


def _is_due(run: Any) -> bool:
    """Whether a run may begin; one that has begun waits for its rate with a worker."""
    return run.started_at is not None or _seconds_until(run.not_before, run.database_now) <= 0


def _is_running(run: Any) -> bool:
    """Whether a task for the lane may be on its way; once the run goes on again, none is."""
    return run is not None and run.state == RunState.RUNNING.value


def _empty(lane: OverviewRebuildLane) -> None:
    lane.after_key = lane.until_key = lane.worker = ""
    lane.claimed_at = None
    lane.crash_count = lane.timeout_count = 0


def _seconds(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else (moment - now).total_seconds()


def _seconds_until(moment: datetime | None, now: datetime) -> float:
    return max(0.0, _seconds(moment, now))
