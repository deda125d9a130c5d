"""One server at a time: start, stop, kill, pause. Tests of faults use this too.

server = find_server("redis", folder=Path(os.environ["OVERVIEW_TEST_SERVERS"]))
server.kill()
server.start()
"""

import signal
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from dev.servers import processes
from dev.servers.catalogue import KINDS, place_of, write_environment
from dev.servers.errors import CancelledError, NotReadyError, ServerError, log_tail
from dev.servers.folder import SERVERS, SQL_SERVERS, Record, RunFolder, locked, open_folder
from dev.servers.kinds import Place, Program, ServerKind
from dev.servers.ports import choose_ports, is_free
from dev.servers.processes import ProcessIdentity

_START_ATTEMPTS = 4
_SHORTEST_POLL_SECONDS = 0.02
_LONGEST_POLL_SECONDS = 0.2


def find_server(name: str, *, folder: Path) -> "Server":
    """Give a server of an existing run folder; ServerError when that folder has no such server."""
    return server_of(open_folder(folder), name)


def find_sql_server(*, folder: Path) -> "Server":
    """Give MariaDB or MySQL of an existing run folder, whichever it has; ServerError if neither."""
    found = open_folder(folder)
    return server_of(found, SQL_SERVERS.get(found.mode, "mariadb"))


def server_of(folder: RunFolder, name: str) -> "Server":
    """Give a server of a run folder; ServerError when its mode has no such server."""
    if name not in SERVERS[folder.mode]:
        known = ", ".join(SERVERS[folder.mode])
        raise ServerError(f"no server {name!r} in mode {folder.mode}: {known}")
    return Server(folder, KINDS[name])


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """What a start did."""

    #: Whether the server was stopped before.
    changed: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Server:
    """A private server. Every method blocks until what it says is so; concurrent calls queue up."""

    folder: RunFolder
    kind: ServerKind

    @property
    def name(self) -> str:
        """Its name: mariadb or mysql, mongodb, rabbitmq, redis."""
        return self.kind.name

    @property
    def place(self) -> Place:
        """Where it lives."""
        return place_of(self.folder, self.name)

    @property
    def port(self) -> int | None:
        """The port for clients; None before the first start."""
        return next(iter(self.folder.load(self.name).ports.values()), None)

    @property
    def pid(self) -> int | None:
        """The pid of the server's main process, if it runs."""
        process = self._main_process()
        return process.pid if process else None

    @property
    def log(self) -> Path:
        """The log of the running or last process."""
        return self.folder.home(self.name) / f"{self.name}.log"

    def is_running(self) -> bool:
        """Say whether its process exists, be it paused."""
        return self._main_process() is not None

    def is_ready(self) -> bool:
        """Say whether it runs and answers clients."""
        if not self.is_running():
            return False
        try:
            self.kind.probe(self.place)
        except NotReadyError:
            return False
        return True

    def start(self, *, cancelled: Event | None = None) -> Started:
        """Start it, on its old port if that is free, and wait until it answers.

        Raises ServerError with the end of its log, CancelledError when `cancelled` was set meanwhile;
        a server that this call started is not left running then.
        """
        began = time.monotonic()
        with self._locked():
            changed = not self.is_running()
            if changed:
                self._start_somewhere(cancelled or Event())
            else:
                self._wait_until_ready(cancelled or Event())
        return Started(changed=changed, seconds=time.monotonic() - began)

    def stop(self) -> bool:
        """Stop it politely, by force if it does not listen; False when nothing ran."""
        with self._locked():
            return self._stop_all()

    def kill(self) -> None:
        """Kill it as a crash would: SIGKILL, nothing is flushed."""
        with self._locked():
            process = self._main_process()
            if process is not None:
                processes.kill(process)

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._signal(signal.SIGCONT)

    def restart(self) -> Started:
        """Stop and start."""
        self.stop()
        return self.start()

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self.folder.home(self.name) / "lock")

    def _main_process(self) -> ProcessIdentity | None:
        process = self.folder.load(self.name).processes.get(self.name)
        return process if process is not None and processes.is_alive(process) else None

    def _signal(self, number: signal.Signals) -> None:
        process = self._main_process()
        if process is None:
            raise ServerError(f"{self.name} does not run")
        processes.send_signal(process, number)

    def _start_somewhere(self, cancelled: Event) -> None:
        """Start it; when somebody takes one of its ports between choosing and binding, elsewhere."""
        for attempt in range(1, _START_ATTEMPTS + 1):
            self._stop_all()
            self._choose_ports()
            try:
                self._start_here(cancelled)
            except BaseException as error:
                self._stop_all()
                stolen = isinstance(error, ServerError) and not self._ports_are_free()
                if not stolen or attempt == _START_ATTEMPTS:
                    raise
            else:
                return

    def _choose_ports(self) -> None:
        old = self.folder.load(self.name)
        ports = choose_ports(self.kind.port_names, remembered=old.ports)
        self.folder.save(self.name, Record(ports=ports))
        if old.ports != ports and (self.folder.path / "env").exists():
            write_environment(self.folder)

    def _ports_are_free(self) -> bool:
        return all(is_free(port) for port in self.place.ports.values())

    def _start_here(self, cancelled: Event) -> None:
        self.kind.prepare(self.place)
        for program in self.kind.programs(self.place):
            self._spawn(program)
        self._wait_until_ready(cancelled)

    def _spawn(self, program: Program) -> None:
        log = self.folder.home(self.name) / f"{program.name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        process = processes.spawn(program.argv, environment=program.environment, log=log)
        record = self.folder.load(self.name)
        started = {**record.processes, program.name: process}
        self.folder.save(self.name, Record(ports=record.ports, processes=started))

    def _wait_until_ready(self, cancelled: Event) -> None:
        began = time.monotonic()
        pause_seconds = _SHORTEST_POLL_SECONDS
        while True:
            try:
                self.kind.settle(self.place)
            except NotReadyError as error:
                self._give_up_if_hopeless(time.monotonic() - began, reason=str(error))
            else:
                return
            if cancelled.wait(pause_seconds):
                raise CancelledError(self.name)
            pause_seconds = min(pause_seconds * 1.5, _LONGEST_POLL_SECONDS)

    def _give_up_if_hopeless(self, waited_seconds: float, *, reason: str) -> None:
        if not self.is_running():
            what = f"ended {waited_seconds:.1f} s after its start"
        elif waited_seconds > self.kind.start_timeout_seconds:
            what = f"does not answer after {waited_seconds:.0f} s: {reason}"
        else:
            return
        raise ServerError(f"{self.name} {what} (log {self.log}){log_tail(self.log)}")

    def _stop_all(self) -> bool:
        """Stop the programs, the last one first; say whether any ran."""
        record = self.folder.load(self.name)
        running = [process for process in record.processes.values() if processes.is_alive(process)]
        for process in reversed(running):
            processes.terminate(process, timeout_seconds=self.kind.stop_timeout_seconds)
        if record.processes:
            self.folder.save(self.name, Record(ports=record.ports))
        return bool(running)
