"""The sweeper: enqueues dirty courses that no event got rebuilt. It is the only retry there is."""

from collections.abc import Callable, Sequence

from overview_worker.ports import OverviewStore

#: Most courses that one sweep enqueues; the next one, seconds later, takes the rest.
SWEEP_LIMIT = 500


def sweep(*, store: OverviewStore, enqueue: Callable[[Sequence[str]], None]) -> int:
    """Enqueue dirty courses whose time has come; return how many.

    Safe to run any number of times at once: a rebuild of a clean course does nothing.

    Raises:
        StoreUnavailable: the database did not answer.
    """
    due = store.take_due(limit=SWEEP_LIMIT)
    if due:
        enqueue(due)
    return len(due)
