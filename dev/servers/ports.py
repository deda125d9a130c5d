"""Free TCP ports for servers that must come back on the same one.

Ports are taken below the kernel's ephemeral range. In that range a client that keeps reconnecting to
a server that is down gets, sooner or later, the server's own port as its source port, connects to
itself, and the server can never bind again.
"""

import random
import socket
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOWEST = 20_000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ATTEMPTS = 500


def is_free(port: int) -> bool:
    """Say whether a server could listen on this loopback port now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose_ports(names: Sequence[str], *, remembered: Mapping[str, int]) -> dict[str, int]:
    """Give a port for each name: the remembered one while it is free, else a new one.

    At random, so that two runs that choose at the same time rarely meet; the one that loses a race
    chooses again when its server fails to start.
    """
    chosen: dict[str, int] = {}
    for name in names:
        port = remembered.get(name)
        keeps = port is not None and port not in chosen.values() and is_free(port)
        chosen[name] = port if keeps and port is not None else _new_port(taken=chosen.values())
    return chosen


def _new_port(*, taken: Collection[int]) -> int:
    return next(port for port in _candidates() if port not in taken and is_free(port))


def _candidates() -> Sequence[int]:
    first_ephemeral = int(_EPHEMERAL_RANGE.read_text().split()[0])
    # A machine may have widened its ephemeral range to everything: then any port must do.
    highest = first_ephemeral if first_ephemeral > _LOWEST + _ATTEMPTS else 32_768
    return random.sample(range(_LOWEST, highest), _ATTEMPTS)
