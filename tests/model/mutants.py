"""Mutants of the protocol: each leaves out one part or changes one step, and breaks a promise."""

from dataclasses import dataclass, field, replace
from typing import Any

from tests.model.checker import Promise
from tests.model.protocol import RULES, Fault, Protocol, Rules, Scenario
from tests.model.scenarios import DELIVERED_AGAIN, FOREIGN, LAGGING, NOTHING_LOST, PASSED_BY


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change of the protocol, where it is tried, and what it breaks there."""

    name: str
    breaks: Promise
    scenario: Scenario  #: the protocol itself keeps every promise in it
    rules: Rules = RULES
    lacks: dict[str, Any] = field(default_factory=dict)  #: what the mutant's scenario has not

    @property
    def protocol(self) -> Protocol:
        """The mutated protocol."""
        return Protocol(replace(self.scenario, **self.lacks), self.rules)


_QUIET = replace(NOTHING_LOST, workers=2, changes=2, faults=0)
_DYING = replace(DELIVERED_AGAIN, workers=2, changes=1, faults=1)
_SWEPT = Scenario(
    name="events are lost, workers and publishers die: sweeper, no inspector",
    changes=1,
    faults=1,
    may=frozenset({Fault.LOSS, Fault.WORKER_DIES, Fault.PUBLISHER_DIES}),
)
_FENCED = replace(_QUIET, faults=1, may=frozenset({Fault.OUTAGE}), sweeper=True)
_LAGGING = LAGGING
_FOREIGN = replace(FOREIGN, changes=1, may=frozenset({Fault.INTAKE_DIES}))
_LATE_EVENTS = replace(FOREIGN, may=frozenset({Fault.LAG}))
_SILENT_EVENTS = replace(_LATE_EVENTS, changes=1, announces=False, inspector=True)
_EARLY = Scenario(
    name="events before the commit: sweeper and inspector",
    workers=1,
    publisher="foreign",
    announces=True,
    changes=1,
    early_events=True,
    inspector=True,
)
_UNMARKED = Scenario(
    name="publishers die before they mark: sweeper and inspector",
    workers=1,
    publisher="mongodb",
    changes=1,
    faults=1,
    may=frozenset({Fault.PUBLISHER_DIES}),
    inspector=True,
)


def _mutant(name: str, breaks: Promise, scenario: Scenario, **changes: bool) -> Mutant:
    return Mutant(name=name, breaks=breaks, scenario=scenario, rules=replace(RULES, **changes))


_BACKWARDS, _RESURRECTS = Promise.NEVER_BACKWARDS, Promise.DELETES_STAY
_STAYS_STALE, _HURRIES = Promise.CONVERGES, Promise.WAITS

MUTANTS = (
    # The lock and the read
    _mutant("takes no lock", _BACKWARDS, _QUIET, takes_lock=False),
    _mutant(
        "reads the source before the lock",
        _BACKWARDS,
        replace(_QUIET, changes=3),
        reads_source_under_lock=False,
    ),
    _mutant(
        "has a lock that does not fall with its connection",
        _BACKWARDS,
        _FENCED,
        lock_falls_with_connection=False,
    ),
    # Done, and the look after it
    _mutant("does not look again", _STAYS_STALE, _QUIET, looks_again=False),
    _mutant(
        "looks again before the commit",
        _STAYS_STALE,
        replace(_QUIET, faults=1),
        looks_again_after_commit=False,
    ),
    _mutant("sets done to what is wanted now", _STAYS_STALE, _QUIET, done_is_what_was_seen=False),
    _mutant("commits done before the row", _STAYS_STALE, _DYING, done_commits_with_row=False),
    _mutant("acknowledges a task before it", _STAYS_STALE, _DYING, task_acked_late=False),
    # The row's label and the lag check
    _mutant("does not check for lag", _BACKWARDS, _LAGGING, checks_lag=False),
    _mutant(
        "labels the row with the announced version",
        _STAYS_STALE,
        _EARLY,
        label_is_what_was_read=False,
    ),
    _mutant("believes an announcement for ever", _STAYS_STALE, _EARLY, disbelieves=False),
    _mutant(
        "disbelieves at the first look, if a minute has passed before it",
        _BACKWARDS,
        _LAGGING,
        takes_every_look=False,
    ),
    _mutant("does not count its looks", _STAYS_STALE, _EARLY, counts_looks=False),
    _mutant(
        "believes an index that is older than the row, if just that was announced",
        _BACKWARDS,
        _LATE_EVENTS,
        row_outranks_announcement=False,
    ),
    # Deletes
    _mutant("leaves no tombstone", _RESURRECTS, _SILENT_EVENTS, writes_tombstone=False),
    _mutant(
        "removes the state row with the course",
        _RESURRECTS,
        _SILENT_EVENTS,
        keeps_state_of_deleted=False,
    ),
    _mutant(
        "believes an index that still has what a tombstone buried",
        _RESURRECTS,
        _SILENT_EVENTS,
        tombstone_outranks_row=False,
    ),
    _mutant(
        "builds what a late event names, whatever the index says",
        _RESURRECTS,
        _LATE_EVENTS,
        trusts_index_only=False,
    ),
    # Marks and events
    _mutant("marks after the commit", _STAYS_STALE, _SWEPT, marks_in_transaction=False),
    _mutant(
        "marks before the index changes",
        _STAYS_STALE,
        replace(_LAGGING, faults=0, changes=1),
        marks_after_save=False,
    ),
    _mutant("sends the event before the commit", _STAYS_STALE, _QUIET, event_after_commit=False),
    _mutant(
        "lets an older announcement hide a newer one",
        _STAYS_STALE,
        _LATE_EVENTS,
        announcement_is_max=False,
    ),
    _mutant(
        "counts the mark up before what is decided by the old count",
        _STAYS_STALE,
        _SWEPT,
        wanted_assigned_last=False,
    ),
    # The intake
    _mutant(
        "acknowledges an event before its mark", _STAYS_STALE, _FOREIGN, intake_acks_last=False
    ),
    _mutant(
        "does not mark for publishers that do not",
        _STAYS_STALE,
        _FOREIGN,
        intake_marks_foreign=False,
    ),
    _mutant(
        "enqueues only what the intake has marked",
        _STAYS_STALE,
        _QUIET,
        intake_enqueues_marked=False,
    ),
    _mutant(
        "remembers that it has enqueued a course, and not in which dirty time",
        _STAYS_STALE,
        replace(_QUIET, intake_remembers=True),
        intake_remembers_dirty_time=False,
    ),
    # The sweeper and the inspector
    Mutant(name="has no sweeper", breaks=_STAYS_STALE, scenario=_SWEPT, lacks={"sweeper": False}),
    Mutant(
        name="has no inspector",
        breaks=_STAYS_STALE,
        scenario=_UNMARKED,
        lacks={"inspector": False},
    ),
    _mutant("sweeps before the next attempt is due", _HURRIES, _EARLY, sweeper_waits=False),
    _mutant("sweeps without a lease", _HURRIES, _SWEPT, sweeper_leases=False),
    _mutant("looks again at what lags", _HURRIES, _EARLY, lagging_is_left_alone=False),
    _mutant(
        "looks again at once at what it has passed by",
        _HURRIES,
        replace(PASSED_BY, faults=0),
        passed_by_is_left_alone=False,
    ),
)

#: Parts that no promise needs: a second line of defence, which the lock makes superfluous.
SUPERFLUOUS = (_mutant("sets done without max()", _STAYS_STALE, _SWEPT, done_is_max=False),)
