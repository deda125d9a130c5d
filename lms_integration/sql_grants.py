"""Reading ``SHOW GRANTS``: which rights of an account are more than its process needs."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

#: What a process that serves or rebuilds may hold, on its own database's tables. The rest changes the
#: schema, reads files, or administers the server.
_ON_DATA = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "SHOW VIEW", "USAGE"})
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE"})
_GRANT = re.compile(
    r"^GRANT (?P<rights>.+?) ON (?:TABLE |FUNCTION |PROCEDURE )?"
    r"(?P<database>\*|`(?:[^`]|``)+`|\w+)\.(?P<table>\*|`(?:[^`]|``)+`|\w+) TO (?P<rest>.*)$",
    re.DOTALL,
)
_COLUMNS = re.compile(r"\s*\([^)]*\)")
_ROLE = r"`(?:[^`]|``)+`(?:@`(?:[^`]|``)*`)?"
_GRANT_OF_ROLES = re.compile(
    rf"^GRANT (?P<roles>{_ROLE}(?:, ?{_ROLE})*) TO (?P<rest>.*)$", re.DOTALL
)


class Cursor(Protocol):
    """What is needed of a database cursor."""

    def execute(self, sql: str, /) -> object:
        """Run a statement."""

    def fetchall(self) -> Sequence[Sequence[object]]:
        """Return its rows."""


def held_grants(cursor: Cursor, *, is_mariadb: bool) -> list[str]:
    """Return the lines of ``SHOW GRANTS``, with those of every role that the account may take on.

    A role counts whether or not it is active now: whoever holds the account can ``SET ROLE``. Roles of
    roles are in it. MySQL answers with the roles' rights merged; MariaDB shows the rights of a role only
    to whom it is active for, so each is taken on for a moment.
    """
    own = _lines(cursor, "SHOW GRANTS")
    if is_mariadb:
        return [*own, *_grants_of_mariadb_roles(cursor)]
    roles = [match["roles"] for line in own if (match := _GRANT_OF_ROLES.match(line))]
    if not roles:
        return own
    return _lines(cursor, f"SHOW GRANTS FOR CURRENT_USER() USING {', '.join(roles)}")


def excess_rights(
    grants: Sequence[str], *, read_only_tables: Collection[str] = ()
) -> tuple[str, ...]:
    """Return what an account holds and should not, such as ``('DROP on overview.*',)``.

    ``grants`` are the lines of ``SHOW GRANTS``. Writes on ``read_only_tables`` count as excess.
    """
    return tuple(dict.fromkeys(_excess(grants, read_only=frozenset(read_only_tables))))


def _excess(grants: Sequence[str], *, read_only: frozenset[str]) -> Iterator[str]:
    for line in grants:
        of_roles = _GRANT_OF_ROLES.match(line)
        if of_roles and "WITH ADMIN OPTION" in of_roles["rest"].upper():
            yield f"ADMIN OPTION on {of_roles['roles']}"
        match = _GRANT.match(line)
        if match is None:
            continue
        database, table = _bare(match["database"]), _bare(match["table"])
        where = f"{database}.{table}"
        if "WITH GRANT OPTION" in match["rest"].upper():
            yield f"GRANT OPTION on {where}"
        for right in _rights(match["rights"]):
            on_all_databases = database == "*" and right != "USAGE"
            writes_rows = right in _WRITES and bool(read_only) and table in {"*", *read_only}
            if right not in _ON_DATA or on_all_databases or writes_rows:
                yield f"{right} on {where}"


def _rights(text: str) -> list[str]:
    return [right.strip().upper() for right in _COLUMNS.sub("", text).split(",")]


def _bare(name: str) -> str:
    return name.strip("`").replace("``", "`").replace("\\_", "_")


def _grants_of_mariadb_roles(cursor: Cursor) -> Iterator[str]:
    active = _lines(cursor, "SELECT COALESCE(CURRENT_ROLE(), '')")[0]
    roles = _lines(
        cursor,
        "SELECT ROLE_NAME FROM information_schema.APPLICABLE_ROLES WHERE GRANTEE = CURRENT_USER()",
    )
    try:
        for role in roles:
            cursor.execute(f"SET ROLE {_quoted(role)}")
            yield from _lines(cursor, "SHOW GRANTS")
    finally:
        cursor.execute(f"SET ROLE {_quoted(active) if active else 'NONE'}")


def _quoted(name: str) -> str:
    return "`{}`".format(name.replace("`", "``"))


def _lines(cursor: Cursor, sql: str) -> list[str]:
    cursor.execute(sql)
    return [str(row[0]) for row in cursor.fetchall()]
