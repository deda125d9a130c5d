"""One edit of a course: which branches it moves, and what the new documents say."""

from datetime import UTC, datetime, timedelta

import pytest

from dev.authoring.bulk_edit import BulkEdit
from dev.authoring.documents import ROOT, Document, NewBlock, block_id_of
from dev.authoring.new_course import NewCourse, creation

CREATED = datetime(2026, 3, 1, 12, tzinfo=UTC)
EDITED = CREATED + timedelta(hours=1)
CHAPTER = ("chapter", "week1")


def structures(**wishes) -> tuple[Document, Document]:
    course = NewCourse(course_key="course-v1:Org+Course+Run", **wishes)
    published, draft = creation(course, edited_on=CREATED).structures()
    return draft, published


def blocks(structure: Document) -> dict[tuple[str, str], Document]:
    return {block_id_of(block): block for block in structure["blocks"]}


def chapter() -> NewBlock:
    return NewBlock(block_id=CHAPTER, fields={"display_name": "Week 1"}, definition_fields={})


def test_an_edit_that_touches_nothing_makes_no_structure():
    edit = BulkEdit(*structures(), edited_on=EDITED)

    assert edit.structures() == []


def test_an_update_moves_the_draft_branch_only():
    draft, published = structures()
    edit = BulkEdit(draft, published, edited_on=EDITED)

    edit.update(ROOT, fields={"display_name": "Tides"})

    (moved,) = edit.structures()
    assert moved["previous_version"] == draft["_id"]
    assert moved["original_version"] == draft["_id"]
    assert moved["edited_on"] == EDITED
    assert (edit.moves_draft, edit.moves_published) == (True, False)


def test_a_published_block_names_the_draft_it_came_from_and_the_block_it_replaces():
    draft, published = structures()
    edit = BulkEdit(draft, published, edited_on=EDITED)

    edit.update(ROOT, fields={"display_name": "Tides"})
    edit.publish([ROOT])

    new_published, new_draft = edit.structures()
    assert blocks(new_published)[ROOT]["edit_info"] | {"edited_by": None} == {
        "previous_version": published["_id"],
        "update_version": new_published["_id"],
        "source_version": new_draft["_id"],
        "edited_on": EDITED,
        "edited_by": None,
        "original_usage": None,
        "original_usage_version": None,
    }


def test_publishing_a_parent_leaves_out_children_that_are_not_published():
    edit = BulkEdit(*structures(), edited_on=EDITED)

    edit.append_child(chapter(), parent=ROOT)
    edit.publish([ROOT])

    published, draft = edit.structures()
    assert blocks(draft)[ROOT]["fields"]["children"] == [list(CHAPTER)]
    assert blocks(published)[ROOT]["fields"]["children"] == []
    assert CHAPTER not in blocks(published)


def test_publishing_everything_copies_only_what_has_changed():
    draft, published = structures(block_count=40)
    edit = BulkEdit(draft, published, edited_on=EDITED)

    edit.append_child(chapter(), parent=ROOT)
    edit.publish_everything()

    new_published, _ = edit.structures()
    untouched = {
        block_id
        for block_id, block in blocks(new_published).items()
        if block is blocks(published).get(block_id)
    }
    assert set(blocks(new_published)) - untouched == {ROOT, CHAPTER}


def test_a_removed_block_leaves_both_branches():
    edit = BulkEdit(*structures(about={"effort": "2 hours"}), edited_on=EDITED)

    edit.remove(("about", "effort"))

    assert all(("about", "effort") not in blocks(structure) for structure in edit.structures())
    assert len(edit.structures()) == 2


def test_an_edit_leaves_the_structures_it_started_from_alone():
    draft, published = structures()
    before = (repr(draft), repr(published))
    edit = BulkEdit(draft, published, edited_on=EDITED)

    edit.append_child(chapter(), parent=ROOT)
    edit.publish_everything()
    edit.structures()

    assert (repr(draft), repr(published)) == before


def test_a_new_definition_continues_the_chain_of_the_old():
    edit = BulkEdit(*structures(), edited_on=EDITED)

    first = edit.define("html", {"data": "one"})
    second = edit.redefine(first, {"data": "two"})

    assert second["edit_info"]["previous_version"] == first["_id"]
    assert second["edit_info"]["original_version"] == first["_id"]
    assert edit.definitions == [first, second]


def test_a_missing_block_type_is_told():
    edit = BulkEdit(*structures(), edited_on=EDITED)

    with pytest.raises(LookupError, match="html"):
        edit.first_of_type("html")
