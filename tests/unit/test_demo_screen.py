"""The words of the demo's lines."""

from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from dev.demo.screen import Screen, describe_changes, row_cells, show
from dev.demo.watching import Times

KEY = "course-v1:Org+Course+Run"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "NULL"),
        ("Tides", '"Tides"'),
        ("T" * 50, f'"{"T" * 39}…"'),
        (datetime(2026, 2, 1, 8, tzinfo=UTC), "2026-02-01"),
        (Decimal("0.70"), "0.70"),
        ("/asset-v1:O+C+R+type@asset+block@card.jpg", "card.jpg"),
    ],
)
def test_values_are_shown_as_people_write_them(value, shown):
    assert show(value) == shown


def test_a_change_is_shown_from_old_to_new():
    changes = describe_changes(["display_name"], {"display_name": "A"}, {"display_name": "B"})

    assert changes == 'display_name "A" → "B"'


def test_what_has_not_changed_is_said_to_stay():
    before = after = {"display_name": "A"}

    assert describe_changes(["display_name"], before, after) == 'display_name stays "A"'


def test_tabs_are_counted_and_the_new_and_the_lost_ones_named():
    before, after = {"tabs": ("Course", "Wiki")}, {"tabs": ("Course", "Dates", "Notes")}

    assert describe_changes(["tabs"], before, after) == "tabs 2 → 3 (+ Dates, + Notes, - Wiki)"


def test_a_row_that_went_and_its_tombstone_are_told_in_words():
    after = {"row": False, "tombstone": True}

    assert describe_changes(["row", "tombstone"], {"row": True}, after) == (
        "row gone, tombstone there"
    )


def test_faults_and_degradations_are_told_once_with_their_reason():
    after = {
        "fault": f"{KEY}: start = 'soon': not a date",
        "degraded": ("days",),
        "degradation": "days = 'few': not a number",
    }

    assert describe_changes(after, {}, after) == (
        "fault: start = 'soon': not a date, degraded: days = 'few': not a number"
    )


def test_a_line_has_the_milliseconds_of_each_stage():
    output = StringIO()
    screen = Screen(Console(file=output, width=150))

    screen.event("rename", KEY, Times(event_ms=4.2, row_ms=None, seen_ms=21.7), "done")

    assert output.getvalue().split() == ["rename", "Org+Course+Run", "4", "-", "22", "done"]


def test_the_bar_is_not_drawn_where_there_is_no_terminal():
    output = StringIO()
    screen = Screen(Console(file=output, width=150))

    with screen.waiting("processes start"), screen.progress() as progress:
        progress.update(progress.add_task("fill", total=2), completed=1)

    assert output.getvalue().strip() == ""


def test_a_row_is_shown_in_seven_cells():
    row = {
        "id": KEY,
        "display_name": "Tides",
        "start": datetime(2026, 2, 1, tzinfo=UTC),
        "self_paced": True,
        "course_image_url": "/asset-v1:Org+Course+Run+type@asset+block@card.jpg",
        "tabs": ("Course", "Dates"),
        "source_version": "6b03663527c9bc83455b17ea",
    }

    assert row_cells(row) == (
        *("Org+Course+Run", "Tides", "2026-02-01", "self-paced", "card.jpg", "2", "455b17ea"),
    )
