"""Debian's MariaDB, private: own data folder, strict, durable, small."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

from dev.machine import find_program
from dev.servers.errors import NotReadyError, ServerError, log_tail
from dev.servers.folder import write_private
from dev.servers.kinds import Place, Program, ServerKind
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


class MariaDB(ServerKind):
    """A MariaDB server with the database and the user of the pipeline."""

    name = "mariadb"

    def prepare(self, place: Place) -> None:
        """Make the system tables the first time, and the file that makes our user and database."""
        _choose_socket(place.home)
        if not (place.home / "data").exists():
            _install(place.home)
        write_private(place.home / "init.sql", _init_sql(password=place.folder.secret(self.name)))

    def programs(self, place: Place) -> list[Program]:
        """Give mariadbd."""
        options = {
            "datadir": place.home / "data",
            "socket": socket_path(place.home),
            "pid-file": place.home / "mariadbd.pid",
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
        argv = [_program("mariadbd"), "--no-defaults", "--skip-name-resolve", *_as_root()]
        argv += [f"--{name}={value}" for name, value in options.items()]
        return [Program(name=self.name, argv=argv, environment=os.environ)]

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


def url(place: Place) -> str:
    """Give the URL for clients, in the form of dj-database-url."""
    password = place.folder.secret(MariaDB.name)
    path = quote(str(socket_path(place.home)), safe="")
    return f"mysql://{USER}:{password}@localhost:{place.port}/{DATABASE}?unix_socket={path}"


def socket_path(home: Path) -> Path:
    """Give the path of the server's socket: in its folder, elsewhere if that is too long a name."""
    remembered = home / "socket-path"
    return Path(remembered.read_text()) if remembered.exists() else home / "mariadb.sock"


def _choose_socket(home: Path) -> None:
    path = socket_path(home)
    fits = len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH
    if fits and path.parent.is_dir():
        return
    write_private(home / "socket-path", f"{tempfile.mkdtemp(prefix='overview-')}/mariadb.sock")


def _install(home: Path) -> None:
    fresh = home / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    log = home / "install.log"
    options = [
        f"--datadir={fresh}",
        "--skip-test-db",
        "--skip-name-resolve",
        "--auth-root-authentication-method=socket",
        f"--auth-root-socket-user={getpass.getuser()}",
    ]
    command = [_program("mariadb-install-db"), "--no-defaults", *_as_root(), *options]
    with log.open("w") as output:
        done = subprocess.run(  # noqa: S603 - a fixed program, its arguments from this file
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
    if done.returncode != 0:
        raise ServerError(f"mariadb: no data folder could be made (log {log}){log_tail(log)}")
    fresh.rename(home / "data")


def _init_sql(*, password: str) -> str:
    """Give the statements of each start, one on a line: they change nothing that is already so."""
    accounts = [f"'{USER}'@'localhost'", f"'{USER}'@'{LOOPBACK}'"]
    lines = [f"CREATE DATABASE IF NOT EXISTS {DATABASE};"]
    for account in accounts:
        lines += [
            f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{password}';",
            f"ALTER USER {account} IDENTIFIED BY '{password}';",
            f"GRANT ALL PRIVILEGES ON {DATABASE}.* TO {account};",
            rf"GRANT ALL PRIVILEGES ON `test\_%`.* TO {account};",
            # Tests look at lock waits of other connections.
            f"GRANT PROCESS ON *.* TO {account};",
        ]
    return "\n".join(lines) + "\n"


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _program(name: str) -> str:
    path = find_program(name)
    if path is None:
        raise ServerError(f"mariadb: no {name} here; `python3 dev/bootstrap.py services` says more")
    return path
