"""All servers of a run folder at once, side by side."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

from dev.servers.catalogue import write_environment
from dev.servers.control import Server, Started, server_of
from dev.servers.errors import CancelledError, ServerError
from dev.servers.folder import SERVERS, RunFolder

#: Takes one line for a person.
Report = Callable[[str], None]


def servers_of(folder: RunFolder) -> list[Server]:
    """Give the servers of a run folder."""
    return [server_of(folder, name) for name in SERVERS[folder.mode]]


def start_all(servers: Sequence[Server], *, report: Report) -> list[Server]:
    """Start the servers that do not run, write `env`, and give those that were started.

    Raises ServerError with every failure. When one fails or we are interrupted, the ones that this
    call has started are stopped again.
    """
    cancelled = Event()
    with ThreadPoolExecutor(max_workers=len(servers)) as pool:
        futures = {server: pool.submit(_start, server, cancelled, report) for server in servers}
        try:
            started = [server for server in servers if futures[server].result().changed]
        except BaseException as error:
            cancelled.set()
            failures = _undo(servers, futures)
            if failures and isinstance(error, Exception):
                raise ServerError("\n".join(failures)) from None
            raise
    for folder in dict.fromkeys(server.folder for server in servers):
        write_environment(folder)
    return started


def stop_all(servers: Sequence[Server], *, report: Report) -> None:
    """Stop the servers that run."""
    with ThreadPoolExecutor(max_workers=len(servers)) as pool:
        list(pool.map(lambda server: _stop(server, report), servers))


def describe(servers: Sequence[Server]) -> tuple[list[str], bool]:
    """Give one line for each server, and whether all of them answer."""
    with ThreadPoolExecutor(max_workers=len(servers)) as pool:
        ready = list(pool.map(Server.is_ready, servers))
    lines = [
        _line(server, "ready" if is_ready else "not answering" if server.pid else "stopped")
        for server, is_ready in zip(servers, ready, strict=True)
    ]
    return lines, all(ready)


def _start(server: Server, cancelled: Event, report: Report) -> Started:
    try:
        started = server.start(cancelled=cancelled)
    except BaseException:
        cancelled.set()  # do not wait for the others' full start before this failure is told
        raise
    what = f"started in {started.seconds:.1f} s" if started.changed else "was running"
    report(_line(server, what))
    return started


def _undo(servers: Sequence[Server], futures: dict[Server, Future[Started]]) -> list[str]:
    """Stop what was started; give the messages of the servers that failed by themselves."""
    failures = []
    for server in servers:
        error = futures[server].exception()
        if isinstance(error, ServerError):
            failures.append(str(error))
        elif error is not None and not isinstance(error, CancelledError):
            failures.append(f"{server.name}: {error!r}")
        elif error is None and futures[server].result().changed:
            server.stop()
    return failures


def _stop(server: Server, report: Report) -> None:
    began = time.monotonic()
    stopped = server.stop()
    what = f"stopped in {time.monotonic() - began:.1f} s" if stopped else "was stopped"
    report(_line(server, what))


def _line(server: Server, what: str) -> str:
    port = f"127.0.0.1:{server.port}" if server.port else "-"
    pid = f"pid {server.pid}" if server.pid else ""
    return f"  {server.name:<9} {port:<16} {pid:<11} {what}".rstrip()
