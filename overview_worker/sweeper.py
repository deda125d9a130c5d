"""Courses that no task got rebuilt: swept every few seconds, and taken along by workers that are behind.

There is no other retry.
"""

from collections.abc import Callable, Sequence

from overview_worker.ports import OverviewStore

#: Most courses of each kind that one sweep enqueues; the next one, seconds later, takes the rest.
SWEEP_LIMIT = 500
#: A course that has been dirty for so long when its task comes says that tasks wait too long.
BEHIND_SECONDS = 5.0
#: Most courses that a worker which is behind takes along: in shared round trips they cost a tenth.
CATCH_UP_LIMIT = 20


Enqueue = Callable[[Sequence[str]], None]


def sweep(*, store: OverviewStore, enqueue: Enqueue, enqueue_together: Enqueue) -> int:
    """Enqueue dirty courses whose time has come; return how many.

    What has failed before gets a task a course, so that it takes no other with it; the rest may share
    tasks: after the broker was away they are many. Safe to run any number of times at once: a rebuild
    of a clean course does nothing.

    Raises:
        StoreUnavailable: the database did not answer.
    """
    untried = store.take_due(limit=SWEEP_LIMIT, failed=False)
    if untried:
        enqueue_together(untried)
    failed = store.take_due(limit=SWEEP_LIMIT, failed=True)
    if failed:
        enqueue(failed)
    return len(untried) + len(failed)


def catch_up(
    *, waited_seconds: float, store: OverviewStore, rebuild: Callable[[Sequence[str]], object]
) -> int:
    """Rebuild what has waited longest, if a course that has just been rebuilt waited for long; return how many.

    Behind a long queue sweeps come too late to be of use, and what no task is on its way for would wait
    until the queue is empty; the tasks of the others find them clean. What failed before is left to
    tasks of its own, so that it takes no other course with it.

    Raises:
        StoreUnavailable: the database did not answer.
    """
    if waited_seconds < BEHIND_SECONDS:
        return 0
    oldest = store.take_due(limit=CATCH_UP_LIMIT, failed=False)
    if oldest:
        rebuild(oldest)
    return len(oldest)
