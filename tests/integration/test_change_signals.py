"""Open edX's signals of what has changed: once, in order, with its arguments, whoever fails."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.core.management import call_command
from django.db import connection

from lms_integration import change_signals
from lms_integration.change_history import SIGNAL_JOB
from lms_integration.database_clock import DatabaseNow
from lms_integration.models import CourseOverview, OverviewChange, OverviewJob
from lms_integration.signalling import LEASE_SECONDS, MAX_ATTEMPTS, Signaller
from overview_worker.rebuild import BUILDER_VERSION
from overview_worker.store.conf import StoreConf
from overview_worker.store.overview_store import DjangoOverviewStore
from tests.race_scene import PATIENCE_SECONDS, Crew
from tests.written_overviews import apply, removed, written

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "course-v1:TestX+Signals+R1"
OTHER = "course-v1:TestX+Signals+R2"
NAMES = (
    "COURSE_START_DATE_CHANGED",
    "COURSE_PACING_CHANGED",
    "COURSE_CERT_DATE_CHANGE",
    "IMPORT_COURSE_DETAILS",
    "DELETE_COURSE_DETAILS",
)
MAY = datetime(2031, 5, 1, tzinfo=UTC)
JUNE = datetime(2031, 6, 1, tzinfo=UTC)


class Ears:
    """Receivers of all five signals; ``fails`` may raise for what was heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.fails: Callable[[str, dict[str, Any]], None] = lambda name, arguments: None
        self._receivers = {name: self._receiver(name) for name in NAMES}
        for name, receiver in self._receivers.items():
            getattr(change_signals, name).connect(receiver)

    def _receiver(self, name: str) -> Callable[..., None]:
        def receive(sender: object, **arguments: Any) -> None:
            assert sender is None
            arguments.pop("signal")
            self.heard.append((name, arguments))
            self.fails(name, arguments)

        return receive

    def close(self) -> None:
        for name, receiver in self._receivers.items():
            getattr(change_signals, name).disconnect(receiver)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.heard]


@pytest.fixture
def ears() -> Iterator[Ears]:
    opened = Ears()
    yield opened
    opened.close()


@pytest.fixture
def signaller() -> Signaller:
    """One whose deployment has been sending signals before."""
    made = Signaller()
    made.register()
    return made


def store() -> DjangoOverviewStore:
    return DjangoOverviewStore(StoreConf(builder_version=BUILDER_VERSION))


def write(course_key: str = KEY, **settings: Any) -> None:
    apply(store(), written(**settings), course_key)


def remove(course_key: str = KEY) -> None:
    apply(store(), removed, course_key)


def untold() -> int:
    return OverviewChange.objects.filter(signalled_at__isnull=True).count()


def due_now() -> None:
    """Let the time pass after which what failed is tried again."""
    OverviewChange.objects.filter(signal_retry_at__isnull=False).update(
        signal_retry_at=DatabaseNow(offset_seconds=-1)
    )


# What is sent


def test_a_new_row_is_told_as_an_import(signaller, ears):
    write()

    report = signaller.tell_waiting()

    assert ears.heard == [("IMPORT_COURSE_DETAILS", {"courserun_key": KEY})]
    assert (report.told_count, report.failed_count) == (1, 0)
    assert untold() == 0


def test_a_new_start_is_told_with_the_row_and_the_old_start(signaller, ears):
    write(start=MAY)
    signaller.tell_waiting()
    write(start=JUNE)
    ears.heard.clear()

    signaller.tell_waiting()

    ((name, arguments),) = ears.heard
    assert name == "COURSE_START_DATE_CHANGED"
    assert set(arguments) == {"updated_course_overview", "previous_start_date"}
    assert arguments["previous_start_date"] == MAY
    row = arguments["updated_course_overview"]
    assert isinstance(row, CourseOverview)
    assert (row.id, row.start) == (KEY, JUNE)


def test_another_pacing_is_told_with_the_row_and_the_old_pacing(signaller, ears):
    write(self_paced=False)
    signaller.tell_waiting()
    write(self_paced=True)
    ears.heard.clear()

    signaller.tell_waiting()

    ((name, arguments),) = ears.heard
    assert name == "COURSE_PACING_CHANGED"
    assert set(arguments) == {"updated_course_overview", "previous_self_paced"}
    assert arguments["previous_self_paced"] is False
    assert arguments["updated_course_overview"].self_paced is True


