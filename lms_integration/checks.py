"""System checks: what the database must be like for the rebuild protocol to hold, and, with
``check --deploy``, what must not be so in production (``deploy_rules``).

They look at the database only where Django asks for that: ``migrate`` and ``check --database``.
"""

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from lms_integration.conf import (
    bulk_lanes,
    dead_letter_days,
    history_days,
    max_dead_letters,
    max_inspection_age_seconds,
    nightly_hour,
    run_days,
    tombstone_days,
    writes_platform_history,
)
from lms_integration.deploy_rules import Problem, find_problems
from lms_integration.deployment import AskedFor, deploy_settings, excess_right_problems
from lms_integration.fields import MYSQL_KEY_COLLATION
from lms_integration.models import (
    OverviewChange,
    OverviewMark,
    OverviewProjection,
    OverviewRemoval,
    OverviewState,
    OverviewSuspect,
    RebuildRecord,
)
from lms_integration.sql_roles import PLATFORM_HISTORY_TABLE

#: Columns that tell courses apart in the pipeline's own tables: (table, column).
KEY_COLUMNS = (
    (OverviewMark._meta.db_table, "course_key"),
    (OverviewState._meta.db_table, "course_key"),
    (OverviewProjection._meta.db_table, "course_key"),
    (RebuildRecord._meta.db_table, "course_key"),
    (OverviewSuspect._meta.db_table, "course_key"),
    (OverviewRemoval._meta.db_table, "course_key"),
    (OverviewChange._meta.db_table, "course_key"),
)


def register_checks() -> None:
    """Register all checks with Django; called once, when Django is ready."""
    checks.register(check_databases, checks.Tags.database)
    checks.register(check_settings)
    checks.register(check_deployment, checks.Tags.security, deploy=True)


def check_databases(
    *, databases: Sequence[str] | None = None, **_: Any
) -> list[checks.CheckMessage]:
    """Return what is wrong with each of ``databases``; nothing unless Django names some."""
    return [
        message for alias in databases or () for message in database_messages(connections[alias])
    ]


_READ_SETTINGS = (
    (tombstone_days, "overview.E005"),
    (history_days, "overview.E006"),
    (max_inspection_age_seconds, "overview.E008"),
    (max_dead_letters, "overview.E009"),
    (dead_letter_days, "overview.E010"),
    (run_days, "overview.E070"),
    (bulk_lanes, "overview.E071"),
    (nightly_hour, "overview.E072"),
)


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Return which of our settings cannot be used."""
    messages: list[checks.CheckMessage] = []
    for read, check_id in _READ_SETTINGS:
        try:
            read()
        except ImproperlyConfigured as error:
            messages.append(checks.Error(str(error), id=check_id))
    return messages


def check_deployment(
    *, databases: Sequence[str] | None = None, **_: Any
) -> list[checks.CheckMessage]:
    """Return what must be changed before production; SQL rights only where databases are named."""
    problems = find_problems(deploy_settings(AskedFor()))
    for alias in databases or ():
        problems += excess_right_problems(connections[alias])
    return [_message(problem) for problem in problems]


def _message(problem: Problem) -> checks.CheckMessage:
    return checks.Error(problem.what, hint=problem.todo, id=problem.id)


def database_messages(connection: BaseDatabaseWrapper) -> list[checks.CheckMessage]:
    """Return what is wrong with one database: strict mode, isolation, collation, version, tables."""
    if connection.vendor != "mysql":
        return _platform_history_messages(connection)
    return [
        *_platform_history_messages(connection),
        *_version_messages(connection),
        *_strict_mode_messages(connection),
        *_isolation_messages(connection),
        *_collation_messages(connection),
    ]


def _version_messages(connection: BaseDatabaseWrapper) -> list[checks.CheckMessage]:
    is_mariadb = "mariadb" in str(_variable(connection, "version")).lower()
    oldest = (10, 6) if is_mariadb else (8, 0)
    version = connection.get_database_version()
    if version >= oldest:
        return []
    return [
        checks.Error(
            f"database {connection.alias!r} is too old ({'.'.join(map(str, version))}): it cannot "
            "lock rows without waiting (SKIP LOCKED)",
            hint="Use MariaDB 10.6 or later, or MySQL 8.0 or later.",
            id="overview.E004",
        )
    ]


def _strict_mode_messages(connection: BaseDatabaseWrapper) -> list[checks.CheckMessage]:
    modes = str(_variable(connection, "sql_mode")).split(",")
    if {"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"} & set(modes):
        return []
    return [
        checks.Error(
            f"database {connection.alias!r} does not run in strict mode, so it would cut long "
            "values instead of refusing them",
            hint="Put SET SESSION sql_mode = 'TRADITIONAL' in OPTIONS['init_command'].",
            id="overview.E001",
        )
    ]


def _isolation_messages(connection: BaseDatabaseWrapper) -> list[checks.CheckMessage]:
    # MySQL 5.7.20+ and 8 call it transaction_isolation; MariaDB before 11.1 only tx_isolation.
    level = _variable(connection, "transaction_isolation") or _variable(connection, "tx_isolation")
    if str(level).upper() == "READ-COMMITTED":
        return []
    return [
        checks.Error(
            f"database {connection.alias!r} runs at isolation {level}: a rebuild could read an old "
            "snapshot of its marks",
            hint="Set OPTIONS['isolation_level'] to 'read committed'.",
            id="overview.E002",
        )
    ]


def _collation_messages(connection: BaseDatabaseWrapper) -> list[checks.CheckMessage]:
    return [
        checks.Error(
            f"{table}.{column} has collation {collation}: courses whose keys differ by case or "
            "look-alike letters would share one row",
            hint=f"ALTER TABLE {table} MODIFY {column} VARCHAR(255) COLLATE {MYSQL_KEY_COLLATION} "
            "NOT NULL",
            id="overview.E003",
        )
        for table, column in KEY_COLUMNS
        if (collation := _collation(connection, table, column)) not in (None, MYSQL_KEY_COLLATION)
    ]


def _platform_history_messages(connection: BaseDatabaseWrapper) -> list[checks.CheckMessage]:
    if not writes_platform_history():
        return []
    if PLATFORM_HISTORY_TABLE in connection.introspection.table_names():
        return []
    return [
        checks.Error(
            f"OVERVIEW_WRITE_PLATFORM_HISTORY is on, but database {connection.alias!r} has no table "
            f"{PLATFORM_HISTORY_TABLE}: no overview could be written",
            hint="Run migrate (Open edX's own where the tables are the platform's), or switch it off.",
            id="overview.E007",
        )
    ]


def _variable(connection: BaseDatabaseWrapper, name: str) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW SESSION VARIABLES LIKE %s", [name])
        row = cursor.fetchone()
    return None if row is None else row[1]


def _collation(connection: BaseDatabaseWrapper, table: str, column: str) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COLLATION_NAME FROM information_schema.COLUMNS "
            "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND COLUMN_NAME = %s",
            [table, column],
        )
        row = cursor.fetchone()
    return None if row is None else row[0]
