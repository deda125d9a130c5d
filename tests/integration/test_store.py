"""What the store writes, on the real database: columns, tabs, tombstones, faults, marks."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from lms_integration.data import CourseOverviewImageSetData
from lms_integration.events import CourseDeleted
from lms_integration.marks import ANNOUNCED_DELETE, CourseMark, mark_courses, merge_marks
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    DeadLetter,
    OverviewChange,
    OverviewMark,
    OverviewProjection,
    OverviewState,
    OverviewTombstone,
)
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.documents import BuiltOverview
from overview_worker.errors import ModulestoreUnavailable, RowRefused, StoreUnavailable
from overview_worker.ports import LockedCourse, OverviewStore, WriteOverview
from overview_worker.rebuild import BUILDER_VERSION, RebuildOutcome, rebuild_overviews
from overview_worker.store.conf import StoreConf
from overview_worker.store.inspection_store import DjangoInspectionStore
from overview_worker.store.mark_statements import FAULT_RETRY_SECONDS
from overview_worker.store.overview_store import DjangoOverviewStore
from overview_worker.testing import InMemoryModulestore
from tests.race_scene import own_connection
from tests.race_steps import statement_name
from tests.written_overviews import (
    MakeChange,
    absent,
    apply,
    faulty,
    locked,
    postponed,
    removed,
    written,
)

pytestmark = [pytest.mark.service, pytest.mark.django_db]

KEY = "course-v1:Org+Course+Run"
OTHER = "course-v1:Org+Course+Run2"
V1, V2 = "1" * 24, "2" * 24
T0 = datetime(2026, 1, 1, tzinfo=UTC)
LESSONS = {"type": "courseware", "name": "Lessons"}
PROGRESS = {"type": "progress", "name": "Progress"}
DATES = {"type": "dates", "name": "Dates"}

on_mysql = pytest.mark.skipif(connection.vendor != "mysql", reason="a trait of MySQL and MariaDB")


@pytest.fixture
def store() -> DjangoOverviewStore:
    return DjangoOverviewStore(StoreConf(builder_version=BUILDER_VERSION))


def row(course_key: str = KEY) -> Any:
    return CourseOverview.objects.get(id=course_key)


def state(course_key: str = KEY) -> Any:
    return OverviewState.objects.get(course_key=course_key)


def mark(course_key: str = KEY) -> Any:
    return OverviewMark.objects.get(course_key=course_key)


def projection(course_key: str = KEY) -> Any:
    return OverviewProjection.objects.get(course_key=course_key)


def tabs(course_key: str = KEY) -> list[tuple[int, str | None]]:
    found = CourseOverviewTab.objects.filter(course_overview_id=course_key).order_by("id")
    return list(found.values_list("id", "name"))


def tab_names(course_key: str = KEY) -> list[str | None]:
    return [name for _, name in tabs(course_key)]


# The row


def test_a_new_row_takes_the_models_defaults_for_what_the_catalog_owns(store):
    apply(store, written(display_name="Tides"), KEY)

    assert row().display_name == "Tides"
    assert row().marketing_url is None
    assert row().eligible_for_financial_aid is True
    assert row().external_id is None


def test_columns_of_the_catalog_are_left_alone(store):
    apply(store, written(display_name="Old"), KEY)
    CourseOverview.objects.update(
        marketing_url="https://example.org/tides",
        eligible_for_financial_aid=False,
        external_id="E-1",
        start_date=T0,
        end_date=T0,
    )

    apply(store, written(display_name="New"), KEY)

    assert row().display_name == "New"
    assert row().marketing_url == "https://example.org/tides"
    assert row().eligible_for_financial_aid is False
    assert row().external_id == "E-1"
    assert (row().start_date, row().end_date) == (T0, T0)


@pytest.mark.parametrize(("catalog_owns", "language"), [(False, "fr"), (True, "de")])
def test_the_language_is_left_alone_where_the_catalog_owns_it(catalog_owns, language):
    conf = StoreConf(builder_version=BUILDER_VERSION, catalog_owns_language=catalog_owns)
    store = DjangoOverviewStore(conf)
    apply(store, written(display_name="Old", language="en"), KEY)
    CourseOverview.objects.update(language="de")

    apply(store, written(display_name="New", language="fr"), KEY)

    assert row().language == language


def test_a_write_keeps_the_time_of_creation(store):
    apply(store, written(display_name="Old"), KEY)
    before = row()

    apply(store, written(display_name="New"), KEY)

    assert row().created == before.created
    assert row().modified > before.modified


def test_unchanged_content_touches_neither_row_nor_tabs(store):
    apply(store, written(display_name="Tides", tabs=[LESSONS, DATES]), KEY)
    before, tabs_before, state_before = row(), tabs(), state()

    apply(store, written(display_name="Tides", tabs=[LESSONS, DATES]), KEY)

    assert row().modified == before.modified
    assert tabs() == tabs_before
    assert state().row_seq == 1
    assert state().built_at == state_before.built_at
    assert state().verified_at > state_before.verified_at
    assert state().source_version != state_before.source_version


def test_the_state_tells_who_built_the_row_and_what_was_degraded(store):
    apply(store, written(days_early_for_beta="soon"), KEY)

    assert state().builder_version == BUILDER_VERSION
    assert state().schema_version == row().version
    (degradation,) = state().degradations
    assert degradation["field"] == "days_early_for_beta"
    assert degradation["value"] == "'soon'"


def test_keys_that_differ_by_case_have_rows_of_their_own(store):
    keys = [KEY, KEY.replace("Run", "RUN"), KEY.replace("Run", "run")]
    mark_courses([CourseMark(course_key=key) for key in keys])

    for key in keys:
        apply(store, written(display_name=key), key)

    assert [row(key).display_name for key in keys] == keys
    assert OverviewState.objects.count() == OverviewMark.objects.count() == 3
    assert locked(store, keys[0]).state.collides_with is None


def test_a_display_name_of_three_megabytes_is_written(store):
    name = "ä" * (3 * 2**19)
    chunk = [f"course-v1:Org+Long{n}+Run" for n in range(4)]

    apply(store, written(display_name=name), *chunk)

    assert {len(row(key).display_name or "") for key in chunk} == {len(name)}


def test_four_byte_characters_are_written(store):
    apply(store, written(display_name="Tides 🌊", tabs=[{**LESSONS, "name": "🌊"}]), KEY)

    assert row().display_name == "Tides 🌊"
    assert tab_names() == ["🌊"]


# Tabs and images


def test_tabs_are_in_the_order_of_their_ids(store):
    apply(store, written(tabs=[LESSONS, PROGRESS, DATES]), KEY)
    assert tab_names() == ["Lessons", "Progress", "Dates"]

    apply(store, written(tabs=[LESSONS, DATES, PROGRESS]), KEY)
    assert tab_names() == ["Lessons", "Dates", "Progress"]


def test_tabs_that_are_gone_are_deleted_and_new_ones_added(store):
    apply(store, written(tabs=[LESSONS, PROGRESS, DATES]), KEY)
    apply(store, written(tabs=[LESSONS]), KEY)
    assert tab_names() == ["Lessons"]

    apply(store, written(tabs=[LESSONS, DATES, PROGRESS]), KEY)
    assert tab_names() == ["Lessons", "Dates", "Progress"]


def test_a_tab_keeps_nothing_of_the_tab_whose_row_it_takes(store):
    hidden = {**PROGRESS, "is_hidden": True}
    apply(store, written(tabs=[LESSONS, hidden]), KEY)
    apply(store, written(tabs=[LESSONS, DATES]), KEY)

    tab = CourseOverviewTab.objects.get(type="dates")
    assert tab.tab_id == "dates"
    assert tab.is_hidden is False
    assert tab.course_overview_id == KEY


def test_tabs_that_are_right_are_not_written_again_with_their_row(store):
    def rewritten(course: LockedCourse) -> WriteOverview:
        change = written(tabs=[LESSONS, DATES])(course)
        assert isinstance(change, WriteOverview)
        return replace(change, row_changed=True, tabs_changed=True, rewrites=True)

    apply(store, written(tabs=[LESSONS, DATES]), KEY)
    CourseOverviewTab.objects.filter(type="dates").update(name="Mended by hand")
    apply(store, rewritten, KEY)
    assert tab_names() == ["Lessons", "Dates"]

    with CaptureQueriesContext(connection) as queries:
        apply(store, rewritten, KEY)

    written_to = [each["sql"] for each in queries if each["sql"].startswith("INSERT")]
    assert any("`course_overviews_courseoverview`" in sql for sql in written_to)
    assert not any("course_overviews_courseoverviewtab" in sql for sql in written_to)


def test_tabs_of_other_courses_are_left_alone(store):
    apply(store, written(tabs=[LESSONS, DATES]), OTHER)
    before = tabs(OTHER)

    apply(store, written(tabs=[LESSONS]), KEY)
    apply(store, removed, KEY)

    assert tabs(OTHER) == before


def with_images(small_url: str) -> MakeChange:
    def alter(built: BuiltOverview) -> BuiltOverview:
        return replace(
            built, image_set=CourseOverviewImageSetData(small_url=small_url, large_url="")
        )

    return written(alter=alter)


def test_an_image_set_is_written_and_overwritten(store):
    apply(store, with_images("one.jpg"), KEY)
    apply(store, with_images("two.jpg"), KEY)

    image_set = CourseOverviewImageSet.objects.get(course_overview_id=KEY)
    assert image_set.small_url == "two.jpg"
    assert image_set.modified > image_set.created


def test_when_image_sets_are_switched_off_the_one_that_is_there_goes(store):
    apply(store, with_images("one.jpg"), KEY)
    apply(store, written(display_name="New"), KEY)

    assert not CourseOverviewImageSet.objects.filter(course_overview_id=KEY).exists()


# The projection


def about_page(html: str, **settings: Any) -> MakeChange:
    return written(about={"overview": html}, **settings)


def test_a_projection_holds_what_was_built_and_the_listing_of_its_row(store):
    books = [["Tides", "https://books.example.org/tides/"]]
    chapters = [{"tab_title": "Dunes 🌊", "chapters": [{"title": "ä", "url": "/static/1.pdf"}]}]

    apply(
        store,
        about_page("<p>🌊</p>", textbooks=books, pdf_textbooks=chapters, start=T0, self_paced=True),
        KEY,
    )

    found = projection()
    assert (found.overview_html, found.textbooks, found.pdf_textbooks) == (
        "<p>🌊</p>",
        books,
        chapters,
    )
    assert (found.sort_key, found.org, found.start, found.self_paced) == (KEY, "Org", T0, True)
    assert found.search_text.splitlines()[1] == KEY


def test_a_change_of_the_projection_alone_leaves_the_row_as_it_was(store):
    apply(store, about_page("<p>Tides</p>", display_name="Tides"), KEY)
    before, tabs_before, state_before = row(), tabs(), state()

    apply(store, about_page("<p>Dunes</p>", display_name="Tides"), KEY)

    assert projection().overview_html == "<p>Dunes</p>"
    assert row().modified == before.modified
    assert tabs() == tabs_before
    assert state().row_seq == 2
    assert state().built_at > state_before.built_at


def test_an_unchanged_projection_is_not_written(store):
    apply(store, about_page("<p>Tides</p>"), KEY)
    OverviewProjection.objects.update(overview_html="by hand")

    apply(store, about_page("<p>Tides</p>", effort="2 hours"), KEY)

    assert projection().overview_html == "by hand"


def test_a_row_from_before_there_were_projections_gets_one_and_stays(store):
    modulestore = InMemoryModulestore()
    modulestore.publish(KEY, about={"overview": "<p>Tides</p>"})
    mark_and_rebuild(store, modulestore, KEY)
    OverviewProjection.objects.all().delete()
    OverviewState.objects.update(projection_hash="", builder_version=1)
    before = row()

    outcomes = mark_and_rebuild(store, modulestore, KEY)

    assert outcomes == {KEY: RebuildOutcome.WRITTEN}
    assert projection().overview_html == "<p>Tides</p>"
    assert row().modified == before.modified
    assert state().row_seq == 2
    assert state().builder_version == BUILDER_VERSION


def test_a_projection_goes_with_its_course_and_comes_back_with_it(store):
    apply(store, about_page("<p>Tides</p>"), KEY)
    apply(store, about_page("<p>Dunes</p>"), OTHER)

    apply(store, removed, KEY)
    left = list(OverviewProjection.objects.values_list("course_key", flat=True))
    apply(store, about_page("<p>Tides</p>"), KEY)

    assert left == [OTHER]
    assert projection().overview_html == "<p>Tides</p>"


def test_a_projection_goes_with_a_row_that_was_removed_by_hand(store):
    apply(store, written(), KEY)
    CourseOverviewTab.objects.all().delete()
    CourseOverview.objects.all().delete()

    apply(store, removed, KEY)

    assert not OverviewProjection.objects.exists()


def test_a_fault_keeps_the_projection(store):
    apply(store, about_page("<p>Tides</p>"), KEY)

    apply(store, faulty, KEY)

    assert projection().overview_html == "<p>Tides</p>"


def test_a_projection_costs_one_statement_and_only_when_it_changes(store):
    apply(store, written(display_name="Tides"), KEY)

    def statements(make: MakeChange, *course_keys: str) -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            apply(store, make, *course_keys)
        written = (each["sql"] for each in queries if not each["sql"].startswith("SELECT"))
        return [sql for sql in written if "overview_projection" in sql]

    assert len(statements(about_page("<p>Tides</p>"), KEY)) == 1
    assert statements(about_page("<p>Tides</p>", effort="2 hours"), KEY) == []
    chunk = [f"course-v1:Org+Chunk{n}+Run" for n in range(20)]
    assert len(statements(about_page("<p>Tides</p>"), *chunk)) == 1


def test_about_pages_of_megabytes_are_written(store):
    html = "ä" * (3 * 2**20)
    chunk = [f"course-v1:Org+Long{n}+Run" for n in range(4)]

    apply(store, about_page(html), *chunk)

    assert {projection(key).overview_html for key in chunk} == {html}


def test_what_json_cannot_hold_costs_its_field_only(store):
    deep: list[Any] = []
    for _ in range(90):
        deep = [deep]

    apply(
        store,
        written(
            display_name="Tides",
            pdf_textbooks=[float("nan")],
            html_textbooks=deep,
            textbooks=[["\ud800", ""]],
            catalog_visibility="x" * 10_000,
            course_visibility="y" * 100_000,
        ),
        KEY,
    )

    found = projection()
    assert (found.textbooks, found.pdf_textbooks, found.html_textbooks) == ([], [], [])
    assert found.course_visibility == "y" * 100_000
    assert found.catalog_visibility == "x" * 32
    assert row().catalog_visibility == "x" * 10_000
    assert {each["field"] for each in state().degradations} == {
        "textbooks",
        "pdf_textbooks",
        "html_textbooks",
    }


# Deleted courses


def test_a_tombstone_keeps_what_certificates_and_enrolments_show(store):
    apply(
        store,
        written(
            display_name="Tides",
            display_organization="The Sea",
            display_coursenumber="T1",
            course_image="card.png",
            start=T0,
            end=T0 + timedelta(days=30),
        ),
        KEY,
    )
    before = row()

    apply(store, removed, KEY)

    tombstone = OverviewTombstone.objects.get(course_key=KEY)
    assert tombstone.display_name == "Tides"
    assert tombstone.display_org_with_default == "The Sea"
    assert tombstone.display_number_with_default == "T1"
    assert tombstone.course_image_url == before.course_image_url
    assert (tombstone.start, tombstone.end) == (before.start, before.end)
    assert abs(tombstone.deleted_at - before.modified) < timedelta(minutes=1)


def test_nothing_of_a_removed_row_stays_but_the_tombstone_and_the_state(store):
    apply(store, with_images("one.jpg"), KEY)

    apply(store, removed, KEY)

    assert not CourseOverview.objects.exists()
    assert not CourseOverviewTab.objects.exists()
    assert not CourseOverviewImageSet.objects.exists()
    assert state().deleted
    assert state().content_hash == state().tabs_hash == state().projection_hash == ""
    assert state().source_version != ""


def test_a_revived_course_has_a_whole_row_and_no_tombstone(store):
    apply(store, written(display_name="Tides", tabs=[LESSONS]), KEY)
    apply(store, removed, KEY)

    apply(store, written(display_name="Tides", tabs=[LESSONS]), KEY)

    assert row().display_name == "Tides"
    assert tab_names() == ["Lessons"]
    assert not OverviewTombstone.objects.exists()
    assert state().row_seq == 3


def test_a_course_that_is_deleted_twice_has_one_tombstone_of_its_last_name(store):
    for name in ("Before", "After"):
        apply(store, written(display_name=name), KEY)
        apply(store, removed, KEY)

    assert OverviewTombstone.objects.get().display_name == "After"


def test_a_removal_without_a_row_leaves_the_state_deleted(store):
    apply(store, written(), KEY)
    CourseOverviewTab.objects.all().delete()
    CourseOverview.objects.all().delete()

    apply(store, removed, KEY)

    assert state().deleted
    assert not OverviewTombstone.objects.exists()


@pytest.fixture
def referring_table(transactional_db: None) -> Iterator[str]:
    """A table of somebody else with a foreign key to the overviews."""
    table = "stacked_configuration"
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {table} (id int PRIMARY KEY, course_id varchar(255) "
            "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, "
            "CONSTRAINT stacked_fk FOREIGN KEY (course_id) "
            "REFERENCES course_overviews_courseoverview (id))"
        )
    yield table
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {table}")


@on_mysql
def test_a_delete_that_a_foreign_key_refuses_is_a_fault_that_names_the_table(
    referring_table, store
):
    modulestore = InMemoryModulestore()
    for key in (KEY, OTHER):
        modulestore.publish(key, display_name=key)
    mark_and_rebuild(store, modulestore, KEY, OTHER)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {referring_table} VALUES (1, %s)", [KEY])  # noqa: S608
    for key in (KEY, OTHER):
        modulestore.delete(key)

    outcomes = mark_and_rebuild(store, modulestore, KEY, OTHER, event_type=CourseDeleted.type_name)

    assert outcomes == {KEY: RebuildOutcome.FAULTY, OTHER: RebuildOutcome.DELETED}
    assert referring_table in (state().fault or "")
    assert row().display_name == KEY
    assert tab_names() != []
    assert not OverviewTombstone.objects.filter(course_key=KEY).exists()
    assert referring_table in DeadLetter.objects.get().reason

    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {referring_table}")  # noqa: S608
    assert mark_and_rebuild(store, modulestore, KEY) == {KEY: RebuildOutcome.DELETED}
    assert state().fault is None


def mark_and_rebuild(
    store: OverviewStore,
    modulestore: InMemoryModulestore,
    *course_keys: str,
    event_type: str = "",
) -> dict[str, RebuildOutcome]:
    mark_courses([CourseMark(course_key=key, event_type=event_type) for key in course_keys])
    report = rebuild_overviews(
        course_keys,
        modulestore=modulestore,
        store=store,
        build=partial(build_overview, settings=BuilderSettings()),
    )
    return dict(report.outcomes)


# A table of the platform's, whose keys have no binary collation


@pytest.fixture
def platform_collation(transactional_db: None) -> Iterator[None]:
    """The overview tables as Open edX makes them: keys are found whatever their case."""
    set_key_collation("utf8mb4_unicode_ci")
    yield
    CourseOverviewTab.objects.all().delete()
    CourseOverview.objects.all().delete()
    set_key_collation("utf8mb4_bin")


def set_key_collation(collation: str) -> None:
    table = CourseOverview._meta.db_table
    key = f"varchar(255) CHARACTER SET utf8mb4 COLLATE {collation} NOT NULL"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME "
            "FROM information_schema.KEY_COLUMN_USAGE "
            "WHERE TABLE_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME = %s",
            [table],
        )
        references = cursor.fetchall()
        for referring, constraint, _ in references:
            cursor.execute(f"ALTER TABLE {referring} DROP FOREIGN KEY {constraint}")
        cursor.execute(f"ALTER TABLE {table} MODIFY id {key}")
        for referring, constraint, column in references:
            cursor.execute(
                f"ALTER TABLE {referring} MODIFY {column} {key}, "
                f"ADD CONSTRAINT {constraint} FOREIGN KEY ({column}) REFERENCES {table} (id)"
            )


@on_mysql
def test_another_courses_row_is_neither_overwritten_nor_removed(platform_collation, store):
    lower = KEY.replace("Run", "run")
    modulestore = InMemoryModulestore()
    modulestore.publish(KEY, display_name="Mine")
    mark_and_rebuild(store, modulestore, KEY)
    modulestore.publish(lower, display_name="Yours")

    collided = mark_and_rebuild(store, modulestore, lower)
    modulestore.delete(lower)
    deleted = mark_and_rebuild(store, modulestore, lower)

    assert collided == {lower: RebuildOutcome.FAULTY}
    assert KEY in DeadLetter.objects.get().reason
    assert deleted == {lower: RebuildOutcome.ABSENT}
    assert [course.id for course in CourseOverview.objects.all()] == [KEY]
    assert row().display_name == "Mine"
    assert tab_names() != []


@on_mysql
def test_old_values_are_told_of_such_a_table_too(platform_collation, store):
    apply(store, written(display_name="Tides", tabs=[LESSONS]), KEY)
    apply(store, written(display_name="Dunes", tabs=[LESSONS]), KEY)
    apply(store, removed, KEY)

    _, changed, deleted = OverviewChange.objects.filter(course_key=KEY).order_by("id")
    assert changed.columns == {"display_name": ["Tides", "Dunes"]}
    assert deleted.columns["course_visibility"] == ["private", None]
    assert deleted.columns["tabs"][0][0]["name"] == "Lessons"


@on_mysql
def test_a_removal_never_takes_the_row_that_the_collation_finds_instead(platform_collation, store):
    lower = KEY.replace("Run", "run")
    apply(store, written(display_name="Yours"), lower)
    CourseOverviewTab.objects.all().delete()
    CourseOverview.objects.all().delete()  # by hand
    apply(store, written(display_name="Mine", tabs=[LESSONS]), KEY)

    apply(store, removed, lower)

    assert row().display_name == "Mine"
    assert tab_names() == ["Lessons"]
    assert state(lower).deleted
    assert not OverviewTombstone.objects.exists()


@on_mysql
def test_the_inspector_sees_such_a_collision_and_looks_rows_up_by_their_index(
    platform_collation, store
):
    lower = KEY.replace("Run", "run")
    apply(store, written(display_name="Mine"), KEY)
    locked(store, lower)
    inspection = DjangoInspectionStore(StoreConf(builder_version=BUILDER_VERSION))

    with CaptureQueriesContext(connection) as queries:
        courses = {course.course_key: course for course in inspection.iter_stored()}

    assert (courses[KEY].has_row, courses[KEY].collides_with) == (True, None)
    assert (courses[lower].has_row, courses[lower].collides_with) == (False, KEY)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN FORMAT=TRADITIONAL {queries.captured_queries[-1]['sql']}")
        names = [column[0] for column in cursor.description]
        plan = [dict(zip(names, each, strict=True)) for each in cursor.fetchall()]
    (rows,) = [each for each in plan if each["table"] == "o"]
    assert (rows["type"], rows["key"]) == ("eq_ref", "PRIMARY")


@on_mysql
def test_a_projection_is_read_along_with_a_row_of_such_a_table(platform_collation, store):
    apply(store, written(display_name="Mine", show_calculator=True), KEY)

    with CaptureQueriesContext(connection) as queries:
        found = CourseOverview.get_from_id(KEY)
        assert found.show_calculator

    (query,) = queries.captured_queries
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN FORMAT=TRADITIONAL {query['sql']}")
        names = [column[0] for column in cursor.description]
        plan = [dict(zip(names, each, strict=True)) for each in cursor.fetchall()]
    (joined,) = [each for each in plan if each["table"] == "overview_projection"]
    assert joined["key"] == "PRIMARY"


@on_mysql
def test_a_chunk_tells_keys_apart_that_the_collation_cannot(platform_collation, store):
    lower = KEY.replace("Run", "run")
    apply(store, written(display_name="Mine"), KEY)

    with store.transaction([KEY, lower, OTHER]) as transaction:
        states = {key: course.state for key, course in transaction.locked.items()}

    assert states[KEY].has_row
    assert states[KEY].collides_with is None
    assert not states[lower].has_row
    assert states[lower].collides_with == KEY
    assert not states[OTHER].has_row
    assert states[OTHER].collides_with is None


@on_mysql
def test_of_two_new_courses_that_the_collation_cannot_tell_apart_one_is_kept(
    platform_collation, store
):
    lower = KEY.replace("Run", "run")
    modulestore = InMemoryModulestore()
    for key in (KEY, lower, OTHER):
        modulestore.publish(key, display_name=key)

    outcomes = mark_and_rebuild(store, modulestore, KEY, lower, OTHER)

    assert outcomes == {
        KEY: RebuildOutcome.WRITTEN,
        lower: RebuildOutcome.FAULTY,
        OTHER: RebuildOutcome.WRITTEN,
    }
    assert {course.id: course.display_name for course in CourseOverview.objects.all()} == {
        KEY: KEY,
        OTHER: OTHER,
    }
    assert KEY in (state(lower).fault or "")


# Values that the database refuses


def column_of(name: str, value: object) -> MakeChange:
    def alter(built: BuiltOverview) -> BuiltOverview:
        overview = replace(built.overview, **{name: value})  # type: ignore[arg-type]  # on purpose
        return replace(built, overview=overview)

    return written(alter=alter)


@on_mysql
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("entrance_exam_id", "x" * 256),
        ("max_student_enrollments_allowed", 2**31),
        ("display_number_with_default", None),
        ("display_name", "\udcff"),
        ("lowest_passing_grade", 1000),
    ],
)
def test_a_value_that_a_column_cannot_hold_refuses_the_row(store, name, value):
    with pytest.raises(RowRefused):
        apply(store, column_of(name, value), KEY)

    assert not CourseOverview.objects.exists()


# Attempts and faults


def backoff_ms() -> int:
    """Return the time from the last attempt to the next, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), next_attempt_at) DIV 1000 "
            "FROM overview_mark WHERE course_key = %s",
            [KEY],
        )
        milliseconds: int = cursor.fetchone()[0]
    return milliseconds


