"""``overview verify --shadow`` on a database that only Open edX has filled, with its own rows."""

import json
import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test import override_settings

from dev.authoring.dumps import load_modulestore_dump
from overview_worker.bootstrap import close_dependencies
from overview_worker.errors import ModulestoreUnavailable
from overview_worker.modulestore.mongo import MongoModulestore
from tests.platform_scene import IMAGE_SETS, ROWS, TABS, Platform, platform_database
from tests.report_schema import assert_is_documented
from tests.shared_data import (
    SHARED_MODULESTORE,
    golden_overviews,
    needs_shared_data,
    published_courses,
)
from tests.unit.test_builder_golden import DEGRADED, MALFORMED

pytestmark = [needs_shared_data, pytest.mark.service, pytest.mark.django_db(transaction=True)]

#: The table takes it for ``CaseOrg+CASE101+Run1``, as Open edX does.
CASE_VARIANT = "course-v1:caseorg+case101+run1"
DEMO = "course-v1:OpenedX+DemoX+DemoCourse"
PLAIN = "course-v1:DateOrg+START00+R1"
PENCILS = "course-v1:ImgOrg+IMG01+R1"
#: Studio shows another name of it than the LMS: its draft has one of its own.
RERUN = "course-v1:LifeOrg+RERUNSRC+R2"


@pytest.fixture(scope="module")
def reference_database(mongo_client) -> Iterator[Any]:
    database = mongo_client[f"test_shadow_{os.getpid()}"]
    load_modulestore_dump(SHARED_MODULESTORE, database)
    yield database
    mongo_client.drop_database(database.name)


@pytest.fixture
def platform(reference_database) -> Iterator[Platform]:
    with platform_database() as platform:
        platform.load(record for record in golden_overviews().values() if record.get("row"))
        close_dependencies()
        with override_settings(OVERVIEW_MONGODB_DATABASE=reference_database.name):
            yield platform
        close_dependencies()


