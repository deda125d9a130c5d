"""The schedule that operators edit: django-celery-beat's tables, and the runs that come of them."""

import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import OperationalError, connection, connections
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
)

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import (
    DatabaseIdentity,
    OverviewJob,
    OverviewRebuildRun,
    RunDepth,
    RunOrigin,
    RunScope,
    RunState,
)
from lms_integration.rebuild_desk import RunRequest, ask_for_run, cancel_run
from overview_worker.beat import ScheduleWatch
from overview_worker.errors import StoreUnavailable
from overview_worker.store.operator_schedule import (
    NIGHTLY_NAME,
    claim,
    give_back,
    look_at_schedule,
    make_nightly_entry,
)
from overview_worker.store.scheduled_runs import (
    ASK_FOR_FULL_RUN,
    ScheduledRun,
    ask_for_scheduled_run,
)
from tests.sql_accounts import printed_accounts, signed_in

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def database_now() -> datetime:
    DatabaseIdentity.objects.get_or_create()
    now = DatabaseIdentity.objects.annotate(now=DatabaseNow()).values_list("now", flat=True)
    return now[0]


def every(count: int, period: str = "hours") -> IntervalSchedule:
    return IntervalSchedule.objects.get_or_create(every=count, period=period)[0]


def daily_at(moment: datetime) -> CrontabSchedule:
    return CrontabSchedule.objects.create(minute=moment.minute, hour=moment.hour, timezone="UTC")


def entry(
    name: str = "hourly", *, last_run: datetime | None = None, **columns: Any
) -> PeriodicTask:
    """An entry as the admin saves it; without a schedule of its own it is hourly."""
    if not {"crontab", "interval", "clocked"} & set(columns):
        columns["interval"] = every(1)
    made = PeriodicTask.objects.create(name=name, **{"task": ASK_FOR_FULL_RUN, **columns})
    PeriodicTask.objects.filter(pk=made.pk).update(last_run_at=last_run)
    made.refresh_from_db()
    return made


@pytest.fixture
def now() -> datetime:
    """The time by the database's clock, with no entry but the test's own."""
    PeriodicTask.objects.all().delete()
    return database_now()


def due_names() -> list[str]:
    return [each.name for each in look_at_schedule().due]


def watch(sent: list[ScheduledRun]) -> ScheduleWatch:
    return ScheduleWatch(sent.append)


def side_by_side(count: int, action: Callable[[], Any]) -> list[Any]:
    """Do the same in so many threads at once, each with a connection of its own."""
    barrier = threading.Barrier(count)

    def act() -> Any:
        try:
            barrier.wait()
            return action()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return [each.result() for each in [pool.submit(act) for _ in range(count)]]


# The nightly entry


def test_migrate_makes_the_entry_of_the_nightly_run():
    nightly = PeriodicTask.objects.get(name=NIGHTLY_NAME)

    assert nightly.enabled
    assert nightly.task == ASK_FOR_FULL_RUN
    assert (nightly.crontab.hour, nightly.crontab.minute) == ("3", "17")
    assert str(nightly.crontab.timezone) == "UTC"
    order = ScheduledRun.from_arguments(json.loads(nightly.kwargs))
    assert (order.scope, order.depth) == (RunScope.ALL, RunDepth.STALE)
    assert order.jitter_seconds == 900


def test_migrating_again_leaves_what_an_operator_has_changed():
    PeriodicTask.objects.filter(name=NIGHTLY_NAME).update(enabled=False, crontab=None)
    PeriodicTask.objects.filter(name=NIGHTLY_NAME).update(interval=every(7, "days"))

    call_command("migrate", verbosity=0)

    nightly = PeriodicTask.objects.get(name=NIGHTLY_NAME)
    assert not nightly.enabled
    assert nightly.interval == every(7, "days")
    assert CrontabSchedule.objects.count() == 1


def test_migrating_again_brings_nothing_back_that_an_operator_has_deleted():
    PeriodicTask.objects.all().delete()

    call_command("migrate", verbosity=0)

    assert not PeriodicTask.objects.exists()


def test_the_nightly_entry_is_made_once():
    assert not make_nightly_entry()

    PeriodicTask.objects.all().delete()
    OverviewJob.objects.all().delete()

    assert make_nightly_entry()
    assert not make_nightly_entry()
    assert PeriodicTask.objects.count() == 1
    assert CrontabSchedule.objects.count() == 1


# When an entry is due