@on_mysql
def test_the_back_off_grows_to_ten_seconds(store):
    mark_courses([CourseMark(course_key=KEY)])

    waits = []
    for _ in range(9):
        apply(store, postponed, KEY)
        waits.append(backoff_ms())

    expected = [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
    assert waits == pytest.approx(expected, abs=90)
    assert mark().attempts == 9
    assert mark().last_error == "behind"


@on_mysql
def test_an_outage_is_counted_for_each_dirty_course(store):
    mark_courses([CourseMark(course_key=KEY), CourseMark(course_key=OTHER)])
    apply(store, absent, OTHER)

    store.postpone([KEY, OTHER], ModulestoreUnavailable("gone " + "far " * 200 + "\udcff"))

    assert mark(KEY).attempts == 1
    assert mark(KEY).last_error.startswith("gone")
    assert len(mark(KEY).last_error) == 500
    assert mark(OTHER).attempts == 0


def test_a_fault_is_in_the_dead_letters_once_and_counted(store):
    mark_courses([CourseMark(course_key=KEY)])
    for _ in range(3):
        apply(store, faulty, KEY)

    letter = DeadLetter.objects.get()
    assert letter.origin == "rebuild"
    assert letter.course_key == KEY
    assert "not a date" in letter.reason
    assert letter.seen_count == 3
    assert state().fault == letter.reason
    assert mark().attempts == 3


def test_another_fault_is_another_dead_letter(store):
    apply(store, faulty, KEY)
    apply(store, lambda course: faulty(course, reason="not a year"), KEY)

    assert DeadLetter.objects.count() == 2
    assert "not a year" in (state().fault or "")


def test_a_fault_without_end_is_cut_to_what_the_columns_hold(store):
    mark_courses([CourseMark(course_key=KEY)])

    apply(store, lambda course: faulty(course, reason="no \udcff " * 1000), KEY)

    assert len(state().fault or "") <= 500
    assert len(mark().last_error) <= 500


@on_mysql
def test_a_faulty_course_waits_for_hours_and_a_new_mark_ends_that(store):
    mark_courses([CourseMark(course_key=KEY)])
    apply(store, faulty, KEY)
    assert backoff_ms() == pytest.approx(FAULT_RETRY_SECONDS * 1000, abs=5_000)

    mark_courses([CourseMark(course_key=KEY)])

    assert mark().next_attempt_at is None
    assert mark().attempts == 0
    apply(store, written(), KEY)
    assert state().fault is None
    assert mark().last_error == ""


def test_a_faulty_course_that_is_gone_has_no_fault(store):
    apply(store, faulty, KEY)
    apply(store, absent, KEY)

    assert state().fault is None


# Marks


def test_a_mark_counts_and_keeps_the_time_since_when_the_course_is_dirty():
    mark_courses([CourseMark(course_key=KEY, event_id="one", event_type="a")])
    first = mark()
    mark_courses([CourseMark(course_key=KEY, event_id="two", event_type="b")])

    assert (first.wanted, first.done) == (1, 0)
    assert (mark().wanted, mark().done) == (2, 0)
    assert mark().dirty_since == first.dirty_since
    assert (mark().last_event_id, mark().last_event_type) == ("two", "b")
    assert mark().last_event_at >= first.last_event_at


def test_a_mark_of_a_clean_course_begins_a_new_dirty_time(store):
    mark_courses([CourseMark(course_key=KEY)])
    first = mark()
    apply(store, absent, KEY)
    assert mark().dirty_since is None

    mark_courses([CourseMark(course_key=KEY)])

    assert mark().dirty_since > first.dirty_since


@pytest.mark.parametrize(
    ("then", "version", "at"),
    [
        (CourseMark(course_key=KEY, announced_version=V2, announced_at=T0), V2, T0),
        (
            CourseMark(
                course_key=KEY, announced_version=V2, announced_at=T0 + timedelta(seconds=1)
            ),
            V2,
            T0 + timedelta(seconds=1),
        ),
        (
            CourseMark(
                course_key=KEY, announced_version=V2, announced_at=T0 - timedelta(milliseconds=1)
            ),
            V1,
            T0,
        ),
        (
            CourseMark(
                course_key=KEY,
                announced_version=ANNOUNCED_DELETE,
                announced_at=T0 + timedelta(seconds=1),
            ),
            ANNOUNCED_DELETE,
            T0 + timedelta(seconds=1),
        ),
        (CourseMark(course_key=KEY), V1, T0),
    ],
    ids=["same time", "newer", "older", "newer delete", "unknown"],
)
def test_only_a_newer_announcement_replaces_the_one_that_is_known(then, version, at):
    mark_courses([CourseMark(course_key=KEY, announced_version=V1, announced_at=T0)])
    mark_courses([then])

    assert mark().announced_version == version
    assert mark().announced_at == at
    assert mark().wanted == 2


def test_an_announcement_is_kept_to_the_millisecond():
    at = T0.replace(microsecond=123_999)
    mark_courses([CourseMark(course_key=KEY, announced_version=V1, announced_at=at)])

    assert mark().announced_at == T0.replace(microsecond=123_000)


def test_an_announcement_that_was_answered_is_forgotten(store):
    mark_courses([CourseMark(course_key=KEY, announced_version=V1, announced_at=T0)])
    apply(store, written(), KEY)

    assert mark().announced_version is None
    assert mark().announced_at is None


def test_a_caller_that_enqueues_by_itself_keeps_the_sweeper_away():
    mark_courses([CourseMark(course_key=KEY)], not_before_seconds=60)

    held_for = (mark().next_attempt_at - mark().dirty_since).total_seconds()
    assert held_for == pytest.approx(60, abs=0.01)


def test_but_not_from_a_course_that_was_dirty_before():
    mark_courses([CourseMark(course_key=KEY)])
    mark_courses([CourseMark(course_key=KEY)], not_before_seconds=60)

    assert mark().next_attempt_at is None


def test_a_plain_mark_calls_the_sweeper_back():
    mark_courses([CourseMark(course_key=KEY)], not_before_seconds=60)
    mark_courses([CourseMark(course_key=KEY)])

    assert mark().next_attempt_at is None


def test_several_marks_of_one_course_are_one(django_assert_num_queries):
    marks = [
        CourseMark(course_key=OTHER),
        CourseMark(course_key=KEY, announced_version=V2, announced_at=T0 + timedelta(seconds=1)),
        CourseMark(course_key=KEY, announced_version=V1, announced_at=T0),
        CourseMark(course_key=KEY),
    ]

    with django_assert_num_queries(1):
        mark_courses(marks)

    assert [each.course_key for each in merge_marks(marks)] == [KEY, OTHER]
    assert mark(KEY).wanted == 1
    assert mark(KEY).announced_version == V2


def test_no_marks_are_no_query(django_assert_num_queries):
    with django_assert_num_queries(0):
        mark_courses([])


@on_mysql
@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_publish_leaves_no_mark():
    def publish_in_vain() -> None:
        with transaction.atomic():
            mark_courses([CourseMark(course_key=KEY)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        publish_in_vain()

    assert not OverviewMark.objects.exists()


# Statements and connections


@on_mysql
@pytest.mark.django_db(transaction=True)
def test_the_first_statement_of_a_transaction_is_the_lock_and_the_last_the_mark(store):
    locked(store, KEY)
    mark_courses([CourseMark(course_key=KEY)])
    statements: list[str] = []

    def note(execute, sql, *arguments):
        if not sql.startswith("SET SESSION"):  # how long the session may be silent
            statements.append(sql)
        return execute(sql, *arguments)

    with connection.execute_wrapper(note):
        apply(store, written(), KEY)

    assert "FOR UPDATE NOWAIT" in statements[0]
    assert statement_name(statements[-1]) == "INSERT overview_mark"


@on_mysql
@pytest.mark.django_db(transaction=True)
def test_a_chunk_skips_what_is_locked(store):
    locked(store, KEY)
    locked(store, OTHER)
    statements: list[str] = []

    def note(execute, sql, *arguments):
        if not sql.startswith("SET SESSION"):  # how long the session may be silent
            statements.append(sql)
        return execute(sql, *arguments)

    with connection.execute_wrapper(note), store.transaction([KEY, OTHER]):
        pass

    assert "FOR UPDATE SKIP LOCKED" in statements[0]


def kill_the_connection() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        (connection_id,) = cursor.fetchone()
    with own_connection() as own, own.cursor() as cursor:
        cursor.execute(f"KILL {int(connection_id)}")


CALLS = {
    "transaction": lambda store: locked(store, KEY),
    "still_dirty": lambda store: store.still_dirty({KEY: 0}),
    "postpone": lambda store: store.postpone([KEY], ModulestoreUnavailable("gone")),
    "take_due": lambda store: store.take_due(limit=10),
}


@on_mysql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", CALLS)
@pytest.mark.parametrize("then", CALLS)
def test_a_killed_connection_fails_one_call_and_the_next_one_works(store, first, then):
    mark_courses([CourseMark(course_key=KEY)])
    kill_the_connection()

    with pytest.raises(StoreUnavailable):
        CALLS[first](store)

    CALLS[then](store)


@on_mysql
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_killed_in_a_rebuild_leaves_nothing(store):
    modulestore = KillingModulestore()
    modulestore.publish(KEY, display_name="Tides")

    outcomes = mark_and_rebuild(store, modulestore, KEY)

    assert outcomes == {KEY: RebuildOutcome.UNAVAILABLE}
    assert not CourseOverview.objects.exists()
    assert mark().attempts == 1
    assert mark_and_rebuild(store, modulestore, KEY) == {KEY: RebuildOutcome.WRITTEN}


class KillingModulestore(InMemoryModulestore):
    """The first read costs the worker its connection to the overview database."""

    has_killed = False

    def read_published(self, pointers):
        if not self.has_killed:
            self.has_killed = True
            kill_the_connection()
        return super().read_published(pointers)


@on_mysql
@pytest.mark.django_db(transaction=True)
def test_a_mark_that_is_taken_for_too_long_costs_the_row_nothing(store):
    """A publisher's transaction holds its mark until it ends; then the course is rebuilt again."""
    mark_courses([CourseMark(course_key=KEY)])
    with own_connection() as own:
        own.set_autocommit(False)
        with own.cursor() as cursor:
            cursor.execute("SELECT 1 FROM overview_mark WHERE course_key = %s FOR UPDATE", [KEY])
        begun = time.monotonic()
        apply(store, written(), KEY)
        waited_seconds = time.monotonic() - begun
        own.rollback()

    assert waited_seconds > 0.9
    assert CourseOverview.objects.exists()
    assert mark().wanted > mark().done
    assert store.still_dirty({KEY: 1}) == []  # nothing new: it is not looked at again at once
    apply(store, written(), KEY)
    assert mark().wanted == mark().done
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@SESSION.innodb_lock_wait_timeout")
        assert cursor.fetchone() == (5,)
