"""Asking for rebuild runs, and steering them: SQL only, so that commands, admin and beat all may.

A run that is asked for is a row; the workers find it within seconds, broker or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction
from django.db.models import Q, QuerySet

from lms_integration.conf import MAX_BULK_LANES, bulk_lanes
from lms_integration.course_keys import is_course_key
from lms_integration.data import COURSE_OVERVIEW_VERSION
from lms_integration.database_clock import DatabaseNow
from lms_integration.log_lines import one_line
from lms_integration.models import (
    OverviewProjection,
    OverviewRebuildRun,
    RunDepth,
    RunOrigin,
    RunScope,
    RunState,
)
from lms_integration.run_estimates import estimate

#: States in which a run can still do something.
ACTIVE_STATES = (RunState.PLANNED, RunState.RUNNING, RunState.PAUSED)
#: Most courses that one run can name one by one.
MAX_NAMED_COURSES = 10_000


class RunRefused(Exception):
    """The run cannot be asked for, or steered so; the message says why and what to do."""


class AlreadyAsked(RunRefused):
    """The same request, by its token, has made a run before."""

    def __init__(self, run: OverviewRebuildRun) -> None:
        super().__init__(f"run {run.pk} was asked for by the same request")
        self.run = run


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """Which courses are to be rebuilt, how thoroughly, and who wants it."""

    scope: RunScope
    depth: RunDepth
    asked_from: RunOrigin
    org: str = ""  #: of the scope ``ORG``; compared without case, as Open edX's lists do
    course_keys: Sequence[str] = ()  #: of the scope ``COURSES``
    version_below: int | None = None  #: of the depth ``OLD``: a schema version
    asked_by: str = ""
    reason: str = ""
    rate: float | None = None  #: courses rebuilt in a second, at most
    delay_seconds: int = 0  #: until it begins, by the database's clock
    lane_count: int | None = None  #: ranges that are worked on at a time; None: as the settings say
    token: str | None = None  #: makes asking again with the same one mean the same run
    #: Builder and schema of the release whose workers alone may have a part in it.
    versions: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunProgress:
    """How far a run is, by the database's clock."""

    run: OverviewRebuildRun
    done_count: int  #: courses that are counted, whatever became of them
    rate: float  #: courses a second since it began, pauses left out; 0.0 before the first chunk
    seconds_left: float | None  #: None while that cannot be told
    now: datetime

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        if self.run.state == RunState.DONE:
            return 1.0
        return min(1.0, self.done_count / self.run.total_count) if self.run.total_count else 0.0


def ask_for_run(request: RunRequest, *, using: str = DEFAULT_DB_ALIAS) -> OverviewRebuildRun:
    """Write down a run; the workers begin with it within seconds.

    Raises:
        AlreadyAsked: there is a run of this request's token; however many ask at once, one run is made.
        RunRefused: the request makes no sense, or a run of all courses is not over yet.
    """
    _refuse_nonsense(request)
    _refuse_a_second_time(request, using=using)
    keys = sorted(set(request.course_keys))
    expected = estimate(request, using=using)
    builder, schema = request.versions or (None, None)
    try:
        with transaction.atomic(using=using):
            run = OverviewRebuildRun.objects.using(using).create(
                scope=request.scope,
                org=request.org,
                course_keys=keys,
                depth=request.depth,
                version_below=request.version_below,
                full_slot=1 if request.scope == RunScope.ALL else None,
                asked_by=request.asked_by[:150],
                asked_from=request.asked_from,
                reason=request.reason[:500],
                rate=request.rate,
                lane_count=request.lane_count or bulk_lanes(),
                request_token=request.token,
                estimated_count=expected.course_count,
                estimated_seconds=expected.seconds,
                builder_version=builder,
                schema_version=schema,
                total_count=len(keys) if keys else None,
                not_before=_later(request.delay_seconds),
                created_at=DatabaseNow(),
            )
    except IntegrityError as error:
        _refuse_a_second_time(request, using=using)
        other = _runs(using).filter(full_slot=1).first()
        if other is None:
            raise
        raise RunRefused(
            f"run {other.pk} of all courses is {other.state} (asked for by "
            f"{other.asked_by or other.asked_from}); wait for it, or cancel it first"
        ) from error
    run.refresh_from_db(using=using)
    return run


