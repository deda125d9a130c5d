"""Where a person deals with dead letters: find, replay, discard, count. The CLI and the admin are thin.

Replaying marks the letter's courses and removes the letter in one transaction, so it is safe to
repeat and safe to interrupt: a letter that is still there has not been replayed. Nothing here
reaches a broker: a caller that may do so sends the events that ``replay_dead_letter`` returns, and
without that the sweeper finds the marks within seconds.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from django.db import transaction
from django.db.models import Count, Max, Min, QuerySet

from lms_integration.database_clock import DatabaseNow
from lms_integration.events import Event
from lms_integration.identity import database_identity
from lms_integration.log_lines import one_line
from lms_integration.marks import mark_courses, mark_of
from lms_integration.models import DeadLetter, DeadLetterOrigin
from lms_integration.replay import NotReplayable, events_of

#: Who removed what: not silenced with the pipeline's other loggers when a command runs at a terminal.
audit_logger = logging.getLogger("overview_audit")

_LOGGED_REASON_LENGTH = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterFilter:
    """Which letters; what is None or empty does not narrow."""

    ids: Sequence[int] = ()
    origin: str | None = None
    course_key: str | None = None
    reason_contains: str | None = None
    #: Last seen at least so long ago, by the database's clock.
    older_than_seconds: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it takes every letter."""
        return self == DeadLetterFilter()


class DeskOutcome(Enum):
    """What became of one letter."""

    REPLAYED = "replayed"  #: its courses are marked and it is gone
    STAYS = "stays"  #: it cannot be replayed; the reason says why
    DISCARDED = "discarded"
    GONE = "gone"  #: somebody else has dealt with it meanwhile


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskReport:
    """What became of one letter, and what a replay has marked."""

    letter_id: int
    outcome: DeskOutcome
    reason: str = ""  #: of STAYS
    events: tuple[Event, ...] = ()  #: of REPLAYED: marked and committed, to be sent by who may


@dataclass(frozen=True, kw_only=True, slots=True)
class OriginFigures:
    """The dead letters of one origin."""

    count: int  #: different letters, however often each was seen
    oldest_seconds: float  #: since the oldest was first seen; 0.0 when there is none


def find_dead_letters(wanted: DeadLetterFilter) -> QuerySet[DeadLetter]:
    """Return the letters that ``wanted`` describes, the one that was seen last first."""
    letters = DeadLetter.objects.order_by("-last_seen_at", "-id")
    if wanted.ids:
        letters = letters.filter(id__in=wanted.ids)
    if wanted.origin is not None:
        letters = letters.filter(origin=wanted.origin)
    if wanted.course_key is not None:
        # The column may ignore case, and keys that differ by case are different courses: MySQL's
        # ``contains`` compares byte by byte.
        letters = letters.filter(course_key=wanted.course_key).filter(
            course_key__contains=wanted.course_key
        )
    if wanted.reason_contains is not None:
        letters = letters.filter(reason__icontains=wanted.reason_contains)
    if wanted.older_than_seconds is not None:
        before = DatabaseNow(offset_seconds=-wanted.older_than_seconds)
        letters = letters.filter(last_seen_at__lte=before)
    return letters


def replay_dead_letter(letter_id: int, *, by: str) -> DeskReport:
    """Mark what the letter is about and remove it, both or neither; ``by`` is who asked.

    Raises:
        django.db.DatabaseError: the database refused or did not answer; nothing has happened.
    """
    database_id = database_identity()
    with transaction.atomic():
        letter = _locked(letter_id)
        if letter is None:
            return DeskReport(letter_id=letter_id, outcome=DeskOutcome.GONE)
        try:
            found = replay_of(letter)
        except NotReplayable as error:
            return DeskReport(letter_id=letter_id, outcome=DeskOutcome.STAYS, reason=str(error))
        events = tuple(replace(event, marked_in=database_id) for event in found)
        mark_courses([mark_of(event) for event in events])
        letter.delete()
    _log("replayed", letter, letter_id, by=by)
    return DeskReport(letter_id=letter_id, outcome=DeskOutcome.REPLAYED, events=events)


def discard_dead_letter(letter_id: int, *, by: str) -> DeskReport:
    """Remove the letter and leave a log line; the mark of its course stays as it is.

    Raises:
        django.db.DatabaseError: the database refused or did not answer; nothing has happened.
    """
    with transaction.atomic():
        letter = _locked(letter_id)
        if letter is None:
            return DeskReport(letter_id=letter_id, outcome=DeskOutcome.GONE)
        letter.delete()
    _log("discarded", letter, letter_id, by=by)
    return DeskReport(letter_id=letter_id, outcome=DeskOutcome.DISCARDED)


def replay_of(letter: DeadLetter) -> tuple[Event, ...]:
    """Return the events that replaying ``letter`` would mark.

    Raises:
        NotReplayable: it cannot be replayed.
    """
    return events_of(
        course_key=letter.course_key, body=bytes(letter.body), body_bytes=letter.body_bytes
    )


def body_text(letter: DeadLetter) -> str:
    """Return what is kept of the message on one line: UTF-8 where it is, ``\\xff`` where it is not."""
    return one_line(bytes(letter.body).decode("utf-8", "backslashreplace"))


def replay_sentence(letter: DeadLetter) -> str:
    """Return what replaying ``letter`` would do, or why it cannot be replayed."""
    try:
        keys = [event.course_key for event in replay_of(letter)]
    except NotReplayable as error:
        return f"cannot be replayed: {one_line(str(error))}"
    return f"marks {', '.join(keys)}"


def dead_letter_figures() -> Mapping[DeadLetterOrigin, OriginFigures]:
    """Return count and age by origin, for every origin there is; one query, from one index."""
    rows = (
        DeadLetter.objects.values("origin")
        .order_by("origin")
        .annotate(count=Count("id"), oldest=Min("first_seen_at"), now=Max(DatabaseNow()))
    )
    found = {
        row["origin"]: OriginFigures(
            count=row["count"],
            oldest_seconds=round((row["now"] - row["oldest"]).total_seconds(), 3),
        )
        for row in rows
    }
    none = OriginFigures(count=0, oldest_seconds=0.0)
    return {origin: found.get(origin.value, none) for origin in DeadLetterOrigin}


def _locked(letter_id: int) -> DeadLetter | None:
    """Lock a letter through the index by which its writers find it, so that neither can deadlock."""
    fingerprint = (
        DeadLetter.objects.filter(id=letter_id).values_list("fingerprint", flat=True).first()
    )
    if fingerprint is None:
        return None
    return DeadLetter.objects.select_for_update().filter(fingerprint=fingerprint).first()


def _log(done: str, letter: DeadLetter, letter_id: int, *, by: str) -> None:
    audit_logger.warning(
        "dead letter %d %s by %s: %s, %s, seen %d times: %s",
        letter_id,
        done,
        one_line(by),
        letter.origin,
        one_line(letter.course_key) or "no course",
        letter.seen_count,
        one_line(letter.reason[:_LOGGED_REASON_LENGTH]),
        extra={"course_key": letter.course_key, "dead_letter_id": letter_id, "by": by},
    )
