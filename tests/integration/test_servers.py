"""The private servers themselves, with Redis for all of them because it is the quickest."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.servers.control import Server, server_of
from dev.servers.errors import ServerError
from dev.servers.folder import Mode, open_folder
from dev.servers.ports import LOOPBACK

pytestmark = pytest.mark.service
RUN = [sys.executable, "-m", "dev.servers", "run", "--mode", "embedded", "--folder"]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    server = server_of(open_folder(tmp_path / "run", mode=Mode.EMBEDDED), "redis")
    yield server
    server.stop()


def test_a_started_server_answers_until_it_is_stopped(redis: Server) -> None:
    assert redis.start().changed
    assert redis.is_ready()

    assert redis.stop()
    assert not redis.is_running()


def test_starting_and_stopping_twice_changes_nothing(redis: Server) -> None:
    redis.start()
    pid = redis.pid

    assert not redis.start().changed
    assert redis.pid == pid
    assert redis.stop()
    assert not redis.stop()


def test_a_killed_server_comes_back_on_its_port_with_its_data(redis: Server) -> None:
    redis.start()
    port = redis.port
    _ask(redis, "SET kept yes")

    redis.kill()
    redis.start()

    assert redis.port == port
    assert _ask(redis, "GET kept").endswith("yes\r\n")


def test_a_paused_server_runs_but_does_not_answer(redis: Server) -> None:
    redis.start()

    redis.pause()

    assert redis.is_running()
    with pytest.raises(TimeoutError):
        _ask(redis, "PING", timeout_seconds=0.1)
    redis.resume()
    assert redis.is_ready()


def test_a_server_whose_port_was_taken_starts_on_another(redis: Server) -> None:
    redis.start()
    redis.stop()
    port = redis.port
    with socket.create_server((LOOPBACK, port or 0)):
        redis.start()

    assert redis.port != port
    assert redis.is_ready()


def test_a_server_that_cannot_start_shows_its_log_and_leaves_nothing(redis: Server) -> None:
    (redis.folder.home("redis") / "data" / "appendonly.aof").mkdir(parents=True)

    with pytest.raises(ServerError, match=r"redis ended .* after its start \(log .*redis\.log\)\n"):
        redis.start()

    assert not redis.is_running()


def test_run_gives_the_command_its_environment_and_keeps_its_exit_code(tmp_path: Path) -> None:
    script = 'test -n "$OVERVIEW_BROKER_URL" && exit 7'

    done = subprocess.run([*RUN, tmp_path, "--", "sh", "-c", script], check=False)

    assert done.returncode == 7
    _assert_nothing_runs(tmp_path)


def test_run_ends_what_its_command_has_left_behind(tmp_path: Path) -> None:
    script = "setsid sh -c 'trap : TERM; while :; do sleep 0.01; done' >/dev/null 2>&1 & echo $!"

    done = subprocess.run(
        [*RUN, tmp_path, "--", "sh", "-c", script], check=True, stdout=subprocess.PIPE, text=True
    )

    left_behind = int(done.stdout.split()[-1])
    assert not _runs(left_behind)
    _assert_nothing_runs(tmp_path)


def test_run_passes_a_signal_on_and_then_stops_the_servers(tmp_path: Path) -> None:
    script = "trap 'exit 9' TERM; echo waiting; while :; do sleep 0.01; done"
    with subprocess.Popen(
        [*RUN, tmp_path, "--", "sh", "-c", script], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        while "waiting" not in run.stdout.readline():
            assert run.poll() is None

        run.send_signal(signal.SIGTERM)

        assert run.wait(timeout=30) == 9
    _assert_nothing_runs(tmp_path)


def _ask(server: Server, command: str, *, timeout_seconds: float = 5) -> str:
    address = (LOOPBACK, server.port or 0)
    with socket.create_connection(address, timeout=timeout_seconds) as connection:
        connection.sendall(f"{command}\r\n".encode())
        return connection.recv(1024).decode()


def _runs(pid: int) -> bool:
    """Whether a process exists, and not only its entry, which waits for its parent to take note."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes() != b""
    except OSError:
        return False


def _assert_nothing_runs(path: Path) -> None:
    folder = open_folder(path)
    assert not any(server_of(folder, name).is_running() for name in ("redis", "mongodb"))
