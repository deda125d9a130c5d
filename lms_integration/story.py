"""The whole story of a course's row, told from what is stored of it; the CLI and the admin show it.

Pure: facts in, sentences out. Times are shown in UTC; ages and waits are by the database's clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lms_integration.marks import ANNOUNCED_DELETE
from lms_integration.models import (
    HELD_BACK_SECONDS,
    CourseOverview,
    DeadLetter,
    OverviewMark,
    OverviewRemoval,
    OverviewState,
    OverviewTombstone,
    RebuildRecord,
    RecordedOutcome,
    RemovalStatus,
)

#: A dirty course that nobody has come to for so long says that no worker runs.
IMPATIENT_AFTER_SECONDS = 60

_ERROR_LENGTH = 500
_NAME_LENGTH = 80

#: What a section says under one name: ``{"row seq": 3}``.
Facts = Mapping[str, str | int | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFacts:
    """What the course index says of the course; who may not ask it passes None instead."""

    version: str | None = None  #: None: not in the index, or not published
    updated_at: datetime | None = None
    error: str = ""  #: why the index could not be asked; '' where it could


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseFacts:
    """All that is stored of one course."""

    course_key: str
    now: datetime  #: by the database's clock
    row: CourseOverview | None = None
    state: OverviewState | None = None
    mark: OverviewMark | None = None
    tombstone: OverviewTombstone | None = None
    removal: OverviewRemoval | None = None  #: what was said when it vanished from the index
    records: Sequence[RebuildRecord] = ()  #: newest first
    letters: Sequence[DeadLetter] = ()  #: newest first, the first few
    letter_count: int = 0
    source: SourceFacts | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldRebuild:
    """One rebuild of the past that changed something or failed."""

    number: int
    at: str
    outcome: str
    version: str
    event: str  #: the one that marked the course last before
    took: str
    changed: tuple[str, ...]
    went_wrong: str  #: its fault, or what went wrong before it
    worker: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldLetter:
    """One dead letter of the course."""

    id: int
    origin: str
    seen_count: int
    last_seen_at: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """What happened to a course's row, how it stands, and what will happen next."""

    course_key: str
    all_well: bool
    verdict: str
    next_step: str
    source: Facts
    row: Facts
    mark: Facts
    rebuilds: tuple[ToldRebuild, ...]
    dead_letters: tuple[ToldLetter, ...]
    dead_letter_count: int


def tell_story(facts: CourseFacts) -> Story:
    """Return the story of one course."""
    all_well, verdict = _verdict(facts)
    return Story(
        course_key=facts.course_key,
        all_well=all_well,
        verdict=verdict,
        next_step=_next_step(facts),
        source=_source(facts.source),
        row=_row(facts),
        mark=_mark(facts.mark),
        rebuilds=_rebuilds(facts.records),
        dead_letters=tuple(_letter(letter) for letter in facts.letters),
        dead_letter_count=facts.letter_count,
    )


def shown_time(moment: datetime | None) -> str | None:
    """Return a time to the millisecond, None for None."""
    return None if moment is None else moment.isoformat(sep=" ", timespec="milliseconds")


def shown_span(span: timedelta) -> str:
    """Return a span of time in words, such as ``1 h 5 min``; one that is past is none."""
    seconds = max(0.0, span.total_seconds())
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d"


def is_dirty(mark: OverviewMark | None) -> bool:
    """Return whether a rebuild is wanted."""
    return mark is not None and mark.wanted > mark.done


def standing_fault(facts: CourseFacts) -> str | None:
    """Return the fault of the newest mark; None where the fault is from before it, or there is none.

    A mark begins the attempts anew, and an attempt that met the fault left it as the last error.
    """
    mark, state = facts.mark, facts.state
    if mark is None or state is None or not state.fault or not is_dirty(mark):
        return None
    met = mark.attempts > 0 and mark.last_error[:_ERROR_LENGTH] == state.fault[:_ERROR_LENGTH]
    return state.fault if met else None


def _verdict(facts: CourseFacts) -> tuple[bool, str]:
    if facts.source is not None and facts.source.error:
        return False, f"cannot tell: {facts.source.error}"
    if is_dirty(facts.mark):
        return False, _why_dirty(facts)
    if facts.source is None:
        return _verdict_without_source(facts)
    return _verdict_with_source(facts, facts.source)


def _why_dirty(facts: CourseFacts) -> str:
    if _has_removal(facts, RemovalStatus.HELD):
        return f"gone from the course index, and its removal is held: {_reason_of_hold(facts)}"
    if _has_removal(facts, RemovalStatus.ALLOWED):
        return "gone from the course index, and a person has let it go: waiting for the rebuild that removes it"
    fault = standing_fault(facts)
    if fault is not None:
        return f"not buildable as published: {fault}"
    if facts.mark is not None and facts.mark.attempts and facts.mark.last_error:
        return f"waiting for a rebuild; so far: {facts.mark.last_error}"
    if facts.state is not None and facts.state.fault:
        return f"waiting for a rebuild; what was published before could not be built: {facts.state.fault}"
    return "waiting for a rebuild"


