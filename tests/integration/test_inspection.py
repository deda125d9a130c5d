"""The inspector, the brake, the purge and ``overview verify`` on real databases."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test import override_settings

from dev.authoring.new_course import NewCourse
from lms_integration.checks import check_settings
from lms_integration.conf import tombstone_days
from lms_integration.delete_desk import held_delete_count
from lms_integration.events import CourseDeleted, CoursePublished
from lms_integration.freshness import freshness, late_publishes
from lms_integration.lateness import LateReason
from lms_integration.marks import CourseMark, mark_courses, mark_of
from lms_integration.models import (
    CourseOverview,
    DeadLetter,
    OverviewFreshness,
    OverviewInspection,
    OverviewJob,
    OverviewMark,
    OverviewProjection,
    OverviewRemoval,
    OverviewServed,
    OverviewState,
    OverviewSuspect,
    OverviewTombstone,
)
from lms_integration.platform_tables.models import CourseEnrollment, GeneratedCertificate
from overview_worker.bootstrap import close_dependencies
from overview_worker.commands.verify import read_only
from overview_worker.documents import BuiltOverview, PublishedCourse
from overview_worker.errors import ModulestoreUnavailable
from overview_worker.rebuild import RebuildOutcome
from overview_worker.store.freshness import count_served
from overview_worker.store.housekeeping import keep_house, purge_dead_letters, purge_tombstones
from tests.inspection_scene import Site, made_site, pass_period
from tests.letters import letter, letter_ids, rebuild_letter
from tests.race_scene import Crew
from tests.report_schema import assert_is_documented

pytestmark = [pytest.mark.service, pytest.mark.django_db(transaction=True)]

KEY = "course-v1:Org+Inspected+R1"
OTHER = "course-v1:Org+Inspected+R2"
NOW = datetime.now(UTC)


@pytest.fixture(params=["mongodb", "mysql"])
def site(request, mongo_client, mongo_database) -> Iterator[Site]:
    with made_site(request.param, mongo_client, mongo_database) as site:
        yield site


@pytest.fixture
def mongo_site(mongo_client, mongo_database) -> Iterator[Site]:
    with made_site("mongodb", mongo_client, mongo_database) as site:
        yield site


def keys_of(count: int) -> list[str]:
    return [f"course-v1:Org+Many{number:03}+R1" for number in range(count)]


def announce_delete(site: Site, key: str, *, with_time: bool) -> None:
    change = site.author.delete_course(key)
    deleted_at = change.updated_at if with_time else None
    mark_courses([mark_of(CourseDeleted(course_key=key, deleted_at=deleted_at))])


# A pass


@pytest.mark.parametrize("key", ["ccx-v1:Org+Inspected+R1+ccx@3", "Org/Inspected/Old"])
def test_rows_of_courses_that_are_none_of_ours_are_left_alone(site: Site, key: str):
    site.create(KEY)
    row = CourseOverview.objects.get(id=KEY)
    row.id = key
    row.save(force_insert=True)

    report = site.inspect_twice(check_count=10)
    site.drain()

    assert report.findings == {}
    assert CourseOverview.objects.filter(id=key).exists()


def test_a_publish_that_nobody_announced_is_found_when_it_has_stood_for_the_grace(site: Site):
    site.create(KEY, OTHER)
    site.author.edit_settings(KEY, {"display_name": "Lost"})

    first = site.inspect()
    second = site.inspect()
    site.drain()

    assert (first.findings, first.suspected_count, first.marked_count) == ({}, 1, 0)
    assert (second.findings, second.marked_count) == ({"stale": 1}, 1)
    assert CourseOverview.objects.get(id=KEY).display_name == "Lost"
    assert OverviewMark.objects.get(course_key=KEY).last_event_type == "inspector: stale"
    assert not OverviewSuspect.objects.exists()


def test_a_pass_is_recorded_with_what_it_found(site: Site):
    site.create(KEY, OTHER)
    OverviewProjection.objects.filter(course_key=KEY).delete()
    CourseOverview.objects.filter(id=OTHER).update(effort="by hand")

    site.inspect_twice(check_count=10)

    record = OverviewInspection.objects.latest("started_at")
    assert record.finished_at is not None
    assert (record.course_count, record.checked_count, record.marked_count) == (2, 1, 2)
    assert record.findings == {"projection missing": 1, "drifted": 1}
    assert record.drifted_columns == {"effort": 1}


def test_a_course_that_waits_for_a_rebuild_is_no_finding(site: Site):
    site.create(KEY)
    site.author.edit_settings(KEY, {"display_name": "On its way"})
    site.inspect()
    mark_courses([CourseMark(course_key=KEY)])

    assert site.inspect().findings == {}


def test_a_row_of_a_course_that_nobody_knows_is_an_orphan(site: Site):
    site.create(KEY)
    CourseOverview.objects.create(
        id=OTHER, version=19, lowest_passing_grade=None, entrance_exam_id=""
    )

    report = site.inspect_twice()
    site.drain()

    assert report.findings == {"orphaned": 1}
    assert set(CourseOverview.objects.values_list("id", flat=True)) == {KEY}
    assert OverviewTombstone.objects.filter(course_key=OTHER).exists()


def test_a_projection_that_was_left_behind_goes_too(site: Site):
    site.create(KEY)
    OverviewProjection.objects.filter(course_key=KEY).update(course_key=OTHER)
    site.inspect_twice()
    site.drain()

    assert site.inspect_twice().findings == {}
    assert set(OverviewProjection.objects.values_list("course_key", flat=True)) == {KEY}


def test_a_verified_course_says_when(site: Site):
    site.create(KEY)
    OverviewState.objects.update(verified_at=None)

    site.inspect(check_count=1)

    assert OverviewState.objects.get(course_key=KEY).verified_at is not None


def test_the_deep_check_rolls_over_all_courses(mongo_site: Site):
    keys = keys_of(5)
    mongo_site.create(*keys)
    CourseOverview.objects.filter(id__in=keys).update(effort="by hand")

    found = [mongo_site.inspect(check_count=2).drifted_columns for _ in range(3)]
    mongo_site.drain()

    assert found == [{"effort": 2}, {"effort": 2}, {"effort": 1}]
    assert not CourseOverview.objects.filter(effort="by hand").exists()
    assert OverviewJob.objects.get(name="deep_check").after_key == keys[0]


def test_with_mongodb_away_nothing_is_concluded(mongo_site: Site, monkeypatch):
    mongo_site.create(KEY)

    def away() -> Any:
        raise ModulestoreUnavailable("MongoDB did not answer: gone")

    monkeypatch.setattr(type(mongo_site.adapters.modulestore), "iter_published", lambda _: away())

    with pytest.raises(ModulestoreUnavailable):
        mongo_site.inspect()
    assert "gone" in OverviewInspection.objects.get().error
    assert not OverviewMark.objects.filter(dirty_since__isnull=False).exists()


def test_a_course_that_the_builder_fails_on_keeps_nothing_from_being_found(site: Site, caplog):
    keys = keys_of(4)
    site.create(KEY, *keys)
    build = site.adapters.build

    def failing(course: PublishedCourse) -> BuiltOverview:
        if course.course_key == KEY:
            raise KeyError("a bug")
        return build(course)

    inspector = replace(site.adapters.inspector, build=failing)
    sick = replace(site, adapters=replace(site.adapters, inspector=inspector, build=failing))
    OverviewProjection.objects.filter(course_key=keys[0]).delete()
    CourseOverview.objects.filter(id=keys[1]).update(effort="by hand")

    sick.inspect()
    report = sick.inspect(check_count=10)
    sick.drain()

    assert report.findings == {"projection missing": 1, "drifted": 1, "unreadable": 1}
    assert f"builder failed: {KeyError('a bug')!r}" in caplog.text
    assert OverviewProjection.objects.filter(course_key=keys[0]).exists()
    assert CourseOverview.objects.get(id=keys[1]).effort != "by hand"
    assert OverviewInspection.objects.filter(finished_at__isnull=False).count() == 2


def test_a_pass_that_breaks_off_says_why_and_has_marked_what_it_had_found(
    mongo_site: Site, monkeypatch
):
    mongo_site.create(KEY, OTHER)
    OverviewProjection.objects.filter(course_key=KEY).delete()
    mongo_site.inspect()
    store = mongo_site.adapters.modulestore

    def broken(*_: Any) -> Any:
        raise KeyError("a bug")

    monkeypatch.setattr(type(store), "read_published", broken)

    with pytest.raises(KeyError):
        mongo_site.inspect(check_count=10)

    newest = OverviewInspection.objects.latest("pk")
    assert (newest.finished_at, newest.error) == (None, "KeyError('a bug')")
    assert (newest.findings, newest.marked_count) == ({"projection missing": 1}, 1)
    assert OverviewMark.objects.get(course_key=KEY).dirty_since is not None


def test_the_newest_pass_that_ended_is_kept_whatever_its_age():
    old = NOW - timedelta(days=60)
    OverviewInspection.objects.create(started_at=old, finished_at=old)
    newest = OverviewInspection.objects.create(started_at=old, finished_at=old)

    keep_house(tombstone_days=90, history_days=365, announces_changes=True, letter_days=90)

    assert [each.pk for each in OverviewInspection.objects.all()] == [newest.pk]


def test_three_beats_make_one_pass_a_period(mongo_site: Site):
    mongo_site.create(KEY)
    inspector = mongo_site.adapters.inspector
    reports = []
    barrier = threading.Barrier(3)

    def beat() -> None:
        barrier.wait()
        reports.append(inspector.inspect(enqueue=lambda keys: None, check_count=0))

    for _ in range(3):
        pass_period()
        with Crew() as crew:
            for _ in range(3):
                crew.start(beat)

    assert sum(report is not None for report in reports) == 3
    assert OverviewInspection.objects.count() == 3


def test_a_storm_of_publishes_raises_no_alarm(mongo_site: Site):
    keys = keys_of(12)
    mongo_site.create(*keys)
    over = threading.Event()
    published = [0]

    def publish() -> None:
        number = 0
        while not over.is_set():
            key = keys[number % len(keys)]
            change = mongo_site.author.edit_settings(key, {"display_name": f"#{number}"})
            event = CoursePublished(
                course_key=key,
                published_version=change.published_version,
                published_at=change.updated_at,
            )
            mark_courses([mark_of(event)])
            number += 1
        published[0] = number

    def work() -> None:
        while not over.is_set():
            mongo_site.rebuild(*keys)

    findings: list[dict[str, int]] = []
    with Crew() as crew:
        crew.start(publish)
        crew.start(work)
        try:
            while len(findings) < 40:
                findings.append(mongo_site.inspect(check_count=len(keys)).findings)
        finally:
            over.set()

    assert findings == [{}] * 40
    assert published[0] > 40
    mongo_site.drain()
    assert not any(check.differences for check in mongo_site.check(*keys))


# The brake on mass deletes


def test_half_the_courses_gone_at_once_are_held_and_nothing_is_removed(site: Site, caplog):
    keys = keys_of(60)
    site.create(*keys)
    for key in keys[:30]:
        site.author.delete_course(key)

    report = site.inspect_twice()
    outcomes = site.drain()

    assert report.findings == {"orphaned": 30}
    assert set(outcomes.values()) == {RebuildOutcome.HELD}
    assert CourseOverview.objects.count() == 60
    assert not OverviewTombstone.objects.exists()
    assert held_delete_count() == 30
    mark = OverviewMark.objects.get(course_key=keys[0])
    assert "30 of 60 courses vanished" in mark.last_error
    assert any(
        record.levelname == "ERROR" and "not removed" in record.message for record in caplog.records
    )


def test_an_empty_index_removes_nothing(site: Site):
    keys = keys_of(3)
    site.create(*keys)
    for key in keys:
        site.author.delete_course(key)
    site.inspect_twice()

    assert set(site.drain().values()) == {RebuildOutcome.HELD}
    assert CourseOverview.objects.count() == 3


def test_one_lost_delete_is_no_question(site: Site):
    keys = keys_of(4)
    site.create(*keys)
    site.author.delete_course(keys[0])
    site.inspect_twice()

    assert site.drain() == {keys[0]: RebuildOutcome.DELETED}


@pytest.mark.parametrize("with_time", [True, False], ids=["with time", "as Open edX says it"])
def test_announced_deletes_are_never_held(mongo_site: Site, with_time):
    keys = keys_of(40)
    mongo_site.create(*keys)
    for key in keys[:39]:
        announce_delete(mongo_site, key, with_time=with_time)

    assert set(mongo_site.drain().values()) == {RebuildOutcome.DELETED}
    assert OverviewTombstone.objects.count() == 39


def test_a_trickle_of_workers_cannot_remove_what_a_flood_may_not(mongo_site: Site):
    keys = keys_of(50)
    mongo_site.create(*keys)
    outcomes: dict[str, RebuildOutcome] = {}
    barrier = threading.Barrier(4)
    one_at_a_time = threading.Lock()

    def work(mine: list[str]) -> None:
        barrier.wait()
        for key in mine:
            with one_at_a_time:
                mongo_site.author.delete_course(key)
            mark_courses([CourseMark(course_key=key)])
            outcomes.update(mongo_site.rebuild(key))

    with Crew() as crew:
        for number in range(4):
            crew.start(work, keys[number:12:4])

    removed = [key for key, outcome in outcomes.items() if outcome is RebuildOutcome.DELETED]
    assert len(removed) <= 2  # 5 % of 50
    assert held_delete_count() == 12 - len(removed)
    assert CourseOverview.objects.count() == 50 - len(removed)


def test_a_flood_that_comes_in_tasks_of_one_course_is_held_from_the_first_on(site: Site):
    keys = keys_of(50)
    site.create(*keys)
    for key in keys[:12]:
        site.author.delete_course(key)
    mark_courses([CourseMark(course_key=key) for key in keys[:12]])

    outcomes = [site.rebuild(key)[key] for key in keys[:12]]

    assert outcomes == [RebuildOutcome.HELD] * 12
    assert CourseOverview.objects.count() == 50
    assert "more than 2 of 50" in OverviewRemoval.objects.get(course_key=keys[0]).reason


def test_a_course_that_comes_back_is_let_go_of_without_a_word(site: Site):
    keys = keys_of(10)
    site.create(*keys)
    for key in keys[:5]:
        site.author.delete_course(key)
    site.inspect_twice()
    site.drain()
    assert held_delete_count() == 5
    site.author.create_courses(
        [new_course(key) for key in keys[:5]],
    )

    site.inspect()
    site.drain()

    assert held_delete_count() == 0
    assert CourseOverview.objects.get(id=keys[0]).display_name == "Back"
    assert site.inspect_twice().findings == {}


def new_course(key: str) -> Any:
    return NewCourse(course_key=key, settings={"display_name": "Back"})


@pytest.fixture
def held(mongo_site: Site, mongo_database, broker_url) -> Iterator[list[str]]:
    keys = keys_of(10)
    mongo_site.create(*keys)
    for key in keys[:5]:
        mongo_site.author.delete_course(key)
    mongo_site.inspect_twice()
    mongo_site.drain()
    close_dependencies()
    with override_settings(
        OVERVIEW_MONGODB_DATABASE=mongo_database.name, OVERVIEW_BROKER_URL=broker_url
    ):
        yield keys[:5]
    close_dependencies()


def test_a_persons_word_lets_them_go(mongo_site: Site, held):
    listed = overview("deletes", "list")
    allowed = overview("deletes", "allow", "--all")
    outcomes = mongo_site.drain()

    assert listed[0] == 1
    assert "5 of 10 courses vanished" in listed[1]
    assert allowed == (0, "5 courses: removed by the next rebuild\n")
    assert outcomes == dict.fromkeys(held, RebuildOutcome.DELETED)
    assert overview("deletes", "list") == (0, "no deletes are held\n")
    assert mongo_site.inspect_twice().findings == {}


def test_a_persons_word_keeps_them_until_their_delete_is_announced(mongo_site: Site, held):
    refused = overview("deletes", "refuse", *held)
    mongo_site.drain()
    again = mongo_site.inspect_twice()

    assert refused[0] == 0
    assert CourseOverview.objects.count() == 10
    assert again.findings == {}
    assert not OverviewMark.objects.filter(dirty_since__isnull=False).exists()
    mark_courses([mark_of(CourseDeleted(course_key=held[0]))])
    assert mongo_site.drain() == {held[0]: RebuildOutcome.DELETED}
    assert not OverviewRemoval.objects.filter(course_key=held[0]).exists()


def test_explain_tells_what_a_person_has_to_decide_and_has_decided(mongo_site: Site, held):
    waiting = overview("explain", held[0])
    overview("deletes", "refuse", held[0])
    mongo_site.drain()
    kept = overview("explain", held[0])

    assert waiting[0] == 1
    assert "its removal is held" in waiting[1]
    assert kept[0] == 0
    assert "a person has refused to let it go" in kept[1]
    assert "deletes allow" in kept[1]


def test_held_deletes_are_shown_everywhere(held, client):
    status, health = overview("status"), client.get("/health")
    doctor = overview("doctor")

    assert status[0] == 1
    assert "deletes that wait for a word" in status[1]
    assert health.status_code == 503
    assert health.json()["held_delete_count"] == 5
    assert "FAIL  deletes: 5 wait for a person's word" in doctor[1]


@pytest.mark.parametrize("arguments", [("allow",), ("refuse", KEY, "--all"), ("allow", "nonsense")])
def test_deletes_called_wrongly_do_nothing(arguments):
    assert overview("deletes", *arguments)[0] == 2


def test_a_course_that_is_not_held_is_named():
    assert overview("deletes", "allow", KEY) == (
        1,
        f"{KEY}: is not held\n0 courses: removed by the next rebuild\n",
    )


# Tombstones


def deleted_for(days: int, *keys: str) -> None:
    for key in keys:
        OverviewTombstone.objects.create(
            course_key=key, display_name=key, deleted_at=NOW - timedelta(days=days)
        )
        OverviewState.objects.create(course_key=key, source_version="a" * 24, deleted=True)


def test_old_tombstones_are_purged_and_the_states_stay():
    deleted_for(91, KEY)
    deleted_for(89, OTHER)

    report = keep_house(tombstone_days=90, history_days=365, announces_changes=True, letter_days=90)

    assert report is not None
    assert report.purged_count == 1
    assert list(OverviewTombstone.objects.values_list("course_key", flat=True)) == [OTHER]
    assert OverviewState.objects.get(course_key=KEY).deleted


def test_what_a_learner_is_shown_is_not_purged():
    third = "course-v1:Org+Inspected+R3"
    deleted_for(400, KEY, OTHER, third)
    learner = User.objects.create(username="Ada")
    CourseEnrollment.objects.create(user=learner, course_id=KEY, is_active=False)
    GeneratedCertificate.objects.create(
        user=learner, course_id=OTHER, status="downloadable", mode="honor", grade="1", name="Ada"
    )

    report = purge_tombstones(days=30)

    assert (report.purged_count, report.referred_count) == (1, 2)
    assert OverviewTombstone.objects.count() == 2


def test_the_purge_goes_in_pages(monkeypatch):
    monkeypatch.setattr("overview_worker.store.housekeeping.PAGE_SIZE", 3)
    deleted_for(100, *keys_of(10))

    assert purge_tombstones(days=90).purged_count == 10


def test_the_house_is_kept_once_a_day_however_many_beats_there_are():
    reports: list[Any] = []
    with Crew() as crew:
        for _ in range(3):
            crew.start(
                lambda: reports.append(
                    keep_house(
                        tombstone_days=90, history_days=365, announces_changes=True, letter_days=90
                    )
                )
            )
    assert sum(report is not None for report in reports) == 1


def test_old_notes_are_thrown_away():
    old = NOW - timedelta(days=40)
    OverviewInspection.objects.create(started_at=old)
    OverviewFreshness.objects.create(hour=old)
    OverviewServed.objects.create(
        course_key=KEY, served_at=old, latency_ms=20_000, reason="waited", counted=True
    )
    OverviewRemoval.objects.create(course_key=KEY, status="removed", changed_at=old)

    keep_house(tombstone_days=90, history_days=365, announces_changes=True, letter_days=90)

    for model in (OverviewInspection, OverviewFreshness, OverviewServed, OverviewRemoval):
        assert not model._default_manager.exists()


def test_old_messages_that_were_no_events_are_purged_and_counted(caplog):
    letter(body=b"old", age=timedelta(days=91))
    letter(body=b"older", age=timedelta(days=200))
    kept = [
        letter(body=b"young", age=timedelta(days=89)),
        letter(course_key=KEY, age=timedelta(days=200)),
        rebuild_letter(age=timedelta(days=200)),
    ]

    keep_house(tombstone_days=90, history_days=365, announces_changes=True, letter_days=90)

    assert set(kept) < set(letter_ids())
    counting = DeadLetter.objects.exclude(id__in=kept).get()
    assert counting.seen_count == 2
    assert counting.reason.startswith("thrown away, only counted")
    assert "purged 2 dead letters" in caplog.text


def test_the_letter_that_counts_the_purged_is_not_purged():
    letter(body=b"old", age=timedelta(days=91))
    purge_dead_letters(days=90)
    DeadLetter.objects.update(last_seen_at=NOW - timedelta(days=200))

    assert purge_dead_letters(days=90) == 0
    assert DeadLetter.objects.get().seen_count == 1


@pytest.mark.parametrize("days", [29, 0, "90", 45.5])
def test_a_shorter_life_of_tombstones_is_refused(days):
    with override_settings(OVERVIEW_TOMBSTONE_DAYS=days):
        assert [message.id for message in check_settings()] == ["overview.E005"]
        with pytest.raises(ImproperlyConfigured, match="at least 30"):
            tombstone_days()


@pytest.mark.parametrize(
    ("name", "check_id"),
    [
        ("OVERVIEW_MAX_INSPECTION_AGE_SECONDS", "overview.E008"),
        ("OVERVIEW_MAX_DEAD_LETTERS", "overview.E009"),
        ("OVERVIEW_DEAD_LETTER_DAYS", "overview.E010"),
    ],
)
@pytest.mark.parametrize("value", [-1, "90", 1.5, True])
def test_a_setting_that_is_no_whole_number_is_refused(name, check_id, value):
    with override_settings(**{name: value}):
        assert [message.id for message in check_settings()] == [check_id]


def test_a_course_is_revived_after_its_tombstone_was_purged(mongo_site: Site):
    mongo_site.create(KEY, OTHER)
    announce_delete(mongo_site, KEY, with_time=True)
    mongo_site.drain()
    OverviewTombstone.objects.update(deleted_at=NOW - timedelta(days=100))
    purge_tombstones(days=90)

    mongo_site.author.create_courses([new_course(KEY)])
    mark_courses([CourseMark(course_key=KEY)])
    mongo_site.drain()

    assert CourseOverview.objects.get(id=KEY).display_name == "Back"
    assert not OverviewTombstone.objects.exists()


# Verify


@pytest.fixture
def verified(mongo_site: Site, mongo_database, broker_url) -> Iterator[Site]:
    mongo_site.create(KEY, OTHER)
    close_dependencies()
    with override_settings(
        OVERVIEW_MONGODB_DATABASE=mongo_database.name,
        OVERVIEW_BROKER_URL=broker_url,
        OVERVIEW_IMAGE_SET={
            "small_width": 375,
            "small_height": 200,
            "large_width": 750,
            "large_height": 400,
        },
    ):
        yield mongo_site
    close_dependencies()


def overview(*arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code and what it printed."""
    output = StringIO()
    try:
        call_command("overview", *arguments, stdout=output)
    except SystemExit as exited:
        return int(exited.code or 0), output.getvalue()
    except CommandError as error:
        return error.returncode, output.getvalue() + str(error)
    return 0, output.getvalue()


