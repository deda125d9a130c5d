"""The pipeline as processes, for measuring it from outside: the lines of the ``Procfile``."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from overview_worker.celery import app

PROJECT = Path(__file__).resolve().parent.parent
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 30


@contextmanager
def running_pipeline(log_folder: Path, *, names: Sequence[str]) -> Iterator[Path]:
    """Run processes of the ``Procfile`` by name, logs in ``log_folder``; stop them at the end."""
    log_folder.mkdir(parents=True, exist_ok=True)
    commands = _procfile()
    processes = [_start(commands[name], log_folder / f"{name}.log") for name in names]
    try:
        _wait_until_ready(log_folder, names)
        yield log_folder
    finally:
        _stop(processes)


def _procfile() -> dict[str, str]:
    lines = (PROJECT / "Procfile").read_text().splitlines()
    return {
        name.strip(): command.strip()
        for name, _, command in (line.partition(":") for line in lines)
    }


def _start(command: str, log: Path) -> subprocess.Popen[bytes]:
    binaries = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - a line of our own Procfile
            ["/bin/sh", "-c", f"exec {command}"],
            cwd=PROJECT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_until_ready(log_folder: Path, names: Sequence[str]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    for name in names:
        log = log_folder / f"{name}.log"
        word = {"intake": "intake ready", "beat": "beat"}.get(name, "ready.")
        while word not in log.read_text(errors="replace"):
            if time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-2000:]
                raise TimeoutError(f"{name} did not start:\n{tail}")
            time.sleep(0.05)
    app.close()


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
