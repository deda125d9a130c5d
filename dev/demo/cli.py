"""The command line of the demo, and the process that keeps everything else.

It starts the servers and one child, the stage, and passes signals on. However the stage ends, what it
has started is ended here, and then the servers are stopped.
"""

import argparse
import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from dev.demo.console import make_console
from dev.demo.interrupts import ignore_interrupts
from dev.demo.leftovers import MARKER, end_leftovers
from dev.demo.needs import find_needs
from dev.demo.places import default_folder
from dev.servers.errors import ServerError
from dev.servers.folder import Mode, RunFolder, open_folder
from dev.servers.group import servers_of
from dev.servers.run import run_command

EXIT_FAILED = 1
EXIT_NEEDS = 2
EXIT_INTERRUPTED = 130
_SERVERS = {
    Mode.EMBEDDED: "SQLite, Redis and MongoDB",
    Mode.SERVICES: "MariaDB, RabbitMQ and MongoDB",
}


class DemoRunning(Exception):
    """Another demo uses the run folder."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return the exit code: 0 if every edit became visible, 1 if not."""
    options = _parser().parse_args(arguments)
    console = make_console()
    try:
        return _run(options, console)
    except (ServerError, DemoRunning) as error:
        console.print(f"error: {error}", style="red", markup=False)
        return EXIT_FAILED
    except KeyboardInterrupt:
        console.print("Interrupted; everything that was started has been stopped.")
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dev.demo",
        description="Run the whole pipeline on this machine and watch publishes arrive in SQL.",
    )
    parser.add_argument(
        "--mode",
        type=Mode,
        choices=list(_SERVERS),
        default=Mode.EMBEDDED,
        help="embedded: MongoDB and Redis from wheels, SQLite (the default);"
        " services: MariaDB, RabbitMQ, MongoDB",
    )
    parser.add_argument(
        "--folder", type=Path, help="the run folder: data and logs; .run/demo-<mode> unless given"
    )
    parser.add_argument(
        "--stay", action="store_true", help="keep running and show publishes, until Ctrl-C"
    )
    parser.add_argument("--verbose", action="store_true", help="show the processes' log lines too")
    return parser


def _run(options: argparse.Namespace, console: Console) -> int:
    folder = open_folder(options.folder or default_folder(options.mode), mode=options.mode)
    needs = find_needs(folder.mode, folder.path)
    if needs:
        for line in needs:
            console.print(line, markup=False)
        return EXIT_NEEDS
    with _alone(folder), _tidied(folder, console):
        console.print(f"[bold]Overview Pipeline[/bold]: {_SERVERS[folder.mode]}\n")
        code = _run_stage(folder, _stage_command(folder, options), console)
    console.out(f"\nEverything is stopped. Data and logs are in {folder.path}")
    return code


def _run_stage(folder: RunFolder, command: list[str], console: Console) -> int:
    found_running = any(server.is_running() for server in servers_of(folder))
    try:
        return run_command(folder, command=command, report=console.out)
    except ServerError:
        if not found_running:
            raise
    console.print("A server was just being stopped when its demo was killed: once more.")
    return run_command(folder, command=command, report=console.out)


def _stage_command(folder: RunFolder, options: argparse.Namespace) -> list[str]:
    flags = [f"--{name}" for name in ("stay", "verbose") if getattr(options, name)]
    # Through `env`, so that the stage has the marker and the servers do not.
    marked = ["env", f"{MARKER}={folder.path}"]
    return [*marked, sys.executable, "-m", "dev.demo.stage", str(folder.path), *flags]


@contextmanager
def _alone(folder: RunFolder) -> Iterator[None]:
    with (folder.path / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoRunning(f"a demo is running in {folder.path} already") from None
        yield


@contextmanager
def _tidied(folder: RunFolder, console: Console) -> Iterator[None]:
    """End the processes of an earlier demo that was killed, and in the end those of this one."""
    count = end_leftovers(folder.path)
    if count:
        console.print(f"Ended {count} processes of a demo that had been killed.")
    try:
        yield
    finally:
        ignore_interrupts()
        end_leftovers(folder.path)
