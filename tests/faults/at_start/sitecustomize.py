"""What a test of faults changes in the processes that it starts: their clock, or waits of the product.

Python imports this by itself where the folder is on ``PYTHONPATH``.

``OVERVIEW_WRONG_CLOCK`` names a file that holds how many seconds the clock is to be ahead, while the
process and what it forks run; ``seen.<pid>`` beside it says that a process's clock is. The steady clock,
by which deadlines are counted, is left as it is, as by whoever sets a machine's clock.

``OVERVIEW_CHANGED_VALUES`` is JSON, ``{"module:name.name": value}``: values that the product takes as
they are, and that a test cannot wait for.
"""

import json
import os
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import time_machine

_POLL_SECONDS = 0.02
_WRONG_CLOCK = "OVERVIEW_WRONG_CLOCK"
_CHANGED_VALUES = "OVERVIEW_CHANGED_VALUES"


def _follow_clock(file: Path) -> None:
    """Let this process, and what it forks, have the clock that the file says."""
    clock = time_machine.travel(time.time(), tick=True).start()
    now = time_machine.escape_hatch.time.time

    def follow() -> None:
        ahead_seconds = 0
        while True:
            wanted = int(file.read_text())
            if wanted != ahead_seconds:
                ahead_seconds = wanted
                clock.move_to(now() + ahead_seconds)
                file.with_name(f"seen.{os.getpid()}").write_text(str(ahead_seconds))
            time.sleep(_POLL_SECONDS)

    def start() -> None:
        threading.Thread(target=follow, daemon=True).start()

    start()
    os.register_at_fork(after_in_child=start)


def _change(name: str, value: Any) -> None:
    """Put ``value`` where ``module:name.name`` says; of a time span, so many seconds."""
    module, _, path = name.partition(":")
    *steps, last = path.split(".")
    holder: Any = import_module(module)
    for step in steps:
        holder = holder[step] if isinstance(holder, Mapping) else getattr(holder, step)
    if isinstance(holder, dict):
        assert last in holder, name
        holder[last] = value
    else:
        is_span = isinstance(getattr(holder, last), timedelta)
        setattr(holder, last, timedelta(seconds=value) if is_span else value)


if _WRONG_CLOCK in os.environ:
    _follow_clock(Path(os.environ[_WRONG_CLOCK]))
for _name, _value in json.loads(os.environ.get(_CHANGED_VALUES, "{}")).items():
    _change(_name, _value)
