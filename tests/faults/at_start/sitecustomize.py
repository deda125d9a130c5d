"""Gives a Python process, and what it forks, a clock that is set from outside while it runs.

Python imports this by itself where the folder is on ``PYTHONPATH``. The file that
``OVERVIEW_WRONG_CLOCK`` names holds how many seconds the clock is to be ahead; ``seen.<pid>`` beside it
says that a process's clock is. The steady clock, by which
deadlines are counted, is left as it is, as by whoever sets a machine's clock.
"""

import os
import threading
import time
from pathlib import Path

import time_machine

_POLL_SECONDS = 0.02
_FILE = Path(os.environ["OVERVIEW_WRONG_CLOCK"])
_clock = time_machine.travel(time.time(), tick=True).start()
_now = time_machine.escape_hatch.time.time


def _follow() -> None:
    ahead_seconds = 0
    while True:
        wanted = int(_FILE.read_text())
        if wanted != ahead_seconds:
            ahead_seconds = wanted
            _clock.move_to(_now() + ahead_seconds)
            _FILE.with_name(f"seen.{os.getpid()}").write_text(str(ahead_seconds))
        time.sleep(_POLL_SECONDS)


def _start_following() -> None:
    threading.Thread(target=_follow, daemon=True).start()


_start_following()
os.register_at_fork(after_in_child=_start_following)
