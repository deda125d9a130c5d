"""Course names that try to forge log lines, terminal output or the health page."""

import logging
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client, override_settings

from dev.authoring.author import SplitAuthor
from lms_integration.log_lines import OneLineFormatter
from lms_integration.models import CourseOverview, OverviewMark, OverviewState
from overview_worker.bootstrap import Dependencies
from overview_worker.rebuild import rebuild_overviews

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "course-v1:TestX+Names+R1"
FORGED = "FORGED ENTRY"
NAME = (
    f"[red]Red[/red][/] <script>alert(1)</script>:smile:\r\n{FORGED}\x1b[2J\x00\u202e\u2028{FORGED}"
)
#: A name, and bad values in a field that degrades and in one that is a fault.
DEGRADED = {"display_name": NAME, "language": [NAME], "cert_name_short": {"a": NAME}}
FAULTY = {"display_name": NAME, "start": NAME}


@pytest.fixture(autouse=True)
def _on_test_servers(mongo_database, broker_url):
    with override_settings(
        OVERVIEW_MONGODB_DATABASE=mongo_database.name, OVERVIEW_BROKER_URL=broker_url
    ):
        yield


def overview(*arguments: str) -> str:
    output = StringIO()
    try:
        call_command("overview", *arguments, stdout=output)
    except SystemExit:
        pass
    except CommandError as error:
        return output.getvalue() + str(error)
    return output.getvalue()


def assert_nothing_forged(text: str) -> None:
    for line in text.split("\n"):
        assert line.isprintable(), line
        assert not line.lstrip().startswith(FORGED)


@pytest.mark.parametrize("settings", [DEGRADED, FAULTY], ids=["degraded", "faulty"])
def test_log_lines_of_a_rebuild_hold_no_control_characters(
    settings, author: SplitAuthor, adapters: Dependencies, caplog
):
    author.create_course(KEY, settings=settings)
    caplog.set_level(logging.DEBUG)
    overview("publish", KEY)

    rebuild_overviews(
        [KEY], modulestore=adapters.modulestore, store=adapters.store, build=adapters.build
    )

    ours = [record for record in caplog.records if record.name.startswith(("overview", "lms_"))]
    assert ours
    for record in ours:
        assert record.getMessage().isprintable(), record.getMessage()
        assert_nothing_forged(OneLineFormatter().format(record))


@pytest.mark.parametrize("settings", [DEGRADED, FAULTY], ids=["degraded", "faulty"])
@pytest.mark.parametrize(
    "command",
    [
        ["explain", KEY],
        ["status"],
        ["doctor"],
        ["publish", KEY],
        ["publish", KEY, "--wait", "0"],
        ["reindex", KEY, "--here"],
        ["reindex", KEY, "--timeout", "0"],
    ],
    ids=" ".join,
)
def test_commands_show_such_a_course_and_obey_nothing_in_its_name(
    settings, command, author: SplitAuthor
):
    author.create_course(KEY, settings=settings)
    overview("reindex", KEY, "--here")

    shown = overview(*command)

    assert shown
    assert_nothing_forged(shown)


def test_explain_shows_the_name_as_it_is_written(author: SplitAuthor):
    author.create_course(KEY, settings=DEGRADED)
    overview("reindex", KEY, "--here")

    shown = overview("explain", KEY)

    assert str(CourseOverview.objects.get(id=KEY).display_name).startswith("[red]Red")
    assert "[red]Red[/red][/] <script>alert(1)</script>:smile:\\r\\n" in shown


def test_explain_shows_errors_and_events_that_are_stored_and_obeys_nothing_in_them():
    OverviewMark.objects.create(
        course_key=KEY, wanted=2, done=1, last_error=NAME, last_event_id="[/]\x1b[31m\n" + FORGED
    )
    OverviewState.objects.create(course_key=KEY, fault=NAME, source_version="[/red]")

    shown = overview("explain", KEY)

    assert "[red]Red[/red][/]" in shown
    assert_nothing_forged(shown)


@pytest.mark.parametrize("key", [KEY + "\n" + FORGED, "[red]x[/]", "\x1b[31m", NAME])
@pytest.mark.parametrize("command", ["explain", "publish", "reindex"])
def test_a_forged_key_is_shown_and_not_obeyed(command, key):
    shown = overview(command, key)

    assert "is not a course key" in shown
    assert_nothing_forged(shown)


def test_the_health_page_says_nothing_of_courses(author: SplitAuthor, client: Client):
    author.create_course(KEY, settings=FAULTY)
    overview("reindex", KEY, "--here")

    response = client.get("/health")

    assert response.headers["Content-Type"] == "application/json"
    assert FORGED not in response.text
    assert "script" not in response.text
    assert KEY not in response.text


def test_the_lines_of_a_real_process_begin_with_their_time(author: SplitAuthor, mongo_database):
    author.create_course(KEY, settings=DEGRADED)
    base, _, query = os.environ["OVERVIEW_DATABASE_URL"].partition("?")
    name = connection.settings_dict["NAME"]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "lms_integration.settings",
        "OVERVIEW_DATABASE_URL": f"{base.rpartition('/')[0]}/{name}?{query}",
        "OVERVIEW_MONGODB_DATABASE": mongo_database.name,
    }

    done = subprocess.run(
        [sys.executable, "manage.py", "overview", "-v", "2", "reindex", KEY, "--here"],
        cwd=Path(__file__).resolve().parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    lines = done.stderr.strip("\n").split("\n")
    assert any("degraded: language" in line for line in lines)
    assert all(re.match(r"\d{4}-\d\d-\d\d ", line) for line in lines), done.stderr
    assert_nothing_forged(done.stderr)
    assert_nothing_forged(done.stdout)
