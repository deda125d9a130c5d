"""The whole reference modulestore, read from a real MongoDB into a real MariaDB: Open edX's own rows.

Compared in both directions: no course more, none fewer; column by column and tab by tab, as the
database returns them.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from pymongo import MongoClient

from dev.authoring.dumps import load_modulestore_dump
from dev.authoring.index import SqlCourseIndex as SqlCourseIndexWriter
from lms_integration.api import get_course_about_html
from lms_integration.data import CourseOverviewListingData
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import CourseOverview, OverviewProjection
from overview_worker.bootstrap import Dependencies, make_dependencies
from overview_worker.builder.settings import BuilderSettings
from overview_worker.modulestore.mongo import MongoConf, MongoModulestore
from overview_worker.modulestore.sql_index import SqlCourseIndex
from overview_worker.rebuild import RebuildOutcome, rebuild_overviews
from tests.recorded_overviews import projection_of
from tests.shared_data import (
    SHARED_MODULESTORE,
    golden_overviews,
    needs_shared_data,
    recorded_about_pages,
)
from tests.unit.test_builder_golden import DEGRADED, MALFORMED, NO_SUCH_COURSE

pytestmark = needs_shared_data

#: Differs by case from ``CaseOrg+CASE101+Run1``: a row of its own where the key column is binary.
CASE_VARIANT = "course-v1:caseorg+case101+run1"
CHUNK = 100


@pytest.fixture(scope="module")
def reference_conf(mongo_client: MongoClient[dict[str, Any]]) -> Iterator[MongoConf]:
    """A MongoDB database that holds the reference modulestore."""
    name = f"test_reference_{os.getpid()}"
    load_modulestore_dump(SHARED_MODULESTORE, mongo_client[name])
    yield MongoConf(url=os.environ["OVERVIEW_MONGODB_URL"], database=name)
    mongo_client.drop_database(name)


@pytest.fixture
def reference_adapters(
    mongo_client: MongoClient[dict[str, Any]], reference_conf: MongoConf
) -> Dependencies:
    """The real adapters on the reference modulestore."""
    return make_dependencies(mongo_client, reference_conf, BuilderSettings())


def rebuild_all(adapters: Dependencies) -> dict[str, RebuildOutcome]:
    keys = sorted(pointer.course_key for pointer in adapters.modulestore.iter_published())
    outcomes: dict[str, RebuildOutcome] = {}
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        mark_courses([CourseMark(course_key=key) for key in chunk])
        report = rebuild_overviews(
            chunk,
            modulestore=adapters.modulestore,
            store=adapters.store,
            build=adapters.build,
        )
        outcomes |= report.outcomes
    return outcomes


def stored(statement: str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        names = [column[0] for column in cursor.description]
        return [
            {name: as_recorded(value) for name, value in zip(names, row, strict=True)}
            for row in cursor.fetchall()
        ]


def as_recorded(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def stored_rows() -> dict[str, dict[str, Any]]:
    rows = stored("SELECT * FROM course_overviews_courseoverview")
    return {
        row["id"]: {k: v for k, v in row.items() if k not in ("created", "modified")}
        for row in rows
    }


def stored_tabs() -> dict[str, list[dict[str, Any]]]:
    tabs: dict[str, list[dict[str, Any]]] = {}
    for tab in stored("SELECT * FROM course_overviews_courseoverviewtab ORDER BY id"):
        course_key = tab.pop("course_overview_id")
        del tab["id"]
        for flag in ("course_staff_only", "is_hidden"):
            tab[flag] = bool(tab[flag])
        tabs.setdefault(course_key, []).append(tab)
    return tabs


def expected_rows() -> dict[str, dict[str, Any]]:
    return {
        key: {k: v for k, v in record["row"].items() if k not in ("created", "modified")}
        for key, record in golden_overviews().items()
        if "row" in record
    }


@pytest.mark.django_db
def test_every_reference_row_and_tab_is_in_the_tables_as_open_edx_wrote_it(reference_adapters):
    rebuild_all(reference_adapters)

    rows, tabs, expected = stored_rows(), stored_tabs(), expected_rows()
    assert len(expected) == 298
    assert {key: rows.get(key) for key in expected} == expected
    assert {key: tabs.get(key, []) for key in expected} == {
        key: golden_overviews()[key]["tabs"] for key in expected
    }


@pytest.mark.django_db
def test_every_row_has_its_projection_with_the_about_page_that_open_edx_showed(reference_adapters):
    rebuild_all(reference_adapters)

    rows = CourseOverview.objects.select_related("projection")
    listings = {row.id: listing_columns(projection_of(row)) for row in rows}
    assert {row.id: row.projection and listing_columns(row.projection) for row in rows} == listings
    assert OverviewProjection.objects.count() == len(listings)
    shown = {key: html for key, html in recorded_about_pages().items() if key in listings}
    assert {key: get_course_about_html(key) for key in shown} == shown
    assert len(shown) > 60


def listing_columns(projection: OverviewProjection) -> dict[str, Any]:
    return {
        field.name: getattr(projection, field.name) for field in fields(CourseOverviewListingData)
    }


@pytest.mark.django_db
def test_no_course_has_a_row_that_open_edx_would_not_have_but_those_we_mend(reference_adapters):
    outcomes = rebuild_all(reference_adapters)

    assert set(stored_rows()) == set(expected_rows()) | set(DEGRADED) | {CASE_VARIANT}
    assert {key for key, outcome in outcomes.items() if outcome is RebuildOutcome.FAULTY} == set(
        MALFORMED
    )
    assert not NO_SUCH_COURSE & set(outcomes)


@pytest.mark.django_db
def test_each_failing_course_has_its_fault_or_its_degradations_on_record(reference_adapters):
    rebuild_all(reference_adapters)

    states = {
        row["course_key"]: row
        for row in stored("SELECT course_key, fault, degradations FROM overview_state")
    }
    for key, field in MALFORMED.items():
        assert f"{key}: {field} = " in states[key]["fault"]
    for key, (degraded, _) in DEGRADED.items():
        degradations = json.loads(states[key]["degradations"])
        assert {each["field"] for each in degradations} == set(degraded)
    clean = [key for key in expected_rows() if json.loads(states[key]["degradations"])]
    assert clean == []


@pytest.mark.django_db(transaction=True)
def test_the_sql_course_index_gives_the_same_rows(mongo_client, reference_conf):
    writer = SqlCourseIndexWriter(mongo_client[reference_conf.database])
    writer.create_table()
    load_modulestore_dump(
        SHARED_MODULESTORE, mongo_client[reference_conf.database], index_table=writer
    )
    adapters = make_dependencies(mongo_client, reference_conf, BuilderSettings())
    by_sql = replace(
        adapters,
        modulestore=MongoModulestore(mongo_client, reference_conf, index=SqlCourseIndex()),
    )

    try:
        rebuild_all(by_sql)

        expected = expected_rows()
        rows = stored_rows()
        assert {key: rows.get(key) for key in expected} == expected
        assert set(rows) == set(expected) | set(DEGRADED) | {CASE_VARIANT}
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE split_modulestore_django_splitmodulestorecourseindex")


@pytest.mark.django_db
def test_a_second_pass_over_the_reference_writes_nothing(reference_adapters):
    rebuild_all(reference_adapters)
    before = stored("SELECT id, modified FROM course_overviews_courseoverview ORDER BY id")
    tabs_before = stored("SELECT id FROM course_overviews_courseoverviewtab ORDER BY id")

    outcomes = rebuild_all(reference_adapters)

    assert set(outcomes.values()) == {RebuildOutcome.UNCHANGED, RebuildOutcome.FAULTY}
    assert stored("SELECT id, modified FROM course_overviews_courseoverview ORDER BY id") == before
    assert stored("SELECT id FROM course_overviews_courseoverviewtab ORDER BY id") == tabs_before
