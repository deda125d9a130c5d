"""What MariaDB and MySQL have in common: the pipeline's database and user, a socket, the greeting."""

import os
import socket
import tempfile
from abc import abstractmethod
from pathlib import Path
from urllib.parse import quote

from dev.servers.errors import NotReadyError
from dev.servers.folder import write_private
from dev.servers.kinds import Place, ServerKind
from dev.servers.ports import LOOPBACK

DATABASE = "overview"
USER = "overview"
_SQL_MODE = (
    "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,"
    "NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY"
)
#: What fits into sockaddr_un.sun_path with its final zero.
_LONGEST_SOCKET_PATH = 107
_PROTOCOL_VERSION = 10


class SqlServer(ServerKind):
    """A server with the database and the user of the pipeline."""

    @abstractmethod
    def install(self, place: Place) -> None:
        """Make the system tables in the folder `data`, whole or not at all."""

    def prepare(self, place: Place) -> None:
        """Make the system tables the first time, and the file that makes our user and database."""
        _choose_socket(place.home)
        temporary_folder(place.home).mkdir(exist_ok=True)
        if not (place.home / "data").exists():
            self.install(place)
        statements = self.init_statements(password=place.folder.secret(self.name))
        write_private(place.home / "init.sql", "\n".join(statements) + "\n")

    def init_statements(self, *, password: str) -> list[str]:
        """Give the statements of each start: they change nothing that is already so."""
        statements = [f"CREATE DATABASE IF NOT EXISTS {DATABASE};"]
        for account in (f"'{USER}'@'localhost'", f"'{USER}'@'{LOOPBACK}'"):
            statements += [
                f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{password}';",
                f"ALTER USER {account} IDENTIFIED BY '{password}';",
                f"GRANT ALL PRIVILEGES ON {DATABASE}.* TO {account};",
                rf"GRANT ALL PRIVILEGES ON `test\_%`.* TO {account};",
                # Tests look at lock waits of other connections.
                f"GRANT PROCESS ON *.* TO {account};",
            ]
        return statements

    def probe(self, place: Place) -> None:
        """Wait for the server's greeting; it comes after `init.sql` has been run."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(2)
                connection.connect(str(socket_path(place.home)))
                greeting = connection.recv(5)
        except OSError as error:
            raise NotReadyError(str(error)) from error
        if len(greeting) < 5 or greeting[4] != _PROTOCOL_VERSION:
            raise NotReadyError("refuses connections")


def shared_options(place: Place) -> list[str]:
    """Give the options that both servers know: strict, durable, small, on loopback only."""
    options = {
        "datadir": place.home / "data",
        "tmpdir": temporary_folder(place.home),
        "socket": socket_path(place.home),
        "pid-file": place.home / "server.pid",
        "init-file": place.home / "init.sql",
        "bind-address": LOOPBACK,
        "port": place.port,
        "sql-mode": _SQL_MODE,
        "character-set-server": "utf8mb4",
        "collation-server": "utf8mb4_unicode_ci",
        "default-time-zone": "+00:00",
        "innodb-flush-log-at-trx-commit": 1,
        "innodb-buffer-pool-size": "256M",
        "max-allowed-packet": "64M",
        "max-connections": 300,
        "performance-schema": "OFF",
    }
    return ["--skip-name-resolve", *(f"--{name}={value}" for name, value in options.items())]


def temporary_folder(home: Path) -> Path:
    """Give the server's own folder for temporary tables: as it starts, it removes what lies there.

    In one that two share, each would remove the other's.
    """
    return home / "tmp"


def user_options() -> list[str]:
    """Give the option without which these servers refuse to run as root."""
    return ["--user=root"] if os.geteuid() == 0 else []


def url(place: Place) -> str:
    """Give the URL for clients, in the form of dj-database-url."""
    password = place.folder.secret(place.home.name)
    path = quote(str(socket_path(place.home)), safe="")
    return f"mysql://{USER}:{password}@localhost:{place.port}/{DATABASE}?unix_socket={path}"


def socket_path(home: Path) -> Path:
    """Give the path of the server's socket: in its folder, elsewhere if that is too long a name."""
    remembered = home / "socket-path"
    return Path(remembered.read_text()) if remembered.exists() else home / _socket_name(home)


def _choose_socket(home: Path) -> None:
    path = socket_path(home)
    fits = len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH
    if fits and path.parent.is_dir():
        return
    folder = tempfile.mkdtemp(prefix="overview-")
    write_private(home / "socket-path", f"{folder}/{_socket_name(home)}")


def _socket_name(home: Path) -> str:
    return f"{home.name}.sock"
