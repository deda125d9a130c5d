"""MySQL of the newer Debian, private: own data folder, strict, durable, small."""

import getpass
import os
import shutil
import subprocess

from dev.servers.errors import ServerError, log_tail
from dev.servers.kinds import Place, Program
from dev.servers.sql_server import SqlServer, shared_options, temporary_folder, user_options

_SERVER = "/usr/sbin/mysqld"


class MySQL(SqlServer):
    """A MySQL server with the database and the user of the pipeline."""

    name = "mysql"

    def install(self, place: Place) -> None:
        """Make the system tables; the first start says who administers it."""
        fresh = place.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        log = place.home / "install.log"
        folders = [f"--datadir={fresh}", f"--tmpdir={temporary_folder(place.home)}"]
        options = ["--initialize-insecure", *user_options(), *folders]
        with log.open("w") as output:
            done = subprocess.run(  # noqa: S603 - a fixed program, its arguments from this file
                place.command(_SERVER, "--no-defaults", *options),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        if done.returncode != 0:
            raise ServerError(f"mysql: no data folder could be made (log {log}){log_tail(log)}")
        fresh.rename(place.home / "data")

    def init_statements(self, *, password: str) -> list[str]:
        """Give root's account to whoever runs the server, by the socket: it was made without a password."""
        administrator = f"IDENTIFIED WITH auth_socket AS '{getpass.getuser()}'"
        return [
            f"ALTER USER 'root'@'localhost' {administrator};",
            *super().init_statements(password=password),
        ]

    def programs(self, place: Place) -> list[Program]:
        """Give mysqld."""
        options = [
            *user_options(),
            *shared_options(place),
            "--plugin-load-add=auth_socket.so",
            # What a server has whose administrator has chosen nothing.
            "--collation-server=utf8mb4_0900_ai_ci",
            "--skip-log-bin",
            "--mysqlx=OFF",
            "--secure-file-priv=NULL",
        ]
        argv = place.command(_SERVER, "--no-defaults", *options)
        return [Program(name=self.name, argv=argv, environment=os.environ)]
