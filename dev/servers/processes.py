"""Processes that outlive us: start them, know them again, end them.

A pid alone may belong to a stranger after a crash or a reboot. So a process is remembered by its pid,
its start time in clock ticks and the boot it was started in (proc(5)); nothing else is ever signalled.
"""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_POLL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessIdentity:
    """A process, told apart from any later one with the same pid."""

    pid: int
    start_ticks: int
    boot_id: str


def spawn(argv: Sequence[str], *, environment: Mapping[str, str], log: Path) -> ProcessIdentity:
    """Start a program in a session of its own, output to `log`, and give its identity.

    It gets default signal handling and none of our open files: a server must not keep a shell's
    pipe or lock open. subprocess.Popen would warn that the process outlives its object.
    """
    write = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    redirect: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), write, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    closing = [(os.POSIX_SPAWN_CLOSE, number) for number in _inherited_files()]
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        environment,
        file_actions=[*redirect, *closing],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT],
    )
    identity = identify(pid)
    if identity is None:  # cannot be: our own child stays in /proc until it is reaped
        raise ProcessLookupError(pid)
    return identity


def identify(pid: int) -> ProcessIdentity | None:
    """Give the identity of the process that has this pid now, if there is one."""
    stat = _stat(pid)
    if stat is None:
        return None
    return ProcessIdentity(
        pid=pid, start_ticks=stat.start_ticks, boot_id=_BOOT_ID.read_text().strip()
    )


def is_alive(process: ProcessIdentity) -> bool:
    """Say whether this very process still runs (or is stopped by SIGSTOP); a zombie does not.

    A zombie whose other threads have not ended yet does: they still keep its ports and files open.
    """
    _reap(process.pid)
    stat = _stat(process.pid)
    return (
        stat is not None
        and (stat.state not in "ZX" or stat.thread_count > 1)
        and stat.start_ticks == process.start_ticks
        and process.boot_id == _BOOT_ID.read_text().strip()
    )


def send_signal(process: ProcessIdentity, number: signal.Signals) -> None:
    """Signal the process if it still is the one we know; nothing otherwise."""
    if is_alive(process):
        os.kill(process.pid, number)


def terminate(process: ProcessIdentity, *, timeout_seconds: float) -> bool:
    """End a process politely, by force after the timeout; block until it is gone.

    True when it went by itself. A process that is paused is woken, so that it can hear the request.
    """
    send_signal(process, signal.SIGTERM)
    send_signal(process, signal.SIGCONT)
    if wait_for_exit(process, timeout_seconds=timeout_seconds):
        return True
    kill(process)
    return False


def kill(process: ProcessIdentity) -> None:
    """End a process at once, as a crash would; block until it is gone."""
    send_signal(process, signal.SIGKILL)
    wait_for_exit(process, timeout_seconds=30)


def wait_for_exit(process: ProcessIdentity, *, timeout_seconds: float) -> bool:
    """Block until the process is gone; False when it is still there after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    while is_alive(process):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


class _Stat(NamedTuple):
    """Fields 3, 20 and 22 of /proc/PID/stat."""

    state: str
    thread_count: int
    start_ticks: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field, the program's name in parentheses, may hold anything.
    fields = text.rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[17]), int(fields[19]))


def _reap(pid: int) -> None:
    """Take away the remains of a child that has ended; other processes' children are none of ours."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _inherited_files() -> list[int]:
    numbers = (int(name) for name in os.listdir("/proc/self/fd"))
    return [number for number in numbers if number > 2 and _is_inheritable(number)]


def _is_inheritable(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:  # the listing's own descriptor, closed by now
        return False
