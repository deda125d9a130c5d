"""``overview runs``: rebuild runs as operators see and steer them."""

import json
import os
import pty
import signal
import subprocess
from contextlib import contextmanager, suppress
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from lms_integration.models import (
    OverviewRebuildLane,
    OverviewRebuildRun,
    OverviewRunFailure,
    RunDepth,
    RunOrigin,
    RunScope,
    RunState,
)
from lms_integration.rebuild_desk import RunRequest, ask_for_run, cancel_run
from tests.acceptance.processes import web_environment
from tests.programs import OVERVIEW

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "course-v1:TestX+Runs+R1"
BROKEN = "course-v1:TestX+Runs+Broken"


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


def asked(scope: RunScope = RunScope.ALL, **values) -> OverviewRebuildRun:
    """A run that was asked for, with nobody to begin it."""
    depth = values.pop("depth", RunDepth.STALE)
    return ask_for_run(
        RunRequest(
            scope=scope,
            depth=depth,
            asked_from=RunOrigin.COMMAND,
            asked_by="mara",
            **values,
        )
    )


def done(**values) -> OverviewRebuildRun:
    """A run that has ended."""
    run = asked(**values)
    now = timezone.now()
    OverviewRebuildRun.objects.filter(pk=run.pk).update(
        state=RunState.DONE,
        full_slot=None,
        total_count=10,
        written_count=7,
        unchanged_count=3,
        running_seconds=5.0,
        started_at=now - timedelta(seconds=5),
        finished_at=now,
    )
    run.refresh_from_db()
    return run


def fail(run: OverviewRebuildRun, key: str, reason: str) -> None:
    OverviewRunFailure.objects.create(
        run=run, course_key=key, outcome="faulty", reason=reason, failed_at=timezone.now()
    )
    OverviewRebuildRun.objects.filter(pk=run.pk).update(failed_count=1, unchanged_count=2)


def state_of(run: OverviewRebuildRun) -> str:
    return OverviewRebuildRun.objects.get(pk=run.pk).state


def test_without_any_run_the_list_says_how_to_ask_for_one():
    code, output = overview("runs")

    assert (code, output.strip()) == (
        0,
        "no rebuild runs; ask for one with: overview reindex --all",
    )


def test_the_list_has_the_newest_run_first():
    first, second = done(), asked(reason="after the upgrade")

    code, output = overview("runs")

    lines = output.splitlines()[1:]
    assert code == 0
    assert [line.split()[:2] for line in lines] == [
        [str(second.pk), "planned"],
        [str(first.pk), "done"],
    ]
    assert "10 of 10" in lines[1]
    assert "mara (command)" in lines[1]


def test_the_list_is_as_long_as_it_is_asked_to_be():
    done()
    newest = done()

    _, output = overview("runs", "list", "--limit", "1", "--json")

    assert [each["run"] for each in json.loads(output)] == [newest.pk]


@pytest.mark.parametrize("arguments", [["--json"], ["list", "--json"]], ids=" ".join)
def test_the_list_as_json_has_every_figure(arguments):
    run = done()

    code, output = overview("runs", *arguments)

    (facts,) = json.loads(output)
    assert code == 0
    assert facts["run"] == run.pk
    assert (facts["scope"], facts["depth"], facts["state"]) == ("all", "stale", "done")
    assert (facts["done_count"], facts["total_count"], facts["share"]) == (10, 10, 1.0)
    assert (facts["written_count"], facts["unchanged_count"], facts["failed_count"]) == (7, 3, 0)
    assert (facts["rate"], facts["seconds_left"]) == (2.0, 0.0)


def test_show_tells_who_asked_for_what_and_what_came_of_it():
    run = done(reason="after the upgrade", rate=50.0)

    code, output = overview("runs", "show", str(run.pk))

    assert code == 0
    for words in ("mara (a command)", "after the upgrade", "at most", "50 courses/s"):
        assert words in output
    assert "written: 7, unchanged: 3" in output


