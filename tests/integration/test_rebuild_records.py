"""Rebuild records: with the change or not at all, the last few, and at one statement's cost."""

from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dev.authoring.author import SplitAuthor
from lms_integration.events import CoursePublished
from lms_integration.explaining import explain_course
from lms_integration.marks import CourseMark, mark_courses, mark_of
from lms_integration.models import CourseOverview, OverviewMark, OverviewState, RebuildRecord
from overview_worker.bootstrap import Dependencies
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.rebuild import BUILDER_VERSION, RebuildDepth, rebuild_overviews
from overview_worker.store import records

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "course-v1:TestX+Records+R1"
OTHER = "course-v1:TestX+Records+R2"


def rebuild(adapters: Dependencies, *course_keys: str, rewrite: bool = False) -> None:
    rebuild_overviews(
        course_keys or (KEY,),
        modulestore=adapters.modulestore,
        store=adapters.store,
        build=adapters.build,
        depth=RebuildDepth.REWRITE if rewrite else RebuildDepth.DIRTY,
    )


def mark(*course_keys: str) -> None:
    mark_courses([CourseMark(course_key=key) for key in course_keys or (KEY,)])


def kept(course_key: str = KEY) -> list[RebuildRecord]:
    return list(RebuildRecord.objects.filter(course_key=course_key).order_by("-sequence"))


def test_a_first_build_leaves_a_record_of_all_that_happened(author: SplitAuthor, adapters):
    change = author.create_course(KEY, settings={"display_name": "Tides"})
    event = CoursePublished(course_key=KEY, event_id="e-1")
    mark_courses([mark_of(event)])

    rebuild(adapters)

    (record,) = kept()
    state = OverviewState.objects.get(course_key=KEY)
    assert (record.outcome, record.sequence, record.row_seq) == ("created", 1, 1)
    assert record.source_version == str(change.published_version)
    assert (record.event_id, record.event_type) == ("e-1", event.type_name)
    assert record.builder_version == BUILDER_VERSION
    assert state.built_at is not None
    assert 0 <= (record.recorded_at - state.built_at).total_seconds() < 60
    assert record.worker
    assert record.changed_columns is None
    assert (state.record_seq, bool(state.column_digests)) == (1, True)
    for duration in (record.waited_ms, record.read_ms, record.build_ms, record.write_ms):
        assert 0 < duration < 60_000


def test_a_change_tells_its_columns(author: SplitAuthor, adapters):
    author.create_course(KEY, settings={"display_name": "Tides"})
    mark()
    rebuild(adapters)
    author.edit_settings(KEY, {"display_name": "Dunes", "self_paced": True})
    mark()

    rebuild(adapters)

    record = kept()[0]
    assert (record.outcome, record.sequence) == ("written", 2)
    assert record.changed_columns == {"display_name": "Dunes", "self_paced": "True"}


@pytest.mark.parametrize("rewrite", [False, True])
def test_a_rebuild_that_changes_nothing_leaves_none(author: SplitAuthor, adapters, rewrite):
    author.create_course(KEY)
    mark()
    rebuild(adapters)
    mark()

    rebuild(adapters, rewrite=rewrite)

    assert len(kept()) == 1
    assert OverviewState.objects.get(course_key=KEY).record_seq == 1


def test_a_fault_and_a_delete_leave_theirs(author: SplitAuthor, adapters):
    author.create_course(KEY)
    mark()
    rebuild(adapters)
    bad = author.edit_settings(KEY, {"start": "soon"})
    mark()
    rebuild(adapters)
    author.delete_course(KEY)
    mark_courses([CourseMark(course_key=KEY)])
    OverviewMark.objects.filter(course_key=KEY).update(announced_version=None)

    rebuild(adapters)

    deleted, faulty, created = kept()
    assert [r.outcome for r in (deleted, faulty, created)] == ["deleted", "faulty", "created"]
    assert "start = 'soon'" in faulty.error
    assert faulty.source_version == str(bad.published_version)
    assert (faulty.row_seq, deleted.row_seq) == (1, 2)


def test_a_row_that_the_database_refuses_leaves_a_record_of_the_fault_alone(
    author: SplitAuthor, adapters
):
    author.create_course(KEY, settings={"display_name": "Tides"})
    mark()

    def too_long(course):
        built = build_overview(course, settings=BuilderSettings())
        return replace(built, overview=replace(built.overview, location="x" * 256))

    rebuild_overviews([KEY], modulestore=adapters.modulestore, store=adapters.store, build=too_long)

    (record,) = kept()
    assert (record.outcome, record.sequence) == ("faulty", 1)
    assert not CourseOverview.objects.filter(id=KEY).exists()


def test_the_last_few_are_kept(author: SplitAuthor, adapters):
    author.create_course(KEY)
    mark()
    rebuild(adapters)

    for number in range(records.KEPT_RECORDS + 4):
        author.edit_settings(KEY, {"display_name": f"Name {number}"})
        mark()
        rebuild(adapters)

    found = kept()
    assert len(found) == records.KEPT_RECORDS
    assert [r.sequence for r in found] == list(range(25, 5, -1))
    assert found[0].changed_columns == {"display_name": "Name 23"}


def test_the_story_tells_old_and_new_values(author: SplitAuthor, adapters):
    author.create_course(KEY, settings={"display_name": "Tides"})
    for name in ("Dunes", "Reefs"):
        author.edit_settings(KEY, {"display_name": name})
        mark()
        rebuild(adapters)
        author.edit_settings(KEY, {"display_name": f"{name} again"})
        mark()
        rebuild(adapters)

    story = explain_course(KEY)

    assert story.rebuilds[0].changed == ("display_name: Reefs → Reefs again",)
    assert story.rebuilds[-1].changed == ("all columns: there was no row",)


def test_a_record_costs_one_statement_and_an_unchanged_rebuild_none(author: SplitAuthor, adapters):
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

    def about_records(queries: CaptureQueriesContext) -> list[str]:
        return [q["sql"] for q in queries if "overview_rebuild_record" in q["sql"]]

    assert len(about_records(changed)) == 1
    assert about_records(unchanged) == []


def test_a_chunk_writes_its_records_with_one_statement(author: SplitAuthor, adapters):
    for key in (KEY, OTHER):
        author.create_course(key)
    mark(KEY, OTHER)

    with CaptureQueriesContext(connection) as queries:
        rebuild(adapters, KEY, OTHER)

    assert len([q for q in queries if "overview_rebuild_record" in q["sql"]]) == 1
    assert [r.course_count for r in (*kept(KEY), *kept(OTHER))] == [2, 2]
