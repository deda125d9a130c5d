"""The processes that the demo starts and how it finds them again."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from honcho.environ import parse_procfile  # type: ignore[import-untyped] # it has no types
from honcho.printer import Message  # type: ignore[import-untyped] # it has no types

from dev.demo.leftovers import MARKER, end_leftovers, find_leftovers
from dev.demo.processes import READY_WORDS, PipelineProcesses, ProcessesFailed, worker_environment
from dev.demo.supervisor import PROCESS_NAMES, LogFiles, log_path
from dev.servers.folder import PROJECT
from dev.servers.processes import ProcessIdentity, is_alive, kill, spawn


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[ProcessIdentity]:
    environment = {**os.environ, MARKER: str(tmp_path)}
    argv = [sys.executable, "-c", "import time; time.sleep(60)"]
    process = spawn(argv, environment=environment, log=tmp_path / "log")
    yield process
    kill(process)


def test_the_demo_runs_lines_that_the_procfile_has():
    commands = parse_procfile((PROJECT / "Procfile").read_text()).processes

    assert set(PROCESS_NAMES) <= set(commands)
    assert set(READY_WORDS) == set(PROCESS_NAMES)


def test_programs_of_the_virtual_environment_come_first():
    environment = worker_environment({"PATH": "/usr/bin", "HOME": "/home/reader"})

    programs, rest = environment["PATH"].split(os.pathsep)
    assert (programs, rest) == (str(Path(sys.executable).parent), "/usr/bin")
    assert environment["HOME"] == "/home/reader"


def test_output_goes_to_a_file_a_process_and_to_one_for_all(tmp_path):
    (tmp_path / "processes").mkdir()
    said = (("live", b"one\n"), ("intake", b"two \xff\n"), ("system", "three\n"))

    with closing(LogFiles(tmp_path)) as printer:
        printer.width = len("intake")
        for name, data in said:
            printer.write(Message(type="line", data=data, time=None, name=name, colour=None))

    assert log_path(tmp_path, "live").read_text() == "one\n"
    assert log_path(tmp_path, "all").read_text() == (
        "live   | one\nintake | two \ufffd\nsystem | three\n"
    )


def test_processes_that_were_never_started_are_not_said_to_run(tmp_path):
    with pytest.raises(ProcessesFailed, match="has ended"):
        PipelineProcesses(tmp_path).check()


def test_a_process_of_the_run_folder_is_found_and_ended(tmp_path, sleeper):
    assert find_leftovers(tmp_path) == [sleeper]

    assert end_leftovers(tmp_path) == 1
    assert not is_alive(sleeper)
    assert end_leftovers(tmp_path) == 0


def test_processes_of_another_run_folder_are_left_alone(tmp_path, sleeper):
    assert end_leftovers(tmp_path / "other") == 0
    assert end_leftovers(tmp_path.parent) == 0

    assert is_alive(sleeper)


def test_a_process_that_was_paused_is_ended_too(tmp_path, sleeper):
    os.kill(sleeper.pid, signal.SIGSTOP)

    assert end_leftovers(tmp_path) == 1
    assert not is_alive(sleeper)
