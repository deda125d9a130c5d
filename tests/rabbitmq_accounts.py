"""Accounts on the tests' private RabbitMQ, made with its own command line tool."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from dev.servers.control import Server, find_server
from dev.servers.rabbitmq import VIRTUAL_HOST, control_program


@contextmanager
def rabbitmq_account(name: str, *, configure: str, write: str, read: str) -> Iterator[str]:
    """Make an account with these rights, give its URL, and take it away again."""
    server = find_server("rabbitmq", folder=Path(os.environ["OVERVIEW_TEST_SERVERS"]))
    if not Path(control_program(server.place).argv[0]).exists():
        pytest.skip("no rabbitmqctl on this machine")
    password = secrets.token_hex(16)  # no leading dash, which would be an option
    _control(server, "add_user", name, password)
    try:
        _control(server, "set_permissions", "-p", VIRTUAL_HOST, name, configure, write, read)
        parts = urlsplit(os.environ["OVERVIEW_BROKER_URL"])
        address = parts.netloc.rpartition("@")[2]
        yield urlunsplit(parts._replace(netloc=f"{name}:{password}@{address}"))
    finally:
        _control(server, "delete_user", name)


def _control(server: Server, *arguments: str) -> None:
    tool = control_program(server.place, *arguments)
    subprocess.run(
        tool.argv,
        env={**tool.environment},
        capture_output=True,
        check=True,
        timeout=60,
    )
