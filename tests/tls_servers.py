"""Private servers that speak TLS and nothing else, on the recipes of ``dev.servers``."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from amqp import AMQPError, Connection
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from dev.servers import mariadb, mongodb, mysql, rabbitmq
from dev.servers.errors import NotReadyError
from dev.servers.folder import Mode, write_private
from dev.servers.kinds import Place, Program
from dev.servers.ports import LOOPBACK
from dev.servers.sql_server import SqlServer
from tests.certificates import ServerFiles


class TlsSqlServer(SqlServer):
    """MariaDB or MySQL that refuses TCP connections without TLS."""

    def __init__(self, files: ServerFiles, *, mode: Mode) -> None:
        self._files = files
        self._plain = mysql.MySQL() if mode is Mode.NEXT else mariadb.MariaDB()
        self.name = self._plain.name

    def install(self, place: Place) -> None:
        """Make the system tables."""
        self._plain.install(place)

    def init_statements(self, *, password: str) -> list[str]:
        """Give the statements of each start."""
        return self._plain.init_statements(password=password)

    def programs(self, place: Place) -> list[Program]:
        """Give the server with its certificate."""
        (server,) = self._plain.programs(place)
        options = (
            f"--ssl-cert={self._files.certificate}",
            f"--ssl-key={self._files.key}",
            "--require-secure-transport=ON",
        )
        return [replace(server, argv=[*server.argv, *options])]


class TlsRabbitMQ(rabbitmq.RabbitMQ):
    """Listens for TLS only."""

    def __init__(self, files: ServerFiles, authority: Path) -> None:
        self._files = files
        self._authority = authority

    def prepare(self, place: Place) -> None:
        """Write its configuration with another listener."""
        super().prepare(place)
        path = place.home / "rabbitmq.conf"
        kept = [line for line in path.read_text().splitlines() if "listeners" not in line]
        tls = [
            "listeners.tcp = none",
            f"listeners.ssl.1 = {place.address}",
            f"ssl_options.cacertfile = {self._authority}",
            f"ssl_options.certfile = {self._files.certificate}",
            f"ssl_options.keyfile = {self._files.key}",
            "ssl_options.verify = verify_none",
        ]
        write_private(path, "\n".join([*tls, *kept]) + "\n")

    def probe(self, place: Place) -> None:
        """Log in over TLS."""
        connection = Connection(
            host=place.address,
            userid=rabbitmq.USER,
            password=place.folder.secret(self.name),
            virtual_host=rabbitmq.VIRTUAL_HOST,
            ssl={"ca_certs": str(self._authority), "server_hostname": LOOPBACK},
            connect_timeout=2,
            read_timeout=3,
        )
        try:
            connection.connect()
            connection.close()
        except (OSError, AMQPError) as error:
            connection.collect()
            raise NotReadyError(str(error)) from error


class TlsMongoDB(mongodb.MongoDB):
    """Refuses connections without TLS; founds no replica set."""

    def __init__(self, files: ServerFiles, authority: Path) -> None:
        self._files = files
        self._authority = authority

    def programs(self, place: Place) -> list[Program]:
        """Give mongod with its certificate."""
        (server,) = super().programs(place)
        options = (
            *("--tlsMode", "requireTLS"),
            *("--tlsCertificateKeyFile", str(self._files.both)),
            *("--tlsCAFile", str(self._authority)),
            "--tlsAllowConnectionsWithoutCertificates",
        )
        return [replace(server, argv=[*server.argv, *options])]

    def probe(self, place: Place) -> None:
        """Say hello over TLS."""
        client: MongoClient[dict[str, object]] = MongoClient(
            LOOPBACK,
            place.port,
            directConnection=True,
            tls=True,
            tlsCAFile=str(self._authority),
            serverSelectionTimeoutMS=1000,
        )
        with client:
            try:
                client.admin.command("hello")
            except PyMongoError as error:
                raise NotReadyError(str(error)) from error

    def settle(self, place: Place) -> None:
        """Nothing more is needed."""
        self.probe(place)


@contextmanager
def tls_in_front(target: tuple[str, int], files: ServerFiles) -> Iterator[int]:
    """Listen for TLS and pass on to a plain server, as stunnel does; give the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    listener = socket.create_server((LOOPBACK, 0))
    port = int(listener.getsockname()[1])
    accepting = threading.Thread(target=_accept, args=(listener, context, target), daemon=True)
    accepting.start()
    try:
        yield port
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(5)


def _accept(listener: socket.socket, context: ssl.SSLContext, target: tuple[str, int]) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(plain, context, target), daemon=True).start()


def _serve(plain: socket.socket, context: ssl.SSLContext, target: tuple[str, int]) -> None:
    with plain, suppress(OSError):
        plain.settimeout(10)
        with (
            context.wrap_socket(plain, server_side=True) as client,
            socket.create_connection(target) as server,
        ):
            server.settimeout(10)
            _answer_each(client, server)


def _answer_each(client: ssl.SSLSocket, server: socket.socket) -> None:
    """Pass one request on and its answer back, again and again; enough for a client that waits."""
    while asked := client.recv(65_536):
        server.sendall(asked)
        client.sendall(server.recv(65_536))