def _has_removal(facts: CourseFacts, status: RemovalStatus) -> bool:
    return facts.removal is not None and facts.removal.status == status


def _reason_of_hold(facts: CourseFacts) -> str:
    return (facts.removal and facts.removal.reason) or "too many courses vanished at once"


_KEPT = "gone from the course index, and the row stays: a person has refused to let it go"


def _verdict_without_source(facts: CourseFacts) -> tuple[bool, str]:
    state = facts.state
    if facts.row is not None and _has_removal(facts, RemovalStatus.REFUSED):
        return True, _KEPT
    if facts.row is not None and state is not None and state.source_version:
        return True, _degraded_or("up to date with all that was announced", state)
    if facts.row is not None:
        return False, "a row of which the pipeline knows nothing: overview publish " + _key(facts)
    if state is not None and state.deleted:
        return True, "deleted"
    return False, "no overview of it, and nobody has asked for one"


def _verdict_with_source(facts: CourseFacts, source: SourceFacts) -> tuple[bool, str]:
    state, row = facts.state, facts.row
    if source.version is None:
        if state is None or not state.source_version:
            return False, "no such course with a published branch, and no overview of it"
        if row is not None and _has_removal(facts, RemovalStatus.REFUSED):
            return True, _KEPT
        return row is None, "deleted" if row is None else "deleted, but the row is there"
    if row is None or state is None:
        return False, "published, but there is no row: overview publish " + _key(facts)
    if state.source_version != source.version:
        return False, "the row is from another version: overview publish " + _key(facts)
    return True, _degraded_or("up to date", state)


def _degraded_or(sentence: str, state: OverviewState) -> str:
    if state.degradations:
        return f"{sentence}, degraded: some stored values could not be read"
    return sentence


def _key(facts: CourseFacts) -> str:
    return facts.course_key


def _next_step(facts: CourseFacts) -> str:
    """Say what happens to the course without anybody's help, and what a person can do."""
    mark = facts.mark
    if mark is None:
        ask = f"overview publish {facts.course_key}"
        return f"nothing, until the course is published or asked for: {ask}"
    if not is_dirty(mark):
        return _next_step_of_clean(facts)
    if _has_removal(facts, RemovalStatus.HELD):
        return (
            "it waits for a person's word, or until it is back in the course index: "
            f"overview deletes allow {facts.course_key}, or refuse"
        )
    wait = _until(mark.next_attempt_at, facts.now)
    is_held_back = wait.total_seconds() > HELD_BACK_SECONDS or standing_fault(facts) is not None
    if is_held_back and wait > timedelta(0):
        return (
            f"held back until {shown_time(mark.next_attempt_at)} ({shown_span(wait)}), then tried again; "
            "a new publish, overview publish, or replaying its dead letter has it tried at once"
        )
    if wait > timedelta(0) and mark.attempts:
        return f"tried again at {shown_time(mark.next_attempt_at)} ({shown_span(wait)}), by the sweeper"
    if wait > timedelta(0):
        return (
            "a task for it is on its way; if that is lost, the sweeper sends another after "
            f"{shown_time(mark.next_attempt_at)} ({shown_span(wait)})"
        )
    return _next_step_of_due(mark, facts.now)


def _next_step_of_clean(facts: CourseFacts) -> str:
    is_back = facts.source is not None and facts.source.version is not None
    if facts.row is not None and not is_back and _has_removal(facts, RemovalStatus.REFUSED):
        return (
            "nothing, until its delete is announced or it is back in the course index; "
            f"overview deletes allow {facts.course_key} lets it go"
        )
    return "nothing, until the next publish"


def _next_step_of_due(mark: OverviewMark, now: datetime) -> str:
    waited = now - mark.dirty_since if mark.dirty_since else timedelta(0)
    if waited.total_seconds() > IMPATIENT_AFTER_SECONDS:
        return (
            f"it should have been rebuilt: it has been waiting for {shown_span(waited)}. Do the live "
            "workers and beat run? overview doctor"
        )
    return "rebuilt by its event's task, or within seconds by the sweeper"


def _until(moment: datetime | None, now: datetime) -> timedelta:
    return timedelta(0) if moment is None else moment - now


def _source(source: SourceFacts | None) -> Facts:
    if source is None:
        return {"source": "not asked here: overview explain asks the course index"}
    if source.error:
        return {"source": source.error}
    if source.version is None:
        return {"source": "not in the course index (or without a published branch)"}
    return {"source version": source.version, "source updated": shown_time(source.updated_at)}


