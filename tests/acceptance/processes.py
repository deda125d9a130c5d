"""Processes of the ``Procfile``, run as operators run them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dev.authoring.author import PublishedChange
from lms_integration.models import CourseOverview, OverviewMark, OverviewState

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60
_READY = {"intake": "intake ready", "beat": "beat: Starting", "live": "ready.", "bulk": "ready."}


def wait_for(condition: Callable[[], bool], *, what: str) -> None:
    """Wait until ``condition`` holds; fails with ``what`` was awaited."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"gave up waiting for {what}")
        time.sleep(0.02)


class Pipeline:
    """The processes of one test."""

    def __init__(self, *, sql_database: str, mongo_database: str, log_folder: Path) -> None:
        url = os.environ["OVERVIEW_DATABASE_URL"]
        base, _, query = url.partition("?")
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DJANGO_SETTINGS_MODULE": "lms_integration.settings",
            "OVERVIEW_DATABASE_URL": f"{base.rpartition('/')[0]}/{sql_database}?{query}",
            "OVERVIEW_MONGODB_DATABASE": mongo_database,
        }
        self._log_folder = log_folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        log_folder.mkdir(parents=True)

    def start(self, *names: str) -> None:
        """Start processes by their ``Procfile`` names and wait until they work."""
        commands = _procfile()
        for name in names:
            with self._log(name).open("ab") as output:
                self._processes[name] = subprocess.Popen(
                    ["/bin/sh", "-c", f"exec {commands[name]}"],
                    cwd=PROJECT,
                    env=self._environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        for name in names:
            wait_for(lambda name=name: _READY[name] in self.log(name), what=f"{name} to be ready")  # type: ignore[misc]

    def log(self, name: str) -> str:
        """Return what a process has logged so far."""
        log = self._log(name)
        return log.read_text(errors="replace") if log.exists() else ""

    def kill(self, name: str) -> None:
        """``kill -9`` a process and its children."""
        process = self._processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._log(name).rename(self._log_folder / f"{name}-{process.pid}.log")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``overview`` as an operator does."""
        return subprocess.run(
            ["overview", *arguments],
            cwd=PROJECT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def stop_all(self) -> None:
        """Stop every process that runs, politely first."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes.clear()

    def _log(self, name: str) -> Path:
        return self._log_folder / f"{name}.log"


def wait_until_clean() -> None:
    """Wait until no course is dirty."""
    wait_for(
        lambda: not OverviewMark.objects.filter(dirty_since__isnull=False).exists(),
        what="all courses to be clean",
    )


def wait_for_row(change: PublishedChange) -> CourseOverview:
    """Wait until a course's row is from the version that ``change`` published."""
    wait_for(
        lambda: OverviewState.objects.filter(
            course_key=change.course_key, source_version=change.published_version
        ).exists(),
        what=f"the row of {change.course_key}",
    )
    return CourseOverview.objects.get(id=change.course_key)


def _procfile() -> dict[str, str]:
    lines = (PROJECT / "Procfile").read_text().splitlines()
    return {
        name.strip(): command.strip()
        for name, _, command in (line.partition(":") for line in lines)
    }
