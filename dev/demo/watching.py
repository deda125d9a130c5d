"""One edit from Studio's save to the row, with the time of each stage.

All times count from the publish: the moment that the course index got as its ``last_update`` (for a
delete, right after the index entry had gone). All processes and servers share this machine's clock.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from dev.authoring.author import PublishedChange
from dev.authoring.studio import Studio
from dev.demo.edits import Edit, Ending
from dev.demo.seen import Facts, Progress, fault_recorded_at, look_at_facts, look_at_progress

#: How often the reader looks; the time that it finds is late by so much at the most.
POLL_SECONDS = 0.002
TIMEOUT_SECONDS = 15.0


class NotArrived(Exception):
    """An edit did not become visible in time, or not as it was made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """Milliseconds since the publish; None: there is no such stage."""

    #: The broker has confirmed the event, and Studio's request goes on.
    event_ms: float | None = None
    #: The worker has written the row, deleted it, or recorded the fault: the database's clock.
    row_ms: float | None = None
    #: A reader of SQL that polls has found it.
    seen_ms: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """An edit that arrived as it was made."""

    before: Facts
    after: Facts
    times: Times


def save_and_watch(edit: Edit, studio: Studio, *, check: Callable[[], None]) -> Arrival:
    """Save an edit as Studio does and wait until SQL shows it.

    ``check`` is called after the save and while waiting; what it raises ends the wait.

    Raises:
        NotArrived: nothing came in time, or not what was expected.
    """
    before = look_at_facts(edit.course_key)
    change = edit.save(studio)
    confirmed_at = datetime.now(UTC)
    check()
    progress = wait_for_progress(
        edit.course_key, lambda now: has_arrived(edit, change, now), check=check
    )
    seen_at = datetime.now(UTC)
    after = look_at_facts(edit.course_key)
    differences = describe_differences(edit.expected, after)
    if differences:
        raise NotArrived(f"{edit.title} of {edit.course_key}: {differences}")
    is_fault = edit.ending is Ending.FAULT
    written_at = fault_recorded_at(edit.course_key) if is_fault else progress.written_at
    times = times_of(change, confirmed_at=confirmed_at, written_at=written_at, seen_at=seen_at)
    return Arrival(before=before, after=after, times=times)


def wait_for_progress(
    course_key: str, arrived: Callable[[Progress], bool], *, check: Callable[[], None]
) -> Progress:
    """Poll one course until ``arrived`` says so and return what was found; raises NotArrived."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not arrived(progress := look_at_progress(course_key)):
        check()
        if time.monotonic() >= deadline:
            waited = f"nothing came of it in {TIMEOUT_SECONDS:.0f} s"
            raise NotArrived(f"{course_key}: {waited}: {progress}")
        time.sleep(POLL_SECONDS)
    return progress


def has_arrived(edit: Edit, change: PublishedChange, progress: Progress) -> bool:
    """Say whether the pipeline has done what is to come of a published change."""
    match edit.ending:
        case Ending.FAULT:
            return progress.fault is not None and progress.attempts > 0
        case Ending.GONE:
            return progress.deleted and progress.is_clean
        case Ending.ROW:
            return progress.source_version == change.published_version and progress.is_clean


def describe_differences(expected: Facts, found: Facts) -> str:
    """Say what is not as expected; '' when all of it is."""
    differences = [
        f"{name} is {found.get(name)!r}, not {value!r}"
        for name, value in expected.items()
        if found.get(name) != value
    ]
    return "; ".join(differences)


def times_of(
    change: PublishedChange,
    *,
    confirmed_at: datetime,
    written_at: datetime | None,
    seen_at: datetime,
) -> Times:
    """Return the stages of one edit."""
    published_at = change.updated_at
    return Times(
        event_ms=_ms(published_at, confirmed_at),
        row_ms=None if written_at is None else _ms(published_at, written_at),
        seen_ms=_ms(published_at, seen_at),
    )


def _ms(start: datetime, end: datetime) -> float:
    # MongoDB's course index and SQLite keep whole milliseconds, so an end may seem to come first.
    return max(0.0, (end - start).total_seconds() * 1000)
