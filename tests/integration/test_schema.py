"""The tables: as Open edX has them, migrated on every database, and checked for what the protocol needs."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from lms_integration.checks import KEY_COLUMNS, check_databases, database_messages
from lms_integration.data import (
    CourseOverviewData,
    CourseOverviewImageSetData,
    CourseOverviewListingData,
    CourseOverviewProjectionData,
    CourseOverviewTabData,
)
from lms_integration.fields import MYSQL_KEY_COLLATION, MYSQL_LIST_COLLATION
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    OverviewChange,
    OverviewMark,
    OverviewProjection,
    OverviewState,
    OverviewTombstone,
)
from lms_integration.platform_tables.models import HistoricalCourseOverview
from tests.race_scene import own_connection
from tests.shared_data import SHARED_MODULESTORE, needs_shared_data

ROOT = Path(__file__).parents[2]
PLATFORM_MODELS: tuple[type[Model], ...] = (
    CourseOverview,
    CourseOverviewTab,
    CourseOverviewImageSet,
)
#: What the course catalog owns, what is dead, and what the database or Django sets.
NOT_OURS = {
    "marketing_url",
    "eligible_for_financial_aid",
    "external_id",
    "start_date",
    "end_date",
    "created",
    "modified",
}

on_mysql = pytest.mark.skipif(connection.vendor != "mysql", reason="SQLite has other types")
#: ``{column: (type, whether it may be NULL)}``
Columns = Mapping[str, tuple[str, bool]]


# Open edX's tables


def platform_columns(table: str) -> Columns:
    """Return the columns of a table as Open edX creates it."""
    schema = (SHARED_MODULESTORE / "schema.sql").read_text(encoding="utf-8")
    (body,) = re.findall(rf"CREATE TABLE `{table}` \(\n(.*?)\n\)", schema, re.S)
    lines = re.findall(r"^  `(\w+)` (\S+)(.*?),?$", body, re.M)
    return {name: (_type(kind), "NOT NULL" not in rest) for name, kind, rest in lines}


def our_columns(table: str) -> Columns:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE FROM information_schema.COLUMNS "
            "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s",
            [table],
        )
        return {name: (_type(kind), nullable == "YES") for name, kind, nullable in cursor}


def _type(kind: str) -> str:
    """MySQL 8 does not show the width of integers."""
    return re.sub(r"^int\(\d+\)", "int", kind)


@needs_shared_data
@on_mysql
@pytest.mark.django_db
@pytest.mark.parametrize("model", [*PLATFORM_MODELS, HistoricalCourseOverview])
def test_the_platforms_tables_have_the_platforms_columns(model):
    table = model._meta.db_table

    assert our_columns(table) == platform_columns(table)


@on_mysql
@pytest.mark.django_db
def test_all_course_keys_are_compared_byte_by_byte():
    key_columns = [
        (CourseOverview._meta.db_table, "id"),
        (CourseOverviewTab._meta.db_table, "course_overview_id"),
        (CourseOverviewImageSet._meta.db_table, "course_overview_id"),
        (OverviewMark._meta.db_table, "course_key"),
        (OverviewState._meta.db_table, "course_key"),
        (OverviewTombstone._meta.db_table, "course_key"),
        (OverviewProjection._meta.db_table, "course_key"),
        (OverviewChange._meta.db_table, "course_key"),
    ]
    found = collations()

    assert {found[each] for each in key_columns} == {MYSQL_KEY_COLLATION}


def collations() -> dict[tuple[str, str], str | None]:
    """Return ``{(table, column): its collation}``."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT TABLE_NAME, COLUMN_NAME, COLLATION_NAME FROM information_schema.COLUMNS "
            "WHERE TABLE_SCHEMA = DATABASE()"
        )
        return {(table, column): collation for table, column, collation in cursor}


@on_mysql
@pytest.mark.django_db
def test_lists_are_ordered_and_searched_by_open_edx_s_collation():
    found = collations()

    table = OverviewProjection._meta.db_table
    columns = ("sort_key", "org", "search_text")
    assert {found[table, name] for name in columns} == {MYSQL_LIST_COLLATION}
    assert found[table, "catalog_visibility"] == MYSQL_KEY_COLLATION


