"""Celery tasks: names, limits and routing; what they do is elsewhere.

A task that fails is acknowledged and not retried: its courses stay marked, and the sweeper comes.
What goes on failing is given up: ``failed_tasks``.
"""

import logging

from lms_integration.conf import deep_check_count, tombstone_days
from overview_worker.bootstrap import dependencies
from overview_worker.celery import app
from overview_worker.failed_tasks import RebuildTask
from overview_worker.queueing import (
    INSPECT,
    KEEP_HOUSE,
    REBUILD_OVERVIEW,
    REBUILD_OVERVIEWS,
    SWEEP,
    RebuildQueue,
)
from overview_worker.rebuild import rebuild_overviews
from overview_worker.store.housekeeping import keep_house
from overview_worker.sweeper import sweep

logger = logging.getLogger(__name__)


@app.task(name=REBUILD_OVERVIEW, base=RebuildTask)
def rebuild_overview_task(course_key: str) -> None:
    """Rebuild one course that has just been published."""
    _rebuild([course_key], rewrite=False)


@app.task(name=REBUILD_OVERVIEWS, base=RebuildTask)
def rebuild_overviews_task(course_keys: list[str], rewrite: bool = False) -> None:
    """Rebuild a chunk of courses in shared round trips."""
    _rebuild(course_keys, rewrite=rewrite)


@app.task(name=SWEEP)
def sweep_task() -> None:
    """Enqueue what is dirty and due."""
    count = sweep(store=dependencies().store, enqueue=RebuildQueue(app).enqueue)
    if count:
        logger.info("swept %d courses", count)


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


@app.task(name=KEEP_HOUSE, soft_time_limit=280, time_limit=300)
def keep_house_task() -> None:
    """Throw away what is too old: once a day, however many beats ask."""
    keep_house(tombstone_days=tombstone_days())


def _rebuild(course_keys: list[str], *, rewrite: bool) -> None:
    adapters = dependencies()
    report = rebuild_overviews(
        course_keys,
        modulestore=adapters.modulestore,
        store=adapters.store,
        build=adapters.build,
        rewrite=rewrite,
    )
    if report.still_dirty:
        RebuildQueue(app).enqueue(report.still_dirty)
