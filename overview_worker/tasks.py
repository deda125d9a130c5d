"""Celery tasks: names, limits and routing; what they do is elsewhere.

A task that fails is acknowledged and not retried: its courses stay marked, and the sweeper comes.
What goes on failing is given up: ``failed_tasks``.
"""

import logging
from collections.abc import Sequence

from celery import Task

from lms_integration.conf import (
    announces_changes,
    dead_letter_days,
    deep_check_count,
    history_days,
    nightly_hour,
    run_days,
    tombstone_days,
    upgrades_by_itself,
)
from overview_worker.announcing import announce_changes
from overview_worker.bootstrap import builder_settings, change_exchange, dependencies
from overview_worker.celery import app
from overview_worker.failed_tasks import RebuildTask
from overview_worker.queueing import (
    ANNOUNCE_CHANGES,
    ASK_NIGHTLY,
    INSPECT,
    KEEP_HOUSE,
    KEEP_UP,
    MAKE_THUMBNAILS,
    REBUILD_OVERVIEW,
    REBUILD_OVERVIEWS,
    SWEEP,
    TEND_RUNS,
    TEND_THUMBNAILS,
    WORK_ON_RUN,
    RebuildQueue,
)
from overview_worker.rebuild import (
    OWN_VERSIONS,
    RebuildDepth,
    RebuildReport,
    rebuild_overviews,
)
from overview_worker.runs import tend
from overview_worker.store.housekeeping import keep_house
from overview_worker.store.operator_schedule import is_schedule_installed
from overview_worker.store.outbox import DjangoChangeOutbox
from overview_worker.store.scheduled_runs import (
    ASK_FOR_FULL_RUN,
    ScheduledRun,
    ask_for_nightly_run,
    ask_for_scheduled_run,
)
from overview_worker.sweeper import catch_up, sweep
from overview_worker.thumbnails.making import ThumbnailOutcome
from overview_worker.upkeep import PERIOD_SECONDS, UPKEEP_JOB, keep_up
from overview_worker.watched_settings import watched_settings

logger = logging.getLogger(__name__)

#: How long a worker works on a run before it looks what else waits in its queue, in seconds.
RUN_SLICE_SECONDS = 10.0


@app.task(name=REBUILD_OVERVIEW, base=RebuildTask, bind=True)
def rebuild_overview_task(self: Task[..., None], course_key: str) -> None:
    """Rebuild one course that has just been published."""
    report = _rebuild([course_key])
    if not _is_redelivered(self):  # else it may be what it took along that has killed its worker
        _catch_up(report)


@app.task(name=REBUILD_OVERVIEWS, base=RebuildTask, bind=True)
def rebuild_overviews_task(
    self: Task[..., None], course_keys: list[str], rewrite: bool = False
) -> None:
    """Rebuild a chunk of courses in shared round trips.

    ``rewrite`` is what releases without rebuild runs ask for; their messages may still be in the queue.
    """
    if not _is_live(self):
        _rebuild(course_keys, rewrite=rewrite)
    elif _is_redelivered(self):
        # One of them may have killed its worker: it takes no other with it again.
        RebuildQueue(app).enqueue(course_keys)
    else:
        _catch_up(_rebuild(course_keys))


@app.task(name=SWEEP)
def sweep_task() -> None:
    """Enqueue what is dirty and due."""
    queue = RebuildQueue(app)
    count = sweep(
        store=dependencies().store, enqueue=queue.enqueue, enqueue_together=queue.enqueue_together
    )
    if count:
        logger.info("swept %d courses", count)


@app.task(name=ANNOUNCE_CHANGES)
def announce_changes_task() -> None:
    """Tell the exchange what has changed."""
    if not announces_changes():
        return
    count = announce_changes(DjangoChangeOutbox(), change_exchange().send)
    if count:
        logger.info("announced %d changes", count)


@app.task(name=ASK_FOR_FULL_RUN)
def ask_for_full_run_task(**order: object) -> None:
    """Ask for a run as an entry of the schedule says, unless one like it was or is under way."""
    ask_for_scheduled_run(ScheduledRun.from_arguments(order))


@app.task(name=ASK_NIGHTLY)
def ask_nightly_task() -> None:
    """Ask for the nightly run where no operator can schedule it, once a night, however many beats ask."""
    hour = nightly_hour()
    if hour is not None and not is_schedule_installed():
        ask_for_nightly_run(hour=hour)


