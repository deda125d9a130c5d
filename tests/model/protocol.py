"""The rebuild protocol of one course as states and steps: all that can happen next, one step at a time.

A change of the course is a letter in its history: ``P`` it was published, ``D`` it was deleted, in
lower case while (or because) it is not in the course index. A *position* in the history, counted from
1, stands for a version id and for its time; position 0 is the time before there was a course.

What is not committed lives in the process that will commit it, so that a crash forgets it and frees
its locks. Workers are alike: states that differ only in which worker does what are one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import cache
from typing import Any, NamedTuple

from overview_worker.rebuild import DISBELIEVE_AFTER_LOOKS
from tests.model import steps
from tests.model.steps import Kind

#: The most tasks that wait at a time; whoever enqueues one more waits for room.
MOST_TASKS = 1
#: Event of a course that its publisher has marked in this database; others say what they announce.
MARKED_HERE = 0
#: Event that announces no version.
SAYS_NOTHING = -1


class Fault(Enum):
    """What can go wrong."""

    WORKER_DIES = "a worker dies, before any of its steps; the broker delivers its task again"
    INTAKE_DIES = "the intake dies; the broker delivers its events again"
    PUBLISHER_DIES = "the publisher dies, or its transaction fails after the index has changed"
    SWEEPER_DIES = "the sweeper or the inspector dies"
    LOSS = "an event is lost, or the task of a worker that dies"
    DUPLICATE = "an event is delivered twice"
    LAG = "a read shows an older index, or a structure is not there yet"
    OUTAGE = "modulestore, database or a connection fails, also while it commits"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Who takes part, and how much may go wrong."""

    name: str
    workers: int = 2
    #: What a publish is. ``sql``: index and mark in one transaction, as in current Open edX.
    #: ``mongodb``: the index changes at once, the mark follows. ``foreign``: nobody marks, the event
    #: tells, perhaps before the commit.
    publisher: str = "sql"
    announces: bool = False  #: marks and events name the version and its time
    index_times: bool = True  #: the course index says when a course changed last
    built: bool = True  #: the course exists and its row is right; else there was never a course
    changes: int = 2  #: how often the course is published, deleted or created again
    faults: int = 0  #: how much goes wrong at the most, in any mixture of ``may``
    may: frozenset["Fault"] = frozenset()
    #: No read lags once a course has been dirty for a minute and so many looks have found the source behind.
    lags_end: bool = True
    looks: int = DISBELIEVE_AFTER_LOOKS
    lags_can_be_told: bool = True  #: no read shows what no lag check can tell from news
    early_events: bool = False  #: a foreign publisher may announce before it commits
    #: A publisher may keep its mark for longer than a rebuild waits, or the rebuild is one of a chunk:
    #: the row is written, and the course left dirty.
    passes_by: bool = False
    intake_remembers: bool = False  #: it enqueues a course once in a dirty time
    overtaken: bool = False  #: a course that is marked without pause is left to a new task
    sweeper: bool = True
    inspector: bool = False


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The parts of the protocol; a mutant changes one of them."""

    takes_lock: bool = True
    lock_falls_with_connection: bool = True  #: who has lost the lock cannot write
    reads_source_under_lock: bool = True
    trusts_index_only: bool = True  #: an absent course is absent, whatever an event named
    checks_lag: bool = True
    disbelieves: bool = (
        True  #: after a minute and some looks the index is right, whatever was announced
    )
    takes_every_look: bool = True  #: however late the first one comes
    counts_looks: bool = True
    row_outranks_announcement: bool = True  #: an index older than the row lags, announced or not
    tombstone_outranks_row: bool = True  #: so does one that has what the deleted row was built from
    label_is_what_was_read: bool = True
    keeps_state_of_deleted: bool = True
    writes_tombstone: bool = True
    done_is_what_was_seen: bool = True
    done_commits_with_row: bool = True
    done_is_max: bool = True
    looks_again: bool = True
    looks_again_after_commit: bool = True
    task_acked_late: bool = True
    lagging_is_left_alone: bool = True  #: until its next attempt is due, or it is marked again
    passed_by_is_left_alone: bool = True  #: until it is marked again, or leased and due
    marks_in_transaction: bool = True
    marks_after_save: bool = True
    event_after_commit: bool = True
    announcement_is_max: bool = True
    wanted_assigned_last: bool = True  #: after what is decided by the old ``wanted``
    intake_acks_last: bool = True
    intake_enqueues_marked: bool = True  #: courses that their publishers have marked too
    intake_marks_foreign: bool = True
    intake_remembers_dirty_time: bool = True  #: and not just that it has enqueued the course
    sweeper_waits: bool = True  #: until the next attempt is due
    sweeper_leases: bool = True


RULES = Rules()


class Since(IntEnum):
    """``dirty_since``."""

    NULL = 0
    NOW = 1
    A_MINUTE_AGO = 2


class Mark(NamedTuple):
    """``overview_mark``."""

    wanted: int = 0
    done: int = 0
    announced: int = 0
    since: int = Since.NULL
    waits: bool = False  #: ``next_attempt_at`` is in the future
    looks: int = 0  #: that found the source behind; no more are counted than are needed
    #: Nobody's column: the intake remembers that it has enqueued the course since ``dirty_since``.
    is_remembered: bool = False


class Row(NamedTuple):
    """``overview_state`` and the overview row: what readers see, and what it is said to be."""

    has_state: bool = False
    content: int = 0  #: the version that the row shows; 0: no row
    label: int = 0  #: ``source_version``, which a tombstone keeps
    deleted: bool = False
    seen: int = 0  #: nobody's column: the position that readers were shown last
    shown: int = 0  #: nobody's column: the version that they were shown last


class Broker(NamedTuple):
    """What is on its way; sorted, since any order may be the order of delivery."""

    events: tuple[int, ...] = ()
    tasks: int = 0


class Budget(NamedTuple):
    """What may still happen."""

    changes: int
    faults: int


class Publisher(IntEnum):
    """Where the publishing process is: what it has done."""

    IDLE = 0
    SAVED = 1  #: the index has changed, the course is not marked yet
    MARKED = 2  #: in its open transaction
    COMMITTED = 3  #: the event is to be sent
    ANNOUNCED = 4  #: the event is sent, the transaction is open
    MARKED_AND_ANNOUNCED = 5  #: only in mutants


class Intake(NamedTuple):
    """Where the intake is, and the events that it holds unacknowledged."""

    at: int = 0
    events: tuple[int, ...] = ()


IDLE_INTAKE, RECEIVED, EVENTS_MARKED, FOUND_DIRTY, TO_ACK = range(5)


class Sweeper(IntEnum):
    """Where the sweeper is."""

    IDLE = 0
    FOUND_DUE = 1
    LEASED = 2


class At(IntEnum):
    """Where a worker is: what it does next."""

    IDLE = 0
    READ_EARLY = 1  #: only in mutants
    LOCK = 2
    FIND_STATE = 3
    CREATE_STATE = 4
    READ_MARK = 5
    FIND = 6
    READ = 7
    WRITE = 8
    DONE = 9
    COMMIT = 10
    POSTPONE = 11
    COMMIT_POSTPONED = 12
    COMMIT_CLEAN = 13
    LOOK_AGAIN = 14
    ENQUEUE = 15
    POSTPONE_OUTSIDE = 16
    END_TASK = 17
    COMMIT_UNDONE = 18


class Worker(NamedTuple):
    """One worker and what it remembers; all but ``at`` is forgotten when the task ends."""

    at: int = At.IDLE
    holds_lock: bool = False
    wanted: int = 0  #: as read under the lock
    announced: int = 0
    believes_index: bool = False
    has_waited: bool = False  #: for as long as reads may lag, as the mark had it
    read: int = -1  #: the position that the index showed; -1: not read
    note: int = 0  #: only in mutants: what they noticed too early


IDLE = Worker()
_WORKER_NAMES = ("worker 1", "worker 2", "worker 3")
_ENDING = Worker(at=At.END_TASK)
_MARKING = frozenset({Publisher.MARKED, Publisher.MARKED_AND_ANNOUNCED})
_HOLDING_MARK = frozenset({At.COMMIT, At.COMMIT_POSTPONED})
_UNDER_LOCK = frozenset({*range(At.READ_MARK, At.LOOK_AGAIN), At.COMMIT_UNDONE})
_NEEDS_DATABASE = _UNDER_LOCK | {At.LOCK, At.FIND_STATE, At.CREATE_STATE}
_NEEDS_MODULESTORE = frozenset({At.FIND, At.READ})


class State(NamedTuple):
    """Everything."""

    history: str
    mark: Mark
    row: Row
    broker: Broker
    publisher: int
    intake: Intake
    sweeper: int
    inspector: bool  #: it has marked the course, and is to enqueue it
    workers: tuple[Worker, ...]
    budget: Budget


class Step(NamedTuple):
    """One thing that can happen in a state, and the state after it."""

    kind: int
    name: str  #: the code's function, or a sentence of ``steps``
    actor: str
    value: Any  #: what was read, written or found
    after: State


@cache
def head_of(history: str) -> int:
    """Return the position that the course index shows."""
    return len(history.rstrip("pd"))


@cache
def exists_at(history: str, position: int) -> bool:
    """Whether the course is in the index at a position."""
    return position > 0 and history[position - 1] == "P"


@cache
def life_start(history: str, position: int) -> int:
    """Return where the life (or the absence) of the course began that a position is part of."""
    start = position
    if exists_at(history, position):
        for earlier in range(position - 1, 0, -1):
            if history[earlier - 1] == "D":
                break
            if history[earlier - 1] == "P":
                start = earlier
    return start


@cache
def older_reads(history: str, row: Row, can_be_told: bool) -> tuple[int, ...]:
    """Return what a read of the index may show that lags behind.

    Any older position, but, where they ``can_be_told``, for those that no lag check tells from news,
    because they have no time, or the row has none to compare it with: an absence from before the
    life that readers see, and a past life of which the row never showed so much.
    """
    start = life_start(history, row.seen) if can_be_told else 0
    return tuple(
        position
        for position in range(head_of(history))
        if (position == 0 or history[position - 1].isupper())
        and (position >= start or (exists_at(history, position) and position <= row.shown))
    )


def initial_state(scenario: Scenario) -> State:
    """Return the state in which everything begins."""
    return State(
        history="P" if scenario.built else "",
        mark=Mark(),
        row=Row(True, content=1, label=1, seen=1, shown=1) if scenario.built else Row(),
        broker=Broker(),
        publisher=Publisher.IDLE,
        intake=Intake(),
        sweeper=Sweeper.IDLE,
        inspector=False,
        workers=(IDLE,) * scenario.workers,
        budget=Budget(changes=scenario.changes, faults=scenario.faults),
    )


def is_at_rest(state: State) -> bool:
    """Whether nothing is left to do and the row is what the course index says."""
    mark, row, history = state.mark, state.row, state.history
    head = head_of(history)
    if exists_at(history, head):
        is_right = row.content == head and row.label == head and not row.deleted
    else:
        is_right = row.content == 0
    return (
        is_right
        and mark.wanted <= mark.done
        and state.broker.tasks == 0
        and not state.broker.events
        and state.publisher == Publisher.IDLE
        and state.intake.at == IDLE_INTAKE
        and state.sweeper == Sweeper.IDLE
        and not state.inspector
        and all(worker.at == At.IDLE for worker in state.workers)
    )


def has_written_mark(worker: Worker) -> bool:
    """Whether nobody else can write the mark before the worker commits."""
    return worker.at in _HOLDING_MARK


class Protocol:
    """The steps of the protocol in one scenario, under some rules.

    ``tells_workers_apart``: keep the workers in their order, for traces that name them.
    """

    def __init__(
        self, scenario: Scenario, rules: Rules = RULES, *, tells_workers_apart: bool = False
    ) -> None:
        self.scenario = scenario
        self.rules = rules
        self._apart = tells_workers_apart
        self._may = {fault: fault in scenario.may for fault in Fault}

    def steps(self, state: State) -> list[Step]:
        """Return everything that can happen next."""
        return [*self.steps_beside_workers(state), *self._work(state)]

    def steps_beside_workers(self, state: State) -> Iterator[Step]:
        """Yield what all but the workers can do; it matters of these only whether one has written the mark."""
        yield from self._publish(state)
        yield from self._carry(state)
        yield from self._take_in(state)
        if self.scenario.sweeper:
            yield from self._sweep(state)
        if self.scenario.inspector:
            yield from self._inspect(state)
        yield from self._pass_time(state)

    def _can(self, fault: Fault, state: State) -> bool:
        return state.budget.faults > 0 and self._may[fault]

    def _can_lag(self, state: State, worker: Worker) -> bool:
        has_ended = worker.has_waited and self.scenario.lags_end
        return self._can(Fault.LAG, state) and not has_ended

    # --- Marks

    def _marked(self, mark: Mark, announced: int) -> Mark:
        """``marks.mark_courses``: the upsert."""
        compared = mark.wanted + (not self.rules.wanted_assigned_last)
        is_new = compared <= mark.done
        since = Since.NOW if is_new else mark.since
        if announced <= 0 or (self.rules.announcement_is_max and announced < mark.announced):
            announced = mark.announced
        is_remembered = self._still_remembered(mark) if is_new else mark.is_remembered
        looks = 0 if is_new else mark.looks
        return Mark(
            mark.wanted + 1, mark.done, announced, since, looks=looks, is_remembered=is_remembered
        )

    def _still_remembered(self, mark: Mark) -> bool:
        """Whether the intake takes another dirty time for the one that it remembers."""
        return mark.is_remembered and not self.rules.intake_remembers_dirty_time

    def _done(self, mark: Mark, seen: int) -> Mark:
        """``mark_statements.mark_done``."""
        done = max(mark.done, seen) if self.rules.done_is_max else seen
        if mark.wanted > seen:
            is_remembered = self._still_remembered(mark)
            return Mark(mark.wanted, done, mark.announced, Since.NOW, is_remembered=is_remembered)
        return Mark(mark.wanted, done, is_remembered=self._still_remembered(mark))

    @staticmethod
    def _postponed(mark: Mark) -> Mark:
        """``mark_statements.postpone`` and ``lease``: dirty courses only."""
        return mark._replace(waits=True) if mark.wanted > mark.done else mark

    def _found_behind(self, mark: Mark) -> Mark:
        """``mark_statements.postpone`` after a look that found the source behind."""
        postponed = self._postponed(mark)
        is_counted = postponed.waits and self.rules.counts_looks
        looks = min(mark.looks + is_counted, self.scenario.looks)
        return postponed._replace(looks=looks)

    @staticmethod
    def _mark_is_free(state: State) -> bool:
        """Whether no open transaction has written the mark."""
        return state.publisher not in _MARKING and not any(
            has_written_mark(worker) for worker in state.workers
        )

    # --- Publishing

    def _publish(self, state: State) -> Iterator[Step]:
        if state.publisher != Publisher.IDLE:
            yield from self._go_on_publishing(state)
        elif state.budget.changes:
            budget = state.budget._replace(changes=state.budget.changes - 1)
            begun = state._replace(budget=budget)
            yield from self._begin_to_publish(begun, "P")
            if exists_at(state.history, head_of(state.history)):
                yield from self._begin_to_publish(begun, "D")

    def _begin_to_publish(self, state: State, change: str) -> Iterator[Step]:
        saved = state._replace(history=state.history + change, publisher=Publisher.SAVED)
        opened = state._replace(history=state.history + change.lower())
        name = "publisher"
        match self.scenario.publisher:
            case "sql" if self.rules.marks_in_transaction:
                if self._mark_is_free(state):
                    after = opened._replace(publisher=Publisher.MARKED)
                    yield Step(Kind.CHANGE, steps.MARK, name, change, after)
            case "mongodb" if not self.rules.marks_after_save:
                if self._mark_is_free(state):
                    mark = self._marked(state.mark, self._announced_by(opened))
                    after = opened._replace(mark=mark, publisher=Publisher.ANNOUNCED)
                    yield Step(Kind.CHANGE, steps.MARK, name, change, after)
            case "foreign":
                after = saved._replace(publisher=Publisher.COMMITTED)
                yield Step(Kind.CHANGE, steps.SAVE, name, change, after)
                if self.scenario.early_events:
                    after = _with_event(opened, self._event_of(opened))
                    after = after._replace(publisher=Publisher.ANNOUNCED)
                    yield Step(Kind.CHANGE, steps.ANNOUNCE_EARLY, name, change, after)
            case _:
                yield Step(Kind.CHANGE, steps.SAVE, name, change, saved)

    def _go_on_publishing(self, state: State) -> Iterator[Step]:
        name = "publisher"
        idle = state._replace(publisher=Publisher.IDLE)
        match state.publisher:
            case Publisher.SAVED:
                if self._mark_is_free(state):
                    after = state._replace(publisher=Publisher.MARKED)
                    yield Step(Kind.STEP, steps.MARK, name, state.history[-1], after)
                if self._can(Fault.PUBLISHER_DIES, state):
                    yield Step(Kind.FAULT, steps.DIE, name, None, _with_fault(idle))
            case Publisher.MARKED if not self.rules.event_after_commit:
                sent = _with_event(state, MARKED_HERE)
                sent = sent._replace(publisher=Publisher.MARKED_AND_ANNOUNCED)
                yield Step(Kind.STEP, steps.PUBLISH_EVENT, name, MARKED_HERE, sent)
            case Publisher.MARKED | Publisher.MARKED_AND_ANNOUNCED:
                mark = self._marked(state.mark, self._announced_by(state))
                at = Publisher.COMMITTED if state.publisher == Publisher.MARKED else Publisher.IDLE
                after = state._replace(mark=mark, history=_committed(state.history), publisher=at)
                yield Step(Kind.STEP, steps.COMMIT_MARK, name, len(state.history), after)
                if self.scenario.publisher == "sql":  # as if nothing had happened
                    changes, faults = state.budget
                    changes += state.publisher == Publisher.MARKED
                    undone = idle._replace(
                        history=state.history[:-1], budget=Budget(changes, faults)
                    )
                    yield Step(Kind.FAULT, steps.ROLL_BACK, name, None, undone)
                elif self._can(Fault.PUBLISHER_DIES, state):
                    yield Step(Kind.FAULT, steps.DIE, name, None, _with_fault(idle))
            case Publisher.COMMITTED:
                event = self._event_of(state)
                yield Step(Kind.STEP, steps.PUBLISH_EVENT, name, event, _with_event(idle, event))
                if self._can(Fault.LOSS, state):
                    yield Step(Kind.FAULT, steps.LOSE_EVENT, name, event, _with_fault(idle))
            case Publisher.ANNOUNCED:
                saved = state._replace(history=_committed(state.history))
                is_foreign = self.scenario.publisher == "foreign"
                at = Publisher.IDLE if is_foreign else Publisher.COMMITTED
                after = saved._replace(publisher=at)
                yield Step(Kind.STEP, steps.SAVE, name, saved.history[-1], after)
                yield Step(Kind.FAULT, steps.ROLL_BACK, name, None, idle)

    def _announced_by(self, state: State) -> int:
        return len(state.history) if self.scenario.announces else 0

    def _event_of(self, state: State) -> int:
        if self.scenario.publisher != "foreign":
            return MARKED_HERE
        return len(state.history) if self.scenario.announces else SAYS_NOTHING

    # --- The broker

    def _carry(self, state: State) -> Iterator[Step]:
        for event in set(state.broker.events):
            if self._can(Fault.LOSS, state):
                lost = _without_event(_with_fault(state), event)
                yield Step(Kind.FAULT, steps.LOSE_EVENT, "broker", event, lost)
            if self._can(Fault.DUPLICATE, state):
                twice = _with_event(_with_fault(state), event)
                yield Step(Kind.FAULT, steps.REPEAT_EVENT, "broker", event, twice)

    # --- The intake

    def _take_in(self, state: State) -> Iterator[Step]:
        intake, name = state.intake, "intake"
        match intake.at:
            case 1:  # RECEIVED
                yield from self._mark_events(state)
            case 2:  # EVENTS_MARKED
                is_dirty = state.mark.wanted > state.mark.done
                if not self.rules.intake_enqueues_marked and MARKED_HERE in intake.events:
                    is_dirty = False
                # ``Intake._enqueue_once``: what it enqueues below it remembers, by its dirty time.
                is_fresh = is_dirty and not state.mark.is_remembered
                after = intake._replace(at=FOUND_DIRTY if is_fresh else TO_ACK)
                found = state._replace(intake=after)
                if is_fresh and self.scenario.intake_remembers:
                    found = found._replace(mark=state.mark._replace(is_remembered=True))
                yield Step(Kind.STEP, steps.MARK_EVENTS, name, is_dirty, found)
            case 3 if state.broker.tasks < MOST_TASKS:  # FOUND_DIRTY
                enqueued = _with_task(state)._replace(intake=intake._replace(at=TO_ACK))
                yield Step(Kind.STEP, steps.ENQUEUE, name, None, enqueued)
            case 4:  # TO_ACK
                acked = state._replace(intake=Intake())
                yield Step(Kind.STEP, steps.ACKNOWLEDGE, name, None, acked)
        if intake.at == IDLE_INTAKE:
            yield from self._receive(state)
        elif self._can(Fault.INTAKE_DIES, state):
            forgotten = state.mark._replace(is_remembered=False)
            dead = _with_fault(state._replace(intake=Intake(), mark=forgotten))
            if self.rules.intake_acks_last:
                for event in intake.events:
                    dead = _with_event(dead, event)
            yield Step(Kind.FAULT, steps.DIE, name, None, dead)

    def _receive(self, state: State) -> Iterator[Step]:
        """A batch is one event or all that are waiting."""
        events = state.broker.events
        batches: set[tuple[int, ...]] = {(event,) for event in events}
        if len(events) > 1:
            batches.add(events)
        for batch in batches:
            after = state
            for event in batch:
                after = _without_event(after, event)
            after = after._replace(intake=Intake(RECEIVED, batch))
            yield Step(Kind.STEP, steps.RECEIVE, "intake", batch, after)

    def _mark_events(self, state: State) -> Iterator[Step]:
        events = state.intake.events
        foreign = [event for event in events if event != MARKED_HERE]
        after = state._replace(intake=Intake(EVENTS_MARKED, events))
        if not foreign or not self.rules.intake_marks_foreign:
            yield from self._take_in(after)
        elif self._mark_is_free(state):
            mark = self._marked(state.mark, max(foreign))
            yield Step(Kind.STEP, steps.MARK, "intake", max(0, *foreign), after._replace(mark=mark))

    # --- Workers

    def _work(self, state: State) -> Iterator[Step]:
        workers = state.workers
        is_lock_free = not any(worker.holds_lock for worker in workers)
        for n, worker in enumerate(workers):
            if n and worker == workers[n - 1] and not self._apart:
                continue
            name = _WORKER_NAMES[n]
            own = self.steps_of_worker(state, worker, is_lock_free=is_lock_free)
            for kind, step, value, after, changed in own:
                moved = (*workers[:n], changed, *workers[n + 1 :])
                if not self._apart:
                    moved = tuple(sorted(moved))
                then = State(*after[:-2], moved, after.budget)
                yield Step(kind, step, name, value, then)

    def steps_of_worker(
        self, state: State, worker: Worker, *, is_lock_free: bool
    ) -> Iterator[tuple[int, str, Any, State, Worker]]:
        """Yield kind, name, value, the state but for the workers, and the worker after the step.

        It matters of the others only whether the lock is free, and whether one has written the mark.
        """
        rules, mark, broker = self.rules, state.mark, state.broker
        match worker.at:
            case At.IDLE:
                if broker.tasks:
                    at = At.LOCK if rules.reads_source_under_lock else At.READ_EARLY
                    taken = state._replace(broker=Broker(broker.events, broker.tasks - 1))
                    yield Kind.STEP, steps.TAKE_TASK, None, taken, Worker(at=at)
                return
            case At.READ_EARLY:
                head = head_of(state.history)
                yield Kind.STEP, steps.FIND, head, state, Worker(at=At.LOCK, read=head)
            case At.LOCK:
                if not state.row.has_state:
                    after = worker._replace(at=At.FIND_STATE)
                    yield Kind.STEP, steps.LOCK, "missing", state, after
                elif is_lock_free or not rules.takes_lock:
                    after = worker._replace(at=At.READ_MARK, holds_lock=True)
                    yield Kind.STEP, steps.LOCK, "locked", state, after
                else:
                    yield Kind.STEP, steps.LOCK, "busy", state, _ENDING
            case At.FIND_STATE:
                # If it is there by now, whoever has created it locks it after all of our marks.
                is_there = state.row.has_state
                after = _ENDING if is_there else worker._replace(at=At.CREATE_STATE)
                yield Kind.STEP, steps.FIND_STATE, is_there, state, after
            case At.CREATE_STATE:
                created = state._replace(row=state.row._replace(has_state=True))
                yield Kind.STEP, steps.CREATE_STATE, None, created, worker._replace(at=At.LOCK)
            case At.READ_MARK:
                seen = (mark.wanted, mark.done, mark.announced)
                after = self._after_mark(state, worker)
                yield Kind.STEP, steps.READ_MARK, seen, state, after
            case At.FIND:
                yield from self._find(state, worker)
            case At.READ:
                yield Kind.STEP, steps.READ, True, state, worker._replace(at=At.WRITE)
                if self._can_lag(state, worker):
                    after = _postponing(worker)
                    yield Kind.FAULT, steps.READ, False, _with_fault(state), after
            case At.WRITE:
                shown = worker.read if exists_at(state.history, worker.read) else 0
                yield Kind.STEP, steps.WRITE, shown, state, self._after_write(worker)
            case At.DONE:
                if self._mark_is_free(state):
                    yield from self._mark_done(state, worker)
                elif self.scenario.passes_by:
                    after = worker._replace(at=At.COMMIT_UNDONE)
                    yield Kind.STEP, steps.DONE, "passed by", state, after
            case At.COMMIT_UNDONE:
                committed = self._committed_rebuild(state, worker)._replace(mark=mark)
                left_at = worker.wanted if rules.passed_by_is_left_alone else 0
                again = Worker(at=At.LOOK_AGAIN, wanted=left_at)
                yield Kind.STEP, steps.COMMIT, "undone", committed, again
            case At.COMMIT:
                committed = self._committed_rebuild(state, worker)
                again = self._before_look(worker._replace(wanted=0))
                yield Kind.STEP, steps.COMMIT, "row", committed, again
                if self._can(Fault.OUTAGE, state):  # the commit succeeds, and its answer is lost
                    after = Worker(at=At.POSTPONE_OUTSIDE)
                    yield Kind.FAULT, steps.COMMIT, "in doubt", _with_fault(committed), after
            case At.POSTPONE:
                # A mark that somebody has is passed by: a publisher, who begins its attempts anew.
                at = At.COMMIT_POSTPONED if self._mark_is_free(state) else At.COMMIT_CLEAN
                yield Kind.STEP, steps.POSTPONE, None, state, worker._replace(at=at)
            case At.COMMIT_POSTPONED:
                left_at = worker.wanted if rules.lagging_is_left_alone else 0
                after = Worker(at=At.LOOK_AGAIN, wanted=left_at)
                postponed = state._replace(mark=self._found_behind(mark))
                yield Kind.STEP, steps.COMMIT, "postponed", postponed, after
            case At.COMMIT_CLEAN:
                yield Kind.STEP, steps.COMMIT, "clean", state, self._before_look(worker)
            case At.LOOK_AGAIN:
                yield from self._look_again(state, worker)
            case At.ENQUEUE:
                if broker.tasks < MOST_TASKS:
                    yield Kind.STEP, steps.ENQUEUE, None, _with_task(state), _ENDING
            case At.POSTPONE_OUTSIDE:
                is_free = self._mark_is_free(state)
                postponed = state._replace(mark=self._postponed(mark)) if is_free else state
                yield Kind.STEP, steps.POSTPONE_OUTSIDE, None, postponed, _ENDING
            case _:  # END_TASK
                yield Kind.STEP, steps.END_TASK, None, state, IDLE
        yield from self._lose_worker(state, worker)

    def _after_mark(self, state: State, worker: Worker) -> Worker:
        mark = state.mark
        if mark.wanted <= mark.done:
            return Worker(at=At.COMMIT_CLEAN, holds_lock=worker.holds_lock)
        is_a_minute_old = mark.since == Since.A_MINUTE_AGO
        has_waited = is_a_minute_old and mark.looks >= self.scenario.looks
        goes_by = has_waited if self.rules.takes_every_look else is_a_minute_old
        known = worker._replace(
            at=At.FIND,
            wanted=mark.wanted,
            announced=mark.announced,
            believes_index=goes_by and self.rules.disbelieves,
            has_waited=has_waited,
        )
        return known if worker.read < 0 else self._after_find(state, known, worker.read)

    def _find(self, state: State, worker: Worker) -> Iterator[tuple[int, str, Any, State, Worker]]:
        history = state.history
        head = head_of(history)
        shown = head if exists_at(history, head) else 0
        yield Kind.STEP, steps.FIND, shown, state, self._after_find(state, worker, head)
        if self._can_lag(state, worker):
            lagging = _with_fault(state)
            for position in older_reads(history, state.row, self.scenario.lags_can_be_told):
                shown = position if exists_at(history, position) else 0
                after = self._after_find(state, worker, position)
                yield Kind.FAULT, steps.FIND, shown, lagging, after

    def _after_find(self, state: State, worker: Worker, position: int) -> Worker:
        if self._is_behind(state, worker, position):
            return _postponing(worker)
        exists = exists_at(state.history, position)
        if not exists and not self.rules.trusts_index_only and worker.announced:
            exists, position = True, worker.announced
        at = At.READ if exists else At.WRITE
        if self.rules.label_is_what_was_read:
            return worker._replace(at=at, announced=0, read=position)
        return worker._replace(at=at, read=position)

    def _is_behind(self, state: State, worker: Worker, position: int) -> bool:
        """``rebuild.lag_reason``."""
        rules, row, announced = self.rules, state.row, worker.announced
        if worker.believes_index or not rules.checks_lag:
            return False
        if not exists_at(state.history, position):
            if not announced or state.history[announced - 1] in "dD":
                return False
            return announced >= row.label or not self.scenario.index_times
        if not self.scenario.index_times:
            return False
        if position == announced and not rules.row_outranks_announcement:
            return False
        if position < announced or position < row.label:
            return True
        return row.deleted and position == row.label and rules.tombstone_outranks_row

    def _after_write(self, worker: Worker) -> Worker:
        seen = worker.wanted if self.rules.done_is_what_was_seen else 0
        return worker._replace(at=At.DONE, wanted=seen, believes_index=False, has_waited=False)

    def _mark_done(
        self, state: State, worker: Worker
    ) -> Iterator[tuple[int, str, Any, State, Worker]]:
        if not self.rules.done_is_what_was_seen:
            worker = worker._replace(wanted=state.mark.wanted)
        after = worker._replace(at=At.COMMIT)
        if not self.rules.done_commits_with_row:
            state = state._replace(mark=self._done(state.mark, worker.wanted))
        if not self.rules.looks_again_after_commit:
            after = after._replace(note=1 if state.mark.wanted > worker.wanted else 0)
        yield Kind.STEP, steps.DONE, worker.wanted, state, after

    def _committed_rebuild(self, state: State, worker: Worker) -> State:
        mark, row, position = state.mark, state.row, worker.read
        if self.rules.done_commits_with_row:
            mark = self._done(mark, worker.wanted)
        if exists_at(state.history, position):
            label = position
            if not self.rules.label_is_what_was_read and worker.announced:
                label = worker.announced
            row = Row(True, content=position, label=label, seen=position, shown=position)
        elif row.content or (row.label and not row.deleted):
            row = self._buried(row, position)
        else:
            row = row._replace(seen=max(row.seen, position))
        return state._replace(mark=mark, row=row)

    def _buried(self, row: Row, position: int) -> Row:
        if not self.rules.keeps_state_of_deleted:
            return Row(seen=position, shown=row.shown)
        if not self.rules.writes_tombstone:
            return Row(has_state=True, seen=position, shown=row.shown)
        return row._replace(content=0, deleted=True, seen=position)

    def _before_look(self, worker: Worker) -> Worker:
        if not self.rules.looks_again:
            return _ENDING
        return Worker(at=At.LOOK_AGAIN, wanted=worker.wanted, note=worker.note)

    def _look_again(
        self, state: State, worker: Worker
    ) -> Iterator[tuple[int, str, Any, State, Worker]]:
        # What was left dirty on purpose is looked at again when it has been marked since.
        is_dirty = state.mark.wanted > max(state.mark.done, worker.wanted)
        if not self.rules.looks_again_after_commit:
            is_dirty = bool(worker.note)
        if not is_dirty:
            yield Kind.STEP, steps.LOOK_AGAIN, False, state, _ENDING
            return
        at = At.LOCK if self.rules.reads_source_under_lock else At.READ_EARLY
        yield Kind.STEP, steps.LOOK_AGAIN, True, state, Worker(at=at)
        if self.scenario.overtaken:
            yield Kind.STEP, steps.LOOK_AGAIN, True, state, Worker(at=At.ENQUEUE)

    def _lose_worker(
        self, state: State, worker: Worker
    ) -> Iterator[tuple[int, str, Any, State, Worker]]:
        """The worker dies, its connection breaks, or the modulestore does not answer."""
        if self._can(Fault.WORKER_DIES, state):
            dead = _with_fault(state)
            again = _with_task(dead) if self.rules.task_acked_late else dead
            yield Kind.FAULT, steps.DIE, None, again, IDLE
            if self._can(Fault.LOSS, state):
                yield Kind.FAULT, steps.DIE_AND_LOSE_TASK, None, dead, IDLE
        if not self._can(Fault.OUTAGE, state):
            return
        failed = _with_fault(state)
        if worker.at in _NEEDS_DATABASE and self.rules.lock_falls_with_connection:
            lost = Worker(at=At.POSTPONE_OUTSIDE)
            yield Kind.FAULT, steps.LOSE_CONNECTION, None, failed, lost
        elif worker.holds_lock:
            fenced = worker._replace(holds_lock=False)
            yield Kind.FAULT, steps.LOSE_LOCK, None, failed, fenced
        if worker.at in _NEEDS_MODULESTORE:
            lost = Worker(at=At.POSTPONE_OUTSIDE)
            yield Kind.FAULT, steps.LOSE_MODULESTORE, None, failed, lost
        if worker.at in (At.LOOK_AGAIN, At.POSTPONE_OUTSIDE):
            yield Kind.FAULT, steps.LOSE_DATABASE, None, failed, _ENDING

    # --- The sweeper, the inspector and time

    def _sweep(self, state: State) -> Iterator[Step]:
        mark, name = state.mark, "sweeper"
        match state.sweeper:
            case Sweeper.IDLE:
                is_due = mark.since != Since.NULL and not (mark.waits and self.rules.sweeper_waits)
                if is_due:
                    found = state._replace(sweeper=Sweeper.FOUND_DUE)
                    yield Step(Kind.STEP, steps.TAKE_DUE, name, None, found)
                return
            case Sweeper.FOUND_DUE:
                if self._mark_is_free(state):
                    leased = self._postponed(mark) if self.rules.sweeper_leases else mark
                    after = state._replace(mark=leased, sweeper=Sweeper.LEASED)
                    yield Step(Kind.STEP, steps.LEASE, name, None, after)
            case Sweeper.LEASED:
                if state.broker.tasks < MOST_TASKS:
                    after = _with_task(state)._replace(sweeper=Sweeper.IDLE)
                    yield Step(Kind.STEP, steps.SWEEP, name, None, after)
        if self._can(Fault.SWEEPER_DIES, state):
            dead = _with_fault(state)._replace(sweeper=Sweeper.IDLE)
            yield Step(Kind.FAULT, steps.DIE, name, None, dead)

    def _inspect(self, state: State) -> Iterator[Step]:
        """Mark a clean course whose state is not what the index has had for a while; enqueue it."""
        mark, name = state.mark, "inspector"
        if state.inspector:
            if state.broker.tasks < MOST_TASKS:
                after = _with_task(state)._replace(inspector=False)
                yield Step(Kind.STEP, steps.ENQUEUE_BULK, name, None, after)
            if self._can(Fault.SWEEPER_DIES, state):
                after = _with_fault(state)._replace(inspector=False)
                yield Step(Kind.FAULT, steps.DIE, name, None, after)
            return
        is_settled = mark.wanted <= mark.done and state.publisher == Publisher.IDLE
        if is_settled and _differs(state) and self._mark_is_free(state):
            marked = self._marked(mark, 0)._replace(waits=True)
            after = state._replace(mark=marked, inspector=True)
            yield Step(Kind.TIME, steps.INSPECT, name, None, after)

    def _pass_time(self, state: State) -> Iterator[Step]:
        mark = state.mark
        if mark.waits:
            after = state._replace(mark=mark._replace(waits=False))
            yield Step(Kind.TIME, steps.WAIT, "time", None, after)
        # Where nothing is newer than the index, a minute changes nothing.
        may_lag = mark.announced or state.row.label > head_of(state.history)
        if mark.since == Since.NOW and may_lag:
            after = state._replace(mark=mark._replace(since=Since.A_MINUTE_AGO))
            yield Step(Kind.TIME, steps.WAIT_A_MINUTE, "time", None, after)


def _differs(state: State) -> bool:
    """``inspector.finding_of``: goes by what the state says that the row was built from."""
    row, history = state.row, state.history
    head = head_of(history)
    if exists_at(history, head):
        return row.label != head or row.content == 0
    return row.content > 0 or (row.label > 0 and not row.deleted)


def _postponing(worker: Worker) -> Worker:
    return Worker(at=At.POSTPONE, holds_lock=worker.holds_lock, wanted=worker.wanted)


def _committed(history: str) -> str:
    return history[:-1] + history[-1].upper()


def _with_event(state: State, event: int) -> State:
    events = tuple(sorted((*state.broker.events, event)))
    return state._replace(broker=Broker(events, state.broker.tasks))


def _without_event(state: State, event: int) -> State:
    events = list(state.broker.events)
    events.remove(event)
    return state._replace(broker=Broker(tuple(events), state.broker.tasks))


def _with_task(state: State) -> State:
    events, tasks = state.broker
    return state._replace(broker=Broker(events, tasks + 1))


def _with_fault(state: State) -> State:
    changes, faults = state.budget
    return State(*state[:-1], Budget(changes, faults - 1))
