"""SQL accounts as ``overview grants`` prints them, made on the tests' private MariaDB or MySQL."""

import getpass
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from typing import Any
from urllib.parse import quote

import MySQLdb  # type: ignore[import-untyped]  # it has none
import pytest
from django.core.management import call_command
from django.db import connection, connections

#: In the names of the accounts; the tests drop what begins so.
PREFIX = "least_"
#: The same for the accounts of processes, which outlive those that a test makes.
PROCESS_PREFIX = "process_"
_CREATED = re.compile(
    r"CREATE USER '(?P<user>[^']+)'@'(?P<host>[^']+)' IDENTIFIED BY '(?P<password>[^']+)'"
)


@contextmanager
def printed_accounts(*roles: str, prefix: str = PREFIX) -> Iterator[Mapping[str, str]]:
    """Run what ``overview grants --create`` prints; give ``{role: password}``; drop the accounts."""
    with administrator() as cursor:
        passwords = create_accounts(cursor, *roles, prefix=prefix)
    try:
        yield passwords
    finally:
        with administrator() as cursor:  # the server may have been restarted meanwhile
            _drop_accounts(cursor, prefix)


def create_accounts(
    cursor: Any, *roles: str, prefix: str = PREFIX, host: str = "localhost"
) -> Mapping[str, str]:
    """Run what ``overview grants --create`` prints, by an administrator; return ``{role: password}``.

    Accounts of that prefix and host that are left from before are dropped.
    """
    statements = printed_grants(*roles, prefix=prefix, host=host)
    found = [_CREATED.match(line) for line in statements]
    _drop_accounts(cursor, prefix, host=host)
    for statement in statements:
        cursor.execute(statement)
    return {match["user"].removeprefix(prefix): match["password"] for match in found if match}


@contextmanager
def granted_roles(account: str, *roles: str, right: str) -> Iterator[None]:
    """Grant an account the first role, that one the next, and the last one a right on this database."""
    names = [f"`{PREFIX}{role}`" for role in roles]
    holders = [f"`{PREFIX}{account}`@`localhost`", *names]
    with administrator() as cursor:
        try:
            for name, holder in zip(names, holders, strict=False):
                cursor.execute(f"CREATE ROLE {name}")
                cursor.execute(f"GRANT {name} TO {holder}")
            cursor.execute(
                f"GRANT {right} ON `{connection.settings_dict['NAME']}`.* TO {names[-1]}"
            )
            yield
        finally:
            for name in names:
                cursor.execute(f"DROP ROLE IF EXISTS {name}")


def printed_grants(*roles: str, prefix: str = PREFIX, host: str = "localhost") -> list[str]:
    """Return the statements that the command prints for this database."""
    output = StringIO()
    call_command(
        *("overview", "grants", *roles, "--create", "--host", host, "--prefix", prefix),
        stdout=output,
    )
    return [line for line in output.getvalue().splitlines() if not line.startswith("--")]


@contextmanager
def administrator() -> Iterator[Any]:
    """Give a cursor of the server's administrator: whoever runs the private server, by its socket."""
    if connection.vendor != "mysql" or "unix_socket" not in connection.settings_dict["OPTIONS"]:
        pytest.skip("only on a private server is an administrator at hand")
    admin = MySQLdb.connect(
        user=getpass.getuser(), unix_socket=connection.settings_dict["OPTIONS"]["unix_socket"]
    )
    try:
        yield admin.cursor()
    finally:
        admin.close()


@contextmanager
def signed_in(role: str, password: str) -> Iterator[None]:
    """Let every connection of this process be the account's, in all threads."""
    settings: dict[str, Any] = connections["default"].settings_dict
    before = {name: settings[name] for name in ("USER", "PASSWORD")}
    connection.close()
    settings.update(USER=f"{PREFIX}{role}", PASSWORD=password)
    try:
        yield
    finally:
        connection.close()
        settings.update(before)


def account_url(role: str, password: str, *, prefix: str = PREFIX) -> str:
    """Return ``OVERVIEW_DATABASE_URL`` for an account."""
    settings = connection.settings_dict
    socket = quote(str(settings["OPTIONS"]["unix_socket"]), safe="")
    return f"mysql://{prefix}{role}:{password}@localhost/{settings['NAME']}?unix_socket={socket}"


def _drop_accounts(cursor: Any, prefix: str, *, host: str = "%") -> None:
    cursor.execute(
        "SELECT user, host FROM mysql.user WHERE user LIKE %s AND host LIKE %s",
        [prefix + "%", host],
    )
    for user, at_host in cursor.fetchall():
        cursor.execute(f"DROP USER '{user}'@'{at_host}'")