@pytest.mark.parametrize("arguments", [(), ("--all",), ("--all", "--shallow"), (KEY,)])
def test_verify_is_content_where_all_is_equal(verified, arguments):
    code, output = overview("verify", *arguments)

    assert code == 0
    assert (
        "1 course compared: 1 equal." if arguments == (KEY,) else "2 courses compared: 2 equal."
    ) in output


def test_verify_prints_each_column_that_differs(verified):
    CourseOverview.objects.filter(id=KEY).update(display_name="By hand", self_paced=True)

    code, output = overview("verify", "--all")

    assert code == 1
    assert f"{KEY}: drifted\n    display_name: 'By hand' → '{KEY}'\n" in output
    assert "    self_paced: True → False\n" in output
    assert "2 courses compared: 1 equal, 1 different." in output


def test_verify_as_json_tells_the_same(verified):
    OverviewProjection.objects.filter(course_key=KEY).delete()

    code, output = overview("verify", "--json")

    assert code == 1
    document = json.loads(output)
    assert document["course_count"] == 2
    (different,) = document["courses"]
    assert different["course_key"] == KEY
    assert different["findings"] == ["projection missing"]
    assert [each["column"] for each in different["differences"]] == ["projection"]
    assert_is_documented(document)


def test_verify_writes_a_page_with_the_same(verified, tmp_path):
    CourseOverview.objects.filter(id=KEY).update(display_name="<b>By hand</b>")

    code, output = overview("verify", KEY, "--html", str(tmp_path / "report.html"))

    assert code == 1
    assert "report written to" in output
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;By hand&lt;/b&gt;" in page
    assert "<b>" not in page