@pytest.mark.parametrize(
    ("before", "after", "is_told"),
    [
        ({}, {"certificate_available_date": MAY}, True),
        (
            {"certificates_display_behavior": "end"},
            {"certificates_display_behavior": "early_no_info"},
            True,
        ),
        ({"certificates_display_behavior": "end"}, {"end": JUNE}, True),
        ({"certificates_display_behavior": "early_no_info"}, {"end": JUNE}, False),
        ({}, {"display_name": "Dunes"}, False),
    ],
)
def test_when_certificates_are_shown_is_told_by_the_key(signaller, ears, before, after, is_told):
    write(**before)
    signaller.tell_waiting()
    write(**(before | after))
    ears.heard.clear()

    signaller.tell_waiting()

    expected = [("COURSE_CERT_DATE_CHANGE", {"course_key": KEY})]
    assert ears.heard == (expected if is_told else [])
    assert untold() == 0


def test_a_delete_is_told_by_the_key_and_what_came_before_it_of_no_row_is_not(signaller, ears):
    write(start=MAY)
    signaller.tell_waiting()
    write(start=JUNE)
    remove()
    ears.heard.clear()

    signaller.tell_waiting()

    assert ears.heard == [("DELETE_COURSE_DETAILS", {"courserun_key": KEY})]
    assert untold() == 0


def test_changes_are_told_in_order_and_once(signaller, ears):
    write(start=MAY)
    write(OTHER)
    write(start=JUNE, self_paced=True)
    remove(OTHER)

    signaller.tell_waiting()
    signaller.tell_waiting()

    assert ears.names == [
        "IMPORT_COURSE_DETAILS",
        "IMPORT_COURSE_DETAILS",
        "COURSE_START_DATE_CHANGED",
        "COURSE_PACING_CHANGED",
        "DELETE_COURSE_DETAILS",
    ]


def test_the_first_start_of_all_begins_with_the_changes_to_come(ears):
    write()
    signaller = Signaller()

    assert signaller.register() == 1
    write(OTHER)
    assert signaller.register() is None
    signaller.tell_waiting()

    assert ears.heard == [("IMPORT_COURSE_DETAILS", {"courserun_key": OTHER})]


def test_the_first_start_tells_of_what_was_before_if_asked_to(ears):
    write()
    signaller = Signaller()

    assert signaller.register(from_now=False) == 0
    signaller.tell_waiting()

    assert ears.names == ["IMPORT_COURSE_DETAILS"]


# Receivers that fail


def test_a_failing_receiver_is_named_and_told_again_and_nobody_else_waits(signaller, ears, caplog):
    def fail(_: str, arguments: dict[str, Any]) -> None:
        if arguments.get("courserun_key") == KEY:
            raise KeyError("no\nsuch thing")

    ears.fails = fail
    write()
    write(display_name="Dunes", start=MAY)
    write(OTHER)

    report = signaller.tell_waiting()

    assert (report.told_count, report.failed_count, report.given_up_count) == (1, 1, 0)
    assert [arguments for _, arguments in ears.heard] == [
        {"courserun_key": KEY},
        {"courserun_key": OTHER},
    ]
    (failed,) = OverviewChange.objects.filter(signal_attempts__gt=0)
    assert "IMPORT_COURSE_DETAILS" in failed.signal_error
    assert "Ears._receiver" in failed.signal_error
    assert "\n" not in failed.signal_error
    (line,) = [each for each in caplog.records if each.name == "lms_integration.signalling"]
    assert KEY in line.getMessage()
    assert "Ears._receiver" in line.getMessage()

    ears.fails = lambda name, arguments: None
    ears.heard.clear()
    assert signaller.tell_waiting().told_count == 0  # not before its time
    due_now()
    signaller.tell_waiting()

    assert ears.names == ["IMPORT_COURSE_DETAILS", "COURSE_START_DATE_CHANGED"]
    assert untold() == 0


def test_a_receiver_that_fails_for_ever_is_given_up_with_its_error(signaller, ears):
    def fail(*_: object) -> None:
        raise ValueError("never")

    ears.fails = fail
    write()

    reports = []
    for _ in range(MAX_ATTEMPTS + 2):
        reports.append(signaller.tell_waiting())
        due_now()

    assert [report.failed_count for report in reports] == [1] * MAX_ATTEMPTS + [0, 0]
    assert sum(report.given_up_count for report in reports) == 1
    change = OverviewChange.objects.get()
    assert change.signalled_at is not None
    assert change.signal_attempts == MAX_ATTEMPTS
    assert "ValueError: never" in change.signal_error