def test_an_interval_is_due_once_it_has_passed(now):
    entry("old", last_run=now - HOUR)
    entry("young", last_run=now - HOUR / 2)

    assert due_names() == ["old"]


def test_a_crontab_is_due_from_its_minute_on(now):
    entry("was", crontab=daily_at(now - HOUR), last_run=now - 2 * HOUR)
    entry("ran", crontab=daily_at(now - HOUR), last_run=now - HOUR / 2)
    entry("will be", crontab=daily_at(now + HOUR), last_run=now - 2 * HOUR)

    assert due_names() == ["was"]


def test_a_crontab_is_of_its_own_time_zone(now):
    there = now + timedelta(hours=9)  # Tokyo, which knows no summer time
    tokyo = CrontabSchedule.objects.create(
        minute=(there - HOUR).minute, hour=(there - HOUR).hour, timezone="Asia/Tokyo"
    )
    entry("was", crontab=tokyo, last_run=now - 2 * HOUR)
    entry("as if it were UTC", crontab=daily_at(there - HOUR), last_run=now - 2 * HOUR)

    assert due_names() == ["was"]


@pytest.mark.parametrize("hours", [-30, 30])
def test_the_clock_of_a_beat_does_not_matter(now, hours):
    entry("old", last_run=now - HOUR)
    entry("young", last_run=now - HOUR / 2)
    entry("nightly", crontab=daily_at(now + HOUR), last_run=now - HOUR)

    with time_machine.travel(now + timedelta(hours=hours)):
        assert due_names() == ["old"]


def test_an_entry_that_is_new_waits_for_its_first_time(now):
    entry("hourly")
    entry("nightly", crontab=daily_at(now - HOUR))

    assert due_names() == []


def test_a_time_that_no_beat_was_there_for_is_made_up_for_once(now):
    entry("nightly", crontab=daily_at(now - HOUR), last_run=now - 5 * DAY)
    sent: list[ScheduledRun] = []

    watch(sent).look()
    watch(sent).look()

    assert len(sent) == 1


def test_what_is_disabled_over_or_yet_to_begin_is_not_due(now):
    entry("disabled", enabled=False)
    entry("over", last_run=now - DAY, expires=now - HOUR)
    entry("yet to begin", last_run=now - DAY, start_time=now + HOUR)
    entry("begun", start_time=now - HOUR / 2)
    entry("still", last_run=now - DAY, expires=now + HOUR)

    assert due_names() == ["begun", "still"]


def test_an_appointment_is_kept_once(now):
    soon = ClockedSchedule.objects.create(clocked_time=now + HOUR)
    past = ClockedSchedule.objects.create(clocked_time=now - HOUR)
    entry("soon", clocked=soon, one_off=True)
    kept = entry("past", clocked=past, one_off=True)
    sent: list[ScheduledRun] = []

    watch(sent).look()
    watch(sent).look()

    kept.refresh_from_db()
    assert len(sent) == 1
    assert not kept.enabled


def test_the_schedule_is_looked_at_in_one_query(now, django_assert_num_queries):
    for number in range(20):
        entry(f"entry {number}", last_run=now - DAY)

    with django_assert_num_queries(1):
        assert len(due_names()) == 20


# What is sent


def test_an_entry_is_sent_with_what_it_says_and_its_run_tells_which_entry_it_was(now):
    entry("weekly", last_run=now - DAY, kwargs='{"depth": "build", "org": "TidesX"}')
    sent: list[ScheduledRun] = []

    watch(sent).look()

    assert sent == [ScheduledRun(depth=RunDepth.BUILD, org="TidesX", reason="weekly")]


def test_what_was_sent_is_noted_for_operators_to_see(now):
    made = entry(last_run=now - DAY)

    watch([]).look()

    made.refresh_from_db()
    assert made.last_run_at >= now
    assert made.total_run_count == 1


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"task": "overview.sweep"}, "only overview.ask_for_full_run may be scheduled here"),
        ({"task": "os.system"}, "only overview.ask_for_full_run may be scheduled here"),
        ({"args": "[1]"}, "it has positional arguments"),
        ({"kwargs": '{"depth": "deep"}'}, "depth 'deep' is none of"),
        ({"kwargs": '{"countdown": 5}'}, "unknown: countdown"),
        ({"kwargs": "nonsense"}, "JSONDecodeError"),
        ({"kwargs": "[]"}, "AttributeError|TypeError|ValueError"),
    ],
)
def test_a_row_that_cannot_be_run_is_told_and_hides_no_other(now, caplog, columns, words):
    entry("a bad one", last_run=now - DAY, **columns)
    entry("a good one", last_run=now - DAY)
    sent: list[ScheduledRun] = []

    with caplog.at_level(logging.ERROR):
        watch(sent).look()

    assert [order.reason for order in sent] == ["a good one"]
    assert "periodic task 'a bad one' is not run" in caplog.text
    assert any(word in caplog.text for word in words.split("|"))