def test_verify_says_what_is_waiting_and_what_is_not_buildable(verified):
    verified.author.edit_settings(KEY, {"display_name": "Newer"})
    mark_courses([CourseMark(course_key=KEY)])
    verified.author.edit_settings(OTHER, {"start": "soon"})

    code, output = overview("verify", "--all")

    assert code == 1
    assert f"{KEY}: stale; waiting for a rebuild" in output
    assert f"{OTHER}: stale; {OTHER}: start = 'soon'" in output


def test_verify_finds_what_was_left_behind(verified):
    verified.author.delete_course(KEY)

    code, output = overview("verify", KEY)

    assert code == 1
    assert "row: a row → nothing: the course is not published" in output


def test_verify_of_a_course_that_nobody_knows_is_a_problem(verified):
    code, output = overview("verify", "course-v1:Org+Nobody+R1")

    assert code == 1
    assert "no such course" in output


def test_verify_called_wrongly_compares_nothing(verified):
    assert overview("verify", "nonsense")[0] == 2
    assert overview("verify", KEY, "--all")[0] == 2


def test_verify_writes_nothing(verified):
    CourseOverview.objects.filter(id=KEY).update(display_name="By hand")
    before = everything()

    overview("verify", "--all")
    overview("verify", "--all", "--shallow")

    assert everything() == before


