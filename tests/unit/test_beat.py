"""Beat: the internal jobs keep their own clock, and nothing about the operators' schedule stops them."""

import logging
import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from celery import Celery
from celery.beat import ScheduleEntry

import celeryconfig
from overview_worker import beat
from overview_worker.beat import (
    COMPLAINT_PERIOD_SECONDS,
    LOOK_PERIOD_SECONDS,
    OverviewScheduler,
    ScheduleWatch,
)
from overview_worker.errors import StoreUnavailable
from overview_worker.store.operator_schedule import DueEntry, ScheduleLook
from overview_worker.store.scheduled_runs import ASK_FOR_FULL_RUN, ScheduledRun

NOW = datetime(2026, 5, 1, 3, 17, tzinfo=UTC)


class RecordingScheduler(OverviewScheduler):
    """Sends nothing; remembers the names of the tasks."""

    producer = None  # type: ignore[assignment]  # so that no broker is connected to
    sent: list[str]

    def apply_async(self, entry: ScheduleEntry, *args: object, **options: object) -> None:
        # Not ``send_task``: where the tasks have been imported, Celery sends them without it.
        self.sent.append(str(entry.task))


@pytest.fixture
def installed(monkeypatch) -> None:
    monkeypatch.setattr(beat, "is_schedule_installed", lambda: True)


@pytest.fixture
def not_installed(monkeypatch) -> None:
    monkeypatch.setattr(beat, "is_schedule_installed", lambda: False)


def scheduler() -> RecordingScheduler:
    app = Celery(broker="memory://", set_as_current=False)
    app.conf.beat_schedule = celeryconfig.beat_schedule
    made = RecordingScheduler(app)
    made.sent = []
    return made


def tick_until(made: RecordingScheduler, task: str) -> None:
    """Tick, without the waits between, until beat has sent a task."""
    for _ in range(1000):
        made.tick()
        if task in made.sent:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{task} was not sent: {made.sent}")


def entry(name: str = "nightly") -> DueEntry:
    return DueEntry(
        entry_id=1,
        name=name,
        order=ScheduledRun(),
        is_one_off=False,
        last_run_at=None,
        now=NOW,
    )


class Clock:
    """A steady clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def watch(clock: Clock | None = None, *, sent: list[ScheduledRun] | None = None) -> ScheduleWatch:
    orders = [] if sent is None else sent
    return ScheduleWatch(orders.append, monotonic=clock or Clock())


def complaints(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


# The internal jobs


@pytest.mark.usefixtures("not_installed")
def test_without_the_tables_app_there_are_the_internal_jobs_alone():
    made = scheduler()

    assert set(made.schedule) == set(celeryconfig.beat_schedule)
    assert "sweep" in made.schedule
    assert "operator-schedule" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.usefixtures("not_installed")
@pytest.mark.parametrize("minutes", [-5, 5, 60 * 24])
def test_the_internal_jobs_are_due_by_the_steady_clock_whatever_the_wall_clock_says(minutes):
    made = scheduler()
    before = {name: each.is_due()[1] for name, each in made.schedule.items()}

    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=minutes)):
        after = {name: each.is_due()[1] for name, each in made.schedule.items()}

    assert after == pytest.approx(before, abs=5)


def test_no_internal_job_can_be_scheduled_or_unscheduled_by_an_operator():
    internal = {each["task"] for each in celeryconfig.beat_schedule.values()}

    assert ASK_FOR_FULL_RUN not in internal


@pytest.mark.usefixtures("installed")
def test_a_database_that_never_answers_stops_no_internal_job(monkeypatch):
    asked, answers = threading.Event(), threading.Event()

    def hang(**_: object) -> ScheduleLook:
        asked.set()
        answers.wait(30)
        return ScheduleLook(due=(), problems=())

    monkeypatch.setattr(beat, "LOOK_PERIOD_SECONDS", 0.0)
    monkeypatch.setattr(beat, "look_at_schedule", hang)
    made = scheduler()
    try:
        assert asked.wait(10)
        tick_until(made, "overview.sweep")
    finally:
        answers.set()
        made.close()


@pytest.mark.usefixtures("installed")
def test_the_scheduler_stops_looking_when_beat_ends(monkeypatch):
    monkeypatch.setattr(beat, "look_at_schedule", lambda **_: ScheduleLook(due=(), problems=()))
    made = scheduler()
    thread = made._watch
    assert thread is not None
    assert thread.is_alive()

    made.close()

    thread.join(10)
    assert not thread.is_alive()


def test_beats_configuration_names_the_scheduler():
    assert celeryconfig.beat_scheduler == "overview_worker.beat:OverviewScheduler"
    assert LOOK_PERIOD_SECONDS < COMPLAINT_PERIOD_SECONDS


# The operators' schedule


def test_what_is_due_and_claimed_is_sent(monkeypatch):
    monkeypatch.setattr(
        beat, "look_at_schedule", lambda **_: ScheduleLook(due=(entry(),), problems=())
    )
    monkeypatch.setattr(beat, "claim", lambda *_, **__: True)
    sent: list[ScheduledRun] = []

    watch(sent=sent).look()

    assert sent == [ScheduledRun()]


def test_what_another_beat_has_claimed_is_not_sent(monkeypatch):
    monkeypatch.setattr(
        beat, "look_at_schedule", lambda **_: ScheduleLook(due=(entry(),), problems=())
    )
    monkeypatch.setattr(beat, "claim", lambda *_, **__: False)
    sent: list[ScheduledRun] = []

    watch(sent=sent).look()

    assert sent == []


def test_what_the_broker_does_not_take_is_given_back(monkeypatch, caplog):
    given_back: list[DueEntry] = []
    monkeypatch.setattr(
        beat, "look_at_schedule", lambda **_: ScheduleLook(due=(entry(),), problems=())
    )
    monkeypatch.setattr(beat, "claim", lambda *_, **__: True)
    monkeypatch.setattr(beat, "give_back", lambda each, **_: given_back.append(each))

    def refuse(order: ScheduledRun) -> None:
        raise ConnectionError("no broker")

    ScheduleWatch(refuse, monotonic=Clock()).look()

    assert given_back == [entry()]
    assert complaints(caplog) == ["'nightly' could not be sent: no broker"]


def test_a_database_that_is_away_is_one_line_a_minute(monkeypatch, caplog):
    def away(**_: object) -> ScheduleLook:
        raise StoreUnavailable("overview database: gone")

    monkeypatch.setattr(beat, "look_at_schedule", away)
    clock = Clock()
    looking = watch(clock)

    for _ in range(12):
        looking.look()
        clock.seconds += 4.9
    assert len(complaints(caplog)) == 1
    clock.seconds += 2
    looking.look()

    assert len(complaints(caplog)) == 2
    assert "the internal jobs go on" in complaints(caplog)[0]


def test_each_row_that_cannot_be_run_is_told_once_a_minute(monkeypatch, caplog):
    found = ScheduleLook(due=(), problems=("'a' is not run", "'b' is not run\nFORGED"))
    monkeypatch.setattr(beat, "look_at_schedule", lambda **_: found)
    looking = watch()

    looking.look()
    looking.look()

    assert complaints(caplog) == ["'a' is not run", "'b' is not run\\nFORGED"]
