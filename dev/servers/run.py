"""Run one command with the servers up, and leave the servers as they were.

Every such run holds a shared lock on each of its folders. Servers that a run has started are marked as
such; the last run to leave stops them, also those of a run that was killed. `up` takes the mark away.
A command that works in several processes can have a folder, and so servers, for each of them.
"""

import fcntl
import os
import secrets
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

from dev.servers.catalogue import environment_of_all
from dev.servers.errors import ServerError
from dev.servers.folder import RunFolder
from dev.servers.group import Report, servers_of, start_all, stop_all
from dev.servers.leftovers import RUN_VARIABLE, end_leftovers

_FORWARDED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
#: si_code of a signal that the terminal sent: the whole foreground group, so the command too, has it.
_FROM_KERNEL = 0x80
_POLL_SECONDS = 0.5


def run_command(
    folder: RunFolder, *further: RunFolder, command: Sequence[str], report: Report
) -> int:
    """Start what does not run, run the command with the environment, and give its exit code.

    128 + number when a signal ended it. Signals are passed on to the command. Its environment is that of
    `folder`, and says where `further` are. What it has started and not ended is ended, too.
    """
    folders = (folder, *further)
    run = secrets.token_hex(16)
    with _using(folders, report=report):
        try:
            return _run(
                command, environment=os.environ | environment_of_all(folders) | {RUN_VARIABLE: run}
            )
        finally:
            end_leftovers(run)


def keep_running(folder: RunFolder) -> None:
    """Take the mark away: these servers shall outlive the runs that use them."""
    _mark(folder).unlink(missing_ok=True)


@contextmanager
def _using(folders: Sequence[RunFolder], *, report: Report) -> Iterator[None]:
    with ExitStack() as stack:
        for folder in folders:
            stack.enter_context(_left_as_it_was(folder))
        start_all([server for folder in folders for server in servers_of(folder)], report=report)
        yield


@contextmanager
def _left_as_it_was(folder: RunFolder) -> Iterator[None]:
    """Stop the servers afterwards, unless they ran before or somebody else uses them."""
    servers = servers_of(folder)
    with (folder.path / "users.lock").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        if not any(server.is_running() for server in servers):
            _mark(folder).touch()
        try:
            yield
        finally:
            if _mark(folder).exists() and _is_last(users):
                stop_all(servers, report=_silent)
                keep_running(folder)


def _run(command: Sequence[str], *, environment: Mapping[str, str]) -> int:
    """Run the command in our process group, so that it has the terminal; signals stay blocked here.

    They are not unblocked afterwards either: an impatient second Ctrl-C must not leave servers behind.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, signal.SIGCHLD})
    forwarding = _Forwarding()
    try:
        pid = os.posix_spawnp(
            command[0],
            list(command),
            environment,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, *_FORWARDED],
        )
    except OSError as error:
        raise ServerError(f"{command[0]}: {error.strerror}") from error
    forwarding.begin(pid)
    while True:
        arrived = signal.sigtimedwait({*_FORWARDED, signal.SIGCHLD}, _POLL_SECONDS)
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if arrived and arrived.si_signo in _FORWARDED and arrived.si_code != _FROM_KERNEL:
            os.kill(pid, arrived.si_signo)


class _Forwarding:
    """Passes on what another thread is given: one that some client has left behind blocks nothing.

    What comes while the command is being started is kept until then.
    """

    def __init__(self) -> None:
        self._pid: int | None = None
        self._early: list[int] = []
        for number in _FORWARDED:
            signal.signal(number, self._on_signal)

    def begin(self, pid: int) -> None:
        """Name the process, and pass on what has come already."""
        self._pid = pid
        for number in self._early:
            _pass_on(number, pid)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._pid is None:
            self._early.append(number)
        else:
            _pass_on(number, self._pid)


def _pass_on(number: int, pid: int) -> None:
    with suppress(ProcessLookupError):  # it has ended meanwhile
        os.kill(pid, number)


def _mark(folder: RunFolder) -> Path:
    return folder.path / "started-by-run"


def _is_last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _silent(line: str) -> None:
    """Say nothing: the last line on the screen is the command's."""