def test_the_other_receivers_of_a_signal_hear_it_all_the_same(signaller, ears):
    def broken(**_: Any) -> None:
        raise ValueError("broken")

    change_signals.IMPORT_COURSE_DETAILS.connect(broken)
    try:
        write()
        signaller.tell_waiting()
    finally:
        change_signals.IMPORT_COURSE_DETAILS.disconnect(broken)

    assert ears.names == ["IMPORT_COURSE_DETAILS"]


class Fleeting:
    """A receiver of imports that fails so many times, and takes them then."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls: list[dict[str, Any]] = []

    def __call__(self, sender: object, **arguments: Any) -> None:
        self.calls.append({"sender": sender, **arguments})
        if len(self.calls) <= self.failures:
            raise ValueError("not yet")


class Other(Fleeting):
    """Another one, by its name."""


@pytest.fixture
def connected() -> Iterator[Callable[[Callable[..., Any]], None]]:
    made: list[Callable[..., Any]] = []

    def connect(receiver: Callable[..., Any]) -> None:
        made.append(receiver)
        change_signals.IMPORT_COURSE_DETAILS.connect(receiver)

    yield connect
    for receiver in made:
        change_signals.IMPORT_COURSE_DETAILS.disconnect(receiver)


def tell_again(signaller: Signaller, *, times: int) -> None:
    for _ in range(times):
        due_now()
        signaller.tell_waiting()


def test_who_has_taken_a_signal_hears_it_once_whoever_else_fails(signaller, ears, connected):
    failing, other = Fleeting(2), Other(0)
    connected(failing)
    connected(other)
    write()

    signaller.tell_waiting()
    tell_again(signaller, times=4)

    assert (len(failing.calls), len(other.calls), len(ears.heard)) == (3, 1, 1)
    assert [call.pop("signal") for call in failing.calls] == [
        change_signals.IMPORT_COURSE_DETAILS
    ] * 3
    assert failing.calls == [{"sender": None, "courserun_key": KEY}] * 3
    assert untold() == 0


def test_the_other_signals_of_a_change_are_not_told_again_either(signaller, ears):
    write(start=MAY)
    signaller.tell_waiting()
    write(start=JUNE, self_paced=True)
    ears.heard.clear()

    def fail_for_pacing(name: str, _: object) -> None:
        if name == "COURSE_PACING_CHANGED" and ears.names.count(name) == 1:
            raise ValueError("not yet")

    ears.fails = fail_for_pacing
    signaller.tell_waiting()
    tell_again(signaller, times=2)

    assert ears.names == [
        "COURSE_START_DATE_CHANGED",
        "COURSE_PACING_CHANGED",
        "COURSE_PACING_CHANGED",
    ]
    assert untold() == 0


def test_a_receiver_that_is_new_when_a_signal_is_told_again_hears_it_too(signaller, connected):
    connected(Fleeting(1))
    write()
    signaller.tell_waiting()
    new = Other(0)
    connected(new)

    tell_again(signaller, times=2)

    assert len(new.calls) == 1


def test_of_two_receivers_with_one_name_both_hear_again_what_one_has_not_taken(
    signaller, connected
):
    first, second = Fleeting(1), Fleeting(0)
    connected(first)
    connected(second)
    write()

    signaller.tell_waiting()
    tell_again(signaller, times=2)

    assert (len(first.calls), len(second.calls)) == (2, 2)


def test_a_coroutine_that_fails_is_told_again_as_any_other(signaller, ears, connected):
    calls: list[object] = []

    async def receive(**arguments: Any) -> None:
        calls.append(arguments["courserun_key"])
        if len(calls) == 1:
            raise ValueError("not yet")

    connected(receive)
    write()

    signaller.tell_waiting()
    tell_again(signaller, times=2)

    assert (calls, len(ears.heard)) == ([KEY, KEY], 1)
    assert untold() == 0


def test_a_receiver_that_goes_on_failing_is_given_up_and_the_others_heard_once(
    signaller, ears, connected
):
    failing = Fleeting(MAX_ATTEMPTS + 1)
    connected(failing)
    write()

    signaller.tell_waiting()
    tell_again(signaller, times=MAX_ATTEMPTS + 1)

    assert (len(failing.calls), len(ears.heard)) == (MAX_ATTEMPTS, 1)
    assert untold() == 0


# Several processes


def test_while_one_process_sends_another_stands_by(signaller, ears):
    signaller.tell_waiting()
    write()
    other = Signaller()

    assert other.tell_waiting().is_busy
    assert ears.heard == []

    signaller.release()
    assert other.tell_waiting().told_count == 1


def test_a_process_that_has_died_is_taken_over_from(signaller, ears):
    signaller.tell_waiting()
    write()
    OverviewJob.objects.filter(name=SIGNAL_JOB).update(
        started_at=DatabaseNow(offset_seconds=-LEASE_SECONDS - 1)
    )

    assert Signaller().tell_waiting().told_count == 1
    assert signaller.tell_waiting().is_busy


def test_processes_at_once_tell_each_change_once(ears):
    Signaller().register()
    OverviewJob.objects.filter(name=SIGNAL_JOB).update(after_key="")
    for number in range(30):
        write(f"course-v1:TestX+Signals+{number}")
    together = Barrier(3)

    def run() -> None:
        signaller = Signaller()
        together.wait(PATIENCE_SECONDS)
        while untold():
            signaller.tell_waiting()

    with Crew() as crew:
        for _ in range(3):
            crew.start(run)

    keys = [arguments["courserun_key"] for _, arguments in ears.heard]
    assert sorted(keys) == sorted(set(keys))
    assert len(keys) == 30


def test_a_process_that_is_to_stop_finishes_its_change(ears):
    stopping: list[bool] = []
    signaller = Signaller(stopping=lambda: bool(stopping))
    signaller.register()
    ears.fails = lambda name, arguments: stopping.append(True)
    write()
    write(OTHER)

    report = signaller.tell_waiting()

    assert report.told_count == 1
    assert untold() == 1


# The command


def overview_signals(*arguments: str) -> tuple[int, str]:
    output = StringIO()
    try:
        call_command("overview_signals", *arguments, stdout=output)
    except SystemExit as exited:
        return int(exited.code or 0), output.getvalue()
    return 0, output.getvalue()


def test_once_tells_what_waits_and_says_so(ears):
    write(OTHER)
    first, said_first = overview_signals("--once")
    write()

    code, said = overview_signals("--once")

    assert (first, code) == (0, 0)
    assert "1 changes from before are not told" in said_first
    assert f"{KEY} 1: IMPORT_COURSE_DETAILS" in said
    assert "1 changes told, 0 failed" in said
    assert ears.heard == [("IMPORT_COURSE_DETAILS", {"courserun_key": KEY})]
    assert OverviewJob.objects.get(name=SIGNAL_JOB).after_key == ""


def test_once_fails_when_a_receiver_fails(ears):
    def fail(*_: object) -> None:
        raise ValueError("broken")

    ears.fails = fail
    write()

    code, said = overview_signals("--once", "--backlog")

    assert code == 1
    assert "0 changes told, 1 failed" in said


def test_help_teaches(capsys):
    with pytest.raises(SystemExit):
        call_command("overview_signals", "--help")

    shown = capsys.readouterr().out
    assert "COURSE_START_DATE_CHANGED" in shown
    assert "--once" in shown


def test_a_running_process_tells_and_stops_when_told_to():
    Signaller().register()
    OverviewJob.objects.filter(name=SIGNAL_JOB).update(after_key="")
    url = urlsplit(os.environ["OVERVIEW_DATABASE_URL"])
    name = str(connection.settings_dict["NAME"])
    process = subprocess.Popen(
        [sys.executable, "manage.py", "overview_signals", "--poll", "0.1"],
        cwd=Path(__file__).parents[2],
        env={
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "OVERVIEW_DATABASE_URL": urlunsplit(url._replace(path=f"/{name}")),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline().strip() == "waiting for changes"
        write()
        assert process.stdout.readline().strip() == f"{KEY} 1: IMPORT_COURSE_DETAILS"
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()

    assert process.returncode == 0
    assert rest.strip() == "stopped"
    assert untold() == 0
    assert OverviewJob.objects.get(name=SIGNAL_JOB).after_key == ""
