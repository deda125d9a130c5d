"""``overview dead-letters``: what it prints, whom it asks, and exit codes that tell the truth."""

import json
import logging
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings
from kombu import Connection

from lms_integration.events import CoursePublished
from lms_integration.models import OverviewMark
from tests.letters import KEY, OTHER, event_letter, letter, letter_ids, rebuild_letter

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _on_test_broker(broker_url):
    with override_settings(OVERVIEW_BROKER_URL=broker_url):
        yield


class Terminal(StringIO):
    """Somebody sits at it and answers."""

    def isatty(self) -> bool:
        return True


def dead_letters(*arguments: str, output: StringIO | None = None) -> tuple[int, str]:
    """Run the command; return its exit code and what it printed."""
    output = output or StringIO()
    try:
        call_command("overview", "dead-letters", *arguments, stdout=output)
    except SystemExit as exited:
        return int(exited.code or 0), output.getvalue()
    except CommandError as error:
        return error.returncode, output.getvalue() + str(error)
    return 0, output.getvalue()


def events_waiting(url: str) -> int:
    with Connection(url) as connection:
        channel: Any = connection.channel()
        return int(channel.queue_declare(queue="overview.events", passive=True).message_count)


# List and show


def test_without_letters_the_list_says_so():
    assert dead_letters("list") == (0, "no dead letters\n")


def test_the_list_shows_each_letter_on_a_line():
    letter_id = rebuild_letter(reason="a bad date")

    code, output = dead_letters("list")

    assert code == 0
    (line,) = [line for line in output.splitlines() if KEY in line]
    assert line.split()[:2] == [str(letter_id), "rebuild"]
    assert "a bad date" in line


def test_the_list_is_limited_and_says_how_many_more_there_are():
    for number in range(5):
        rebuild_letter(reason=f"reason {number}")

    code, output = dead_letters("list", "--limit", "2")

    assert code == 0
    assert "and 3 more" in output
    assert dead_letters("list", "--limit", "0")[0] == 2


def test_the_list_as_json_is_one_list_without_bodies():
    letter(body=b"x" * 100, reason='"quoted" [red]not markup[/red]')

    code, output = dead_letters("list", "--json")

    (found,) = json.loads(output)
    assert code == 0
    assert found["reason"] == '"quoted" [red]not markup[/red]'
    assert found["body_bytes"] == 100
    assert "body" not in found


def test_show_tells_all_and_what_a_replay_would_do():
    shown = event_letter(CoursePublished(course_key=KEY))
    unreadable = letter(body=b"\x1b[2J\xff[bold]x")

    code, output = dead_letters("show", str(shown), str(unreadable))

    assert code == 0
    assert f"marks {KEY}" in output
    assert r"[2J\xff[bold]x" in output
    assert "\x1b" not in output
    assert "cannot be replayed: still no event" in output


def test_show_names_a_letter_that_is_not_there():
    known = rebuild_letter()

    code, output = dead_letters("show", "999999", str(known))

    assert code == 1
    assert "999999: no such dead letter" in output
    assert KEY in output


# Replay


def test_replay_marks_sends_and_removes(broker_url):
    letter_id = event_letter(CoursePublished(course_key=KEY))

    code, output = dead_letters("replay", str(letter_id))

    assert (code, output) == (0, "1 replayed\n")
    assert OverviewMark.objects.get(course_key=KEY).wanted == 1
    assert events_waiting(broker_url) == 1
    assert letter_ids() == []


def test_replay_of_what_cannot_be_replayed_says_so_and_fails():
    stays = letter(body=b"not json")
    goes = rebuild_letter()

    code, output = dead_letters("replay", str(stays), str(goes))

    assert code == 1
    assert f"{stays}: stays, cannot be replayed: still no event" in output
    assert "1 replayed" in output
    assert letter_ids() == [stays]


def test_replay_again_says_that_the_letter_is_gone_and_marks_nothing_more():
    letter_id = rebuild_letter()
    dead_letters("replay", str(letter_id))

    code, output = dead_letters("replay", str(letter_id))

    assert code == 1
    assert f"{letter_id}: no such dead letter" in output
    assert OverviewMark.objects.get(course_key=KEY).wanted == 1


