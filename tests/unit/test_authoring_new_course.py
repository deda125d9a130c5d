"""A new course: its blocks, its tree, and what it weighs."""

from collections import Counter
from datetime import UTC, datetime

import bson
import pytest

from dev.authoring.documents import OVERVIEW, ROOT, Document, NewBlock
from dev.authoring.new_course import DEFAULT_TABS, NewCourse, creation, starting_blocks
from lms_integration.course_keys import InvalidCourseKey

KEY = "course-v1:Org+Course+Run"
MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def blocks_of(block_count: int, chapter_count: int = 0) -> list[NewBlock]:
    chapters = [{"display_name": f"Week {number}"} for number in range(chapter_count)]
    return starting_blocks(NewCourse(course_key=KEY, chapters=chapters, block_count=block_count))


def published_structure(block_count: int) -> Document:
    edit = creation(NewCourse(course_key=KEY, block_count=block_count), edited_on=MOMENT)
    published, _draft = edit.structures()
    return published


def test_a_course_without_wishes_is_a_course_block_and_an_overview():
    course, overview = starting_blocks(NewCourse(course_key=KEY))

    assert course.block_id == ROOT
    assert course.fields["tabs"] == list(DEFAULT_TABS)
    assert overview.block_id == OVERVIEW
    assert overview.definition_fields["data"].startswith('<section class="about">')


@pytest.mark.parametrize("chapter_count", [0, 1, 5])
@pytest.mark.parametrize("block_count", [7, 8, 9, 41, 413, 1200, 5112])
def test_a_course_has_exactly_the_blocks_asked_for(block_count, chapter_count):
    blocks = blocks_of(block_count, chapter_count)

    assert len(blocks) == block_count
    assert len({block.block_id for block in blocks}) == block_count


@pytest.mark.parametrize("block_count", [7, 413, 5112])
def test_every_block_but_course_and_about_has_one_parent(block_count):
    blocks = blocks_of(block_count, 3)

    children = Counter(
        tuple(child) for block in blocks for child in block.fields.get("children", ())
    )

    assert set(children.values()) == {1}
    assert set(children) == {block.block_id for block in blocks} - {ROOT, OVERVIEW}


def test_levels_nest_as_in_studio():
    blocks = {block.block_id: block for block in blocks_of(413)}

    nesting = {
        (block.block_id[0], child[0])
        for block in blocks.values()
        for child in block.fields.get("children", ())
    }

    assert nesting == {
        ("course", "chapter"),
        ("chapter", "sequential"),
        ("sequential", "vertical"),
        ("vertical", "html"),
        ("vertical", "video"),
        ("vertical", "problem"),
    }


def test_chapters_keep_their_order_and_share_the_filler():
    course, _overview, *body = blocks_of(103, 4)

    chapters = [block for block in body if block.block_id[0] == "chapter"]

    assert [chapter.fields["display_name"] for chapter in chapters] == [
        "Week 0",
        "Week 1",
        "Week 2",
        "Week 3",
    ]
    assert course.fields["children"] == [list(chapter.block_id) for chapter in chapters]
    assert all(chapter.fields["children"] for chapter in chapters)


@pytest.mark.parametrize(
    ("block_count", "measured_bytes"), [(413, 236_083), (5112, 2_250_000), (20_004, 8_840_000)]
)
def test_structures_weigh_what_real_ones_do(block_count, measured_bytes):
    size_bytes = len(bson.encode(published_structure(block_count)))

    assert size_bytes == pytest.approx(measured_bytes, rel=0.05)


def test_settings_stand_beside_the_defaults_and_above_them():
    tabs = [{"type": "courseware"}]
    settings = {"display_name": "Tides", "tabs": tabs}

    course, *_ = starting_blocks(NewCourse(course_key=KEY, settings=settings))

    assert course.fields["display_name"] == "Tides"
    assert course.fields["tabs"] == tabs
    assert course.fields["discussion_topics"] == {"General": {"id": "course"}}


def test_the_wiki_is_named_after_the_course_unless_the_content_says_otherwise():
    assert NewCourse(course_key=KEY).wiki_slug == "Org.Course.Run"
    assert NewCourse(course_key=KEY, content={"wiki_slug": "tides"}).wiki_slug == "tides"


def test_a_library_is_no_course():
    with pytest.raises(InvalidCourseKey):
        creation(NewCourse(course_key="library-v1:Org+Lib"), edited_on=MOMENT)
