"""What every kind of server has to say about itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev import newer_debian
from dev.servers.errors import ServerError
from dev.servers.folder import Mode, RunFolder
from dev.servers.ports import LOOPBACK


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """One process of a server: its name, command line (absolute program first) and environment."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a server lives: its run folder, its own folder in it and its ports by name."""

    folder: RunFolder
    home: Path
    ports: Mapping[str, int]

    @property
    def port(self) -> int:
        """The port that clients connect to: the first one."""
        return next(iter(self.ports.values()))

    @property
    def address(self) -> str:
        """Host and port for clients."""
        return f"{LOOPBACK}:{self.port}"

    def command(self, *argv: str) -> list[str]:
        """Give the command line of one of Debian's programs; in mode next it is a newer Debian's.

        Raises ServerError where newer programs cannot be run.
        """
        if self.folder.mode is not Mode.NEXT:
            return [*argv]
        try:
            return newer_debian.command(argv)
        except newer_debian.NewerDebianError as error:
            raise ServerError(f"{self.home.name}: {error}") from error

    def debian_path(self, path: str) -> Path:
        """Give where such a program lies, for whoever looks whether it is there."""
        return newer_debian.path_of(path) if self.folder.mode is Mode.NEXT else Path(path)


class ServerKind(ABC):
    """A recipe for a server."""

    #: The name in commands and the name of its folder.
    name: str
    #: Names of its ports; the first is the one for clients.
    port_names: Sequence[str] = ("client",)
    start_timeout_seconds: float = 60
    stop_timeout_seconds: float = 30

    @abstractmethod
    def prepare(self, place: Place) -> None:
        """Write configuration and, the first time, the data folder; an interrupted one is redone."""

    @abstractmethod
    def programs(self, place: Place) -> list[Program]:
        """Give the programs in the order of starting; the last one is the server itself."""

    @abstractmethod
    def probe(self, place: Place) -> None:
        """Return if the server answers a client; raises NotReadyError if not, within seconds."""

    def settle(self, place: Place) -> None:
        """Do what a server that has just come up still needs; called until it raises no NotReadyError."""
        self.probe(place)