def pause_run(run_id: int, *, using: str = DEFAULT_DB_ALIAS) -> OverviewRebuildRun:
    """Have a run stop after the chunks that are being worked on.

    Raises:
        RunRefused: there is no such run, or it is over.
    """
    return _move(run_id, RunState.PAUSED, from_states=ACTIVE_STATES, using=using)


def resume_run(run_id: int, *, using: str = DEFAULT_DB_ALIAS) -> OverviewRebuildRun:
    """Have a paused run go on where it was; of one that is not paused nothing changes.

    A cancelled or failed run goes on too, unless another run of all courses is not over yet.

    Raises:
        RunRefused: there is no such run, it is done, or another one is in its way.
    """
    resumable = (*ACTIVE_STATES, RunState.CANCELLED, RunState.FAILED)
    return _move(run_id, RunState.RUNNING, from_states=resumable, using=using)


def cancel_run(run_id: int, *, using: str = DEFAULT_DB_ALIAS) -> OverviewRebuildRun:
    """End a run after the chunks that are being worked on; what is rebuilt stays rebuilt.

    Raises:
        RunRefused: there is no such run, or it is done.
    """
    states = (*ACTIVE_STATES, RunState.CANCELLED, RunState.FAILED)
    return _move(run_id, RunState.CANCELLED, from_states=states, using=using)


def progress_of(run_id: int, *, using: str = DEFAULT_DB_ALIAS) -> RunProgress:
    """Return how far a run is.

    Raises:
        RunRefused: there is no such run.
    """
    rows = _runs(using).annotate(database_now=DatabaseNow())
    run = rows.filter(pk=run_id).first()
    if run is None:
        raise RunRefused(f"there is no run {run_id}")
    return progress_of_row(run, now=run.database_now)


def progress_of_row(run: OverviewRebuildRun, *, now: datetime) -> RunProgress:
    """Return how far a run was when its row was read; asks no database."""
    done = done_count(run)
    rate = done / run.running_seconds if run.running_seconds > 0 else 0.0
    left = None
    if run.state in (RunState.CANCELLED, RunState.DONE, RunState.FAILED):
        left = 0.0
    elif rate > 0 and run.total_count is not None:
        left = max(0, run.total_count - done) / rate
    return RunProgress(run=run, done_count=done, rate=rate, seconds_left=left, now=now)


def named_count(run: OverviewRebuildRun | RunRequest) -> int:
    """Return how many courses are named, without reading them where a run has counted them."""
    if isinstance(run, OverviewRebuildRun) and run.total_count is not None:
        return run.total_count
    return len(run.course_keys)


def done_count(run: OverviewRebuildRun) -> int:
    """Return how many courses of a run are counted, whatever became of them."""
    return (
        run.unchanged_count
        + run.written_count
        + run.tombstoned_count
        + run.failed_count
        + run.busy_count
    )


def recent_full_run(
    *, within_seconds: int, using: str = DEFAULT_DB_ALIAS
) -> OverviewRebuildRun | None:
    """Return the last run of all courses that was asked for within that time, whatever became of it."""
    since = DatabaseNow(offset_seconds=-within_seconds)
    runs = _runs(using)
    return runs.filter(scope=RunScope.ALL, created_at__gt=since).order_by("-created_at").first()


def run_of_token(token: str | None, *, using: str = DEFAULT_DB_ALIAS) -> OverviewRebuildRun | None:
    """Return the run that a request with this token has made, if there is one."""
    if token is None:
        return None
    return _runs(using).filter(request_token=token).first()