def test_show_names_each_course_that_failed_with_its_reason():
    run = done()
    fail(run, BROKEN, f"{BROKEN}: start = 'garbage': not a date")

    code, output = overview("runs", "show", str(run.pk))

    assert code == 1
    assert f"{BROKEN}: faulty: start = 'garbage': not a date" in output


def test_show_as_json_has_the_failures():
    run = done()
    fail(run, BROKEN, "start = 'garbage': not a date")

    code, output = overview("runs", "show", str(run.pk), "--json")

    (failure,) = json.loads(output)["failures"]
    assert code == 1
    assert (failure["course_key"], failure["outcome"]) == (BROKEN, "faulty")


def test_a_reason_that_somebody_forged_stays_on_its_line():
    run = done()
    fail(run, BROKEN, "bad\x1b[31m\nrun 99 done")

    _, output = overview("runs", "show", str(run.pk))

    assert "bad\\u001b[31m\\nrun 99 done" in output


@pytest.mark.parametrize("action", ["show", "watch", "pause", "resume", "cancel"])
def test_a_run_that_is_not_there_is_named(action):
    code, output = overview("runs", action, "4711")

    assert code == 1
    assert "there is no run 4711" in output


def test_a_number_that_is_none_is_a_mistake():
    called = subprocess.run([OVERVIEW, "runs", "show", "soon"], capture_output=True, text=True)

    assert called.returncode == 2
    assert "invalid int value: 'soon'" in called.stderr


def test_pausing_twice_is_pausing_once():
    run = asked()

    codes = [overview("runs", "pause", str(run.pk))[0] for _ in range(2)]

    assert (codes, state_of(run)) == ([0, 0], "paused")


def test_cancelling_twice_is_cancelling_once():
    run = asked()

    codes = [overview("runs", "cancel", str(run.pk))[0] for _ in range(2)]

    assert (codes, state_of(run)) == ([0, 0], "cancelled")


def test_a_run_that_is_done_can_be_neither_paused_nor_resumed_nor_cancelled():
    run = done()

    shown = [overview("runs", action, str(run.pk)) for action in ("pause", "resume", "cancel")]

    assert [code for code, _ in shown] == [1, 1, 1]
    assert all(f"run {run.pk} is done" in output for _, output in shown)


def test_a_cancelled_run_of_all_courses_cannot_go_on_beside_another():
    first = asked()
    cancel_run(first.pk)
    asked()

    code, output = overview("runs", "resume", str(first.pk))

    assert code == 1
    assert "another run of all courses is not over yet" in output


def test_watching_a_run_that_is_over_tells_what_it_came_to():
    run = done()

    code, output = overview("runs", "watch", str(run.pk))

    assert code == 0
    assert f"run {run.pk} done in 5.0 s" in output
    assert "written: 7, unchanged: 3" in output


def test_watching_a_run_that_was_cancelled_says_how_to_go_on_and_fails():
    run = asked(RunScope.COURSES, course_keys=[KEY])
    cancel_run(run.pk)

    code, output = overview("runs", "watch", str(run.pk))

    assert code == 1
    assert f"overview runs resume {run.pk}" in output
    assert f"{KEY}: not rebuilt yet: no worker has come to it" in output


def test_watching_for_a_while_leaves_a_run_that_nobody_begins_as_it_is():
    run = asked(RunScope.COURSES, course_keys=[KEY])

    code, output = overview("runs", "watch", str(run.pk), "--timeout", "0")

    assert (code, state_of(run)) == (1, "planned")
    assert f"overview runs cancel {run.pk}" in output


def test_a_run_that_nobody_begins_for_long_makes_one_ask_for_the_workers():
    run = asked()
    OverviewRebuildRun.objects.filter(pk=run.pk).update(
        created_at=timezone.now() - timedelta(seconds=60)
    )

    _, output = overview("runs", "watch", str(run.pk), "--timeout", "0")

    assert "are a bulk worker and beat running?" in output


