"""A database that only Open edX has filled: its tables as it made them, its rows, none of ours.

It is signed in to with an account that may SELECT from these tables and nothing else.
"""

import gzip
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection, connections

from dev.authoring.index_table import COLUMNS
from dev.authoring.index_table import TABLE as COURSE_INDEX
from tests.shared_data import SHARED_MODULESTORE
from tests.sql_accounts import administrator

ROWS = "course_overviews_courseoverview"
TABS = "course_overviews_courseoverviewtab"
IMAGE_SETS = "course_overviews_courseoverviewimageset"
IMAGE_CONFIG = "course_overviews_courseoverviewimageconfig"
TABLES = (ROWS, TABS, IMAGE_SETS, IMAGE_CONFIG, COURSE_INDEX)
_ACCOUNT = "shadow_only"


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The database, through its administrator's eyes."""

    name: str
    password: str  #: of the account that is signed in
    cursor: Any

    def load(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Insert rows, tabs and image sets as Open edX has recorded them."""
        self.run("START TRANSACTION")
        for record in records:
            key = record["row"]["id"]
            self._insert(ROWS, record["row"])
            for tab in record["tabs"]:
                self._insert(TABS, {**tab, "course_overview_id": key})
            if record["image_set"]:
                self._insert(IMAGE_SETS, {**record["image_set"], "course_overview_id": key})
        self.run("COMMIT")

    def load_course_index(self) -> None:
        """Fill the course index that the platform keeps in SQL."""
        path = SHARED_MODULESTORE / "mysql_course_index.json.gz"
        with gzip.open(path, "rt", encoding="utf-8") as dump:
            for row in json.load(dump):
                self._insert(COURSE_INDEX, {column: row[column] for column in COLUMNS})

    def change(self, course_key: str, **columns: Any) -> None:
        """Change columns of a row by hand."""
        changes = ", ".join(f"`{name}` = %s" for name in columns)
        self.run(f"UPDATE {ROWS} SET {changes} WHERE id = %s", *columns.values(), course_key)  # noqa: S608

    def remove(self, course_key: str) -> None:
        """Take a row away, with its tabs."""
        self.run(f"DELETE FROM {TABS} WHERE course_overview_id = %s", course_key)  # noqa: S608
        self.run(f"DELETE FROM {ROWS} WHERE id = %s", course_key)  # noqa: S608

    def run(self, statement: str, *parameters: Any) -> None:
        """Execute one statement."""
        self.cursor.execute(statement, parameters)

    def checksums(self) -> dict[str, Any]:
        """Return the checksum of every table."""
        self.cursor.execute("SHOW TABLES")
        tables = [name for (name,) in self.cursor.fetchall()]
        self.cursor.execute(f"CHECKSUM TABLE {', '.join(tables)}")
        return dict(self.cursor.fetchall())

    def _insert(self, table: str, values: Mapping[str, Any]) -> None:
        columns = ", ".join(f"`{name}`" for name in values)
        places = ", ".join(["%s"] * len(values))
        self.run(f"INSERT INTO {table} ({columns}) VALUES ({places})", *values.values())  # noqa: S608


@contextmanager
def platform_database() -> Iterator[Platform]:
    """Give an empty platform's database, with this process signed in to it as its poorest account."""
    name, password = f"test_platform_{os.getpid()}", secrets.token_hex(8)
    with administrator() as cursor:
        cursor.connection.autocommit(True)
        try:
            cursor.execute(f"DROP USER IF EXISTS '{_ACCOUNT}'@'localhost'")
            cursor.execute(f"CREATE USER '{_ACCOUNT}'@'localhost' IDENTIFIED BY '{password}'")
            _create_tables(cursor, name)
            with _signed_in(name, password):
                yield Platform(name=name, password=password, cursor=cursor)
        finally:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
            cursor.execute(f"DROP USER IF EXISTS '{_ACCOUNT}'@'localhost'")


def _create_tables(cursor: Any, name: str) -> None:
    cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
    cursor.execute(f"USE {name}")
    cursor.execute("SET foreign_key_checks = 0")  # they point at the users, too
    for table in TABLES:
        cursor.execute(_creation_of(table))
        cursor.execute(f"GRANT SELECT ON {name}.{table} TO '{_ACCOUNT}'@'localhost'")


def _creation_of(table: str) -> str:
    schema = (SHARED_MODULESTORE / "schema.sql").read_text(encoding="utf-8")
    found = re.search(rf"CREATE TABLE `{table}` \(.*?\n;", schema, re.DOTALL)
    assert found is not None, table
    return found[0].removesuffix(";")


@contextmanager
def _signed_in(name: str, password: str) -> Iterator[None]:
    settings: dict[str, Any] = connections["default"].settings_dict
    before = {each: settings[each] for each in ("NAME", "USER", "PASSWORD")}
    connection.close()
    settings.update(NAME=name, USER=_ACCOUNT, PASSWORD=password)
    try:
        yield
    finally:
        connection.close()
        settings.update(before)
