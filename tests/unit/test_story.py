"""The story of a row: what it says of each situation, and of what will happen next."""

from datetime import UTC, datetime, timedelta

import pytest

from lms_integration.models import (
    CourseOverview,
    DeadLetter,
    OverviewMark,
    OverviewRemoval,
    OverviewState,
    OverviewTombstone,
    RebuildRecord,
)
from lms_integration.story import CourseFacts, SourceFacts, tell_story

KEY = "course-v1:TestX+Story+R1"
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
VERSION = "a" * 24
NEWER = "b" * 24
FAULT = f"{KEY}: start = 'soon': not a date"
HELD_BACK = NOW + timedelta(hours=6)


def row(**values) -> CourseOverview:
    return CourseOverview(id=KEY, modified=NOW, **{"display_name": "Tides", **values})


def state(**values) -> OverviewState:
    defaults = {"source_version": VERSION, "row_seq": 3, "built_at": NOW}
    return OverviewState(course_key=KEY, **{**defaults, **values})


def mark(**values) -> OverviewMark:
    return OverviewMark(course_key=KEY, **{"wanted": 3, "done": 3, **values})


def dirty(**values) -> OverviewMark:
    return mark(**{"wanted": 4, "dirty_since": NOW - timedelta(seconds=1), **values})


def source(version: str | None = VERSION) -> SourceFacts:
    return SourceFacts(version=version, updated_at=NOW)


def story(**facts):
    return tell_story(CourseFacts(course_key=KEY, now=NOW, **facts))


def test_a_row_from_the_published_version_is_up_to_date():
    told = story(row=row(), state=state(), mark=mark(), source=source())

    assert (told.all_well, told.verdict) == (True, "up to date")
    assert told.next_step == "nothing, until the next publish"


def test_degraded_is_up_to_date_and_says_why():
    degraded = state(degradations=[{"field": "language", "value": "5", "reason": "not a text"}])

    told = story(row=row(), state=degraded, mark=mark(), source=source())

    assert told.all_well
    assert "degraded" in told.verdict
    assert told.row["degraded"] == "language = 5: not a text"


def test_a_row_from_another_version_is_not_up_to_date():
    told = story(row=row(), state=state(), mark=mark(), source=source(NEWER))

    assert not told.all_well
    assert "another version" in told.verdict


def test_without_the_source_it_tells_what_was_announced():
    told = story(row=row(), state=state(), mark=mark())

    assert told.all_well
    assert told.verdict == "up to date with all that was announced"
    assert "not asked here" in str(told.source["source"])


def test_a_course_that_was_just_marked_waits():
    told = story(row=row(), state=state(), mark=dirty(), source=source(NEWER))

    assert (told.all_well, told.verdict) == (False, "waiting for a rebuild")
    assert told.next_step == "rebuilt by its event's task, or within seconds by the sweeper"


def test_a_course_that_nobody_comes_to_says_that_workers_may_not_run():
    told = story(mark=dirty(dirty_since=NOW - timedelta(minutes=5)))

    assert "waiting for 5 min" in told.next_step
    assert "overview doctor" in told.next_step


def test_a_course_that_lags_is_tried_again_in_a_moment():
    told = story(
        state=state(),
        mark=dirty(
            attempts=2, last_error="older", next_attempt_at=NOW + timedelta(milliseconds=400)
        ),
    )

    assert told.verdict == "waiting for a rebuild; so far: older"
    assert "tried again at 2026-05-01 12:00:00.400+00:00 (0.4 s), by the sweeper" in told.next_step


def test_a_course_that_the_sweeper_has_enqueued_is_on_its_way():
    told = story(mark=dirty(next_attempt_at=NOW + timedelta(seconds=30)))

    assert "on its way" in told.next_step
    assert "12:00:30" in told.next_step


def test_a_faulty_course_is_held_back_and_says_until_when():
    told = story(
        row=row(),
        state=state(fault=FAULT),
        mark=dirty(attempts=1, last_error=FAULT, next_attempt_at=HELD_BACK),
        source=source(NEWER),
    )

    assert told.verdict == f"not buildable as published: {FAULT}"
    assert "held back until 2026-05-01 18:00:00.000+00:00 (6 h 0 min)" in told.next_step


def test_a_faulty_course_that_was_marked_again_is_not_called_unbuildable():
    marked_again = dirty(attempts=0, last_error=FAULT, next_attempt_at=None)

    told = story(row=row(), state=state(fault=FAULT), mark=marked_again, source=source(NEWER))

    assert not told.all_well
    assert told.verdict.startswith("waiting for a rebuild")
    assert "before the newest mark" in str(told.row["fault"])
    assert told.mark["last error"] is None
    assert told.next_step.startswith("rebuilt by its event's task")


def test_a_fault_that_is_nearly_due_again_still_stands():
    told = story(
        state=state(fault=FAULT),
        mark=dirty(attempts=1, last_error=FAULT, next_attempt_at=NOW + timedelta(minutes=2)),
    )

    assert "not buildable" in told.verdict
    assert "held back until" in told.next_step


