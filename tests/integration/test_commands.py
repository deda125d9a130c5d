"""The ``overview`` command: what it prints, and exit codes that tell the truth."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from dev.authoring.author import SplitAuthor
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import CourseOverview, OverviewMark, OverviewState
from tests.letters import rebuild_letter

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "course-v1:TestX+Commands+R1"


@pytest.fixture(autouse=True)
def _on_test_servers(mongo_database, broker_url):
    with override_settings(
        OVERVIEW_MONGODB_DATABASE=mongo_database.name, OVERVIEW_BROKER_URL=broker_url
    ):
        yield


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


def test_reindex_here_builds_rows_without_broker_or_workers(author: SplitAuthor):
    author.create_course(KEY, settings={"display_name": "Built here"})

    code, output = overview("reindex", KEY, "--here")

    assert (code, CourseOverview.objects.get(id=KEY).display_name) == (0, "Built here")
    assert "written: 1" in output


def test_reindex_puts_right_a_row_that_was_edited_by_hand(author: SplitAuthor):
    author.create_course(KEY, settings={"display_name": "As published"})
    overview("reindex", KEY, "--here")
    CourseOverview.objects.filter(id=KEY).update(display_name="By hand")

    code, _ = overview("reindex", KEY, "--here")

    assert (code, CourseOverview.objects.get(id=KEY).display_name) == (0, "As published")


def test_reindex_names_a_course_that_cannot_be_built_and_fails(author: SplitAuthor):
    author.create_course(KEY, settings={"start": "garbage"})

    code, output = overview("reindex", KEY, "--here")

    assert code == 1
    assert "failed: 1" in output
    assert f"{KEY}: faulty: start = 'garbage'" in output


def test_reindex_without_anything_to_do_is_a_mistake():
    assert overview("reindex")[0] == 2


@pytest.mark.parametrize("command", ["publish", "reindex", "explain"])
def test_a_wrong_key_gets_one_clear_line_and_changes_nothing(command):
    code, output = overview(command, "nonsense")

    assert code == 2
    assert "'nonsense' is not a course key" in output
    assert not OverviewMark.objects.exists()


@pytest.mark.parametrize("command", ["publish", "reindex"])
def test_an_unknown_course_is_named_and_changes_nothing(command):
    code, output = overview(command, KEY)

    assert code == 1
    assert f"{KEY}: no such course" in output
    assert not OverviewMark.objects.exists()


def test_publish_marks_and_sends_and_says_so(author: SplitAuthor):
    author.create_course(KEY)

    code, output = overview("publish", KEY)

    assert (code, output.strip()) == (0, f"{KEY}: marked, event sent")
    assert OverviewMark.objects.get(course_key=KEY).wanted == 1


def test_publish_with_the_broker_down_marks_says_so_and_fails(author: SplitAuthor):
    author.create_course(KEY)

    with override_settings(OVERVIEW_BROKER_URL="amqp://127.0.0.1:9/x"):
        code, output = overview("publish", KEY)

    assert code == 1
    assert "event failed" in output
    assert "the marks stand" in output
    assert OverviewMark.objects.get(course_key=KEY).wanted == 1


def test_explain_tells_the_story_of_a_row(author: SplitAuthor):
    change = author.create_course(KEY, settings={"language": 5})
    overview("reindex", KEY, "--here")

    code, output = overview("explain", KEY)

    assert code == 0
    assert str(change.published_version) in output
    assert "language = 5: not a text" in output
    assert "up to date, degraded" in output


def test_explain_sees_a_row_that_is_behind(author: SplitAuthor):
    author.create_course(KEY)
    overview("reindex", KEY, "--here")
    author.edit_settings(KEY, {"display_name": "Newer"})

    code, output = overview("explain", KEY)

    assert code == 1
    assert "the row is from another version" in output


def test_explain_of_a_course_that_nobody_knows_fails():
    code, output = overview("explain", KEY)

    assert code == 1
    assert "no such course" in output


def test_explain_with_mongodb_away_tells_what_it_knows(author: SplitAuthor):
    author.create_course(KEY)
    overview("reindex", KEY, "--here")

    with override_settings(
        OVERVIEW_MONGODB_URL="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100"
    ):
        code, output = overview("explain", KEY)

    assert code == 1
    assert "MongoDB did not answer" in output
    assert OverviewState.objects.get(course_key=KEY).source_version in output


def test_explain_of_a_faulty_course_that_was_marked_again_says_that_it_waits(author: SplitAuthor):
    author.create_course(KEY, settings={"start": "garbage"})
    mark_courses([CourseMark(course_key=KEY)])
    overview("reindex", KEY, "--here")
    held, before = overview("explain", KEY)

    mark_courses([CourseMark(course_key=KEY)])
    waiting, after = overview("explain", KEY)

    assert (held, waiting) == (1, 1)
    assert "not buildable as published" in before
    assert "next: held back until" in before
    assert "not buildable as published" not in after
    assert "what was published before could not be built" in after
    assert "next: rebuilt by its event's task" in after


def test_explain_tells_what_each_rebuild_changed(author: SplitAuthor):
    author.create_course(KEY, settings={"display_name": "Tides"})
    overview("reindex", KEY, "--here")
    for name in ("Dunes", "[red]Reefs[/red]"):
        author.edit_settings(KEY, {"display_name": name})
        overview("reindex", KEY, "--here")

    _, output = overview("explain", KEY)

    assert "rebuild 3: written" in output
    assert "display_name: Dunes → [red]Reefs[/red]" in output
    assert "all columns: there was no row" in output


def test_explain_as_json_is_one_object(author: SplitAuthor):
    change = author.create_course(KEY)
    overview("reindex", KEY, "--here")

    code, output = overview("explain", KEY, "--json")

    story = json.loads(output)
    assert code == 0
    assert (story["course_key"], story["all_well"]) == (KEY, True)
    assert story["source"]["source version"] == str(change.published_version)
    assert [rebuild["outcome"] for rebuild in story["rebuilds"]] == ["created"]


def test_status_as_json_has_every_figure():
    rebuild_letter()

    code, output = overview("status", "--json")

    status = json.loads(output)
    assert code == 0
    assert status["healthy"] is True
    assert set(status["dead_letters"]) == {"intake", "rebuild", "task", "broker"}
    assert status["dead_letters"]["rebuild"]["count"] == 1
    assert status["queues"]["overview.events"] == 0


def test_status_is_healthy_while_nothing_waits(author: SplitAuthor):
    author.create_course(KEY)
    overview("reindex", KEY, "--here")

    code, output = overview("status")

    assert code == 0
    assert "courses with a row" in output


def test_doctor_finds_everything_but_the_workers_that_do_not_run():
    code, output = overview("doctor")

    failures = [line for line in output.splitlines() if line.startswith("FAIL")]
    assert code == 1
    assert len(failures) == 1
    assert "workers" in failures[0]
    assert "Procfile" in failures[0]


def test_help_teaches(capsys):
    with pytest.raises(SystemExit):
        call_command("overview", "--help")

    shown = capsys.readouterr().out
    for name in ("publish", "reindex", "status", "explain", "dead-letters", "doctor", "intake"):
        assert name in shown
    assert "examples:" in shown
