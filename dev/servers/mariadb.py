"""Debian's MariaDB, private: own data folder, strict, durable, small."""

import getpass
import os
import shutil
import subprocess

from dev.machine import find_program
from dev.servers.errors import ServerError, log_tail
from dev.servers.kinds import Place, Program
from dev.servers.sql_server import SqlServer, shared_options, temporary_folder, user_options


class MariaDB(SqlServer):
    """A MariaDB server with the database and the user of the pipeline."""

    name = "mariadb"

    def install(self, place: Place) -> None:
        """Make the system tables; whoever runs the server administers it, by the socket."""
        fresh = place.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        log = place.home / "install.log"
        options = [
            f"--datadir={fresh}",
            "--skip-test-db",
            "--skip-name-resolve",
            "--auth-root-authentication-method=socket",
            f"--auth-root-socket-user={getpass.getuser()}",
        ]
        command = [_program("mariadb-install-db"), "--no-defaults", *user_options(), *options]
        with log.open("w") as output:
            done = subprocess.run(  # noqa: S603 - a fixed program, its arguments from this file
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "TMPDIR": str(temporary_folder(place.home))},
                check=False,
            )
        if done.returncode != 0:
            raise ServerError(f"mariadb: no data folder could be made (log {log}){log_tail(log)}")
        fresh.rename(place.home / "data")

    def programs(self, place: Place) -> list[Program]:
        """Give mariadbd."""
        argv = [_program("mariadbd"), "--no-defaults", *user_options(), *shared_options(place)]
        return [Program(name=self.name, argv=argv, environment=os.environ)]


def _program(name: str) -> str:
    path = find_program(name)
    if path is None:
        raise ServerError(f"mariadb: no {name} here; `python3 dev/bootstrap.py services` says more")
    return path
