"""Explores every state that a protocol can reach, and says how it can break its promises.

Four promises. The first two are about each commit that readers see; the other two about where a state
can lead once nothing more goes wrong and nobody edits the course:

- **never backwards**: what readers see never comes from an older position than what they saw.
- **deletes stay deleted**: a course whose delete they have seen does not show what it was before.
- **converges**: everything comes to rest, with the row that the course index says.
- **waits its time**: nothing is tried over and over before the time of its next attempt.
"""

import gc
import time
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from tests.model.numbered import Node, NumberedProtocol
from tests.model.protocol import Protocol, Row, State, Step, initial_state
from tests.model.steps import Kind

#: A scenario that has more is too large to be a test.
MOST_STATES = 2_000_000


class TooManyStates(Exception):
    """A scenario leaves too much open."""


class Promise(Enum):
    """What must hold."""

    NEVER_BACKWARDS = "never backwards"
    DELETES_STAY = "deletes stay deleted"
    CONVERGES = "converges"
    WAITS = "waits its time"


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A shortest way to break a promise."""

    promise: Promise
    trace: tuple[Step, ...]  #: from the initial state; the last step breaks the promise
    #: Steps that can follow for ever, where waiting is the promise.
    cycle: tuple[Step, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.promise.value} is broken after {len(self.trace)} steps:"]
        lines += [_line(n, step) for n, step in enumerate(self.trace, start=1)]
        if self.cycle:
            lines.append("and from there, without end:")
            lines += [_line(n, step) for n, step in enumerate(self.cycle, start=1)]
        elif self.trace:
            lines.append(f"which ends in {self.trace[-1].after}")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """What was found in all reachable states of one protocol."""

    name: str
    state_count: int
    step_count: int
    depth: int  #: steps to the farthest state
    seconds: float
    violation: Violation | None

    def __str__(self) -> str:
        verdict = "keeps every promise" if self.violation is None else str(self.violation)
        rate = self.state_count / max(self.seconds, 0.001)
        return (
            f"{self.name}: {self.state_count:,} states, {self.step_count:,} steps, depth "
            f"{self.depth}, {self.seconds:.1f} s, {rate:,.0f} states/s: {verdict}"
        )


def broken_by(before: State, after: Row) -> Promise | None:
    """Return the promise that showing readers ``after`` breaks."""
    row = before.row
    if after.seen >= row.seen:
        return None
    if after.content and not row.content and before.history[row.seen - 1] == "D":
        return Promise.DELETES_STAY
    return Promise.NEVER_BACKWARDS


#: ``starts, sources``: those that lead to n are ``sources`` from starts[n] to starts[n + 1].
_Backwards: TypeAlias = "tuple[array[int], array[int]]"


class _Edges:
    """Who can be reached from whom, remembered backwards."""

    def __init__(self) -> None:
        self._sources = array("l")
        self._targets = array("l")

    def add(self, source: int, target: int) -> None:
        self._sources.append(source)
        self._targets.append(target)

    def sources_by_target(self, state_count: int) -> _Backwards:
        """Return who leads to whom."""
        starts = array("l", bytes(8 * (state_count + 1)))
        for target in self._targets:
            starts[target + 1] += 1
        for n in range(state_count):
            starts[n + 1] += starts[n]
        sources = array("l", bytes(8 * len(self._sources)))
        place = starts[:]
        for source, target in zip(self._sources, self._targets, strict=True):
            sources[place[target]] = source
            place[target] += 1
        return starts, sources

    def out_degrees(self, state_count: int) -> "array[int]":
        degrees = array("l", bytes(8 * state_count))
        for source in self._sources:
            degrees[source] += 1
        return degrees


class Checker:
    """Explores breadth first, so that the first violation is a shortest one."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._numbered = NumberedProtocol(protocol)
        self._numbers: dict[Node, int] = {}
        self._nodes: list[Node] = []
        self._parents = array("l")
        self._steps = _Edges()  #: what the code does by itself
        self._waits = _Edges()  #: what happens when time passes

    def explore(
        self, *, only: Promise | None = None, most_states: int = MOST_STATES
    ) -> Exploration:
        """Visit every reachable state, or all that are nearer than a violation.

        ``only``: look for violations of this promise.

        Raises:
            TooManyStates: there are more than ``most_states``.
        """
        self._only = only
        self._most_states = most_states
        began = time.process_time()
        gc.disable()  # it would look at every state again and again, and states are no garbage
        try:
            step_count, violation = self._visit()
            if violation is None:
                violation = self._never_right()
        finally:
            gc.enable()
        return Exploration(
            name=self._protocol.scenario.name,
            state_count=len(self._nodes),
            step_count=step_count,
            depth=len(self._path_to(len(self._nodes) - 1)),
            seconds=time.process_time() - began,
            violation=violation,
        )

    def _visit(self) -> tuple[int, Violation | None]:
        numbers, nodes = self._numbers, self._nodes
        steps_of, row_of = self._numbered.steps, self._numbered.row_of
        first = self._numbered.node_of(initial_state(self._protocol.scenario))
        self._add(first, parent=-1)
        step_count = 0
        number = 0
        while number < len(nodes):
            node = nodes[number]
            if number > self._most_states:
                raise TooManyStates(f"{self._protocol.scenario.name}: over {number:,} states")
            for kind, after in steps_of(node):
                step_count += 1
                known = numbers.get(after)
                if known is None:
                    known = len(nodes)
                    self._add(after, parent=number)
                if kind == Kind.STEP:
                    self._steps.add(number, known)
                elif kind == Kind.TIME:
                    self._waits.add(number, known)
                if after[0] != node[0] and row_of(after).seen < row_of(node).seen:
                    promise = broken_by(self._numbered.state_of(node), row_of(after))
                    if promise is not None and self._only in (None, promise):
                        trace = self._path_to(number, then=after)
                        return step_count, Violation(promise=promise, trace=trace)
            number += 1
        return step_count, None

    def _add(self, node: Node, *, parent: int) -> None:
        self._numbers[node] = len(self._nodes)
        self._nodes.append(node)
        self._parents.append(parent)

    def _never_right(self) -> Violation | None:
        found = None
        steps = self._steps.sources_by_target(len(self._nodes))
        if self._only in (None, Promise.CONVERGES):
            found = self._stuck(steps)
        if found is None and self._only in (None, Promise.WAITS):
            found = self._restless(steps)
        return found

    def _stuck(self, steps: _Backwards) -> Violation | None:
        """Find a state from which rest cannot be reached, even if nothing more goes wrong."""
        count = len(self._nodes)
        reverse = (steps, self._waits.sources_by_target(count))
        is_safe = bytearray(count)
        pending = [n for n, node in enumerate(self._nodes) if self._numbered.is_at_rest(node)]
        for number in pending:
            is_safe[number] = 1
        while pending:
            number = pending.pop()
            for starts, sources in reverse:
                for source in sources[starts[number] : starts[number + 1]]:
                    if not is_safe[source]:
                        is_safe[source] = 1
                        pending.append(source)
        first = is_safe.find(0)
        if first < 0:
            return None
        return Violation(promise=Promise.CONVERGES, trace=self._path_to(self._end_from(first)))

    def _end_from(self, number: int) -> int:
        """Go on, without faults, to where the code does nothing more by itself, if there is such."""
        nearer = deque([number])
        met = {number}
        while nearer:
            number = nearer.popleft()
            has_steps = False
            for kind, after in self._numbered.steps(self._nodes[number]):
                if kind == Kind.STEP:
                    has_steps = True
                    known = self._numbers[after]
                    if known not in met:
                        met.add(known)
                        self._parents[known] = number
                        nearer.append(known)
            if not has_steps:
                break
        return number

    def _restless(self, steps: _Backwards) -> Violation | None:
        """Find a state that can come back to itself without any time passing."""
        count = len(self._nodes)
        starts, sources = steps
        left = self._steps.out_degrees(count)
        ended = [n for n in range(count) if not left[n]]
        is_finite = bytearray(count)
        while ended:
            number = ended.pop()
            is_finite[number] = 1
            for source in sources[starts[number] : starts[number + 1]]:
                left[source] -= 1
                if not left[source]:
                    ended.append(source)
        first = is_finite.find(0)
        if first < 0:
            return None
        return self._cycle_from(first, is_finite)

    def _cycle_from(self, number: int, is_finite: bytearray) -> Violation:
        """Walk among states that never end until one comes twice."""
        walk: list[int] = []
        while number not in walk:
            walk.append(number)
            for kind, after in self._numbered.steps(self._nodes[number]):
                if kind == Kind.STEP and not is_finite[self._numbers[after]]:
                    number = self._numbers[after]
                    break
        start = walk.index(number)
        loop = [self._state(n) for n in (*walk[start + 1 :], number)]
        trace = self._path_to(number)
        return Violation(
            promise=Promise.WAITS, trace=trace, cycle=self._told(loop, start=self._last_of(trace))
        )

    def _last_of(self, trace: Sequence[Step]) -> State:
        return trace[-1].after if trace else initial_state(self._protocol.scenario)

    def _state(self, number: int) -> State:
        return self._numbered.state_of(self._nodes[number])

    def _path_to(self, number: int, *, then: Node | None = None) -> tuple[Step, ...]:
        path = [] if then is None else [self._numbered.state_of(then)]
        while number > 0:
            path.append(self._state(number))
            number = self._parents[number]
        return self._told(path[::-1], start=initial_state(self._protocol.scenario))

    def _told(self, path: Sequence[State], *, start: State) -> tuple[Step, ...]:
        """Tell a path as steps in which every worker keeps its number."""
        told: list[Step] = []
        protocol = Protocol(self._protocol.scenario, self._protocol.rules, tells_workers_apart=True)
        state = start
        for alike in path:
            step = next(
                step for step in protocol.steps(state) if without_order(step.after) == alike
            )
            told.append(step)
            state = step.after
        return tuple(told)


def without_order(state: State) -> State:
    """Return the state that stands for all that differ only in which worker does what."""
    return state._replace(workers=tuple(sorted(state.workers)))


def _line(number: int, step: Step) -> str:
    value = "" if step.value is None else f" = {step.value}"
    fault = {Kind.FAULT: "  !", Kind.TIME: "  ~"}.get(Kind(step.kind), "")
    name = step.name.removeprefix("overview_worker.").removeprefix("lms_integration.")
    return f"  {number:2}. {step.actor:10} {name}{value}{fault}"
