"""Raises when a request touches anything but SQL, or writes an overview: the promise, made checkable.

Switch it on with ``OVERVIEW_GUARD_REQUESTS`` (the tests do, and a staging site may): a request that
opens a connection to MongoDB or the broker, runs a command on one that is open, sends a task, or
writes to an overview table ends with ``RequestPathViolation``. That it was swallowed by somebody's
``except Exception`` does not help: the middleware raises it again.

Statically the same is held by the import contracts; this finds what imports cannot show.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.db import connection
from django.http import HttpRequest, HttpResponse

#: Where the calls of MongoDB's client, the broker's and Celery meet: (module, class, method). Looked up
#: in what is already imported, so that the guard itself brings in none of it.
_FORBIDDEN_CALLS = (
    ("pymongo.synchronous.mongo_client", "MongoClient", "_select_server"),
    ("pymongo.synchronous.pool", "Connection", "command"),
    ("pymongo.synchronous.pool", "Connection", "send_message"),
    ("kombu.connection", "Connection", "connect"),
    ("kombu.messaging", "Producer", "publish"),
    ("kombu.messaging", "Consumer", "consume"),
    ("amqp.abstract_channel", "AbstractChannel", "send_method"),
    ("celery.app.base", "Celery", "send_task"),
    ("celery.app.task", "Task", "apply_async"),
)
#: URLs of the servers that no request may reach.
_FORBIDDEN_URLS = ("OVERVIEW_MONGODB_URL", "OVERVIEW_BROKER_URL")
_OVERVIEW_WRITE = re.compile(
    r"^\s*(INSERT|UPDATE|DELETE|REPLACE|TRUNCATE|LOAD)\b.*?[`\"\s.]"
    r"(course_overviews_(?!courseoverviewimageconfig)\w+|overview_state|overview_projection|overview_tombstone)\b",
    re.IGNORECASE | re.DOTALL,
)


class RequestPathViolation(AssertionError):
    """Something under a request did what only a worker may do; the message says what."""


#: The violations of the request that this thread or task serves; None outside of one.
_violations: ContextVar[list[RequestPathViolation] | None] = ContextVar("violations", default=None)


@contextmanager
def sql_reads_only() -> Iterator[None]:
    """Raise RequestPathViolation on whatever touches MongoDB, the broker, Celery, or an overview row.

    Raised where it happens and, in case it was caught there, once more at the end.
    """
    _watch_sockets()
    _watch_calls()
    found: list[RequestPathViolation] = []
    token = _violations.set(found)
    try:
        with connection.execute_wrapper(_refuse_overview_writes):
            yield
    finally:
        _violations.reset(token)
    if found:
        raise found[0]


class RequestPathGuard:
    """The middleware: every request is held to ``sql_reads_only``; off unless a setting says so."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not getattr(settings, "OVERVIEW_GUARD_REQUESTS", False):
            raise MiddlewareNotUsed
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request; raises RequestPathViolation where it broke the promise."""
        with sql_reads_only():
            return self._get_response(request)


def _refuse(what: str) -> None:
    found = _violations.get()
    if found is None:
        return
    violation = RequestPathViolation(f"a request path {what}; it may read SQL only")
    found.append(violation)
    raise violation


def _refuse_overview_writes(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
) -> Any:
    if match := _OVERVIEW_WRITE.match(sql):
        _refuse(f"wrote to {match[2]}")
    return execute(sql, params, many, context)


_watching_sockets = False


def _watch_sockets() -> None:
    """Hear of every connection that this process opens; a hook cannot be taken away, so only once."""
    global _watching_sockets
    if not _watching_sockets:
        _watching_sockets = True
        sys.addaudithook(_on_audit_event)


def _on_audit_event(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or _violations.get() is None:
        return
    address = arguments[1]
    if isinstance(address, tuple) and address[1] in _forbidden_ports():
        _refuse(f"connected to {address[0]}:{address[1]}")


def _forbidden_ports() -> set[int]:
    """Return the ports of MongoDB and the broker; hosts have too many names to be compared."""
    defaults = {"amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379, "mongodb": 27017}
    ports = set()
    for name in _FORBIDDEN_URLS:
        url = getattr(settings, name, "")
        netloc = urlsplit(url).netloc.rpartition("@")[2]
        for host in filter(None, netloc.split(",")):
            port = host.rpartition(":")[2]
            ports.add(int(port) if port.isdigit() else defaults.get(urlsplit(url).scheme, 0))
    return ports


def _watch_calls() -> None:
    for module_name, class_name, method in _FORBIDDEN_CALLS:
        owner = getattr(sys.modules.get(module_name), class_name, None)
        original = getattr(owner, method, None)
        if original is not None and not hasattr(original, "_overview_guard"):
            setattr(owner, method, _watched(original, f"called {class_name}.{method}"))


def _watched(original: Callable[..., Any], what: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        _refuse(what)
        return original(*args, **kwargs)

    call._overview_guard = True  # type: ignore[attr-defined]  # so that it is wrapped once
    return call
