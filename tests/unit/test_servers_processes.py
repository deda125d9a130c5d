import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dev.servers import processes
from dev.servers.processes import ProcessIdentity


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[ProcessIdentity]:
    process = _spawn("sleep 60", log=tmp_path / "log")
    yield process
    processes.kill(process)


def test_a_process_is_known_again_by_its_pid_alone(sleeper: ProcessIdentity) -> None:
    assert processes.identify(sleeper.pid) == sleeper
    assert processes.is_alive(sleeper)


def test_a_later_process_with_the_same_pid_is_left_alone(sleeper: ProcessIdentity) -> None:
    earlier = replace(sleeper, start_ticks=sleeper.start_ticks - 1)

    processes.kill(earlier)

    assert not processes.is_alive(earlier)
    assert processes.is_alive(sleeper)


def test_a_process_of_an_earlier_boot_is_gone(sleeper: ProcessIdentity) -> None:
    assert not processes.is_alive(replace(sleeper, boot_id="another boot"))


def test_a_killed_child_is_gone_although_nobody_waited_for_it(sleeper: ProcessIdentity) -> None:
    os.kill(sleeper.pid, signal.SIGKILL)

    assert processes.wait_for_exit(sleeper, timeout_seconds=5)


def test_a_paused_process_is_woken_to_end_politely(tmp_path: Path) -> None:
    process = _spawn(
        "trap 'echo goodbye; exit' TERM; echo up; while :; do sleep 0.01; done",
        log=tmp_path / "log",
    )
    while "up" not in _text(tmp_path / "log"):
        assert processes.is_alive(process)
    processes.send_signal(process, signal.SIGSTOP)

    went_by_itself = processes.terminate(process, timeout_seconds=5)

    assert went_by_itself
    assert "goodbye" in _text(tmp_path / "log")


def test_a_process_that_does_not_listen_is_ended_by_force(tmp_path: Path) -> None:
    process = _spawn("trap '' TERM; echo up; while :; do sleep 0.01; done", log=tmp_path / "log")
    while "up" not in _text(tmp_path / "log"):
        assert processes.is_alive(process)

    went_by_itself = processes.terminate(process, timeout_seconds=0.1)

    assert not went_by_itself
    assert not processes.is_alive(process)


def test_a_spawned_process_gets_none_of_our_open_files(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    process = _spawn("ls -l /proc/self/fd", log=tmp_path / "log")
    os.close(writing)

    processes.wait_for_exit(process, timeout_seconds=5)

    assert "pipe:" not in _text(tmp_path / "log")
    os.close(reading)


def _spawn(script: str, *, log: Path) -> ProcessIdentity:
    return processes.spawn(["/bin/sh", "-c", script], environment=os.environ, log=log)


def _text(log: Path) -> str:
    return log.read_text() if log.exists() else ""
