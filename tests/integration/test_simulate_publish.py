"""``simulate_publish``: Open edX's command, with all of its options."""

import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.dispatch import Signal
from django.test import override_settings
from opaque_keys.edx.keys import CourseKey

from dev.authoring.author import SplitAuthor
from lms_integration.models import OverviewMark
from lms_integration.signals import course_published
from overview_worker.bootstrap import close_dependencies
from overview_worker.commands.console import command_console
from overview_worker.commands.simulated_publish import ARGUMENTS_TABLE, Simulation, simulate

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = "course-v1:TestX+Simulated+R1"
SECOND = "course-v1:TestX+Simulated+R2"
CCX = "ccx-v1:TestX+Simulated+R1+ccx@1"
OURS = "lms_integration.signals.receive_course_published"


class Listener:
    """A receiver that remembers what it was told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.heard: list[object] = []
        self._error = error

    def __call__(self, *, course_key: object, **_: object) -> None:
        self.heard.append(course_key)
        if self._error is not None:
            raise self._error


LISTENER = f"{__name__}.Listener"


@pytest.fixture(autouse=True)
def _on_test_servers(mongo_database, broker_url):
    with override_settings(
        OVERVIEW_MONGODB_DATABASE=mongo_database.name, OVERVIEW_BROKER_URL=broker_url
    ):
        yield
    close_dependencies()  # what is called without its command leaves them open


@pytest.fixture
def listener():
    """Somebody else who listens to publishes."""
    listener = Listener()
    course_published.connect(listener)
    yield listener
    course_published.disconnect(listener)


@pytest.fixture
def two_courses(author: SplitAuthor) -> None:
    author.create_course(FIRST)
    author.create_course(SECOND)


@pytest.fixture
def arguments_table():
    """Open edX's configuration table, as its schema has it, empty."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {ARGUMENTS_TABLE} (id integer PRIMARY KEY, change_date datetime(6) NOT NULL, "
            "enabled tinyint(1) NOT NULL, arguments longtext NOT NULL, changed_by_id integer)"
        )
        yield
        cursor.execute(f"DROP TABLE {ARGUMENTS_TABLE}")


def configure(arguments: str, *, enabled: bool = True, number: int = 1) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {ARGUMENTS_TABLE} VALUES (%s, %s, %s, %s, NULL)",  # noqa: S608
            [number, f"2026-01-0{number} 00:00:00", enabled, arguments],
        )


