"""When an edit has arrived, and how long each stage took."""

from datetime import UTC, datetime, timedelta

import pytest

from dev.authoring.author import PublishedChange
from dev.demo.edits import Edit, Ending
from dev.demo.seen import Progress
from dev.demo.staying import Verdict, times_since, what_happened
from dev.demo.watching import Times, describe_differences, has_arrived, times_of

KEY = "course-v1:Org+Course+Run"
AT = datetime(2026, 2, 1, 12, tzinfo=UTC)
VERSION = "6b03663527c9bc83455b17ea"
CHANGE = PublishedChange(course_key=KEY, published_version=VERSION, updated_at=AT)


def edit(ending: Ending) -> Edit:
    return Edit(title="edit", course_key=KEY, save=lambda _: CHANGE, expected={}, ending=ending)


def later(milliseconds: float) -> datetime:
    return AT + timedelta(milliseconds=milliseconds)


@pytest.mark.parametrize(
    ("ending", "progress", "arrived"),
    [
        (Ending.ROW, Progress(wanted=1, done=1, source_version=VERSION), True),
        (Ending.ROW, Progress(wanted=2, done=1, source_version=VERSION), False),
        (Ending.ROW, Progress(wanted=1, done=1, source_version="older"), False),
        (Ending.GONE, Progress(wanted=1, done=1, deleted=True), True),
        (Ending.GONE, Progress(wanted=1, done=1), False),
        (Ending.FAULT, Progress(wanted=2, done=1, attempts=1, fault="bad"), True),
        (Ending.FAULT, Progress(wanted=2, done=1, fault="of an earlier version"), False),
    ],
)
def test_an_edit_has_arrived_when_the_pipeline_has_answered_it(ending, progress, arrived):
    assert has_arrived(edit(ending), CHANGE, progress) is arrived


def test_stages_are_counted_from_the_publish():
    times = times_of(CHANGE, confirmed_at=later(4), written_at=later(15), seen_at=later(18.5))

    assert times == Times(event_ms=4, row_ms=15, seen_ms=18.5)


def test_a_clock_of_whole_milliseconds_never_gives_a_negative_time():
    times = times_of(CHANGE, confirmed_at=later(4), written_at=later(-0.5), seen_at=later(5))

    assert times.row_ms == 0


def test_differences_name_what_was_found_and_what_was_expected():
    found = {"display_name": "Old", "start": None}

    assert describe_differences({"display_name": "New", "start": None}, found) == (
        "display_name is 'Old', not 'New'"
    )


def test_rebuilds_are_told_apart_while_the_demo_stays():
    old = Verdict(verified_at=AT, built_at=AT, deleted=False, fault=None, fault_seen_at=None)

    def after(**changes: object) -> Verdict:
        facts = {"verified_at": later(9), "built_at": AT, "deleted": False, "fault": None}
        return Verdict(**{**facts, "fault_seen_at": None, **changes})  # type: ignore[arg-type]

    assert what_happened(old, after()) == "unchanged"
    assert what_happened(old, after(built_at=later(9))) == "written"
    assert what_happened(old, after(built_at=later(9), deleted=True)) == "delete"
    assert what_happened(old, after(fault="bad")) == "broken"


def test_a_fault_is_timed_by_its_own_record():
    verdict = Verdict(
        verified_at=AT, built_at=AT, deleted=False, fault="bad", fault_seen_at=later(12)
    )

    times = times_since(AT, verdict, seen_at=later(20))

    assert times == Times(row_ms=12, seen_ms=20)
