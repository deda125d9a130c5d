"""What changed of a row is written down once, with the change, and told by what the tables held."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dev.authoring.author import SplitAuthor
from lms_integration.change_values import recorded_value
from lms_integration.data import CourseOverviewImageSetData
from lms_integration.events import CourseDeleted, CoursePublished
from lms_integration.marks import CourseMark, mark_courses, mark_of
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    OverviewChange,
    OverviewMark,
    OverviewProjection,
    OverviewState,
)
from overview_worker.bootstrap import Dependencies
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.column_changes import RECORDED_VALUE_LENGTH
from overview_worker.documents import BuiltOverview
from overview_worker.errors import MalformedCourse
from overview_worker.ports import Change, LockedCourse, RebuildCause, WriteOverview
from overview_worker.rebuild import BUILDER_VERSION, RebuildDepth, rebuild_overviews
from overview_worker.store.conf import StoreConf
from overview_worker.store.overview_store import DjangoOverviewStore
from tests.shared_data import needs_shared_data, published_courses
from tests.written_overviews import MakeChange, apply, removed, written

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "course-v1:TestX+Changes+R1"
OTHER = "course-v1:TestX+Changes+R2"


def rebuild(
    adapters: Dependencies,
    *course_keys: str,
    rewrite: bool = False,
    cause: RebuildCause | None = None,
) -> None:
    rebuild_overviews(
        course_keys or (KEY,),
        modulestore=adapters.modulestore,
        store=adapters.store,
        build=adapters.build,
        depth=RebuildDepth.REWRITE if rewrite else RebuildDepth.DIRTY,
        cause=cause,
    )


def mark(*course_keys: str, rewrite: bool = False, event_type: str = "") -> None:
    keys = course_keys or (KEY,)
    mark_courses(
        [CourseMark(course_key=key, rewrite=rewrite, event_type=event_type) for key in keys]
    )


def told(course_key: str = KEY) -> list[OverviewChange]:
    """All changes of a course, oldest first."""
    return list(OverviewChange.objects.filter(course_key=course_key).order_by("id"))


def store(**conf) -> DjangoOverviewStore:
    return DjangoOverviewStore(StoreConf(builder_version=BUILDER_VERSION, **conf))


# Paths


def test_a_new_row_is_created_with_all_its_values(author: SplitAuthor, adapters):
    change = author.create_course(KEY, settings={"display_name": "Tides", "self_paced": True})
    event = CoursePublished(course_key=KEY, event_id="e-1")
    mark_courses([mark_of(event)])

    rebuild(adapters)

    (created,) = told()
    assert (created.kind, created.row_seq) == ("created", 1)
    assert created.columns["display_name"] == [None, "Tides"]
    assert created.columns["self_paced"] == [None, True]
    assert created.columns["course_visibility"] == [None, "private"]
    assert created.columns["tabs"][0] is None
    assert "id" not in created.columns
    assert all(old is None and new is not None for old, new in created.columns.values())
    assert created.source_version == str(change.published_version)
    assert created.builder_version == BUILDER_VERSION
    assert (created.cause, created.event_id) == (event.type_name, "e-1")
    assert (created.run_id, created.asked_by) == (None, "a management command of Studio")
    assert created.worker
    assert (created.announced_at, created.signalled_at) == (None, None)


def test_a_publish_tells_old_and_new(author: SplitAuthor, adapters):
    author.create_course(KEY, settings={"display_name": "Tides"})
    mark()
    rebuild(adapters)
    author.edit_settings(KEY, {"display_name": "Dunes", "start": datetime(2031, 5, 1, tzinfo=UTC)})
    mark()

    rebuild(adapters)

    changed = told()[-1]
    assert (changed.kind, changed.row_seq) == ("changed", 2)
    assert changed.columns["display_name"] == ["Tides", "Dunes"]
    assert changed.columns["start"] == ["2030-01-01T00:00:00Z", "2031-05-01T00:00:00Z"]
    assert set(changed.columns) == {"display_name", "start"}


def test_a_delete_tells_what_is_gone(author: SplitAuthor, adapters):
    author.create_course(KEY, settings={"display_name": "Tides"})
    mark()
    rebuild(adapters)
    author.delete_course(KEY)
    mark_courses([mark_of(CourseDeleted(course_key=KEY))])

    rebuild(adapters)

    deleted = told()[-1]
    assert (deleted.kind, deleted.row_seq) == ("deleted", 2)
    assert deleted.columns["display_name"] == ["Tides", None]
    assert deleted.columns["tabs"][0]
    assert deleted.source_version == ""


def test_a_course_that_comes_back_is_created_again(author: SplitAuthor, adapters):
    author.create_course(KEY)
    mark()
    rebuild(adapters)
    author.delete_course(KEY)
    mark_courses([mark_of(CourseDeleted(course_key=KEY))])
    rebuild(adapters)
    author.create_course(KEY)
    mark()

    rebuild(adapters)

    assert [(each.kind, each.row_seq) for each in told()] == [
        ("created", 1),
        ("deleted", 2),
        ("created", 3),
    ]


@pytest.mark.parametrize("rewrite", [False, True])
def test_what_changes_nothing_leaves_none(author: SplitAuthor, adapters, rewrite):
    author.create_course(KEY)
    mark()
    rebuild(adapters)
    mark(rewrite=rewrite)

    rebuild(adapters, rewrite=rewrite)

    assert len(told()) == 1


def test_a_fault_leaves_none(author: SplitAuthor, adapters):
    author.create_course(KEY)
    mark()
    rebuild(adapters)
    author.edit_settings(KEY, {"start": "soon"})
    mark()

    rebuild(adapters)

    assert len(told()) == 1


def test_a_change_that_is_rolled_back_is_not_told(author: SplitAuthor, adapters):
    author.create_course(KEY)
    mark()

    def too_long(course):
        built = build_overview(course, settings=BuilderSettings())
        return replace(built, overview=replace(built.overview, location="x" * 256))

    rebuild_overviews([KEY], modulestore=adapters.modulestore, store=adapters.store, build=too_long)

    assert told() == []


def test_a_rebuild_run_is_named_with_who_asked_for_it(author: SplitAuthor, adapters):
    author.create_course(KEY, settings={"display_name": "Tides"})
    mark_courses([mark_of(CoursePublished(course_key=KEY, event_id="e-1"))])
    rebuild(adapters)
    CourseOverview.objects.filter(id=KEY).update(display_name="By hand")

    rebuild(adapters, rewrite=True, cause=RebuildCause(run_id=7, asked_by="ann"))

    repaired = told()[-1]
    assert (repaired.cause, repaired.event_id) == ("rebuild run", "")
    assert (repaired.run_id, repaired.asked_by) == (7, "ann")


def test_who_marked_is_the_cause(author: SplitAuthor, adapters):
    author.create_course(KEY)
    mark(event_type="inspector: missing")

    rebuild(adapters)

    assert told()[0].cause == "inspector: missing"


def test_the_change_is_there_before_the_mark_is_done(author: SplitAuthor, adapters):
    author.create_course(KEY)
    mark()

    with CaptureQueriesContext(connection) as queries:
        rebuild(adapters)

    written = [
        next((name for name in ("overview_change", "overview_mark") if name in sql), "other")
        for sql in (each["sql"].lstrip() for each in queries)
        if sql.startswith(("INSERT", "UPDATE", "SET")) and "overview_" in sql
    ]
    assert written.index("overview_change") < written.index("overview_mark")
    assert written[-1] == "overview_mark"


@pytest.mark.parametrize(
    ("edited_by", "who"),
    [
        (12, "Studio user 12"),
        (-1, "a management command of Studio"),
        (-3, ""),
        (None, ""),
        ("12", ""),
        (True, ""),
    ],
)
def test_the_history_tells_who_published_what_has_changed(
    author: SplitAuthor, adapters, mongo_database, edited_by, who
):
    author.create_course(KEY, settings={"display_name": "Tides"})
    mongo_database["modulestore.structures"].update_many({}, {"$set": {"edited_by": edited_by}})
    mark()

    rebuild(adapters)

    assert told()[-1].asked_by == who


def test_a_repair_of_a_version_that_was_built_before_is_nobody_s_publish(
    author: SplitAuthor, adapters, mongo_database
):
    author.create_course(KEY, settings={"display_name": "Tides"})
    mongo_database["modulestore.structures"].update_many({}, {"$set": {"edited_by": 12}})
    mark()
    rebuild(adapters)
    CourseOverview.objects.filter(id=KEY).update(display_name="By hand")
    mark(rewrite=True)

    rebuild(adapters)

    assert [change.asked_by for change in told()] == ["Studio user 12", ""]


# Truth of the tables


def test_the_repair_of_a_row_that_was_edited_by_hand_is_a_change(author: SplitAuthor, adapters):
    author.create_course(KEY, settings={"display_name": "Tides"})
    mark()
    rebuild(adapters)
    CourseOverview.objects.filter(id=KEY).update(
        display_name="By hand", lowest_passing_grade=Decimal("0.99")
    )
    OverviewProjection.objects.filter(course_key=KEY).update(textbooks=[["T", "u"]])
    CourseOverviewTab.objects.filter(course_overview_id=KEY, tab_id="courseware").delete()
    mark(rewrite=True)

    rebuild(adapters)

    repaired = told()[-1]
    assert repaired.kind == "changed"
    assert set(repaired.columns) == {"display_name", "lowest_passing_grade", "textbooks", "tabs"}
    assert repaired.columns["display_name"] == ["By hand", "Tides"]
    assert repaired.columns["lowest_passing_grade"] == ["0.99", "0.50"]
    assert repaired.columns["textbooks"] == [[["T", "u"]], []]
    old, new = repaired.columns["tabs"]
    assert len(new) == len(old) + 1
    assert new[0]["tab_id"]


def test_a_publish_tells_also_what_somebody_had_changed_by_hand(author: SplitAuthor, adapters):
    author.create_course(KEY, settings={"display_name": "Tides"})
    mark()
    rebuild(adapters)
    CourseOverview.objects.filter(id=KEY).update(effort="By hand")
    author.edit_settings(KEY, {"display_name": "Dunes"})
    mark()

    rebuild(adapters)

    assert told()[-1].columns == {
        "display_name": ["Tides", "Dunes"],
        "effort": ["By hand", None],
    }


def test_a_row_that_was_lost_is_created(author: SplitAuthor, adapters):
    author.create_course(KEY)
    mark()
    rebuild(adapters)
    CourseOverview.objects.filter(id=KEY).delete()
    mark()

    rebuild(adapters)

    assert [each.kind for each in told()] == ["created", "created"]


def test_a_projection_that_was_lost_comes_back_as_a_change(author: SplitAuthor, adapters):
    author.create_course(KEY)
    mark()
    rebuild(adapters)
    OverviewProjection.objects.filter(course_key=KEY).delete()
    mark(rewrite=True)

    rebuild(adapters)

    assert told()[-1].columns["course_visibility"] == [None, "private"]


def test_the_language_of_a_catalog_is_not_told():
    catalogs = store(catalog_owns_language=True)
    apply(catalogs, written(display_name="Tides", language="fr"), KEY)
    CourseOverview.objects.filter(id=KEY).update(language="de")

    apply(catalogs, written(display_name="Dunes", language="en"), KEY)

    assert told()[-1].columns == {"display_name": ["Tides", "Dunes"]}


def test_an_image_set_is_one_column():
    def with_images(small: str) -> Callable[[BuiltOverview], BuiltOverview]:
        images = CourseOverviewImageSetData(small_url=small, large_url="/l")
        return lambda built: replace(built, image_set=images)

    apply(store(), written(alter=with_images("/s")), KEY)
    apply(store(), written(display_name="x", alter=with_images("/s2")), KEY)

    apply(store(), written(display_name="y"), KEY)

    created, changed, removed_images = told()
    assert created.columns["image_set"] == [None, {"small_url": "/s", "large_url": "/l"}]
    assert changed.columns["image_set"] == [
        {"small_url": "/s", "large_url": "/l"},
        {"small_url": "/s2", "large_url": "/l"},
    ]
    assert removed_images.columns["image_set"] == [{"small_url": "/s2", "large_url": "/l"}, None]
    assert not CourseOverviewImageSet.objects.filter(course_overview_id=KEY).exists()


def test_a_long_value_is_cut_with_its_length_and_digest():
    def with_page(text: str) -> Callable[[BuiltOverview], BuiltOverview]:
        return lambda built: replace(
            built, projection=replace(built.projection, overview_html=text)
        )

    long = "é" * (RECORDED_VALUE_LENGTH + 1)
    apply(store(), written(alter=with_page(long)), KEY)
    apply(store(), written(alter=with_page("<p>short</p>")), KEY)

    old, new = told()[-1].columns["overview_html"]
    assert new == "<p>short</p>"
    assert old["characters"] == len(long)
    assert old["cut"] == "é" * RECORDED_VALUE_LENGTH
    assert len(old["sha256"]) == 64


def real_overviews() -> dict[str, BuiltOverview]:
    """What the builder makes of every course of the reference data that can be built."""
    found = {}
    for key, course in published_courses().items():
        with suppress(MalformedCourse):
            found[key] = build_overview(course, settings=BuilderSettings())
    assert len(found) > 100
    return found


def as_it_is(built: BuiltOverview) -> Callable[[BuiltOverview], BuiltOverview]:
    return lambda _: built


@needs_shared_data
def test_real_courses_are_told_in_full_values():
    for key, built in real_overviews().items():
        apply(store(), written(alter=as_it_is(built)), key)

        (created,) = told(key)
        for data in (built.overview, built.projection):
            for field in fields(data):
                if field.name != "id":
                    value = created.columns.get(field.name, [None, None])[1]
                    assert value == _as_recorded(getattr(data, field.name)), (key, field.name)


def _as_recorded(value):
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, str) and len(value) > RECORDED_VALUE_LENGTH:
        return recorded_value(value, length=RECORDED_VALUE_LENGTH)
    return json.loads(json.dumps(value))


@needs_shared_data
def test_writing_a_real_course_again_tells_nothing():
    """What is read back is equal to what was written, for every column of every course."""
    for key, built in real_overviews().items():
        make = written(alter=as_it_is(built))
        apply(store(), make, key)

        apply(store(), all_of(make), key)

        assert [each.kind for each in told(key)] == ["created"], told(key)[-1].columns


@needs_shared_data
def test_one_real_course_over_another_tells_each_column_that_differs():
    overviews = list(real_overviews().values())
    for old, new in zip(overviews[:60], overviews[60:120], strict=True):
        new = replace(new, overview=replace(new.overview, id=old.overview.id))
        key = old.overview.id
        apply(store(), written(alter=as_it_is(old)), key)
        apply(store(), written(alter=as_it_is(new)), key)

        changed = told(key)[-1]
        expected = {
            field.name: [_as_recorded(getattr(data, field.name)) for data in (one, other)]
            for one, other in ((old.overview, new.overview), (old.projection, new.projection))
            for field in fields(one)
            if getattr(one, field.name) != getattr(other, field.name)
        }
        assert {name: changed.columns[name] for name in expected} == expected
        assert set(changed.columns) - set(expected) <= {"tabs"}


def all_of(make: MakeChange) -> MakeChange:
    """Write everything, also what the state remembers."""

    def make_all(course: LockedCourse) -> Change:
        write = make(course)
        assert isinstance(write, WriteOverview)
        return replace(write, row_changed=True, tabs_changed=True, projection_changed=True)

    return make_all


# Cost


def about_changes(queries: CaptureQueriesContext) -> list[str]:
    return [
        each["sql"]
        for each in queries
        if "overview_change" in each["sql"]
        or (each["sql"].startswith("SELECT o.") and "overview_projection" in each["sql"])
    ]


def test_a_change_costs_two_statements_and_an_unchanged_rebuild_none(author, adapters):
    author.create_course(KEY, settings={"display_name": "Tides"})
    mark()
    rebuild(adapters)
    author.edit_settings(KEY, {"display_name": "Dunes"})
    mark()

    with CaptureQueriesContext(connection) as changed:
        rebuild(adapters)
    mark()
    with CaptureQueriesContext(connection) as unchanged:
        rebuild(adapters)

    assert len(about_changes(changed)) == 2
    assert about_changes(unchanged) == []


def test_a_chunk_costs_no_more_than_one_course(author, adapters):
    for key in (KEY, OTHER):
        author.create_course(key, settings={"display_name": "Tides"})
    mark(KEY, OTHER)
    rebuild(adapters, KEY, OTHER)
    for key in (KEY, OTHER):
        author.edit_settings(key, {"display_name": "Dunes"})
    mark(KEY, OTHER)

    with CaptureQueriesContext(connection) as queries:
        rebuild(adapters, KEY, OTHER)

    assert len(about_changes(queries)) == 2
    assert [len(told(key)) for key in (KEY, OTHER)] == [2, 2]


def test_a_delete_of_a_course_whose_row_is_lost_is_told_all_the_same():
    apply(store(), written(), KEY)
    CourseOverview.objects.filter(id=KEY).delete()

    apply(store(), removed, KEY)

    assert [(each.kind, each.columns != {}) for each in told()] == [
        ("created", True),
        ("deleted", False),
    ]
    assert OverviewState.objects.get(course_key=KEY).row_seq == told()[-1].row_seq
    assert not OverviewMark.objects.filter(course_key=KEY, last_error__gt="").exists()
