"""The scenarios that are explored: small, and together everything that the protocol must stand.

Each says who has to mend what: without sweeper and inspector the workers must get it right by
themselves, without the inspector the marks and the sweeper must.
"""

from dataclasses import replace

from tests.model.protocol import Fault, Scenario

EVERY_FAULT = frozenset(Fault)

#: Nothing goes wrong but the order of events: neither sweeper nor inspector is needed, and no times.
NOTHING_LOST = Scenario(
    name="nothing is lost: no sweeper, no inspector, an index without times",
    workers=3,
    index_times=False,
    changes=3,
    faults=1,
    may=frozenset({Fault.DUPLICATE}),
    sweeper=False,
)

#: Processes die, but messages come again: still nobody has to sweep. The course is new.
DELIVERED_AGAIN = Scenario(
    name="processes die and messages come again: no sweeper, no inspector",
    workers=3,
    built=False,
    index_times=False,
    faults=2,
    may=frozenset({Fault.WORKER_DIES, Fault.INTAKE_DIES, Fault.DUPLICATE}),
    sweeper=False,
)

#: One task in a dirty time has to be enough.
REMEMBERED = Scenario(
    name="the intake enqueues a course once in a dirty time: no sweeper, no inspector",
    index_times=False,
    changes=3,
    faults=1,
    may=frozenset({Fault.WORKER_DIES, Fault.INTAKE_DIES, Fault.DUPLICATE}),
    intake_remembers=True,
    sweeper=False,
)

#: Whatever is lost after the mark, the sweeper mends.
DYING = Scenario(
    name="workers die, events and tasks are lost: sweeper, no inspector",
    workers=3,
    faults=1,
    may=frozenset({Fault.WORKER_DIES, Fault.LOSS}),
)

FAILING = Scenario(
    name="databases, connections and the modulestore fail: sweeper, no inspector",
    faults=1,
    may=frozenset({Fault.OUTAGE}),
)

FAILING_TOGETHER = replace(
    FAILING,
    name="the same with three workers: sweeper, no inspector",
    workers=3,
    changes=1,
)

#: Publishers keep their marks for long, and chunks pass them by; tasks and workers are lost.
PASSED_BY = Scenario(
    name="marks are passed by, tasks are lost: sweeper, no inspector",
    workers=1,
    changes=2,
    faults=1,
    may=frozenset({Fault.LOSS, Fault.WORKER_DIES}),
    passes_by=True,
)

#: Nothing tells a stale read from a fresh one here but the inspector, a while later.
MISLED = Scenario(
    name="every other fault, nothing is announced: sweeper and inspector",
    faults=1,
    may=EVERY_FAULT - {Fault.WORKER_DIES, Fault.LOSS, Fault.OUTAGE},
    looks=0,  # they are for where something is announced
    inspector=True,
)

#: Announcements name their versions: reads that lag are recognised, and no inspector is needed.
LAGGING = Scenario(
    name="reads lag, the mark follows the index: sweeper, no inspector",
    workers=1,
    publisher="mongodb",
    announces=True,
    changes=2,
    faults=1,
    may=frozenset({Fault.LAG}),
)

#: Who reads what lags need not be who writes what comes after it.
LAGGING_TOGETHER = Scenario(
    name="reads lag, announcements tell, three workers: sweeper, no inspector",
    workers=3,
    announces=True,
    changes=1,
    faults=1,
    may=frozenset({Fault.LAG}),
)

#: Nobody marks but the intake, whose events come late, twice and in any order; reads lag.
FOREIGN = Scenario(
    name="a platform that does not mark: sweeper, no inspector",
    workers=1,
    publisher="foreign",
    announces=True,
    changes=2,
    faults=1,
    may=frozenset({Fault.LAG, Fault.INTAKE_DIES, Fault.DUPLICATE}),
)

#: Events of transactions that are not committed yet, or never: the inspector has the last word.
EARLY = Scenario(
    name="events before the commit, every fault: sweeper and inspector",
    workers=1,
    publisher="foreign",
    announces=True,
    changes=1,
    faults=1,
    may=EVERY_FAULT,
    early_events=True,
    inspector=True,
)

#: The publisher dies between index and mark, reads lag and nobody can tell: the inspector.
UNMARKED = Scenario(
    name="a new course, every two faults, nothing is announced: sweeper and inspector",
    publisher="mongodb",
    built=False,
    changes=1,
    faults=2,
    may=EVERY_FAULT,
    looks=0,
    inspector=True,
)

#: The longest to explore come first.
SCENARIOS = (
    MISLED,
    DYING,
    FOREIGN,
    EARLY,
    LAGGING,
    FAILING,
    PASSED_BY,
    NOTHING_LOST,
    REMEMBERED,
    UNMARKED,
    DELIVERED_AGAIN,
    LAGGING_TOGETHER,
    FAILING_TOGETHER,
)

#: What the protocol cannot stand: the limits of what it is taken to stand above.
BEYOND_LIMITS = (
    replace(
        LAGGING,
        name="a read lags although the course has been dirty for a minute, and was looked at three times",
        lags_end=False,
    ),
    replace(
        LAGGING,
        name="a read shows an absence from before the course, or a life that was never built",
        lags_can_be_told=False,
    ),
)