def test_the_database_refuses_writes_while_verify_runs():
    with read_only(), pytest.raises(DatabaseError, match=r"(?i)read.?only"):
        OverviewMark.objects.create(course_key=KEY)

    OverviewMark.objects.create(course_key=KEY)


def everything() -> dict[str, list[tuple[Any, ...]]]:
    with connection.cursor() as cursor:
        found = {}
        for table in connection.introspection.table_names(cursor):
            if table.startswith(("overview_", "course_overviews_")):
                cursor.execute(f"SELECT * FROM {table}")  # noqa: S608
                found[table] = sorted(cursor.fetchall(), key=str)
    return found


# Freshness


def publish(site: Site, key: str = KEY, name: str = "Newer", **mark: Any) -> None:
    change = site.author.edit_settings(key, {"display_name": name})
    event = CoursePublished(
        course_key=key, published_version=change.published_version, published_at=change.updated_at
    )
    mark_courses([mark_of(event)])


def make_older(key: str = KEY, *, seconds: float) -> None:
    mark = OverviewMark.objects.get(course_key=key)
    shift = timedelta(seconds=seconds)
    OverviewMark.objects.filter(course_key=key).update(
        published_since=mark.published_since and mark.published_since - shift,
        dirty_since=mark.dirty_since and mark.dirty_since - shift,
    )


