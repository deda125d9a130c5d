"""``overview grants``: the SQL that makes least-privilege accounts, for an administrator to run."""

import secrets
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection
from rich.console import Console

from lms_integration.conf import writes_platform_history
from lms_integration.sql_roles import SqlRole, account_name, grant_statements
from overview_worker.commands.base import EXIT_OK, EXIT_USAGE, Subcommand

DESCRIPTION = """\
Print the SQL that gives each kind of process an account with the rights it needs, and no others:
migrator (manage.py migrate), worker (intake, workers, beat, these commands), reader (the web process),
admin (instead of reader where the admin's actions are used: it may mark courses and clear dead
letters), publisher (what Studio's own account needs besides), signaller (what the LMS's own account
needs besides for overview_signals). Nothing is executed: read it, then run it as an
administrator of the MariaDB or MySQL server. With --create each account gets a new random password
that is in this output and nowhere else.

Rights on a table can be given once the table is there:
  overview grants --create migrator | mariadb
  OVERVIEW_DATABASE_URL=mysql://overview_migrator:… python manage.py migrate
  overview grants --create worker reader | mariadb
and without --create after every upgrade, for the tables that are new.

Exit code 0. 2: it was called wrongly.
"""


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "roles",
        nargs="*",
        metavar="ROLE",
        help="migrator, worker, reader, admin, publisher, signaller (default: the first three)",
    )
    parser.add_argument(
        "--create", action="store_true", help="make the accounts, with new random passwords"
    )
    parser.add_argument(
        "--database", metavar="NAME", help="default: the one of OVERVIEW_DATABASE_URL"
    )
    parser.add_argument(
        "--host", default="%", help="where the accounts may connect from (default: %(default)s)"
    )
    parser.add_argument(
        "--prefix",
        default="overview_",
        help="of the accounts' names: overview_worker … (default: %(default)s)",
    )
    parser.add_argument(
        "--without-tls",
        action="store_true",
        help="do not require TLS of accounts that connect from elsewhere",
    )


def _run(arguments: Namespace, console: Console) -> int:
    for line in _lines(arguments, roles=_roles(arguments.roles)):
        # Not as text for a reader: a statement is not folded at the terminal's width.
        console.out(line, highlight=False)
    return EXIT_OK


def _roles(names: list[str]) -> list[SqlRole]:
    if unknown := [name for name in names if name not in list(SqlRole)]:
        raise CommandError(
            f"no role {unknown[0]!r}: choose from {', '.join(SqlRole)}", returncode=EXIT_USAGE
        )
    return [SqlRole(name) for name in names] or [SqlRole.MIGRATOR, SqlRole.WORKER, SqlRole.READER]


def _lines(arguments: Namespace, *, roles: list[SqlRole]) -> Iterator[str]:
    database = arguments.database or str(connection.settings_dict["NAME"])
    for role in roles:
        account = account_name(f"{arguments.prefix}{role}", arguments.host)
        yield f"-- {role}"
        if arguments.create:
            yield _creation(account, arguments)
        yield from grant_statements(
            role,
            account=account,
            database=database,
            with_course_index=getattr(settings, "OVERVIEW_COURSE_INDEX", "mongodb") == "mysql",
            with_platform_history=writes_platform_history(),
        )


def _creation(account: str, arguments: Namespace) -> str:
    is_local = arguments.host in ("localhost", "127.0.0.1", "::1")
    tls = "" if is_local or arguments.without_tls else " REQUIRE SSL"
    return f"CREATE USER {account} IDENTIFIED BY '{secrets.token_urlsafe(24)}'{tls};"


COMMAND = Subcommand(
    name="grants",
    summary="print the SQL of least-privilege accounts",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
