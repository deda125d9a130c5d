"""Names the steps of a rebuild as they come, so that a test can pause or kill a worker before each.

Steps are the reads of the source, every SQL statement and every commit.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.db import DEFAULT_DB_ALIAS, connections

from overview_worker.documents import PublishedPointer
from overview_worker.ports import Modulestore, ReadResult

#: Called with the name of each step before it happens.
OnStep = Callable[[str], None]

_STATEMENT = re.compile(
    r"\s*(?:SET [^;]*;\s*)?(SELECT\b.*?\bFROM|INSERT(?: IGNORE)? INTO|DELETE FROM|"
    r"UPDATE(?: \(.*?\) free STRAIGHT_JOIN)?)",
    re.S,
)
_TABLE = re.compile(r"\s*`?(\w+)`?")


class SteppingModulestore:
    """A modulestore whose reads are steps."""

    def __init__(self, modulestore: Modulestore, on_step: OnStep) -> None:
        self._modulestore = modulestore
        self._on_step = on_step

    def find_published(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        self._on_step("find_published")
        return self._modulestore.find_published(course_keys)

    def read_published(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, ReadResult]:
        self._on_step("read_published")
        return self._modulestore.read_published(pointers)

    def iter_published(self) -> Iterator[PublishedPointer]:
        return self._modulestore.iter_published()


@contextmanager
def sql_steps(on_step: OnStep) -> Iterator[None]:
    """Make every statement and commit of this thread's connection a step."""
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    commit = connection.commit

    def before_statement(execute: Any, sql: str, *arguments: Any) -> Any:
        on_step(statement_name(sql))
        return execute(sql, *arguments)

    def before_commit() -> None:
        on_step("COMMIT")
        commit()

    with (
        connection.execute_wrapper(before_statement),
        mock.patch.object(connection, "commit", before_commit),
    ):
        yield


def statement_name(sql: str) -> str:
    """Return a statement's verb and table, such as ``SELECT overview_state FOR UPDATE``.

    How long it is to wait, and which rows it passes by, is left out.
    """
    start = _STATEMENT.match(sql)
    table = _TABLE.match(sql, start.end()) if start is not None else None
    if start is None or table is None:
        return sql.split(maxsplit=1)[0]
    verb = start[1].split(maxsplit=1)[0]
    lock = " FOR UPDATE" if verb == "SELECT" and " FOR UPDATE" in sql else ""
    return f"{verb} {table[1]}{lock}"