def organisations(*, using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Return the organisations that have courses, in their order; from one index."""
    names = OverviewProjection.objects.using(using).values_list("org", flat=True)
    return list(names.exclude(org="").distinct().order_by("org"))


def _later(seconds: int) -> DatabaseNow | None:
    return DatabaseNow(offset_seconds=seconds) if seconds else None


def _refuse_a_second_time(request: RunRequest, *, using: str) -> None:
    first = run_of_token(request.token, using=using)
    if first is not None:
        raise AlreadyAsked(first)


def _refuse_nonsense(request: RunRequest) -> None:
    if request.scope == RunScope.ORG and not request.org:
        raise RunRefused("name the organisation whose courses are to be rebuilt")
    if request.scope == RunScope.COURSES and not request.course_keys:
        raise RunRefused("name the courses that are to be rebuilt")
    if len(request.course_keys) > MAX_NAMED_COURSES:
        raise RunRefused(
            f"{len(request.course_keys)} courses are named, {MAX_NAMED_COURSES} is the most: "
            "rebuild an organisation or all of them"
        )
    if (request.depth == RunDepth.OLD) != (request.version_below is not None):
        raise RunRefused("the depth 'old' and only that takes a schema version to be below")
    no_keys = [key for key in request.course_keys if not is_course_key(key)]
    if no_keys:
        raise RunRefused(f"{one_line(no_keys[0])} is not a course key")
    if request.rate is not None and not 0 < request.rate < float("inf"):
        raise RunRefused(f"a rate of {request.rate} courses a second would never end")
    version = request.version_below
    if version is not None and version > COURSE_OVERVIEW_VERSION:
        raise RunRefused(
            f"this release writes rows of schema {COURSE_OVERVIEW_VERSION}: every row would be below "
            f"{version}, rewritten now and by the next run like it; {COURSE_OVERVIEW_VERSION} is the most"
        )
    if request.lane_count is not None and not 0 < request.lane_count <= MAX_BULK_LANES:
        raise RunRefused(f"{request.lane_count} lanes cannot be had: 1 to {MAX_BULK_LANES}")
    if request.delay_seconds < 0:
        raise RunRefused(f"nothing can begin {-request.delay_seconds} seconds ago")


def _move(
    run_id: int, state: RunState, *, from_states: Sequence[RunState], using: str
) -> OverviewRebuildRun:
    runs = _runs(using)
    try:
        with transaction.atomic(using=using):
            run = runs.select_for_update().filter(pk=run_id).first()
            if run is None:
                raise RunRefused(f"there is no run {run_id}")
            if run.state not in from_states:
                raise RunRefused(f"run {run_id} is {run.state}: nothing can be done about it now")
            goes_on_anyway = state == RunState.RUNNING and run.state == RunState.PLANNED
            if run.state == state or goes_on_anyway:
                return run
            is_over = state == RunState.CANCELLED
            goes_on = state == RunState.RUNNING and run.progressed_at is not None
            runs.filter(pk=run_id).update(
                state=state,
                progressed_at=DatabaseNow() if goes_on else run.progressed_at,
                error="" if state == RunState.RUNNING else run.error,
                waiting_for="",
                full_slot=None if is_over or run.scope != RunScope.ALL else 1,
                finished_at=DatabaseNow() if is_over else None,
            )
    except IntegrityError as error:
        raise RunRefused(
            f"run {run_id} cannot go on: another run of all courses is not over yet"
        ) from error
    run.refresh_from_db(using=using)
    return run


def active_runs(*, using: str = DEFAULT_DB_ALIAS) -> list[OverviewRebuildRun]:
    """Return the runs that are not over, oldest first."""
    is_active = Q(state__in=ACTIVE_STATES)
    return list(_runs(using).filter(is_active).order_by("created_at"))


def _runs(using: str) -> QuerySet[OverviewRebuildRun]:
    """Return the runs without their named courses, of which there may be thousands, until asked for."""
    return OverviewRebuildRun.objects.using(using).defer("course_keys")
