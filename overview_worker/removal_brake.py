"""The brake on mass deletes: which removals have to wait for a person's word. Does no I/O.

A course that is gone from the index may have been deleted, or the index may be broken, restored from
an old backup, or be another one. An announcement tells the two apart; without one, numbers have to.
"""

from collections.abc import Callable, Mapping, Sequence

from overview_worker.ports import RemovalCensus

#: Removals without an announcement that are let through, within ``RECENT_SECONDS``: no more than so
#: many, and no more than this share of the courses that have a row.
LIMIT_COUNT = 20
LIMIT_PERCENT = 5
#: What was removed so lately counts with what is to be removed now.
RECENT_SECONDS = 600


def removal_limit(live_count: int) -> int:
    """Return how many of so many courses may vanish unannounced; of a few courses, one."""
    return max(1, min(LIMIT_COUNT, live_count * LIMIT_PERCENT // 100))


def held_removals(
    course_keys: Sequence[str],
    census: RemovalCensus,
    *,
    index_is_empty: bool,
    count_vanished: Callable[[int], int] = lambda limit: 0,
) -> Mapping[str, str]:
    """Return why each of ``course_keys`` that has to wait is held; the others may go.

    ``course_keys`` are gone from the index, and nobody has announced their delete. Once one course
    is held, all are: a trickle must not do what a flood may not. ``count_vanished`` says how many of
    all courses are gone in that way, and need not count on beyond a limit; it is asked only where a
    course is about to be removed, and so no more often than courses may be.
    """
    decided = census.announced | census.allowed | census.refused
    undecided = [key for key in course_keys if key not in decided]
    reason = _reason(len(undecided), census, index_is_empty, count_vanished)
    return {} if reason is None else dict.fromkeys(undecided, reason)


def _reason(
    count: int,
    census: RemovalCensus,
    index_is_empty: bool,
    count_vanished: Callable[[int], int],
) -> str | None:
    known = census.live_count + census.recent_count
    limit = removal_limit(known)
    if count == 0:
        return None
    if index_is_empty and known > 1:
        return f"the course index is empty, and {known} courses had a row; {_ASK}"
    if census.recent_count + count > limit:
        return (
            f"{census.recent_count + count} of {known} courses vanished from the index without an "
            f"announcement, and at most {limit} may; {_ASK}"
        )
    if census.held_count:
        return f"{census.held_count} other courses that vanished are held; {_ASK}"
    vanished_count = count_vanished(limit)
    if census.recent_count + vanished_count > limit:
        return (
            f"more than {limit} of {known} courses vanished from the index without an announcement; "
            f"{_ASK}"
        )
    return None


_ASK = "is that right? overview deletes list"
