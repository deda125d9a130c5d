"""Finding and ending the processes of a demo, also of one that was killed and could not tidy up.

They are known by a variable in the environment that they were started with, and only the demo sets
it: no list of pids has to be kept, and none can be missing from it.
"""

import os
import signal
import time
from pathlib import Path

from dev.servers.processes import ProcessIdentity, identify, is_alive, kill, send_signal

#: Its value is the run folder.
MARKER = "OVERVIEW_DEMO_FOLDER"
_POLITE_SECONDS = 10.0
_POLL_SECONDS = 0.02


def find_leftovers(folder: Path) -> list[ProcessIdentity]:
    """Return the running processes that a demo in this run folder has started, but for this one."""
    marker = f"{MARKER}={folder}".encode()
    found = (identify(pid) for pid in _pids() if pid != os.getpid() and _is_marked(pid, marker))
    return [process for process in found if process is not None and is_alive(process)]


def end_leftovers(folder: Path) -> int:
    """End them, by force those that take too long; block until all are gone. Return how many ran."""
    found = find_leftovers(folder)
    for process in found:
        send_signal(process, signal.SIGTERM)
        send_signal(process, signal.SIGCONT)
    deadline = time.monotonic() + _POLITE_SECONDS
    while (left := find_leftovers(folder)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    while left:
        for process in left:
            kill(process)
        left = find_leftovers(folder)
    return len(found)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _is_marked(pid: int, marker: bytes) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it has ended, or it belongs to somebody else
        return False
    return marker in environment.split(b"\0")
