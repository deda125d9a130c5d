"""Connections to the broker that never wait for ever, and that know whom they talk to.

``amqps://`` and ``rediss://`` URLs may end in ``?ssl_ca_certs=/path&ssl_certfile=/path&ssl_keyfile=/path``.
The server's certificate and name are verified unless the URL says ``ssl_cert_reqs=none``: left to
itself, kombu verifies no certificate for ``rediss://`` and no name for ``amqps://``.
"""

import ssl
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from kombu import Connection

_TLS_PREFIX = "ssl_"
_TLS_FILES = ("ca_certs", "certfile", "keyfile")


def broker_connection(
    url: str,
    *,
    timeout_seconds: float,
    heartbeat_seconds: int = 0,
    waits_for_each_confirm: bool = True,
) -> Connection:
    """Return an unopened connection whose every step is bounded by ``timeout_seconds``.

    kombu's and py-amqp's own defaults wait without end on a broker that stops answering. Who sends
    many messages sets ``waits_for_each_confirm`` to False and looks after the confirms.
    """
    return Connection(
        without_tls_options(url),
        ssl=tls_options(url),
        connect_timeout=timeout_seconds,
        heartbeat=heartbeat_seconds,
        transport_options=_transport_options(
            url, timeout_seconds, confirm_publish=waits_for_each_confirm
        ),
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


def tls_options(url: str) -> dict[str, Any] | bool:
    """Return what kombu (``ssl``) and Celery (``broker_use_ssl``) want to know; False without TLS."""
    parts = urlsplit(url)
    if parts.scheme not in ("amqps", "rediss"):
        return False
    asked = {name.removeprefix(_TLS_PREFIX): value for name, value in parse_qsl(parts.query)}
    verified = asked.get("cert_reqs", "required").lower() not in ("none", "cert_none")
    options: dict[str, Any] = {name: asked[name] for name in _TLS_FILES if name in asked}
    options["cert_reqs"] = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
    if parts.scheme == "rediss":
        return {
            **{f"{_TLS_PREFIX}{name}": value for name, value in options.items()},
            "ssl_check_hostname": verified,
        }
    # py-amqp compares names only where it is told one; kombu would turn localhost into an address.
    return {**options, "server_hostname": parts.hostname} if verified else options


def without_tls_options(url: str) -> str:
    """Return ``url`` without its ``ssl_…`` options, which kombu's AMQP transport cannot take."""
    parts = urlsplit(url)
    kept = [
        (name, value) for name, value in parse_qsl(parts.query) if not name.startswith(_TLS_PREFIX)
    ]
    return urlunsplit(parts._replace(query=urlencode(kept)))


def _transport_options(
    url: str, timeout_seconds: float, *, confirm_publish: bool
) -> dict[str, Any]:
    if url.startswith("redis"):
        return {
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
            "socket_keepalive": True,
            "retry_on_timeout": False,
        }
    return {
        "confirm_publish": confirm_publish,
        "read_timeout": timeout_seconds,
        "write_timeout": timeout_seconds,
    }