@app.task(name=INSPECT, soft_time_limit=50, time_limit=55)
def inspect_task() -> None:
    """Look whether every row is what the modulestore has, and mark what is not."""
    report = dependencies().inspector.inspect(
        enqueue=RebuildQueue(app).enqueue_bulk, check_count=deep_check_count()
    )
    if report is not None:
        logger.info(
            "inspected %d courses: %s found, %d marked, %d checked in full",
            report.course_count,
            report.findings or "nothing",
            report.marked_count,
            report.checked_count,
        )


@app.task(name=KEEP_UP, soft_time_limit=50, time_limit=55)
def keep_up_task() -> None:
    """Have rows rebuilt that are of another release, or built with other settings."""
    store = dependencies().upkeep
    if store.take_slot(UPKEEP_JOB, period_seconds=PERIOD_SECONDS - 5):
        keep_up(
            store,
            own=OWN_VERSIONS,
            settings=watched_settings(builder_settings()),
            raises_target=upgrades_by_itself(),
        )


@app.task(name=TEND_THUMBNAILS)
def tend_thumbnails_task() -> None:
    """Enqueue the thumbnails that are wanted and due."""
    queue = RebuildQueue(app)
    count = dependencies().thumbnails.tend(
        enqueue=queue.enqueue_thumbnails,
        look_again=queue.enqueue_tending,
        publishes_wait=dependencies().runs.store.publishes_wait,
    )
    if count:
        logger.info("enqueued the thumbnails of %d courses", count)


# Acknowledged before it: an image that kills its worker must not be delivered again and again. What is
# lost with the worker is wanted all the same, and enqueued again when its lease is over.
@app.task(name=MAKE_THUMBNAILS, acks_late=False)
def make_thumbnails_task(course_key: str) -> None:
    """Make the thumbnails of one course, and have its row rebuilt."""
    if dependencies().thumbnails.make(course_key) is ThumbnailOutcome.MADE:
        RebuildQueue(app).enqueue_bulk([course_key])


@app.task(name=KEEP_HOUSE, soft_time_limit=280, time_limit=300)
def keep_house_task() -> None:
    """Throw away what is too old: once a day, however many beats ask."""
    keep_house(
        tombstone_days=tombstone_days(),
        history_days=history_days(),
        run_days=run_days(),
        announces_changes=announces_changes(),
        letter_days=dead_letter_days(),
    )


@app.task(name=WORK_ON_RUN, bind=True)
def work_on_run_task(self: Task[..., None], run_id: int, lane: int) -> None:
    """Work on one lane of a rebuild run for a while, and leave the rest to the next task."""
    runs = dependencies().runs
    if runs.work(run_id, lane, seconds=RUN_SLICE_SECONDS, takes_over=_is_redelivered(self)):
        RebuildQueue(app).enqueue_lane(run_id, lane)


@app.task(name=TEND_RUNS)
def tend_runs_task() -> None:
    """Enqueue the lanes of rebuild runs that nobody works on."""
    count = tend(store=dependencies().runs.store, enqueue=RebuildQueue(app).enqueue_lane)
    if count:
        logger.info("enqueued %d lanes of rebuild runs", count)


def _is_redelivered(task: Task[..., None]) -> bool:
    """Whether the broker says that the worker which had the message before has gone without a word."""
    return bool((task.request.delivery_info or {}).get("redelivered"))


def _is_live(task: Task[..., None]) -> bool:
    """Whether a task came through the queue of what has just been published."""
    live_queue = app.conf.task_routes[REBUILD_OVERVIEW]["queue"]
    return bool((task.request.delivery_info or {}).get("routing_key") == live_queue)


def _catch_up(report: RebuildReport) -> None:
    count = catch_up(
        waited_seconds=report.longest_wait_seconds,
        store=dependencies().store,
        rebuild=_rebuild,
    )
    if count:
        logger.debug("behind: took %d courses along that have waited longest", count)


def _rebuild(course_keys: Sequence[str], *, rewrite: bool = False) -> RebuildReport:
    adapters = dependencies()
    report = rebuild_overviews(
        course_keys,
        modulestore=adapters.modulestore,
        store=adapters.store,
        build=adapters.build,
        depth=RebuildDepth.REWRITE if rewrite else RebuildDepth.DIRTY,
        target=adapters.target(),
    )
    if report.still_dirty:
        RebuildQueue(app).enqueue(report.still_dirty)
    return report