@on_mysql
@pytest.mark.django_db(transaction=True)  # the statistics are of what is committed
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT course_key FROM {} ORDER BY sort_key, course_key LIMIT 20", "sort"),
        ("SELECT course_key FROM {} WHERE org = 'orgx' ORDER BY sort_key LIMIT 20", "org"),
        (
            "SELECT COUNT(*) FROM {} WHERE visible_to_staff_only = 0 AND "
            "catalog_visibility IN ('both', 'about') AND NOT invitation_only "
            "AND (enrollment_start IS NULL OR enrollment_start < NOW()) "
            "AND (`end` IS NULL OR `end` > NOW()) AND mobile_available",
            "count",
        ),
    ],
)
def test_lists_are_read_through_their_indexes(query, index):
    OverviewProjection.objects.bulk_create(
        OverviewProjection(
            course_key=f"course-v1:Org{n % 50}+C{n}+R",
            sort_key=f"course-v1:Org{n % 50}+C{n}+R",
            org=f"Org{n % 50}",
            catalog_visibility="both",
            search_text="",
            overview_html="x" * 500,
        )
        for n in range(500)
    )
    table = OverviewProjection._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE TABLE {table}")
        cursor.execute(f"EXPLAIN FORMAT=TRADITIONAL {query.format(table)}")
        names = [column[0] for column in cursor.description]
        (plan,) = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    assert plan["key"] == f"overview_projection_{index}"
    assert "filesort" not in plan["Extra"]
    if index == "count":
        assert "Using index" in plan["Extra"]