def test_what_the_broker_did_not_take_is_due_again(now):
    made = entry(last_run=now - DAY)

    def refuse(order: ScheduledRun) -> None:
        raise ConnectionError("no broker")

    ScheduleWatch(refuse).look()

    made.refresh_from_db()
    assert (made.last_run_at, made.total_run_count) == (now - DAY, 0)
    assert due_names() == ["hourly"]


def test_an_appointment_that_the_broker_did_not_take_is_kept_later(now):
    past = ClockedSchedule.objects.create(clocked_time=now - HOUR)
    entry("past", clocked=past, one_off=True)
    (due,) = look_at_schedule().due

    assert claim(due)
    assert due_names() == []
    give_back(due)

    assert due_names() == ["past"]


def test_of_several_beats_that_look_at_once_one_sends(now):
    for number in range(5):
        entry(f"entry {number}", last_run=now - DAY)
    sent: list[ScheduledRun] = []

    side_by_side(3, watch(sent).look)

    assert sorted(order.reason for order in sent) == [f"entry {number}" for number in range(5)]


def test_a_beat_whose_database_was_away_goes_on_when_it_is_back(now, caplog):
    entry(last_run=now - DAY)
    sent: list[ScheduledRun] = []
    looking = watch(sent)
    settings: dict[str, Any] = connections["default"].settings_dict
    before = {name: settings[name] for name in ("USER", "PASSWORD")}

    connection.close()
    settings.update(USER="nobody", PASSWORD="wrong")
    try:
        with caplog.at_level(logging.ERROR):
            looking.look()
            looking.look()
    finally:
        connection.close()
        settings.update(before)
    assert caplog.text.count("the schedule cannot be read; the internal jobs go on") == 1
    assert sent == []

    looking.look()

    assert len(sent) == 1


def test_tables_that_are_not_there_are_told_and_stop_nothing(caplog):
    table = PeriodicTask._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
    try:
        assert not make_nightly_entry()
        with caplog.at_level(logging.ERROR):
            watch([]).look()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table}_away RENAME TO {table}")

    assert table in caplog.text


# The runs


def no_delay(below: int) -> int:
    return 0


def test_the_task_asks_for_a_run_that_begins_within_the_jitter():
    made = ask_for_scheduled_run(
        ScheduledRun(jitter_seconds=900, reason="nightly"), below=lambda below: below - 1
    )

    assert made is not None
    assert (made.scope, made.depth, made.state) == (
        RunScope.ALL,
        RunDepth.STALE,
        RunState.PLANNED,
    )
    assert (made.asked_from, made.reason) == (RunOrigin.SCHEDULE, "nightly")
    assert made.not_before is not None
    assert abs(made.not_before - made.created_at - timedelta(seconds=900)) < timedelta(seconds=1)


def test_the_delay_is_drawn_anew_each_time():
    drawn = set()
    for _ in range(8):
        made = ask_for_scheduled_run(ScheduledRun(jitter_seconds=86_400))
        assert made is not None
        assert made.not_before is not None
        drawn.add(round((made.not_before - made.created_at).total_seconds()))
        OverviewRebuildRun.objects.all().delete()
        OverviewJob.objects.all().delete()

    assert len(drawn) > 1
    assert all(0 <= each <= 86_401 for each in drawn)


def test_without_jitter_a_run_begins_at_once():
    made = ask_for_scheduled_run(ScheduledRun(jitter_seconds=0))

    assert made is not None
    assert made.not_before is None


def test_a_run_of_an_organisation_is_of_its_courses_at_its_rate():
    made = ask_for_scheduled_run(ScheduledRun(org="TidesX", rate=5.0, depth=RunDepth.OLD))

    assert made is not None
    assert (made.scope, made.org, made.rate) == (RunScope.ORG, "TidesX", 5.0)
    assert made.version_below is not None


