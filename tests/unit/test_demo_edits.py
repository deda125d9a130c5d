"""What the demo's author does: edits that change something at every run."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dev.authoring.new_course import NewCourse
from dev.demo import edits
from dev.demo.edits import Edit, Ending
from dev.demo.seen import Facts

KEY = "course-v1:Org+Course+Run"
COURSE = NewCourse(
    course_key=KEY,
    settings={"display_name": "Tides", "start": datetime(2026, 2, 1, tzinfo=UTC)},
)
REPEATABLE: list[Callable[[NewCourse, Facts], Edit]] = [
    edits.rename,
    edits.move_start,
    edits.change_image,
    edits.describe,
    edits.change_tabs,
    edits.change_grading,
]


@pytest.mark.parametrize("make", REPEATABLE)
def test_an_edit_changes_a_row_that_the_same_edit_has_made(make):
    first = make(COURSE, {})

    second = make(COURSE, first.expected)
    third = make(COURSE, second.expected)

    assert first.expected != second.expected != third.expected
    assert third.expected.keys() == first.expected.keys()


def test_a_course_is_renamed_and_named_back():
    renamed = edits.rename(COURSE, {"display_name": "Tides"})
    back = edits.rename(COURSE, renamed.expected)

    assert renamed.expected == {"display_name": "Tides (new edition)"}
    assert back.expected == {"display_name": "Tides"}


def test_a_start_is_moved_by_two_weeks():
    edit = edits.move_start(COURSE, {"start": datetime(2026, 2, 1, tzinfo=UTC)})

    assert edit.expected == {"start": datetime(2026, 2, 15, tzinfo=UTC)}


def test_an_image_is_expected_under_its_asset_address():
    edit = edits.change_image(COURSE, {})

    url = "/asset-v1:Org+Course+Run+type@asset+block@cover-autumn.jpg"
    assert edit.expected == {"course_image_url": url}


def test_a_grade_is_expected_as_the_column_holds_it():
    edit = edits.change_grading(COURSE, {"lowest_passing_grade": Decimal("0.65")})

    assert edit.expected == {"lowest_passing_grade": Decimal("0.70")}


def test_a_text_published_beside_a_draft_leaves_the_name_as_it_is():
    edit = edits.describe_beside_draft(COURSE, {"display_name": "Tides"})

    assert edit.expected["display_name"] == "Tides"
    assert edit.expected["short_description"]


def test_a_broken_course_keeps_its_row_and_shows_its_fault():
    before = {"display_name": "Tides", "start": datetime(2026, 2, 1, tzinfo=UTC)}

    edit = edits.break_start(COURSE, before)

    assert edit.ending is Ending.FAULT
    assert edit.expected == before
    assert edit.also_shown == ("fault",)


def test_a_deleted_course_leaves_a_tombstone_until_it_is_created_again():
    assert edits.delete(COURSE, {}).expected == {"row": False, "tombstone": True}
    assert edits.create_again(COURSE, {}).expected == {"row": True, "tombstone": False}