def test_a_publish_that_was_visible_at_once_is_counted_and_its_row_let_go(mongo_site: Site):
    mongo_site.create(KEY)
    publish(mongo_site)
    mongo_site.drain()

    before = freshness(hours=24)
    count_served("default")
    after = freshness(hours=24)

    assert before.shares == after.shares
    assert [(share.within, share.total) for share in after.shares.values()] == [(1, 1)] * 4
    assert after.max_seconds < 1
    assert not OverviewServed.objects.exists()
    assert late_publishes(limit=5) == []


def test_a_rebuild_that_nobody_published_is_no_publish(mongo_site: Site):
    mongo_site.create(KEY)
    mark_courses([CourseMark(course_key=KEY)])
    mongo_site.drain()

    assert freshness(hours=24).shares[1].total == 0


def test_the_publishes_that_one_rebuild_answers_count_as_one_with_the_oldest_age(mongo_site: Site):
    mongo_site.create(KEY)
    publish(mongo_site)
    make_older(seconds=3)
    publish(mongo_site, name="Newest")
    mongo_site.drain()

    (served,) = OverviewServed.objects.all()
    assert 3000 <= served.latency_ms < 6000


@pytest.mark.parametrize(
    ("last_error", "reason"),
    [
        ("", LateReason.WAITED),
        ("MongoDB did not answer: gone", LateReason.MODULESTORE),
        ("overview database: gone", LateReason.DATABASE),
        ("published structure abc is not in MongoDB", LateReason.LAGGING),
    ],
)
def test_a_late_publish_is_kept_with_its_reason(mongo_site: Site, last_error, reason):
    mongo_site.create(KEY)
    publish(mongo_site)
    make_older(seconds=42)
    OverviewMark.objects.update(last_error=last_error, attempts=1 if last_error else 0)

    mongo_site.rebuild(KEY)
    count_served("default")

    (late,) = late_publishes(limit=5)
    assert (late.course_key, late.reason, late.detail) == (KEY, reason, last_error)
    assert 42 <= late.seconds < 50
    shares = freshness(hours=24).shares
    assert {limit: share.within for limit, share in shares.items()} == {1: 0, 10: 0, 60: 1, 300: 1}


