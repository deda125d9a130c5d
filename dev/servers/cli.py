"""The command line: `python -m dev.servers up|down|status|start|stop|restart|run`."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from dev.servers.control import server_of
from dev.servers.errors import ServerError
from dev.servers.folder import Mode, RunFolder, open_folder
from dev.servers.group import describe, servers_of, start_all, stop_all
from dev.servers.run import keep_running, run_command


def main(arguments: list[str] | None = None) -> int:
    """Run one command; give the exit code."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        folder = open_folder(options.folder, mode=options.mode)
        return _dispatch(folder, options)
    except ServerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; what was started has been stopped.\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev.servers", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--mode", type=Mode, help="embedded, services (the default) or next")
    common.add_argument("--folder", type=Path, help="the run folder; .run/<mode> unless given")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, sentence in (
        ("up", "start every server that does not run"),
        ("down", "stop every server"),
        ("status", "say which servers answer; exit code 1 unless all do"),
    ):
        commands.add_parser(name, parents=[common], help=sentence)
    for name in ("start", "stop", "restart"):
        command = commands.add_parser(name, parents=[common], help=f"{name} one server")
        command.add_argument(
            "server", help="mariadb (in mode next mysql), mongodb, rabbitmq or redis"
        )
    run = commands.add_parser("run", parents=[common], help="run a command with the servers up")
    run.add_argument(
        "--and-folder",
        action="append",
        default=[],
        type=Path,
        help="one more folder with such servers; all are listed in OVERVIEW_TEST_SERVERS_ALL",
    )
    run.add_argument("argv", nargs="+", metavar="COMMAND", help="after --")
    return parser


def _dispatch(folder: RunFolder, options: argparse.Namespace) -> int:
    match options.command:
        case "up":
            start_all(servers_of(folder), report=_say)
            keep_running(folder)
        case "down":
            stop_all(servers_of(folder), report=_say)
        case "status":
            lines, all_ready = describe(servers_of(folder))
            _say("\n".join(lines))
            return 0 if all_ready else 1
        case "run":
            further = [open_folder(path, mode=options.mode) for path in options.and_folder]
            return run_command(folder, *further, command=options.argv, report=_say)
        case _:
            _change_one(folder, options.server, options.command)
    return 0


def _change_one(folder: RunFolder, name: str, command: str) -> None:
    server = server_of(folder, name)
    if command in ("stop", "restart"):
        stop_all([server], report=_say)
    if command in ("start", "restart"):
        start_all([server], report=_say)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