def overview(*arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code and what it printed."""
    output = StringIO()
    try:
        call_command("overview", *arguments, stdout=output)
    except SystemExit as exited:
        return int(exited.code or 0), output.getvalue()
    except CommandError as error:
        return error.returncode, output.getvalue() + str(error)
    return 0, output.getvalue()


def report(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the comparison; return its exit code and its JSON."""
    code, output = overview("verify", "--shadow", *arguments, "--json")
    document: dict[str, Any] = json.loads(output)
    assert_is_documented(document)
    return code, document


def columns_of(document: dict[str, Any]) -> dict[str, list[str]]:
    """Return ``{course key: columns that differ without a reason}``."""
    return {
        course["course_key"]: [
            each["column"] for each in course["differences"] if each["reason"] is None
        ]
        for course in document["courses"]
        if course["verdict"] == "different"
    }


def reasons_of(document: dict[str, Any]) -> dict[str, set[str]]:
    return {
        course["course_key"]: {each["reason"] for each in course["differences"]}
        for course in document["courses"]
        if course["verdict"] == "explained"
    }


def test_what_open_edx_wrote_differs_where_it_fails_and_nowhere_else(platform: Platform):
    code, document = report()

    assert code == 0
    assert columns_of(document) == {}
    assert reasons_of(document) == {
        **{key: {"degraded"} for key in DEGRADED},
        **{key: {"refused"} for key in MALFORMED},
        CASE_VARIANT: {"colliding"},
    }
    assert document["counts"] == {
        "equal": 298,
        "explained": len(DEGRADED) + len(MALFORMED),
        "different": 0,
        "unreadable": 0,
    }
    assert document["outcome"] == "explained"


def test_each_sabotaged_column_is_found_and_no_other(platform: Platform):
    platform.change(DEMO, display_name="By hand", effort="9 h", modified="2031-01-01")
    platform.run(
        f"UPDATE {TABS} SET name = 'Forum' "  # noqa: S608
        "WHERE course_overview_id = %s AND type = 'discussion'",
        PLAIN,
    )

    code, document = report("--all")

    assert code == 1
    assert columns_of(document) == {DEMO: ["display_name", "effort"], PLAIN: ["tabs[3].name"]}
    assert {
        each["column"]: each["different_count"]
        for each in document["columns"]
        if each["different_count"]
    } == {"display_name": 1, "effort": 1, "tabs[].name": 1}
    assert document["counts"]["equal"] == 296


def test_columns_that_no_rebuild_writes_are_left_out(platform: Platform):
    platform.run(
        f"UPDATE {ROWS} SET marketing_url = 'x', eligible_for_financial_aid = 0, "  # noqa: S608
        "external_id = 'y', start_date = NOW(), end_date = NOW(), created = NOW()"
    )
    platform.run(f"ALTER TABLE {ROWS} ADD COLUMN later_column INT")

    code, document = report()

    assert code == 0
    assert document["counts"]["equal"] == 298
    left_out = {each["column"] for each in document["not_compared"]}
    assert {"marketing_url", "external_id", "later_column", "image_set"} <= left_out


def test_what_open_edx_lets_go_stale_is_told_apart(platform: Platform):
    platform.change(DEMO, display_name="Before the publish")
    platform.change(PLAIN, display_name="Of an older schema", version=18)
    platform.change(PENCILS, course_image_url="/static/studio/images/pencils.jpg")
    platform.change(RERUN, display_name="Rerun of source")
    platform.remove("course-v1:DateOrg+START01+R1")

    code, document = report()

    assert code == 0
    known = reasons_of(document)
    assert known[DEMO] == {"row_older"}
    assert known[PLAIN] == {"old_version"}
    assert known[PENCILS] == {"studio_url"}
    assert known[RERUN] == {"draft"}
    assert known["course-v1:DateOrg+START01+R1"] == {"not_built"}
    notes = {each["course_key"]: each["notes"] for each in document["courses"]}
    assert notes[DEMO] == ["saved 2026-11-22 19:33:08+00:00, published 2026-11-22 19:45:22+00:00"]


def test_rows_without_a_published_course_are_told(platform: Platform):
    orphan, custom = "course-v1:Gone+GONE+R1", "ccx-v1:Gone+GONE+R1+ccx@1"
    for key in (orphan, custom):
        plain = golden_overviews()[PLAIN]
        platform.load([{**plain, "row": {**plain["row"], "id": key}}])

    code, document = report()

    assert code == 1
    assert columns_of(document) == {orphan: ["row"]}
    assert reasons_of(document)[custom] == {"foreign_key"}


def test_image_sets_are_compared_once_they_are_switched_on(platform: Platform):
    platform.run(
        f"INSERT INTO {IMAGE_SETS} (created, modified, small_url, large_url, course_overview_id) "  # noqa: S608
        f"SELECT NOW(), NOW(), '', '', id FROM {ROWS}"
    )
    platform.run(
        f"UPDATE {IMAGE_SETS} SET small_url = %s WHERE course_overview_id = %s",  # noqa: S608
        "/asset-v1:DateOrg+START00+R1+type@thumbnail+block@none-375x200.jpg",
        PLAIN,
    )
    platform.run(f"DELETE FROM {IMAGE_SETS} WHERE course_overview_id = %s", PENCILS)  # noqa: S608

    with override_settings(OVERVIEW_IMAGE_SET={}):
        code, document = report()

    assert code == 1
    images = {f"course-v1:ImgOrg+REAL{number}+R1" for number in range(3)}
    assert columns_of(document) == {
        key: ["image_set.small_url", "image_set.large_url"] for key in images
    }
    assert reasons_of(document)[PLAIN] == {"thumbnail"}
    assert reasons_of(document)[PENCILS] == {"no_image_set"}


def test_nothing_is_written_anywhere(platform: Platform, reference_database, tmp_path: Path):
    before = platform.checksums(), reference_database.command("dbHash")["md5"]

    code, output = overview("verify", "--shadow", "--html", str(tmp_path / "report.html"))

    assert code == 0, output
    assert "318 courses compared: 298 equal, 20 different for a known reason." in output
    assert (platform.checksums(), reference_database.command("dbHash")["md5"]) == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert platform.name in page
    assert platform.password not in page


def test_the_account_of_these_tests_can_only_read_and_sees_no_table_of_ours(platform: Platform):
    with connection.cursor() as cursor:
        with pytest.raises(DatabaseError, match="denied"):
            cursor.execute(f"UPDATE {ROWS} SET display_name = 'By hand'")  # noqa: S608
        cursor.execute("SHOW TABLES")
        assert not [name for (name,) in cursor.fetchall() if name.startswith("overview_")]


def test_the_platforms_own_course_index_gives_the_same(platform: Platform):
    platform.load_course_index()
    platform.change(RERUN, display_name="Rerun of source")

    with override_settings(OVERVIEW_COURSE_INDEX="mysql"):
        code, document = report()

    assert code == 0
    assert document["counts"]["equal"] == 297
    assert reasons_of(document)[RERUN] == {"draft"}
    assert document["sources"]["course index"] == "the platform's SQL table"


def test_courses_are_chosen_by_name_by_organisation_or_at_random(platform: Platform):
    assert report(PLAIN)[1]["course_count"] == 1
    dated = [key for key in published_courses() if key.startswith("course-v1:DateOrg+")]
    assert report("--org", "dateorg")[1]["course_count"] == len(dated)
    document = report("--sample", "7")[1]
    assert (document["course_count"], document["scope"]) == (7, "7 at random of: all")


def test_called_wrongly_it_compares_nothing(platform: Platform, tmp_path: Path):
    assert overview("verify", "--shadow", "--org", "Nobody")[0] == 2
    assert overview("verify", "--shadow", "--org", "DateOrg", "--all")[0] == 2
    assert overview("verify", "--shadow", "--sample", "0")[0] == 2
    assert overview("verify", "--shadow", "--sample", "3", PLAIN)[0] == 2
    assert overview("verify", "--shadow", "--html", str(tmp_path / "no" / "report.html"))[0] == 2
    code, output = overview("verify", "--shadow", "--json", PLAIN)
    assert code == 2
    assert "name courses before" in output


def test_a_course_that_neither_side_knows_is_a_problem(platform: Platform):
    code, output = overview("verify", "--shadow", "course-v1:Org+Nobody+R1")

    assert code == 1
    assert "course-v1:Org+Nobody+R1: no such course" in output


def test_what_was_compared_is_told_when_the_modulestore_goes_away(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
):
    read = MongoModulestore.read_published
    calls: list[int] = []

    def read_twice(self: MongoModulestore, pointers: Any) -> Any:
        calls.append(len(pointers))
        if len(calls) > 2:
            raise ModulestoreUnavailable("MongoDB did not answer")
        return read(self, pointers)

    monkeypatch.setattr(MongoModulestore, "read_published", read_twice)

    code, output = overview("verify", "--shadow")

    assert code == 1
    assert "Stopped early: MongoDB did not answer. 100 courses compared: " in output
