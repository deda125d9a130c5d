"""A worker in a thread of its own that takes one step when it is told to, or dies before it."""

import queue
import threading
from collections.abc import Callable

from django.db import connections

from tests.race_scene import PATIENCE_SECONDS
from tests.race_steps import OnStep

#: What a worker waits for that does not come to its next step for so long: a lock of another one.
_BLOCKED_SECONDS = 0.25


class Killed(BaseException):
    """The worker dies here; nothing but its connection's rollback is done for it."""


class SteppedWorker:
    """Runs one piece of work at a time; between two steps it stands still.

    ``step`` names the step that it stands before; None while it is idle.
    """

    def __init__(self) -> None:
        self.step: str | None = None
        self.error: Exception | None = None
        self._is_blocked = False
        self._is_dead = False
        self._thread: threading.Thread | None = None
        self._orders: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._reports: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to do."""
        return self._thread is None

    def start(self, work: Callable[[OnStep], object]) -> None:
        """Begin; it stands before the first step then, or is idle if there is none."""
        self._is_dead = False
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()
        self._listen()

    def advance(self) -> bool:
        """Take one step; False if it has to wait for somebody's lock."""
        if self.is_idle:
            return True
        if not self._is_blocked:
            self._orders.put(True)
        return self._listen()

    def die(self) -> None:
        """Die before the step."""
        if self._is_blocked or self.is_idle:
            return
        self._orders.put(False)
        while not self.is_idle:
            self._listen()

    def _listen(self) -> bool:
        try:
            self.step = self._reports.get(timeout=_BLOCKED_SECONDS)
        except queue.Empty:
            self._is_blocked = True
            return False
        self._is_blocked = False
        if self.step is None and self._thread is not None:
            self._thread.join(PATIENCE_SECONDS)
            self._thread = None
            if self.error is not None:
                raise self.error
        return True

    def _run(self, work: Callable[[OnStep], object]) -> None:
        try:
            work(self._stand_before)
        except Killed:
            pass
        except Exception as error:  # noqa: BLE001 - the next one who listens raises it
            self.error = error
        finally:
            connections.close_all()
            self._reports.put(None)

    def _stand_before(self, step: str) -> None:
        if self._is_dead:  # what it would do on its way out is not done
            raise Killed
        self._reports.put(step)
        if not self._orders.get(timeout=10 * PATIENCE_SECONDS):
            self._is_dead = True
            raise Killed
