"""The run folder: where the data, logs, ports, pids and passwords of one set of servers are kept."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from dev.servers.errors import ServerError
from dev.servers.processes import ProcessIdentity

PROJECT = Path(__file__).resolve().parent.parent.parent


class Mode(StrEnum):
    """A way of running: which servers there are."""

    #: MongoDB and Redis from wheels, SQLite for SQL: nothing to install.
    EMBEDDED = "embedded"
    #: MariaDB, RabbitMQ, Redis and MongoDB: what tests and production use.
    SERVICES = "services"
    #: The same with newer servers: MySQL for MariaDB, a later RabbitMQ.
    NEXT = "next"


#: Names of the servers of each mode, in the order in which they are listed.
SERVERS = {
    Mode.EMBEDDED: ("mongodb", "redis"),
    Mode.SERVICES: ("mariadb", "mongodb", "rabbitmq", "redis"),
    Mode.NEXT: ("mongodb", "mysql", "rabbitmq", "redis"),
}
#: The name of the SQL server of each mode that has one.
SQL_SERVERS = {Mode.SERVICES: "mariadb", Mode.NEXT: "mysql"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What is remembered of one server between two commands."""

    #: `{port name: port}`; kept when the server stops, so that it comes back where it was.
    ports: Mapping[str, int] = field(default_factory=dict)
    #: `{program name: process}` in the order in which they were started.
    processes: Mapping[str, ProcessIdentity] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run folder, such as `.run/services`; made by `open_folder`."""

    path: Path
    mode: Mode

    def home(self, name: str) -> Path:
        """Give the folder of one server."""
        return self.path / name

    def load(self, name: str) -> Record:
        """Read what is remembered of a server; an empty record when nothing (readable) is."""
        try:
            stored = json.loads((self.home(name) / "record.json").read_text())
            processes = {
                key: ProcessIdentity(**value) for key, value in stored["processes"].items()
            }
            return Record(ports=stored["ports"], processes=processes)
        except (OSError, ValueError, KeyError, TypeError):
            return Record()

    def save(self, name: str, record: Record) -> None:
        """Remember a server, in one atomic step."""
        write_private(self.home(name) / "record.json", json.dumps(asdict(record), indent=1))

    def secret(self, name: str) -> str:
        """Give the password of that name, made at random when it is first asked for."""
        path = self.path / "secrets.json"
        with locked(self.path / "secrets.lock"):
            known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
            if name not in known:
                known[name] = secrets.token_urlsafe(24)
                write_private(path, json.dumps(known, indent=1))
        return known[name]


def open_folder(path: Path | None = None, *, mode: Mode | None = None) -> RunFolder:
    """Open a run folder and make it if it is new; it is `.run/<mode>` unless a path is given.

    The mode of an existing folder is the one that it was made with. Raises ServerError when another
    mode is asked for.
    """
    folder = (path or PROJECT / ".run" / (mode or Mode.SERVICES)).absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    marker = folder / "mode"
    found = Mode(marker.read_text().strip()) if marker.exists() else mode or Mode.SERVICES
    if mode is not None and found is not mode:
        raise ServerError(f"{folder} holds the servers of mode {found}, not {mode}")
    if not marker.exists():
        write_private(marker, f"{found}\n")
    return RunFolder(folder, found)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file for this thread; block until it is free. The kernel frees it if we die."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
