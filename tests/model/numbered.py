"""The same protocol with numbers in place of states, for the millions of them.

What all but the workers are in is a *scene*. Most states share theirs with others, and most workers are
where one was before: what can happen there is found once, and remembered by number.
"""

from typing import Generic, TypeVar

from tests.model.protocol import (
    IDLE,
    At,
    Protocol,
    Row,
    State,
    Worker,
    has_written_mark,
    is_at_rest,
)

#: The number of a scene and those of the workers, sorted: states are one that differ only in their order.
Node = tuple[int, ...]
#: What workers have that all others must wait for, as bits.
_LOCK, _MARK = 1, 2
#: Stands for whichever worker it is that has written the mark.
_WRITER = Worker(at=At.COMMIT)
_Value = TypeVar("_Value")


class _Numbered(Generic[_Value]):
    """Values in the order in which they were met."""

    def __init__(self) -> None:
        self.values: list[_Value] = []
        self._numbers: dict[_Value, int] = {}

    def number_of(self, value: _Value) -> int:
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


class NumberedProtocol:
    """Tells which nodes can follow a node, as ``Protocol.steps`` does of states."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._scenes = _Numbered[State]()  # states without their workers
        self._workers = _Numbered[Worker]()
        self._taken: list[int] = []  # by each worker
        self._idle = self._worker_of(IDLE)
        self._beside: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self._own: dict[tuple[int, int, int], list[tuple[int, int, int]]] = {}

    def node_of(self, state: State) -> Node:
        """Return the node that stands for a state."""
        return (self._scene_of(state), *sorted(map(self._worker_of, state.workers)))

    def state_of(self, node: Node) -> State:
        """Return the state that a node stands for, its workers in order."""
        scene, *workers = node
        values = sorted(self._workers.values[worker] for worker in workers)
        return self._scenes.values[scene]._replace(workers=tuple(values))

    def row_of(self, node: Node) -> Row:
        """Return what readers see."""
        return self._scenes.values[node[0]].row

    def is_at_rest(self, node: Node) -> bool:
        """Whether nothing is left to do and the row is right."""
        scene, *workers = node
        is_idle = not any(worker != self._idle for worker in workers)
        return is_idle and is_at_rest(self._scenes.values[scene])

    def steps(self, node: Node) -> list[tuple[int, Node]]:
        """Return the kind of each step that is possible, and the node after it."""
        scene, *workers = node
        taken = 0
        for worker in workers:
            taken |= self._taken[worker]
        mark = taken & _MARK
        beside = self._beside.get((scene, mark))
        if beside is None:
            beside = self._beside[scene, mark] = self._steps_beside_workers(scene, mark)
        found: list[tuple[int, Node]] = [(kind, (after, *workers)) for kind, after in beside]
        previous = -1
        for place, worker in enumerate(workers):
            if worker == previous:
                continue
            previous = worker
            own = self._own.get((scene, worker, taken))
            if own is None:
                own = self._own[scene, worker, taken] = self._steps_of(scene, worker, taken)
            others = workers[:place] + workers[place + 1 :]
            for kind, after, changed in own:
                found.append((kind, (after, *sorted((changed, *others)))))
        return found

    def _steps_beside_workers(self, scene: int, taken: int) -> list[tuple[int, int]]:
        steps = self._protocol.steps_beside_workers(self._alike(scene, taken))
        return [(step.kind, self._scene_of(step.after)) for step in steps]

    def _steps_of(self, scene: int, worker: int, taken: int) -> list[tuple[int, int, int]]:
        steps = self._protocol.steps_of_worker(
            self._alike(scene, taken),
            self._workers.values[worker],
            is_lock_free=not taken & _LOCK,
        )
        return [
            (kind, self._scene_of(after), self._worker_of(changed))
            for kind, _, _, after, changed in steps
        ]

    def _alike(self, scene: int, taken: int) -> State:
        """Return a state in which the same can happen."""
        state = self._scenes.values[scene]
        return state._replace(workers=(_WRITER,)) if taken & _MARK else state

    def _scene_of(self, state: State) -> int:
        return self._scenes.number_of(state._replace(workers=()) if state.workers else state)

    def _worker_of(self, worker: Worker) -> int:
        number = self._workers.number_of(worker)
        if number == len(self._taken):
            self._taken.append(_LOCK * worker.holds_lock | _MARK * has_written_mark(worker))
        return number
