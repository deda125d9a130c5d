"""The demo as a person runs it: ends by itself, ends with Ctrl-C, and leaves nothing running."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.demo.leftovers import end_leftovers, find_leftovers
from dev.servers.folder import PROJECT, open_folder
from dev.servers.group import servers_of, stop_all

pytestmark = pytest.mark.service
TIMEOUT_SECONDS = 90
STEPS = (
    *("rename", "move start", "image", "about text", "tabs", "grading policy", "draft only"),
    *("delete", "create again", "burst", "degraded", "broken"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "demo run"
    yield path
    end_leftovers(path)
    stop_all(servers_of(open_folder(path)), report=lambda _: None)


def demo(folder: Path) -> list[str]:
    return [sys.executable, "-m", "dev.demo", "--folder", str(folder)]


def run_demo(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        demo(folder),
        cwd=PROJECT,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )


def assert_nothing_runs(folder: Path) -> None:
    assert find_leftovers(folder) == []
    assert not any(server.is_running() for server in servers_of(open_folder(folder)))


def test_every_edit_becomes_visible_and_nothing_stays_behind(folder):
    done = run_demo(folder)

    assert done.returncode == 0, done.stdout
    assert "229 rows built through the bulk queue" in done.stdout
    for step in STEPS:
        assert re.search(rf"^  {step} +\S+\+\S+ +(\d+|-) +(\d+|-) +(\d+|-)   ", done.stdout, re.M)
    assert (
        'display_name "Thinking in Programs" → "Thinking in Programs (new edition)"' in done.stdout
    )
    assert "row gone, tombstone there" in done.stdout
    assert "degraded: days_early_for_beta = 'a few': not a number" in done.stdout
    assert "fault: start = 'some time in spring': not a date" in done.stdout
    assert "overview explain" in done.stdout
    assert "\x1b" not in done.stdout
    assert_nothing_runs(folder)


def test_ctrl_c_ends_everything_and_the_next_run_works(folder):
    with subprocess.Popen(demo(folder), cwd=PROJECT, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        while "rename" not in first.stdout.readline():
            assert first.poll() is None
        first.send_signal(signal.SIGINT)
        rest = first.stdout.read()

    assert first.returncode == 130
    assert "Traceback" not in rest
    assert_nothing_runs(folder)
    second = run_demo(folder)
    assert second.returncode == 0, second.stdout
