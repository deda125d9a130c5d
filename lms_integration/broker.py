"""Connections to the broker that never wait for ever, whichever transport the URL names."""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from kombu import Connection


def broker_connection(
    url: str, *, timeout_seconds: float, heartbeat_seconds: int = 0
) -> Connection:
    """Return an unopened connection whose every step is bounded by ``timeout_seconds``.

    kombu's and py-amqp's own defaults wait without end on a broker that stops answering.
    """
    return Connection(
        url,
        connect_timeout=timeout_seconds,
        heartbeat=heartbeat_seconds,
        transport_options=_transport_options(url, timeout_seconds),
    )


def open_connection(connection: Connection) -> Connection:
    """Connect, at once and twice at most, for callers that somebody waits for.

    Raises:
        OSError, kombu.exceptions.KombuError: the broker did not answer.
    """
    connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
    return connection


def shown_url(url: str) -> str:
    """Return ``url`` without its password, fit for logs and errors."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    location = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{location}"))


def _transport_options(url: str, timeout_seconds: float) -> dict[str, Any]:
    if url.startswith("redis"):
        return {
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
            "socket_keepalive": True,
            "retry_on_timeout": False,
        }
    return {
        "confirm_publish": True,
        "read_timeout": timeout_seconds,
        "write_timeout": timeout_seconds,
    }