def test_a_publish_that_a_later_one_mended_is_late_because_of_its_fault(mongo_site: Site):
    mongo_site.create(KEY)
    change = mongo_site.author.edit_settings(KEY, {"start": "soon"})
    mark_courses([mark_of(CoursePublished(course_key=KEY))])
    assert mongo_site.rebuild(KEY) == {KEY: RebuildOutcome.FAULTY}
    make_older(seconds=700)
    assert freshness(hours=24).shares[300].total == 1

    mongo_site.author.edit_settings(KEY, {"start": "2030-01-01T00:00:00Z"})
    mark_courses([mark_of(CoursePublished(course_key=KEY))])
    mongo_site.rebuild(KEY)

    (late,) = late_publishes(limit=5)
    assert change.published_version
    assert late.reason is LateReason.FAULT
    assert "start = 'soon'" in late.detail
    assert late.seconds >= 700


def test_a_publish_that_the_inspector_found_is_late_because_it_was_lost(mongo_site: Site):
    mongo_site.create(KEY)
    mongo_site.author.edit_settings(KEY, {"display_name": "Lost"})
    mongo_site.inspect_twice()
    mongo_site.drain()

    (late,) = late_publishes(limit=5)
    assert late.reason is LateReason.LOST
    assert late.seconds >= 100


def test_a_publish_that_is_still_waiting_counts_against_the_limits_it_has_overstepped(
    mongo_site: Site,
):
    mongo_site.create(KEY)
    publish(mongo_site)
    make_older(seconds=30)

    figures = freshness(hours=24)

    assert figures.waiting_count == 1
    assert {limit: share.total for limit, share in figures.shares.items()} == {
        1: 1,
        10: 1,
        60: 0,
        300: 0,
    }
    (late,) = late_publishes(limit=5)
    assert (late.course_key, late.served_at) == (KEY, None)


def test_status_tells_the_figures_and_the_late_ones(mongo_site: Site):
    mongo_site.create(KEY)
    publish(mongo_site)
    make_older(seconds=20)
    mongo_site.rebuild(KEY)
    mongo_site.inspect()

    output = overview("status")[1]

    assert "visible within 1 s, 24 h" in output
    assert "0 of 1, 0.0 nines" in output
    assert "visible within 60 s, 30 days" in output
    assert "late publish 1" in output
    assert "no worker came to it" in output
    assert "last inspection" in output
    assert json.loads(overview("status", "--json")[1])["freshness"][0]["hours"] == 24
