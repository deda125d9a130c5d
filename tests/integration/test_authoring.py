"""What the author writes to a real MongoDB, compared with what Open edX was recorded to write."""

import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import bson
import pytest
from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from dev.authoring.author import CourseExists, CourseNotFound, PublishedChange, SplitAuthor
from dev.authoring.catalogue import sample_catalogue, write_catalogue
from dev.authoring.documents import ROOT, block_id_of
from dev.authoring.dumps import (
    COLLECTIONS,
    dump_folder,
    load_modulestore_dump,
    read_reference_overviews,
)
from dev.authoring.index import MongoCourseIndex
from dev.authoring.steps import WriteStep

pytestmark = pytest.mark.service

KEY = "course-v1:Org+Course+Run"
RERUN = "course-v1:Org+Course+Run2"
DUMP = dump_folder()
needs_dump = pytest.mark.skipif(DUMP is None, reason="the recorded modulestore is not here")

Author = Callable[..., SplitAuthor]


class Clock:
    """Moves by a second at each look."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment


@pytest.fixture
def author(mongo_database: Database[Any]) -> SplitAuthor:
    return SplitAuthor(mongo_database, index=MongoCourseIndex(mongo_database), now=Clock())


def index_document(database: Database[Any], course_key: str = KEY) -> dict[str, Any]:
    org, course, run = course_key.removeprefix("course-v1:").split("+")
    document = database["modulestore.active_versions"].find_one(
        {"org": org, "course": course, "run": run}
    )
    assert document is not None
    return dict(document)


def structure(database: Database[Any], branch: str, course_key: str = KEY) -> dict[str, Any]:
    structure_id = index_document(database, course_key)["versions"][branch]
    document = database["modulestore.structures"].find_one(structure_id)
    assert document is not None
    return dict(document)


def published(database: Database[Any], course_key: str = KEY) -> dict[tuple[str, str], Any]:
    blocks = structure(database, "published-branch", course_key)["blocks"]
    return {block_id_of(block): block for block in blocks}


def draft(database: Database[Any], course_key: str = KEY) -> dict[tuple[str, str], Any]:
    blocks = structure(database, "draft-branch", course_key)["blocks"]
    return {block_id_of(block): block for block in blocks}


def definition(database: Database[Any], block: Mapping[str, Any]) -> dict[str, Any]:
    document = database["modulestore.definitions"].find_one(block["definition"])
    assert document is not None
    return dict(document)


def live_a_course_life(author: SplitAuthor) -> None:
    author.create_course(KEY, about={"effort": "3 hours"}, chapters=[{"highlights": ["a"]}])
    author.edit_settings(KEY, {"display_name": "Tides"})
    author.edit_content(KEY, {"grading_policy": {"GRADE_CUTOFFS": {"Pass": 0.6}}})
    author.edit_about(KEY, "short_description", "The sea, twice a day.")
    author.add_chapter(KEY, {"display_name": "Week 1"}, draft_unit=True)
    author.edit_html(KEY, "<p>Read again.</p>")
    author.publish(KEY)
    author.rerun(KEY, RERUN, {"display_name": "Tides again"})


# The same operations as recorded


def test_a_new_course_has_both_branches_and_a_published_overview(author, mongo_database):
    change = author.create_course(KEY)

    entry = index_document(mongo_database)
    assert set(entry["versions"]) == {"draft-branch", "published-branch"}
    assert change.published_version == str(entry["versions"]["published-branch"])
    assert ("about", "overview") in published(mongo_database)
    assert set(published(mongo_database)) == set(draft(mongo_database))


def test_the_change_tells_the_time_that_the_index_keeps(author, mongo_database):
    change = author.create_course(KEY)

    stored = index_document(mongo_database)["last_update"]
    assert change.updated_at == stored.replace(tzinfo=UTC)
    assert change.updated_at.microsecond == 123_000


def test_an_edit_of_the_settings_publishes_at_once(author, mongo_database):
    created = author.create_course(KEY, settings={"display_name": "Old", "language": "en"})

    change = author.edit_settings(KEY, {"display_name": "New"}, unset=["language"])

    fields = published(mongo_database)[ROOT]["fields"]
    assert change.published_version != created.published_version
    assert fields["display_name"] == "New"
    assert "language" not in fields


def test_a_new_structure_continues_the_chain(author, mongo_database):
    created = author.create_course(KEY)

    author.edit_settings(KEY, {"display_name": "New"})

    after = structure(mongo_database, "published-branch")
    assert str(after["previous_version"]) == created.published_version
    assert str(after["original_version"]) == created.published_version


def test_an_edit_of_the_content_writes_a_new_definition(author, mongo_database):
    author.create_course(KEY, content={"grading_policy": {"GRADE_CUTOFFS": {"Pass": 0.5}}})
    before = published(mongo_database)[ROOT]["definition"]

    author.edit_content(KEY, {"certificate_available_date": datetime(2026, 5, 1, tzinfo=UTC)})

    after = definition(mongo_database, published(mongo_database)[ROOT])
    assert after["edit_info"]["previous_version"] == before
    assert after["fields"]["grading_policy"] == {"GRADE_CUTOFFS": {"Pass": 0.5}}
    assert "certificate_available_date" in after["fields"]


def test_an_about_text_is_added_changed_and_removed(author, mongo_database):
    author.create_course(KEY)
    effort = ("about", "effort")

    author.edit_about(KEY, "effort", "2 hours")
    author.edit_about(KEY, "effort", "3 hours")
    text = definition(mongo_database, published(mongo_database)[effort])["fields"]["data"]
    author.edit_about(KEY, "effort", None)

    assert text == "3 hours"
    assert effort not in published(mongo_database)
    assert effort not in draft(mongo_database)


def test_removing_an_about_text_that_is_not_there_writes_nothing(author, mongo_database):
    created = author.create_course(KEY)

    change = author.edit_about(KEY, "effort", None)

    assert change == PublishedChange(
        course_key=KEY,
        published_version=created.published_version,
        updated_at=created.updated_at,
        is_publish=False,
    )
    assert mongo_database["modulestore.structures"].count_documents({}) == 2


def test_tabs_are_replaced(author, mongo_database):
    author.create_course(KEY)
    tabs = [{"type": "courseware", "name": "Course"}]

    author.edit_tabs(KEY, tabs)

    assert published(mongo_database)[ROOT]["fields"]["tabs"] == tabs


def test_a_chapter_is_edited_by_its_position(author, mongo_database):
    author.create_course(KEY, chapters=[{"display_name": "A"}, {"display_name": "B"}])

    author.edit_chapter(KEY, 1, {"highlights": ["Sea"]})

    chapters = [block for key, block in published(mongo_database).items() if key[0] == "chapter"]
    assert [chapter["fields"].get("highlights") for chapter in chapters] == [None, ["Sea"]]


@pytest.mark.parametrize("edit", ["edit_draft", "edit_html"])
def test_an_edit_of_the_draft_does_not_move_the_published_branch(author, mongo_database, edit):
    created = author.create_course(KEY, block_count=20)
    text_or_settings = {"edit_draft": {"display_name": "New"}, "edit_html": "<p>New</p>"}
    before = index_document(mongo_database)["versions"]

    change = getattr(author, edit)(KEY, text_or_settings[edit])

    after = index_document(mongo_database)["versions"]
    assert after["published-branch"] == before["published-branch"]
    assert after["draft-branch"] != before["draft-branch"]
    assert change.published_version == created.published_version
    assert not change.is_publish


def test_publishing_brings_the_draft_into_a_new_published_structure(author, mongo_database):
    author.create_course(KEY)
    edited = author.edit_draft(KEY, {"display_name": "New"})
    draft_before = index_document(mongo_database)["versions"]["draft-branch"]

    change = author.publish(KEY)

    assert change.published_version != edited.published_version
    assert published(mongo_database)[ROOT]["fields"]["display_name"] == "New"
    assert index_document(mongo_database)["versions"]["draft-branch"] == draft_before


def test_a_save_without_change_still_makes_a_published_structure(author, mongo_database):
    created = author.create_course(KEY, settings={"display_name": "Same"})
    before = published(mongo_database)

    change = author.resave(KEY)

    after = published(mongo_database)
    assert change.published_version != created.published_version
    assert {key: block["fields"] for key, block in after.items()} == {
        key: block["fields"] for key, block in before.items()
    }


def test_a_rerun_shares_the_published_structure_of_its_source(author, mongo_database):
    source = author.create_course(KEY, settings={"display_name": "First"})

    rerun = author.rerun(KEY, RERUN, {"display_name": "Second"})

    assert rerun.published_version == source.published_version
    assert published(mongo_database, RERUN)[ROOT]["fields"]["display_name"] == "First"
    assert draft(mongo_database, RERUN)[ROOT]["fields"]["display_name"] == "Second"


def test_publishing_a_rerun_gives_it_its_own_structure(author, mongo_database):
    source = author.create_course(KEY, settings={"display_name": "First"})
    author.rerun(KEY, RERUN, {"display_name": "Second"})

    rerun = author.publish(RERUN)

    assert rerun.published_version != source.published_version
    assert published(mongo_database, RERUN)[ROOT]["fields"]["display_name"] == "Second"
    assert published(mongo_database, KEY)[ROOT]["fields"]["display_name"] == "First"


def test_a_delete_leaves_structures_and_definitions(author, mongo_database):
    author.create_course(KEY)
    names = ["modulestore.structures", "modulestore.definitions"]
    before = [mongo_database[name].count_documents({}) for name in names]

    change = author.delete_course(KEY)

    assert change.published_version is None
    assert mongo_database["modulestore.active_versions"].count_documents({}) == 0
    assert [mongo_database[name].count_documents({}) for name in names] == before


def test_a_course_created_again_shares_no_id_with_the_deleted_one(author, mongo_database):
    first = author.create_course(KEY)
    first_entry_id = index_document(mongo_database)["_id"]
    author.delete_course(KEY)

    second = author.create_course(KEY)

    assert second.published_version != first.published_version
    assert index_document(mongo_database)["_id"] != first_entry_id


def test_a_key_is_given_once(author):
    author.create_course(KEY)

    with pytest.raises(CourseExists):
        author.create_course(KEY)
    with pytest.raises(CourseExists):
        author.rerun(KEY, KEY)


def test_keys_that_differ_by_case_are_two_courses(author):
    author.create_course(KEY)

    author.create_course(KEY.lower())

    assert author.course_keys() == {KEY, KEY.lower()}


def test_the_index_itself_refuses_a_second_entry_of_one_key(author, mongo_database):
    author.create_course(KEY)
    entry = index_document(mongo_database)

    with pytest.raises(BulkWriteError, match="duplicate key"):
        mongo_database["modulestore.active_versions"].insert_many([entry | {"_id": ObjectId()}])


def test_a_course_that_does_not_exist_cannot_be_edited(author):
    with pytest.raises(CourseNotFound):
        author.edit_settings(KEY, {})


def test_another_author_goes_on_where_the_first_stopped(author, mongo_database):
    author.create_course(KEY, settings={"display_name": "First"})
    other = SplitAuthor(mongo_database, index=MongoCourseIndex(mongo_database))

    other.edit_settings(KEY, {"language": "en"})
    author.edit_settings(KEY, {"self_paced": True})

    fields = published(mongo_database)[ROOT]["fields"]
    assert (fields["display_name"], fields["language"], fields["self_paced"]) == (
        "First",
        "en",
        True,
    )


# Stopping between the writes


@pytest.mark.parametrize("stop", [WriteStep.STRUCTURE, WriteStep.DEFINITION, WriteStep.MONGO_INDEX])
def test_a_stop_before_any_write_leaves_the_index_as_it_was(author, mongo_database, stop):
    author.create_course(KEY)
    before = index_document(mongo_database)

    def fail(step: WriteStep) -> None:
        if step is stop:
            raise InterruptedError(step)

    index = MongoCourseIndex(mongo_database)
    interrupted = SplitAuthor(mongo_database, index=index, step=fail)
    with pytest.raises(InterruptedError):
        interrupted.edit_content(KEY, {"grading_policy": {}})

    assert index_document(mongo_database) == before


def test_structures_come_first_then_definitions_then_the_index(mongo_database):
    steps: list[str] = []
    index = MongoCourseIndex(mongo_database)
    author = SplitAuthor(mongo_database, index=index, step=steps.append)

    author.create_course(KEY)

    assert steps == ["structure", "definition", "mongo_index"]


# Compared with the recording


def shape(document: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, type(value).__name__) for name, value in document.items())


def shapes(documents: Iterable[Mapping[str, Any]]) -> set[tuple[tuple[str, str], ...]]:
    return {shape(document) for document in documents}


def recorded(name: str) -> list[dict[str, Any]]:
    assert DUMP is not None
    with gzip.open(DUMP / "core" / f"modulestore.{name}.bson.gz") as dump:
        return bson.decode_all(dump.read())


@needs_dump
@pytest.mark.parametrize("name", ["active_versions", "structures", "definitions"])
def test_documents_have_the_keys_and_types_of_recorded_ones(author, mongo_database, name):
    live_a_course_life(author)

    written = list(mongo_database[f"modulestore.{name}"].find())

    assert shapes(written) <= shapes(recorded(name))


@needs_dump
@pytest.mark.parametrize("part", [None, "edit_info"])
def test_blocks_have_the_keys_and_types_of_recorded_ones(author, mongo_database, part):
    live_a_course_life(author)

    def blocks(structures: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        found = [block for document in structures for block in document["blocks"]]
        return found if part is None else [block[part] for block in found]

    written = blocks(mongo_database["modulestore.structures"].find())

    assert shapes(written) <= shapes(blocks(recorded("structures")))


@needs_dump
def test_definitions_tell_of_their_edits_as_recorded_ones_do(author, mongo_database):
    live_a_course_life(author)

    written = mongo_database["modulestore.definitions"].find()

    recorded_edits = shapes(document["edit_info"] for document in recorded("definitions"))
    assert shapes(document["edit_info"] for document in written) <= recorded_edits


Write = tuple[str, str, int | str | None]


def in_order(writes: list[Write]) -> list[list[Write]]:
    """Group what is written to one collection in a row; inside a group the order varied."""
    return [sorted(group, key=repr) for _, group in groupby(writes, key=lambda write: write[1])]


def recorded_writes(operation: str) -> list[Write]:
    assert DUMP is not None
    events = json.loads((DUMP / "change_stream_events.json").read_text())[operation]
    return [
        (event["op"], event["coll"], event["blocks"] or event["block_type"])
        for event in events
        if event["src"] == "mongo"
    ]


def watched_writes(stream: Any) -> list[Write]:
    """Return what the stream tells up to the index write, which is always the last."""
    writes: list[Write] = []
    while not writes or writes[-1][1] != "modulestore.active_versions":
        event = stream.next()
        document = event.get("fullDocument", {})
        detail = len(document.get("blocks", ())) or document.get("block_type")
        writes.append((event["operationType"], event["ns"]["coll"], detail))
    return writes


RECORDED_LIFE: list[tuple[str, Callable[[SplitAuthor], PublishedChange]]] = [
    ("create_course", lambda author: author.create_course(KEY)),
    ("update_course_settings", lambda author: author.edit_settings(KEY, {"language": "en"})),
    ("update_item_without_change", lambda author: author.resave(KEY)),
    (
        "update_grading_policy(content scope)",
        lambda author: author.edit_content(KEY, {"grading_policy": {}}),
    ),
    (
        "create_chapter_tree_in_one_bulk_op",
        lambda author: author.add_chapter(KEY, {"display_name": "Week 1"}, draft_unit=True),
    ),
    ("edit_html_draft_only", lambda author: author.edit_html(KEY, "<p>New</p>")),
    ("publish_vertical", lambda author: author.publish(KEY)),
    ("clone_course", lambda author: author.rerun(KEY, RERUN, {"display_name": "Again"})),
]


@needs_dump
def test_each_operation_writes_what_open_edx_writes_in_its_order(author, mongo_database):
    with mongo_database.watch() as stream:
        for operation, edit in RECORDED_LIFE:
            edit(author)
            assert in_order(watched_writes(stream)) == in_order(recorded_writes(operation)), (
                operation
            )
        deletes: list[Write] = []
        for key in (KEY, RERUN):
            author.delete_course(key)
            deletes.extend(watched_writes(stream))

    assert deletes == recorded_writes("delete_course")


@needs_dump
def test_the_recorded_modulestore_is_loaded_and_loading_again_changes_nothing(mongo_database):
    assert DUMP is not None

    first = load_modulestore_dump(DUMP, mongo_database)
    second = load_modulestore_dump(DUMP, mongo_database)

    assert first == second
    assert first == {
        "modulestore.active_versions": 322,
        "modulestore.structures": 639,
        "modulestore.definitions": 2180,
        "fs.files": 36,
        "fs.chunks": 38,
    }
    for name in COLLECTIONS:
        assert mongo_database[name].count_documents({}) == first[name]
    raw = {document["_id"]: document for document in recorded("structures")}
    assert {d["_id"]: d for d in mongo_database["modulestore.structures"].find()} == raw


@needs_dump
def test_a_recorded_course_can_be_edited(author, mongo_database):
    assert DUMP is not None
    load_modulestore_dump(DUMP, mongo_database)
    demo = "course-v1:OpenedX+DemoX+DemoCourse"

    author.edit_settings(demo, {"display_name": "Edited"})

    assert published(mongo_database, demo)[ROOT]["fields"]["display_name"] == "Edited"
    assert len(published(mongo_database, demo)) == 413


@needs_dump
def test_the_reference_tells_a_row_or_an_error_of_each_course():
    assert DUMP is not None
    overviews = list(read_reference_overviews(DUMP))

    assert len(overviews) > 300
    assert all(("row" in overview) != ("error" in overview) for overview in overviews)


# The catalogue


def test_the_catalogue_is_written_once(author, mongo_database):
    courses = sample_catalogue()
    told: list[int] = []

    first = write_catalogue(author, courses, progress=told.append)
    second = write_catalogue(author, courses)

    assert (first, second) == (len(courses), 0)
    assert told[-1] == len(courses)
    assert told == sorted(told)
    assert author.course_keys() == {course.course_key for course in courses}


def test_a_course_of_the_catalogue_can_be_read_as_it_was_meant(author, mongo_database):
    course = max(sample_catalogue(), key=lambda course: course.block_count)

    write_catalogue(author, [course])

    blocks = published(mongo_database, course.course_key)
    assert len(blocks) == course.block_count
    assert blocks[ROOT]["fields"]["display_name"] == course.settings["display_name"]
    assert {key[1] for key in blocks if key[0] == "about"} == set(course.about)