def test_a_message_that_comes_twice_asks_once(caplog):
    first = ask_for_scheduled_run(ScheduledRun(), below=no_delay)
    assert first is not None
    cancel_run(first.pk)

    with caplog.at_level(logging.INFO):
        assert ask_for_scheduled_run(ScheduledRun(), below=no_delay) is None

    assert "asked for less than 600 seconds ago" in caplog.text
    assert OverviewRebuildRun.objects.count() == 1


def test_after_ten_minutes_a_run_that_is_over_is_asked_for_again():
    first = ask_for_scheduled_run(ScheduledRun(), below=no_delay)
    assert first is not None
    cancel_run(first.pk)
    OverviewJob.objects.update(started_at=DatabaseNow(offset_seconds=-601))

    assert ask_for_scheduled_run(ScheduledRun(), below=no_delay) is not None


@pytest.mark.parametrize(
    ("active", "wanted", "is_asked_for"),
    [
        ({"scope": RunScope.ALL}, ScheduledRun(), False),
        ({"scope": RunScope.ALL}, ScheduledRun(org="TidesX"), False),
        ({"scope": RunScope.ORG, "org": "tidesx"}, ScheduledRun(org="TidesX"), False),
        ({"scope": RunScope.ORG, "org": "ReefX"}, ScheduledRun(org="TidesX"), True),
        ({"scope": RunScope.ORG, "org": "ReefX"}, ScheduledRun(), True),
    ],
    ids=["all and all", "all and org", "same org", "other org", "org and all"],
)
def test_while_a_run_of_the_same_courses_is_active_none_is_asked_for(
    caplog, active, wanted, is_asked_for
):
    ask_for_run(RunRequest(depth=RunDepth.STALE, asked_from=RunOrigin.COMMAND, **active))

    with caplog.at_level(logging.INFO):
        made = ask_for_scheduled_run(wanted, below=no_delay)

    assert (made is not None) == is_asked_for
    assert ("the schedule asks for no run" in caplog.text) != is_asked_for


def test_a_run_in_the_way_does_not_use_up_the_slot():
    active = ask_for_run(
        RunRequest(scope=RunScope.ALL, depth=RunDepth.STALE, asked_from=RunOrigin.ADMIN)
    )
    assert ask_for_scheduled_run(ScheduledRun(), below=no_delay) is None
    cancel_run(active.pk)

    assert ask_for_scheduled_run(ScheduledRun(), below=no_delay) is not None


def test_several_workers_that_are_told_at_once_ask_once():
    made = side_by_side(4, lambda: ask_for_scheduled_run(ScheduledRun(), below=no_delay))

    assert len([each for each in made if each is not None]) == 1
    assert OverviewRebuildRun.objects.count() == 1


def test_a_database_that_is_away_is_an_error_that_says_so():
    settings: dict[str, Any] = connections["default"].settings_dict
    before = {name: settings[name] for name in ("USER", "PASSWORD")}
    connection.close()
    settings.update(USER="nobody", PASSWORD="wrong")
    try:
        with pytest.raises(StoreUnavailable):
            ask_for_scheduled_run(ScheduledRun(), below=no_delay)
    finally:
        connection.close()
        settings.update(before)


# Rights in SQL


def test_the_workers_sql_account_looks_sends_and_asks(now):
    entry(last_run=now - DAY)
    past = ClockedSchedule.objects.create(clocked_time=now - HOUR)
    entry("past", clocked=past, one_off=True)
    sent: list[ScheduledRun] = []

    with printed_accounts("worker") as passwords, signed_in("worker", passwords["worker"]):
        watch(sent).look()
        for order in sent:
            ask_for_scheduled_run(order, below=no_delay)

    assert len(sent) == 2
    assert OverviewRebuildRun.objects.count() == 1


@pytest.mark.parametrize("role", ["worker", "reader"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE django_celery_beat_periodictask SET task = 'forged'",
        "UPDATE django_celery_beat_periodictask SET kwargs = '{}'",
        "DELETE FROM django_celery_beat_periodictask",
        "INSERT INTO django_celery_beat_intervalschedule (every, period) VALUES (1, 'days')",
        "UPDATE django_celery_beat_crontabschedule SET hour = '4'",
    ],
)
def test_neither_workers_nor_readers_edit_the_schedule(role, statement):
    with printed_accounts(role) as passwords, signed_in(role, passwords[role]):
        assert PeriodicTask.objects.count() == 1
        with (
            pytest.raises(OperationalError, match=r"1142|1143"),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
