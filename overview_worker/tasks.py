"""Celery tasks: names, limits and routing; what they do is elsewhere.

A task that fails is acknowledged and not retried: its courses stay marked, and the sweeper comes.
"""

import logging

from overview_worker.bootstrap import dependencies
from overview_worker.celery import app
from overview_worker.queueing import REBUILD_OVERVIEW, REBUILD_OVERVIEWS, SWEEP, RebuildQueue
from overview_worker.rebuild import rebuild_overviews
from overview_worker.sweeper import sweep

logger = logging.getLogger(__name__)


@app.task(name=REBUILD_OVERVIEW)
def rebuild_overview_task(course_key: str) -> None:
    """Rebuild one course that has just been published."""
    _rebuild([course_key], rewrite=False)


@app.task(name=REBUILD_OVERVIEWS)
def rebuild_overviews_task(course_keys: list[str], rewrite: bool = False) -> None:
    """Rebuild a chunk of courses in shared round trips."""
    _rebuild(course_keys, rewrite=rewrite)


@app.task(name=SWEEP)
def sweep_task() -> None:
    """Enqueue what is dirty and due."""
    count = sweep(store=dependencies().store, enqueue=RebuildQueue(app).enqueue)
    if count:
        logger.info("swept %d courses", count)


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
