"""Replay and discard on the real table: both or neither, once, whoever else is at it."""

import logging
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from lms_integration import dead_letter_desk
from lms_integration.dead_letter_desk import (
    DeadLetterFilter,
    DeskOutcome,
    dead_letter_figures,
    discard_dead_letter,
    find_dead_letters,
    replay_dead_letter,
)
from lms_integration.events import (
    CourseDeleted,
    CoursePublished,
    RebuildRequested,
    encode_event,
)
from lms_integration.identity import database_identity
from lms_integration.marks import ANNOUNCED_DELETE
from lms_integration.models import DeadLetter, DeadLetterOrigin, OverviewMark
from overview_worker.dead_letters import record_dead_letter
from overview_worker.documents import DeadLetterEntry, DeadLetterSource
from tests.letters import KEY, OTHER, event_letter, letter, letter_ids, rebuild_letter
from tests.race_scene import Crew

pytestmark = pytest.mark.django_db(transaction=True)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
VERSION = "a" * 24
on_mysql = pytest.mark.skipif(connection.vendor != "mysql", reason="SQLite has no row locks")


def wanted(course_key: str = KEY) -> int:
    return OverviewMark.objects.filter(course_key=course_key).values_list("wanted", flat=True)[0]


# Replay


def test_an_event_is_marked_as_if_it_had_arrived_again_and_the_letter_is_gone():
    letter_id = event_letter(
        CoursePublished(course_key=KEY, event_id="e-1", published_version=VERSION, published_at=T0)
    )

    report = replay_dead_letter(letter_id, by="a test")

    mark = OverviewMark.objects.get(course_key=KEY)
    assert report.outcome is DeskOutcome.REPLAYED
    assert (mark.wanted, mark.done, mark.last_event_id) == (1, 0, "e-1")
    assert (mark.announced_version, mark.announced_at) == (VERSION, T0)
    assert letter_ids() == []


def test_the_event_that_is_to_be_sent_says_that_it_is_marked_here():
    letter_id = event_letter(CourseDeleted(course_key=KEY, deleted_at=T0, marked_in="elsewhere"))

    (event,) = replay_dead_letter(letter_id, by="a test").events

    assert isinstance(event, CourseDeleted)
    assert event.marked_in == database_identity()
    assert OverviewMark.objects.get(course_key=KEY).announced_version == ANNOUNCED_DELETE


def test_a_faulty_course_is_released_when_its_letter_is_replayed():
    OverviewMark.objects.create(
        course_key=KEY,
        wanted=1,
        done=0,
        attempts=1,
        dirty_since=datetime.now(UTC),
        next_attempt_at=datetime.now(UTC) + timedelta(hours=6),
    )

    report = replay_dead_letter(rebuild_letter(), by="a test")

    mark = OverviewMark.objects.get(course_key=KEY)
    assert (mark.wanted, mark.attempts, mark.next_attempt_at) == (2, 0, None)
    assert isinstance(report.events[0], RebuildRequested)


def test_a_bulk_task_that_the_broker_gave_up_marks_all_its_courses():
    body = f'[[["{KEY}", "{OTHER}"], true], {{}}, {{}}]'.encode()

    replay_dead_letter(letter(DeadLetterSource.BROKER, body=body), by="a test")

    assert (wanted(KEY), wanted(OTHER)) == (1, 1)


def test_what_still_cannot_be_read_stays_and_says_why():
    letter_id = letter(body=b"not json")

    report = replay_dead_letter(letter_id, by="a test")

    assert report.outcome is DeskOutcome.STAYS
    assert "not JSON" in report.reason
    assert letter_ids() == [letter_id]
    assert not OverviewMark.objects.exists()


def test_a_body_that_was_cut_stays_and_says_why():
    letter_id = letter(body=b"[" + b'"x",' * 5000)

    report = replay_dead_letter(letter_id, by="a test")

    assert report.outcome is DeskOutcome.STAYS
    assert "only the first 8192 of its 20001 bytes are kept" in report.reason
    assert letter_ids() == [letter_id]


def test_replaying_twice_marks_once():
    letter_id = event_letter(CoursePublished(course_key=KEY))

    outcomes = [replay_dead_letter(letter_id, by="a test").outcome for _ in range(2)]

    assert outcomes == [DeskOutcome.REPLAYED, DeskOutcome.GONE]
    assert wanted() == 1


def test_a_replay_that_dies_between_mark_and_removal_has_done_neither(monkeypatch):
    letter_id = event_letter(CoursePublished(course_key=KEY))

    def die(*_: object) -> None:
        assert wanted() == 1  # in the transaction that is lost
        raise DatabaseError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(DeadLetter, "delete", die)
        with pytest.raises(DatabaseError):
            replay_dead_letter(letter_id, by="a test")

    assert not OverviewMark.objects.exists()
    assert letter_ids() == [letter_id]
    assert replay_dead_letter(letter_id, by="a test").outcome is DeskOutcome.REPLAYED
    assert wanted() == 1


