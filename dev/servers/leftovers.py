"""Ending what a command has left behind: its processes have the run's number in their environment.

A test run that is killed cannot end the workers that its tests have started, and they would meet the next
run's on the same ports.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: The environment variable that names the run.
RUN_VARIABLE = "OVERVIEW_RUN_NUMBER"
#: How long they may take to end politely.
PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.05


def end_leftovers(run: str) -> None:
    """End the processes of a run, politely, then by force; block until they are gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _processes_of(run):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any(_processes_of(run)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)


def _processes_of(run: str) -> Iterator[int]:
    entry = f"{RUN_VARIABLE}={run}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended, or is another user's
            if entry in path.read_bytes().split(b"\0"):
                yield int(path.parent.name)
