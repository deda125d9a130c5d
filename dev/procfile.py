"""Processes of the ``Procfile``, run one by one by name: for tests and benchmarks."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from honcho.environ import parse_procfile  # type: ignore[import-untyped] # ships no types

PROJECT = Path(__file__).resolve().parent.parent
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 30
_POLL_SECONDS = 0.02
#: What each process logs once it works.
_READY_WORDS = {
    "intake": "intake ready",
    "live": "ready.",
    "bulk": "ready.",
    "beat": "beat: Starting",
    "web": "Booting worker",
}


class NotReady(RuntimeError):
    """A process ended or did not become ready; the message ends with its log."""


class NotStopped(RuntimeError):
    """A process went on when it was told to stop, and was killed; the message ends with its log."""


class ProcfileProcesses:
    """Some of the processes, with logs in a folder of their own; a context that ends them.

    ``more_arguments`` are put at the end of the named processes' lines; ``own_variables`` are in the
    environment of the named processes alone.
    """

    def __init__(
        self,
        log_folder: Path,
        *,
        environment: Mapping[str, str] = os.environ,
        more_arguments: Mapping[str, str] | None = None,
        own_variables: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        programs = Path(sys.executable).parent
        self.environment = {**environment, "PATH": f"{programs}:{environment['PATH']}"}
        self._log_folder = log_folder
        self._more_arguments = more_arguments or {}
        self._own_variables = own_variables or {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        log_folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()

    def start(self, *names: str) -> None:
        """Start processes side by side and wait until they work.

        Raises:
            NotReady: one of them ended or took too long.
        """
        self.launch(*names)
        for name in names:
            self._wait_until_ready(name)

    def launch(self, *names: str) -> None:
        """Start processes side by side, and wait for none."""
        commands = parse_procfile((PROJECT / "Procfile").read_text()).processes
        for name in names:
            command = f"{commands[name]} {self._more_arguments.get(name, '')}"
            with self._log(name).open("wb") as output:
                self._processes[name] = subprocess.Popen(  # noqa: S603 - a line of our Procfile
                    ["/bin/sh", "-c", f"exec {command}"],
                    cwd=PROJECT,
                    env={**self.environment, **self._own_variables.get(name, {})},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    def pid(self, name: str) -> int:
        """Return the pid of a process, which leads a process group of its own."""
        return self._processes[name].pid

    def kill(self, name: str) -> None:
        """``kill -9`` a process and its children."""
        process = self._processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def restart_after_kill(self, name: str) -> None:
        """``kill -9`` a process and its children, start it again, and wait for nothing."""
        process = self._processes[name]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.launch(name)

    def stop_all(self) -> None:
        """Stop what runs, as ``stop`` does."""
        self.stop(*self._processes)

    def stop(self, *names: str) -> None:
        """Stop some of the processes: politely first, then not.

        Raises:
            NotStopped: some had to be killed.
        """
        processes = {name: self._processes.pop(name) for name in names}
        for process in processes.values():
            process.send_signal(signal.SIGTERM)
        deaf = []
        for name, process in processes.items():
            try:
                process.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                deaf.append(f"{name} did not stop:\n{self.log(name)[-2000:]}")
        if deaf:
            raise NotStopped("\n".join(deaf))

    def log(self, name: str) -> str:
        """Return what a process has logged since its last start."""
        return self._log(name).read_text(errors="replace")

    def _wait_until_ready(self, name: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while _READY_WORDS[name] not in self.log(name):
            if self._processes[name].poll() is not None or time.monotonic() > deadline:
                raise NotReady(f"{name} is not ready:\n{self.log(name)[-2000:]}")
            time.sleep(_POLL_SECONDS)

    def _log(self, name: str) -> Path:
        return self._log_folder / f"{name}.log"