def simulate_publish(*arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code and what it printed."""
    output = StringIO()
    try:
        call_command("simulate_publish", *arguments, stdout=output)
    except SystemExit as exited:
        return int(exited.code or 0), output.getvalue()
    except CommandError as error:
        return error.returncode, output.getvalue() + str(error)
    return 0, output.getvalue()


def marked() -> list[str]:
    return list(OverviewMark.objects.order_by("course_key").values_list("course_key", flat=True))


def test_without_options_every_course_is_published_to_every_receiver(two_courses, listener):
    code, output = simulate_publish()

    assert code == 0
    assert listener.heard == [CourseKey.from_string(FIRST), CourseKey.from_string(SECOND)]
    assert marked() == [FIRST, SECOND]
    assert "2 publishes simulated for 2 receivers" in output


def test_only_the_named_courses_are_published(two_courses, listener):
    code, output = simulate_publish("--courses", SECOND)

    assert (code, listener.heard) == (0, [CourseKey.from_string(SECOND)])
    assert f"{SECOND}: sent" in output


def test_only_the_named_receivers_hear_of_it(two_courses, listener):
    code, _ = simulate_publish("--receivers", LISTENER)

    assert code == 0
    assert len(listener.heard) == 2
    assert marked() == []


def test_several_receivers_can_be_named(two_courses, listener):
    simulate_publish("--receivers", LISTENER, OURS, "--courses", FIRST)

    assert listener.heard == [CourseKey.from_string(FIRST)]
    assert marked() == [FIRST]


def test_a_receiver_that_nobody_knows_is_named_and_nothing_is_sent(two_courses, listener):
    code, output = simulate_publish("--receivers", "nobody.listens", LISTENER)

    assert code == 2
    assert "nobody.listens: no receiver of that name" in output
    assert listener.heard == []


def test_show_receivers_prints_the_names_that_receivers_takes(two_courses, listener):
    code, output = simulate_publish("--show-receivers")

    assert (code, output.split()) == (0, [OURS, LISTENER])
    assert listener.heard == []


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(two_courses, listener):
    code, output = simulate_publish("--dry-run", "--courses", FIRST)

    assert (code, output.strip()) == (0, f"{FIRST}: would be sent to {OURS}, {LISTENER}")
    assert listener.heard == []
    assert marked() == []


def test_a_receiver_that_fails_is_named_and_the_others_are_called(two_courses):
    broken = Listener(ValueError("out of order"))
    course_published.connect(broken)
    try:
        code, output = simulate_publish("--courses", FIRST)
    finally:
        course_published.disconnect(broken)

    assert code == 1
    assert f"{FIRST}: {LISTENER} failed: ValueError: out of order" in output
    assert marked() == [FIRST]


def test_an_unknown_course_is_named_and_nothing_is_sent(two_courses, listener):
    code, output = simulate_publish("--courses", FIRST, "course-v1:TestX+Nowhere+R1")

    assert code == 1
    assert "course-v1:TestX+Nowhere+R1: no such course" in output
    assert listener.heard == []


def test_a_wrong_key_is_a_mistake(two_courses, listener):
    code, output = simulate_publish("--courses", "nonsense")

    assert (code, listener.heard) == (2, [])
    assert "'nonsense' is not a course key" in output


def test_custom_courses_are_left_out_where_that_is_asked_for(two_courses, listener):
    code, _ = simulate_publish("--courses", CCX, FIRST, "--skip-ccx")

    assert (code, listener.heard) == (0, [CourseKey.from_string(FIRST)])


def test_the_delay_lies_between_two_courses(two_courses, listener):
    pauses: list[tuple[float, int]] = []

    simulate(
        Simulation(delay_seconds=1.5),
        command_console(StringIO()),
        pause=lambda seconds: pauses.append((seconds, len(listener.heard))),
    )

    assert pauses == [(1.5, 1)]


@pytest.mark.parametrize(
    "lms",
    [{"SERVICE_VARIANT": "lms"}, {"ROOT_URLCONF": "lms.urls"}],
    ids=lambda each: next(iter(each)),
)
def test_an_lms_process_is_refused_unless_it_is_forced(two_courses, listener, lms):
    with override_settings(**lms):
        refused = simulate_publish("--courses", FIRST)
        forced = simulate_publish("--courses", FIRST, "--force-lms")

    assert refused[0] == 2
    assert "--force-lms" in refused[1]
    assert forced[0] == 0
    assert len(listener.heard) == 1


def test_arguments_come_from_the_newest_row_of_the_platforms_table(
    two_courses, listener, arguments_table
):
    configure(f"--courses {FIRST}")
    configure(f"--courses '{SECOND}' --receivers {LISTENER}", number=2)

    code, _ = simulate_publish("--args-from-database")

    assert (code, listener.heard) == (0, [CourseKey.from_string(SECOND)])
    assert marked() == []


def test_arguments_from_a_table_that_is_not_there_are_refused(two_courses, listener):
    code, output = simulate_publish("--args-from-database")

    assert (code, listener.heard) == (1, [])
    assert ARGUMENTS_TABLE in output


@pytest.mark.parametrize("rows", [0, 1], ids=["empty", "switched off"])
def test_arguments_that_are_not_enabled_are_refused(two_courses, listener, arguments_table, rows):
    for number in range(rows):
        configure("--courses x", enabled=False, number=number + 1)

    code, output = simulate_publish("--args-from-database")

    assert (code, listener.heard) == (1, [])
    assert "not enabled" in output


def test_wrong_arguments_in_the_table_are_shown(two_courses, listener, arguments_table):
    configure("--no-such-option")

    code, output = simulate_publish("--args-from-database")

    assert (code, listener.heard) == (2, [])
    assert "SimulateCoursePublishConfig holds ['--no-such-option']" in output


def test_inside_open_edx_it_is_the_platforms_signal(two_courses, listener, monkeypatch):
    class Platform:
        course_published = Signal()

    theirs = Listener()
    Platform.course_published.connect(theirs)
    monkeypatch.setattr("lms_integration.signals.SignalHandler", Platform)

    simulate_publish("--courses", FIRST)

    assert theirs.heard == [CourseKey.from_string(FIRST)]
    assert listener.heard == []


def test_help_names_every_option_and_teaches():
    shown = subprocess.run(
        [sys.executable, "manage.py", "simulate_publish", "--help"],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    for option in (
        *("--show-receivers", "--dry-run", "--receivers", "--courses", "--delay"),
        *("--force-lms", "--skip-ccx", "--args-from-database"),
    ):
        assert option in shown
    assert "examples:" in shown
