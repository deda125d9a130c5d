"""Reading ``SHOW GRANTS``: which rights of an account are more than its process needs."""

import re
from collections.abc import Collection, Iterator, Sequence

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


def excess_rights(
    grants: Sequence[str], *, read_only_tables: Collection[str] = ()
) -> tuple[str, ...]:
    """Return what an account holds and should not, such as ``('DROP on overview.*',)``.

    ``grants`` are the lines of ``SHOW GRANTS``. Writes on ``read_only_tables`` count as excess.
    """
    return tuple(dict.fromkeys(_excess(grants, read_only=frozenset(read_only_tables))))


def _excess(grants: Sequence[str], *, read_only: frozenset[str]) -> Iterator[str]:
    for line in grants:
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
