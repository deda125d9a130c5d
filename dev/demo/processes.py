"""The pipeline's own processes: started side by side, ready when their logs say so."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from dev.demo.supervisor import ALL, PROCESS_NAMES, log_path
from dev.servers.errors import log_tail
from dev.servers.processes import ProcessIdentity, is_alive, spawn, terminate

#: What each process logs once it consumes.
READY_WORDS: Mapping[str, str] = {
    "intake": "intake ready on",
    "live": " ready.",
    "bulk": " ready.",
    "beat": "beat: Starting",
}
_READY_TIMEOUT_SECONDS = 60.0
#: honcho kills what has not ended by itself after 5 s.
_STOP_TIMEOUT_SECONDS = 9.0
_POLL_SECONDS = 0.02


class ProcessesFailed(Exception):
    """A process of the pipeline ended or did not become ready."""


class PipelineProcesses:
    """The processes of the Procfile, supervised by one process that is not of our terminal."""

    names = PROCESS_NAMES

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._supervisor: ProcessIdentity | None = None

    @property
    def log(self) -> Path:
        """What all of them say, line by line, each with its name before it."""
        return log_path(self._folder, ALL)

    def start(self) -> None:
        """Start them and return at once."""
        logs = self._folder / "processes"
        logs.mkdir(exist_ok=True)
        for log in logs.glob("*.log"):
            log.replace(log.with_suffix(".log.1"))
        argv = [sys.executable, "-m", "dev.demo.supervisor", str(self._folder)]
        log = logs / "supervisor.log"
        self._supervisor = spawn(argv, environment=worker_environment(os.environ), log=log)

    def stop(self) -> None:
        """End them; block until they are gone."""
        if self._supervisor is not None:
            terminate(self._supervisor, timeout_seconds=_STOP_TIMEOUT_SECONDS)

    def wait_until_ready(self) -> None:
        """Block until every process consumes; raise ProcessesFailed if one ends or takes too long."""
        deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
        while waiting := [name for name in PROCESS_NAMES if not self._is_ready(name)]:
            self.check()
            if time.monotonic() >= deadline:
                raise ProcessesFailed(f"{', '.join(waiting)} not ready in time")
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raise ProcessesFailed unless all of them run."""
        if self._supervisor is None or not is_alive(self._supervisor):
            raise ProcessesFailed("a process of the pipeline has ended")

    def log_tail(self) -> str:
        """Return the last lines of all processes' logs, each on a new line."""
        log = self.log if self.log.exists() else log_path(self._folder, "supervisor")
        return f" (log {log}){log_tail(log, line_count=20)}"

    def _is_ready(self, name: str) -> bool:
        log = log_path(self._folder, name)
        return log.exists() and READY_WORDS[name] in log.read_text(errors="replace")


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the processes: programs of this virtual environment come first."""
    programs = Path(sys.executable).parent
    path = environment.get("PATH", os.defpath)
    return {
        **environment,
        "PATH": f"{programs}{os.pathsep}{path}",
        "OVERVIEW_LOG_LEVEL": "INFO",
        "PYTHONUNBUFFERED": "1",
    }