def test_a_run_that_does_not_move_for_long_makes_one_ask_for_the_workers():
    run = asked()
    long_ago = timezone.now() - timedelta(minutes=5)
    OverviewRebuildRun.objects.filter(pk=run.pk).update(
        state=RunState.RUNNING, started_at=long_ago, progressed_at=long_ago
    )

    _, output = overview("runs", "watch", str(run.pk), "--timeout", "0")

    assert f"run {run.pk} has not moved for 60 s: are bulk workers running?" in output


def test_what_a_run_waits_for_is_told():
    run = asked()
    OverviewRebuildRun.objects.filter(pk=run.pk).update(
        state=RunState.RUNNING, waiting_for="MongoDB did not answer"
    )

    _, output = overview("runs", "watch", str(run.pk), "--timeout", "0")

    assert f"run {run.pk} waits: MongoDB did not answer" in output


@pytest.mark.parametrize(
    "arguments",
    [[], ["list"], ["show"], ["watch"], ["pause"], ["resume"], ["cancel"]],
    ids=" ".join,
)
def test_help_teaches(arguments, capsys):
    with pytest.raises(SystemExit):
        call_command("overview", "runs", *arguments, "--help")

    shown = capsys.readouterr().out
    assert "overview runs" in shown
    assert "xit code 0" in shown or "overview runs cancel 12" in shown


@contextmanager
def watching(run: OverviewRebuildRun, *arguments: str):
    """The command in a process of its own, which is watching already."""
    with subprocess.Popen(
        [OVERVIEW, "runs", "watch", str(run.pk), *arguments],
        env=web_environment(sql_database=str(connection.settings_dict["NAME"]), port=0),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(f"run {run.pk} ")
            yield process
        finally:
            process.kill()


def test_ctrl_c_ends_the_watching_and_says_that_the_run_goes_on():
    run = asked()

    with watching(run) as process:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)

    assert (process.returncode, state_of(run)) == (130, "planned")
    assert f"run {run.pk} goes on without this command" in output
    assert f"overview runs cancel {run.pk}" in output
    assert "Traceback" not in output


def test_ctrl_c_cancels_the_run_where_that_is_asked_for():
    run = asked()

    with watching(run, "--cancel-on-interrupt") as process:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)

    assert (process.returncode, state_of(run)) == (130, "cancelled")
    assert f"to go on where it was: overview runs resume {run.pk}" in output


def test_a_second_ctrl_c_does_not_wait_for_the_chunks_at_hand():
    run = asked()
    OverviewRebuildLane.objects.create(run=run, number=0, claimed_at=timezone.now())

    with watching(run, "--cancel-on-interrupt") as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGINT)
        assert "chunks at hand" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)

    assert (process.returncode, state_of(run)) == (130, "cancelled")
    assert "Traceback" not in output


def test_at_a_terminal_there_is_a_bar_and_ctrl_c_leaves_it_tidy():
    run = asked(RunScope.COURSES, course_keys=[KEY, BROKEN])
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        # A session of its own, whose terminal turns the key into a signal.
        ["setsid", "--ctty", "--wait", OVERVIEW, "runs", "watch", str(run.pk)],
        env={
            **web_environment(sql_database=str(connection.settings_dict["NAME"]), port=0),
            "TERM": "xterm",
            "COLUMNS": "100",
        },
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    seen = ""
    while "0/2" not in seen:
        seen += os.read(main, 10_000).decode()
    os.write(main, b"\x03")
    with suppress(OSError):  # so a terminal tells that it has ended
        while piece := os.read(main, 10_000):
            seen += piece.decode()
    os.close(main)

    assert process.wait(30) == 130
    assert f"run {run.pk} planned" in seen
    assert f"run {run.pk} goes on without this command" in seen
    assert seen.rfind("\x1b[?25h") > seen.rfind("\x1b[?25l")  # the cursor is there again