def test_with_the_broker_down_the_marks_stand_and_the_exit_code_says_so():
    letter_id = rebuild_letter()

    with override_settings(OVERVIEW_BROKER_URL="amqp://127.0.0.1:9/x"):
        code, output = dead_letters("replay", str(letter_id))

    assert code == 1
    assert "1 events were not sent; the marks stand" in output
    assert OverviewMark.objects.get(course_key=KEY).wanted == 1
    assert letter_ids() == []


def test_replay_of_all_wants_a_yes():
    ids = [rebuild_letter(), rebuild_letter(OTHER)]

    refused, output = dead_letters("replay", "--all")
    kept = letter_ids()
    code, _ = dead_letters("replay", "--all", "--yes")

    assert refused == 2
    assert "replay 2 dead letters? Nobody can be asked here: add --yes" in output
    assert kept == ids
    assert (code, letter_ids()) == (0, [])


def test_replay_as_json_reports_each_letter():
    stays = letter(body=b"not json")
    goes = rebuild_letter()

    code, output = dead_letters("replay", "--all", "--yes", "--json")

    assert code == 1
    assert [(each["id"], each["outcome"]) for each in json.loads(output)] == [
        (stays, "stays"),
        (goes, "replayed"),
    ]


# Discard


def test_discard_removes_and_leaves_a_line_that_says_who(caplog, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ann")
    letter_id = rebuild_letter()

    with caplog.at_level(logging.WARNING, logger="overview_audit"):
        code, output = dead_letters("discard", str(letter_id))

    assert (code, output) == (0, "1 discarded\n")
    assert letter_ids() == []
    assert f"dead letter {letter_id} discarded by OS user ann" in caplog.text


def test_discard_with_filters_removes_what_they_find_and_nothing_else():
    old = rebuild_letter(age=timedelta(days=100))
    new = rebuild_letter(OTHER)
    event = letter(body=b"x")

    code, output = dead_letters("discard", "--older-than", "90d", "--yes")
    assert (code, output, letter_ids()) == (0, "1 discarded\n", [new, event])
    assert old not in letter_ids()

    dead_letters("discard", "--course", OTHER, "--origin", "rebuild", "--yes")
    assert letter_ids() == [event]

    dead_letters("discard", "--all", "--yes")
    assert letter_ids() == []


@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, 0), ("no", 2, 1), ("", 2, 1)])
def test_at_a_terminal_it_asks(monkeypatch, answer, code, left):
    rebuild_letter()
    monkeypatch.setattr("builtins.input", lambda *_: answer)

    terminal = Terminal()
    exit_code, output = dead_letters("discard", "--all", output=terminal)

    assert exit_code == code
    assert len(letter_ids()) == left
    assert "discard 1 dead letters? [y/N]" in output


def test_filters_that_find_nothing_do_nothing():
    rebuild_letter()

    assert dead_letters("discard", "--origin", "task") == (0, "no dead letters\n")
    assert len(letter_ids()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["discard"],
        ["replay"],
        ["discard", "--all", "--origin", "task", "--yes"],
        ["discard", "1", "--all", "--yes"],
        ["discard", "1", "--origin", "rebuild", "--yes"],
        ["discard", "--origin", "nonsense"],
        ["discard", "--older-than", "soon", "--yes"],
        ["discard", "--older-than", "-5d", "--yes"],
        ["replay", "--course", "nonsense", "--yes"],
        ["replay", "x"],
        ["show"],
        [],
    ],
)
def test_a_call_that_is_not_clear_does_nothing(arguments, capsys):
    rebuild_letter()

    code, _ = dead_letters(*arguments)

    assert code != 0
    assert len(letter_ids()) == 1
    assert not OverviewMark.objects.exists()


@pytest.mark.parametrize("action", [[], ["list"], ["show"], ["replay"], ["discard"]])
def test_help_teaches(capsys, action):
    with pytest.raises(SystemExit):
        call_command("overview", "dead-letters", *action, "--help")

    shown = capsys.readouterr().out
    assert "overview dead-letters" in shown
    assert "Exit code" in shown or not action
