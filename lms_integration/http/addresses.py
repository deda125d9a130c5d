"""Where a request comes from, as far as it can be believed; what counts calls and sign-ins keys on it."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from rest_framework.throttling import BaseThrottle

#: Stands for whoever came without an address, as through a socket of this machine.
NOWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound to it
_NETWORK_BITS = 64


def client_address(request: Any) -> str:
    """Return the address of whoever asks: of an IPv6 client its network (/64), which one household has.

    ``X-Forwarded-For`` counts as far as ``NUM_PROXIES`` of REST framework (``OVERVIEW_NUM_PROXIES``) says:
    so many proxies of ours have each put an address at its end, and what stands before was the client's
    own to choose. What is no address at all is not used: the address of the connection is.
    """
    claimed = BaseThrottle().get_ident(request)
    found = _parsed(claimed) or _parsed(request.META.get("REMOTE_ADDR"))
    if found is None:
        return NOWHERE
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or IPv6Address(int(found) >> _NETWORK_BITS << _NETWORK_BITS))
    return str(found)


def _parsed(text: str | None) -> IPv4Address | IPv6Address | None:
    """Return an address, which may stand with a port as some proxies write it; None for anything else."""
    bare = (text or "").strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        return ip_address(bare)
    except ValueError:
        return None