@pytest.mark.parametrize(
    ("facts", "all_well", "words"),
    [
        ({"source": SourceFacts()}, False, "no such course"),
        ({"source": source()}, False, "published, but there is no row"),
        ({"source": SourceFacts(), "state": state(deleted=True)}, True, "deleted"),
        ({"source": SourceFacts(), "state": state(), "row": row()}, False, "the row is there"),
        ({"source": SourceFacts(error="MongoDB did not answer")}, False, "cannot tell: MongoDB"),
        ({}, False, "nobody has asked for one"),
        ({"state": state(deleted=True)}, True, "deleted"),
        ({"row": row()}, False, "knows nothing"),
    ],
)
def test_other_situations_have_their_sentence(facts, all_well, words):
    told = story(**facts)

    assert told.all_well is all_well
    assert words in told.verdict


def test_a_course_that_was_never_marked_says_what_to_do():
    assert "overview publish" in story().next_step


def test_a_deleted_course_says_when():
    told = story(
        state=state(deleted=True), tombstone=OverviewTombstone(course_key=KEY, deleted_at=NOW)
    )

    assert told.row["deleted"] == "2026-05-01 12:00:00.000+00:00"


# What vanished from the index without an announcement


def removal(status: str, reason: str = "") -> OverviewRemoval:
    return OverviewRemoval(course_key=KEY, status=status, changed_at=NOW, reason=reason)


def test_a_held_removal_says_why_and_who_decides():
    told = story(
        row=row(),
        state=state(),
        mark=dirty(attempts=1, last_error="6 of 100 vanished", next_attempt_at=HELD_BACK),
        removal=removal("held", "6 of 100 vanished"),
        source=SourceFacts(),
    )

    assert not told.all_well
    assert told.verdict.endswith("its removal is held: 6 of 100 vanished")
    assert f"overview deletes allow {KEY}, or refuse" in told.next_step
    assert told.row["vanished"] == (
        "held: waits for a person's word, since 2026-05-01 12:00:00.000+00:00: 6 of 100 vanished"
    )


@pytest.mark.parametrize("asked", [SourceFacts(), None], ids=["gone", "not asked"])
def test_a_refused_removal_is_as_a_person_wants_it(asked):
    told = story(row=row(), state=state(), mark=mark(), removal=removal("refused"), source=asked)

    assert told.all_well
    assert "a person has refused to let it go" in told.verdict
    assert f"overview deletes allow {KEY} lets it go" in told.next_step


def test_a_refused_removal_of_a_course_that_is_back_is_history():
    told = story(row=row(), state=state(), mark=mark(), removal=removal("refused"), source=source())

    assert (told.verdict, told.next_step) == ("up to date", "nothing, until the next publish")


def test_an_allowed_removal_waits_for_the_rebuild():
    told = story(
        row=row(), state=state(), mark=dirty(), removal=removal("allowed"), source=SourceFacts()
    )

    assert "a person has let it go" in told.verdict
    assert told.next_step.startswith("rebuilt by its event's task")


def test_a_removal_within_the_limit_is_told_of_a_deleted_course():
    told = story(state=state(deleted=True), mark=mark(), removal=removal("removed"))

    assert told.verdict == "deleted"
    assert str(told.row["vanished"]).startswith("removed: within the limit")


def record(sequence: int, outcome: str = "written", **values) -> RebuildRecord:
    return RebuildRecord(
        course_key=KEY, sequence=sequence, recorded_at=NOW, outcome=outcome, **values
    )


def test_an_old_value_is_told_where_an_older_record_told_it():
    told = story(
        records=[
            record(3, changed_columns={"display_name": "Reefs", "effort": "5 h"}),
            record(2, changed_columns={"display_name": "Dunes"}),
            record(1, "created"),
        ]
    )

    assert [rebuild.number for rebuild in told.rebuilds] == [3, 2, 1]
    assert told.rebuilds[0].changed == ("display_name: Dunes → Reefs", "effort → 5 h")
    assert told.rebuilds[1].changed == ("display_name → Dunes",)
    assert told.rebuilds[2].changed == ("all columns: there was no row",)


def test_an_old_value_is_forgotten_where_the_row_was_written_anew():
    told = story(
        records=[
            record(4, changed_columns={"display_name": "Reefs"}),
            record(3, "created"),
            record(2, "deleted"),
            record(1, changed_columns={"display_name": "Dunes"}),
        ]
    )

    assert told.rebuilds[0].changed == ("display_name → Reefs",)


def test_a_rebuild_tells_its_event_its_times_its_worker_and_what_went_wrong():
    told = story(
        records=[
            record(
                1,
                "faulty",
                event_id="e-1",
                event_type="published",
                source_version=VERSION,
                error=FAULT,
                waited_ms=12.34,
                read_ms=3.0,
                course_count=2,
                worker="host 42",
            )
        ]
    )

    (rebuild,) = told.rebuilds
    assert (rebuild.event, rebuild.version, rebuild.worker) == ("published e-1", VERSION, "host 42")
    assert rebuild.took.startswith("waited 12.3 ms, read 3.0 ms for 2 courses, built 0.0 ms")
    assert rebuild.went_wrong == FAULT


def test_attempts_before_a_good_rebuild_are_told():
    told = story(records=[record(1, attempts=2, last_error="the index has an older version")])

    assert told.rebuilds[0].went_wrong == (
        "2 attempts before it, the last one: the index has an older version"
    )


def test_dead_letters_are_told_and_counted():
    letter = DeadLetter(
        id=7, origin="rebuild", reason=FAULT, seen_count=2, first_seen_at=NOW, last_seen_at=NOW
    )

    told = story(letters=[letter], letter_count=12)

    assert [(each.id, each.seen_count) for each in told.dead_letters] == [(7, 2)]
    assert told.dead_letter_count == 12
