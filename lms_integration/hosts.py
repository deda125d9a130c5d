"""Tells this machine from others, by a host's name or address. Does no I/O."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is this machine: a loopback address, ``localhost``, or a socket's path."""
    bare = host.strip("[]").lower()
    if bare.startswith("/") or bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return False