@pytest.mark.parametrize(
    ("model", "data", "others"),
    [
        (CourseOverview, CourseOverviewData, NOT_OURS),
        (CourseOverviewTab, CourseOverviewTabData, {"id", "course_overview"}),
        (
            CourseOverviewImageSet,
            CourseOverviewImageSetData,
            {"id", "course_overview", "created", "modified"},
        ),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_what_is_built_is_every_column_that_is_ours_and_no_other(model, data, others):
    columns = {field.name for field in model._meta.get_fields() if field.concrete}

    assert {field.name for field in fields(data)} == columns - others
    assert others <= columns


def test_a_projection_is_its_listing_and_what_is_projected():
    columns = [field.name for field in OverviewProjection._meta.get_fields() if field.concrete]
    listing, projection = (
        [field.name for field in fields(data)]
        for data in (CourseOverviewListingData, CourseOverviewProjectionData)
    )

    assert columns == [*listing, *projection]


def test_a_projection_of_nothing_has_the_defaults_of_the_builder():
    row, defaults = OverviewProjection(course_key="K"), CourseOverviewProjectionData()

    names = [field.name for field in fields(defaults)]
    assert [getattr(row, name) for name in names] == [getattr(defaults, name) for name in names]


# Migrations


@pytest.mark.django_db
def test_the_migrations_make_what_the_models_say():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def run_on(database: Path, code: str) -> str:
    """Run Python code on a SQLite file in a process of its own; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup()\n{code}"],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "OVERVIEW_DATABASE_URL": f"sqlite:///{database}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


CALL_COMMAND = "from django.core.management import call_command\n"


@pytest.fixture(scope="module")
def migrated_file(tmp_path_factory) -> Path:
    """A SQLite file with all tables, and without rows; migrating one takes seconds."""
    database: Path = tmp_path_factory.mktemp("sqlite") / "overview.sqlite3"
    run_on(database, f"{CALL_COMMAND}call_command('migrate', verbosity=0)")
    return database


@pytest.fixture
def sqlite_file(migrated_file: Path, tmp_path: Path) -> Path:
    """A copy of it that is the test's own."""
    return Path(shutil.copy(migrated_file, tmp_path / "overview.sqlite3"))


def test_a_fresh_sqlite_file_can_be_migrated_and_back(sqlite_file):
    tables = tables_of(sqlite_file)
    run_on(
        sqlite_file,
        f"{CALL_COMMAND}call_command('migrate', 'lms_integration', 'zero', verbosity=0)",
    )

    assert {model._meta.db_table for model in PLATFORM_MODELS} <= tables
    assert {"overview_mark", "overview_state", "overview_dead_letter"} <= tables
    assert "overview_projection" in tables
    assert not any(name.startswith(("overview_", "course_")) for name in tables_of(sqlite_file))


def tables_of(database: Path) -> set[str]:
    connection = sqlite3.connect(database)
    try:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in names}
    finally:
        connection.close()


A_COURSES_LIFE = """
from functools import partial
from lms_integration.events import CourseDeleted
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    CourseOverview, OverviewMark, OverviewProjection, OverviewTombstone
)
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.rebuild import rebuild_overviews
from overview_worker.store.conf import StoreConf
from overview_worker.store.overview_store import DjangoOverviewStore
from overview_worker.testing import InMemoryModulestore

store, modulestore = DjangoOverviewStore(StoreConf(builder_version=1)), InMemoryModulestore()
keys = ["course-v1:O+C+R", "course-v1:O+C+r"]

def rebuild(event_type=""):
    mark_courses([CourseMark(course_key=key, event_type=event_type) for key in keys])
    report = rebuild_overviews(keys, modulestore=modulestore, store=store,
                               build=partial(build_overview, settings=BuilderSettings()))
    print(*(outcome.value for outcome in report.outcomes.values()))

for key in keys:
    modulestore.publish(key, display_name=key)
rebuild()
rebuild()
modulestore.publish(keys[0], display_name="New", tabs=[{"type": "courseware", "name": "Go"}],
                    about={"overview": "<p>New</p>"})
modulestore.publish(keys[1], start="soon")
rebuild()
print([(course.display_name, course.tab_set.count()) for course in CourseOverview.objects.all()])
print([(each.course_key, each.overview_html) for each in OverviewProjection.objects.all()])
print(OverviewProjection.objects.filter(sort_key="COURSE-v1:o+c+r", org="o").count())
for key in keys:
    modulestore.delete(key)
rebuild()
rebuild(CourseDeleted.type_name)
print(OverviewProjection.objects.count())
print(CourseOverview.objects.count(), OverviewTombstone.objects.count(), store.still_dirty(dict.fromkeys(keys, 0)))
store.postpone(keys, ValueError("never mind"))
print(store.take_due(limit=5), OverviewMark.objects.filter(attempts=0).count())
"""


def test_courses_live_and_die_on_sqlite_too(sqlite_file):
    printed = run_on(sqlite_file, A_COURSES_LIFE)

    assert printed.splitlines() == [
        "written written",
        "unchanged unchanged",
        "written faulty",
        "[('New', 1), ('course-v1:O+C+r', 6)]",
        "[('course-v1:O+C+R', '<p>New</p>'), ('course-v1:O+C+r', None)]",
        "2",
        "held held",
        "deleted deleted",
        "0",
        "0 2 []",
        "[] 2",
    ]


AN_INSPECTION = """
from datetime import UTC, datetime, timedelta
from functools import partial
from lms_integration.events import CoursePublished
from lms_integration.freshness import freshness
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    CourseOverview, OverviewInspection, OverviewJob, OverviewProjection, OverviewSuspect,
    OverviewTombstone,
)
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.commands.verify import read_only
from overview_worker.inspection_ports import CurrentVersions
from overview_worker.inspector import Inspector, MergingSurveyor
from overview_worker.rebuild import rebuild_overviews
from overview_worker.store.conf import StoreConf
from overview_worker.store.housekeeping import keep_house
from overview_worker.store.inspection_store import DjangoInspectionStore
from overview_worker.store.overview_store import DjangoOverviewStore
from overview_worker.testing import InMemoryModulestore

conf = StoreConf(builder_version=1)
store, modulestore = DjangoOverviewStore(conf), InMemoryModulestore()
inspection = DjangoInspectionStore(conf)
build = partial(build_overview, settings=BuilderSettings())
inspector = Inspector(
    modulestore=modulestore, store=inspection, build=build,
    surveyor=MergingSurveyor(modulestore=modulestore, store=inspection),
    current=CurrentVersions(builder=1, schema=19),
)
keys = [f"course-v1:O+C{number}+R" for number in range(4)]

def rebuild():
    report = rebuild_overviews(keys, modulestore=modulestore, store=store, build=build)
    print(*(outcome.value for outcome in report.outcomes.values()))

def inspect():
    ago = datetime.now(UTC) - timedelta(seconds=60)
    OverviewSuspect.objects.update(seen_at=ago)
    OverviewJob.objects.filter(started_at__isnull=False).update(started_at=ago)
    report = inspector.inspect(enqueue=lambda keys: None, check_count=10)
    print(report.findings, report.marked_count, report.checked_count, report.drifted_columns)

for key in keys:
    modulestore.publish(key, display_name=key)
mark_courses([CourseMark(course_key=key, event_type=CoursePublished.type_name) for key in keys])
rebuild()
inspect()
CourseOverview.objects.filter(id=keys[0]).update(display_name="By hand")
OverviewProjection.objects.filter(course_key=keys[1]).delete()
modulestore.publish(keys[2], display_name="Lost")
modulestore.delete(keys[3])
inspect()
inspect()
rebuild()
inspect()
print(freshness(hours=24).shares[1])
OverviewTombstone.objects.update(deleted_at=datetime.now(UTC) - timedelta(days=100))
print(keep_house(tombstone_days=90, history_days=365, announces_changes=True, letter_days=90))
try:
    with read_only():
        CourseOverview.objects.all().delete()
except Exception as error:
    print(type(error).__name__, CourseOverview.objects.count())
print(OverviewInspection.objects.filter(finished_at__isnull=False).count())
"""


def test_the_inspector_works_on_sqlite_too(sqlite_file):
    printed = run_on(sqlite_file, AN_INSPECTION)

    assert printed.splitlines() == [
        "written written written written",
        "{} 0 4 {}",
        "{'drifted': 2} 2 2 {'display_name': 1, 'projection': 1}",
        "{'stale': 1, 'orphaned': 1} 2 0 {}",
        "written written written deleted",
        "{} 0 3 {}",
        "Share(within=4, total=4)",
        "HouseReport(purged_count=1, referred_count=0)",
        "OperationalError 3",
        "4",
    ]


# System checks


def ids(connection: BaseDatabaseWrapper) -> list[str | None]:
    return [message.id for message in database_messages(connection)]


@pytest.mark.django_db
def test_the_checks_are_silent_on_a_right_database():
    assert check_databases(databases=["default"]) == []
    call_command("check", databases=["default"])


def test_the_checks_ask_no_database_unless_told():
    assert check_databases() == []


@on_mysql
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SET SESSION sql_mode = ''", ["overview.E001"]),
        ("SET SESSION sql_mode = 'STRICT_TRANS_TABLES'", []),
        ("SET SESSION sql_mode = 'STRICT_ALL_TABLES'", []),
        ("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", ["overview.E002"]),
        ("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", ["overview.E002"]),
    ],
)
def test_the_checks_find_a_session_that_breaks_the_protocol(statement, expected):
    with own_connection() as own:
        with own.cursor() as cursor:
            cursor.execute(statement)

        assert ids(own) == expected


@pytest.fixture
def altered_collation(transactional_db: None, request: pytest.FixtureRequest) -> Iterator[Any]:
    table, column = request.param
    alter_key(table, column, "utf8mb4_unicode_ci")
    yield request.param
    alter_key(table, column, MYSQL_KEY_COLLATION)


def alter_key(table: str, column: str, collation: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"ALTER TABLE {table} MODIFY {column} VARCHAR(255) "
            f"CHARACTER SET utf8mb4 COLLATE {collation} NOT NULL"
        )


@on_mysql
@pytest.mark.parametrize("altered_collation", KEY_COLUMNS, indirect=True, ids=str)
def test_the_checks_find_keys_that_are_compared_without_case(altered_collation):
    (message,) = database_messages(connection)

    assert message.id == "overview.E003"
    assert ".".join(altered_collation) in message.msg