def _row(facts: CourseFacts) -> Facts:
    row, state, tombstone = facts.row, facts.state, facts.tombstone
    told: dict[str, str | int | None] = {"row": None}
    if row is not None:
        told = {
            "row": (row.display_name or "")[:_NAME_LENGTH] or "(no name)",
            "row modified": shown_time(row.modified),
        }
    if tombstone is not None:
        told["deleted"] = shown_time(tombstone.deleted_at)
    if facts.removal is not None:
        told["vanished"] = _vanished(facts.removal)
    if state is None:
        return {**told, "row version": "never built"}
    told |= {
        "row version": state.source_version or "never built",
        "version published": shown_time(state.source_updated_at),
        "builder version": state.builder_version,
        "row changes": state.row_seq,
        "last written": shown_time(state.built_at),
        "last verified": shown_time(state.verified_at),
    }
    if state.degradations:
        told["degraded"] = "; ".join(
            f"{each['field']} = {each['value']}: {each['reason']}" for each in state.degradations
        )
    if state.fault:
        is_old = standing_fault(facts) is None
        told["fault"] = f"before the newest mark: {state.fault}" if is_old else state.fault
    return told


def _vanished(removal: OverviewRemoval) -> str:
    reason = f": {removal.reason}" if removal.reason else ""
    return f"{RemovalStatus(removal.status).label}, since {shown_time(removal.changed_at)}{reason}"


def _mark(mark: OverviewMark | None) -> Facts:
    if mark is None:
        return {"mark": "never marked"}
    state = "dirty" if is_dirty(mark) else "clean"
    told: dict[str, str | int | None] = {
        "mark": f"wanted {mark.wanted}, done {mark.done}: {state}",
        "last event": f"{mark.last_event_type} {mark.last_event_id}".strip() or None,
        "last event at": shown_time(mark.last_event_at),
    }
    if not is_dirty(mark):
        return told
    return {
        **told,
        "dirty since": shown_time(mark.dirty_since),
        "announced": _announced(mark),
        "attempts": mark.attempts,
        "last error": (mark.last_error or None) if mark.attempts else None,
        "next attempt": shown_time(mark.next_attempt_at) or "at once",
    }


def _announced(mark: OverviewMark) -> str | None:
    if mark.announced_version == ANNOUNCED_DELETE:
        return f"deleted at {shown_time(mark.announced_at)}"
    if mark.announced_version is None:
        return None
    return f"{mark.announced_version} of {shown_time(mark.announced_at)}"


def _rebuilds(records: Sequence[RebuildRecord]) -> tuple[ToldRebuild, ...]:
    """Tell the records, newest first; an old value is told where an older record told it."""
    known: dict[str, str] = {}
    told = []
    for record in reversed(records):
        told.append(_rebuild(record, known))
        if record.outcome == RecordedOutcome.FAULTY:
            continue
        if record.changed_columns is None:  # whatever was known may have changed
            known.clear()
        known.update(record.changed_columns or {})
    return tuple(reversed(told))


def _rebuild(record: RebuildRecord, known: Mapping[str, str]) -> ToldRebuild:
    return ToldRebuild(
        number=record.sequence,
        at=shown_time(record.recorded_at) or "",
        outcome=record.outcome,
        version=record.source_version,
        event=f"{record.event_type} {record.event_id}".strip(),
        took=_took(record),
        changed=_changed(record, known),
        went_wrong=_went_wrong(record),
        worker=record.worker,
    )


def _took(record: RebuildRecord) -> str:
    shared = f" for {record.course_count} courses" if record.course_count > 1 else ""
    return (
        f"waited {record.waited_ms:.1f} ms, read {record.read_ms:.1f} ms{shared}, "
        f"built {record.build_ms:.1f} ms, written {record.write_ms:.1f} ms"
    )


def _changed(record: RebuildRecord, known: Mapping[str, str]) -> tuple[str, ...]:
    match record.outcome:
        case RecordedOutcome.CREATED:
            return ("all columns: there was no row",)
        case RecordedOutcome.DELETED:
            return ("the row is gone, a tombstone is left",)
        case RecordedOutcome.FAULTY:
            return ()
    if record.changed_columns is None:
        return ("not known: the row was written by an older release",)
    return tuple(
        f"{name}: {known[name]} → {value}" if name in known else f"{name} → {value}"
        for name, value in record.changed_columns.items()
    )


def _went_wrong(record: RebuildRecord) -> str:
    if record.error or not record.attempts:
        return record.error
    return f"{record.attempts} attempts before it, the last one: {record.last_error}"


def _letter(letter: DeadLetter) -> ToldLetter:
    return ToldLetter(
        id=letter.pk,
        origin=letter.origin,
        seen_count=letter.seen_count,
        last_seen_at=shown_time(letter.last_seen_at) or "",
        reason=letter.reason,
    )