@on_mysql
def test_two_who_replay_at_once_mark_once(monkeypatch):
    letter_id = event_letter(CoursePublished(course_key=KEY))
    both_here = threading.Barrier(2)
    outcomes: list[DeskOutcome] = []
    locked = dead_letter_desk._locked

    def locked_together(letter_id: int) -> DeadLetter | None:
        both_here.wait(10)
        return locked(letter_id)

    monkeypatch.setattr(dead_letter_desk, "_locked", locked_together)
    with Crew() as crew:
        for _ in range(2):
            crew.start(lambda: outcomes.append(replay_dead_letter(letter_id, by="a test").outcome))

    assert sorted(outcome.value for outcome in outcomes) == ["gone", "replayed"]
    assert wanted() == 1


@on_mysql
def test_the_same_letter_that_arrives_while_it_is_replayed_is_there_again():
    entry = DeadLetterEntry(
        source=DeadLetterSource.INTAKE,
        reason="again and again",
        body=encode_event(CoursePublished(course_key=KEY)),
    )
    record_dead_letter(entry)
    stop = threading.Event()

    def arrive() -> None:
        while not stop.is_set():
            record_dead_letter(entry)

    with Crew() as crew:
        for _ in range(2):
            crew.start(arrive)
        for _ in range(30):
            for letter_id in letter_ids():
                replay_dead_letter(letter_id, by="a test")
        stop.set()

    assert wanted() >= 2
    assert DeadLetter.objects.count() <= 1


# Discard


def test_a_discarded_letter_is_gone_and_its_course_is_left_alone(caplog):
    letter_id = rebuild_letter(reason="a \x1b[31mred\x1b[0m\nreason")

    with caplog.at_level(logging.WARNING, logger="overview_audit"):
        report = discard_dead_letter(letter_id, by="admin user ann")

    assert report.outcome is DeskOutcome.DISCARDED
    assert letter_ids() == []
    assert not OverviewMark.objects.exists()
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"dead letter {letter_id} discarded by admin user ann: rebuild, {KEY}" in line
    assert line.endswith("reason")
    assert line.isprintable()


def test_discarding_twice_says_that_it_is_gone():
    letter_id = rebuild_letter()

    outcomes = [discard_dead_letter(letter_id, by="a test").outcome for _ in range(2)]

    assert outcomes == [DeskOutcome.DISCARDED, DeskOutcome.GONE]


# Find and count


def found(**wanted) -> list[int]:
    return sorted(find_dead_letters(DeadLetterFilter(**wanted)).values_list("id", flat=True))


def test_filters_narrow_together():
    old = rebuild_letter(reason="a bad date", age=timedelta(days=3))
    new = rebuild_letter(OTHER, reason="a bad DATE")
    event = letter(body=b"x", reason="not JSON")

    assert found() == [old, new, event]
    assert found(origin="rebuild") == [old, new]
    assert found(course_key=OTHER) == [new]
    assert found(reason_contains="date") == [old, new]
    assert found(older_than_seconds=86_400) == [old]
    assert found(origin="rebuild", older_than_seconds=86_400, course_key=OTHER) == []
    assert found(ids=(old, event)) == [old, event]


def test_courses_whose_keys_differ_by_case_are_different_courses():
    upper = rebuild_letter(KEY.upper().replace("COURSE-V1", "course-v1"))
    lower = rebuild_letter(KEY)

    assert found(course_key=KEY) == [lower]
    assert upper != lower


def test_wildcards_of_sql_mean_nothing_in_a_filter():
    rebuild_letter(reason="a bad date")

    assert found(reason_contains="%") == []
    assert found(reason_contains="_") == []


def test_the_letter_that_was_seen_last_comes_first():
    first = rebuild_letter(age=timedelta(hours=2))
    last = rebuild_letter(OTHER)

    letters = find_dead_letters(DeadLetterFilter())

    assert list(letters.values_list("id", flat=True)) == [last, first]


def test_figures_tell_count_and_age_for_every_origin_in_one_query():
    rebuild_letter(age=timedelta(hours=1))
    rebuild_letter(OTHER)

    with CaptureQueriesContext(connection) as queries:
        figures = dead_letter_figures()

    assert set(figures) == set(DeadLetterOrigin)
    assert figures[DeadLetterOrigin.REBUILD].count == 2
    assert figures[DeadLetterOrigin.REBUILD].oldest_seconds == pytest.approx(3600, abs=60)
    assert figures[DeadLetterOrigin.TASK].count == 0
    assert len(queries) == 1


def test_every_source_of_the_workers_is_an_origin_of_the_table():
    assert {source.value for source in DeadLetterSource} == set(DeadLetterOrigin.values)
