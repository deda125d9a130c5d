"""``overview reindex`` and ``generate_course_overview``: which courses a run gets, and what it came to."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from threading import Event, Thread

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import override_settings

from dev.authoring.author import SplitAuthor
from lms_integration.data import COURSE_OVERVIEW_VERSION
from lms_integration.models import (
    CourseOverview,
    OverviewMark,
    OverviewRebuildRun,
    OverviewState,
    OverviewTombstone,
    RunOrigin,
)
from lms_integration.rebuild_desk import cancel_run
from overview_worker.bootstrap import Dependencies
from overview_worker.commands.base import account_name
from overview_worker.runs import tend
from tests.acceptance.processes import wait_for, web_environment
from tests.programs import OVERVIEW

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "course-v1:TestX+Reindex+R1"
OTHER = "course-v1:OtherX+Reindex+R1"
UNKNOWN = "course-v1:TestX+Nowhere+R1"


@pytest.fixture(autouse=True)
def _on_test_servers(mongo_database, broker_url):
    with override_settings(
        OVERVIEW_MONGODB_DATABASE=mongo_database.name, OVERVIEW_BROKER_URL=broker_url
    ):
        yield


@pytest.fixture
def two_courses(author: SplitAuthor) -> None:
    """Two courses with rows that are up to date."""
    author.create_course(KEY, settings={"display_name": "As published"})
    author.create_course(OTHER, settings={"display_name": "As published"})
    command("overview", "reindex", "--all", "--here")
    OverviewRebuildRun.objects.all().delete()


@pytest.fixture
def bulk_worker(adapters: Dependencies) -> Iterator[None]:
    """Works on the lanes of runs, as bulk workers do when beat sends them."""
    is_over = Event()

    def work_on_runs() -> None:
        while not is_over.wait(0.02):
            tend(
                store=adapters.runs.store,
                enqueue=lambda run_id, lane: adapters.runs.work(run_id, lane, seconds=1.0),
            )
        connection.close()

    worker = Thread(target=work_on_runs)
    worker.start()
    yield
    is_over.set()
    worker.join()


def command(name: str, *arguments: str) -> tuple[int, str]:
    """Run a command; return its exit code and what it printed."""
    output = StringIO()
    try:
        call_command(name, *arguments, stdout=output)
    except SystemExit as exited:
        return int(exited.code or 0), output.getvalue()
    except CommandError as error:
        return error.returncode, output.getvalue() + str(error)
    return 0, output.getvalue()


def reindex(*arguments: str) -> tuple[int, str]:
    return command("overview", "reindex", *arguments)


def generate(*arguments: str) -> tuple[int, str]:
    return command("generate_course_overview", *arguments)


def edit_by_hand(*keys: str, **columns: object) -> None:
    columns = columns or {"display_name": "By hand"}
    CourseOverview.objects.filter(id__in=keys).update(**columns)


def name_of(key: str) -> str:
    return str(CourseOverview.objects.get(id=key).display_name)


def asked() -> OverviewRebuildRun:
    """The only run that was asked for."""
    return OverviewRebuildRun.objects.get()


def test_the_first_fill_builds_every_course(author: SplitAuthor):
    author.create_course(KEY)
    author.create_course(OTHER)

    code, output = reindex("--all", "--here")

    assert code == 0
    assert "written: 2" in output
    assert set(CourseOverview.objects.values_list("id", flat=True)) == {KEY, OTHER}


def test_all_rebuilds_what_is_stale_and_leaves_the_rest_alone(author: SplitAuthor, two_courses):
    author.edit_settings(KEY, {"display_name": "Published anew"})
    edit_by_hand(OTHER)

    code, output = reindex("--all", "--here")

    assert (code, name_of(KEY), name_of(OTHER)) == (0, "Published anew", "By hand")
    assert "written: 1, unchanged: 1" in output


def test_stale_is_all(author: SplitAuthor, two_courses):
    author.edit_settings(KEY, {"display_name": "Published anew"})

    reindex("--stale", "--here")

    assert name_of(KEY) == "Published anew"
    assert (asked().scope, asked().depth) == ("all", "stale")


def test_all_with_force_writes_every_row_afresh(two_courses):
    edit_by_hand(KEY, OTHER)

    code, _ = reindex("--all", "--force", "--here")

    assert (code, name_of(KEY), name_of(OTHER)) == (0, "As published", "As published")


def test_an_organisation_is_named_in_any_case_and_others_are_left_alone(two_courses):
    edit_by_hand(KEY, OTHER)

    code, output = reindex("--org", "testx", "--force", "--here")

    assert (code, name_of(KEY), name_of(OTHER)) == (0, "As published", "By hand")
    assert "written: 1" in output


def test_an_organisation_without_a_course_is_a_slip_that_is_told_of(two_courses):
    code, output = reindex("--org", "TestY", "--here")

    assert code == 1
    assert "no course is of the organisation 'TestY'" in output


def test_version_below_rebuilds_the_rows_of_older_schemas(two_courses):
    edit_by_hand(KEY, version=COURSE_OVERVIEW_VERSION - 1, display_name="By hand")
    edit_by_hand(OTHER)

    code, _ = reindex("--version-below", str(COURSE_OVERVIEW_VERSION), "--here")

    assert (code, name_of(KEY), name_of(OTHER)) == (0, "As published", "By hand")
    assert (asked().depth, asked().version_below) == ("old", COURSE_OVERVIEW_VERSION)


def test_a_named_course_that_is_gone_from_the_index_becomes_a_tombstone(
    author: SplitAuthor, two_courses
):
    author.delete_course(KEY)

    code, output = reindex(KEY, "--here")

    assert code == 0
    assert "removed: 1" in output
    assert OverviewTombstone.objects.filter(course_key=KEY).exists()
    assert not CourseOverview.objects.filter(id=KEY).exists()


def test_the_brake_on_mass_deletes_holds_for_named_courses_too(author: SplitAuthor, two_courses):
    author.delete_course(KEY)
    author.delete_course(OTHER)  # the index is empty now

    code, output = reindex(KEY, "--here")

    assert code == 1
    assert f"{KEY}: held" in output
    assert CourseOverview.objects.filter(id=KEY).exists()


def test_a_course_that_is_deleted_already_is_unknown(author: SplitAuthor, two_courses):
    author.delete_course(KEY)
    reindex(KEY, "--here")

    code, output = reindex(KEY, "--here")

    assert code == 1
    assert f"{KEY}: no such course" in output


def test_one_unknown_course_among_others_is_named_and_nothing_is_done(two_courses):
    edit_by_hand(KEY)

    code, output = reindex(KEY, UNKNOWN, "--here")

    assert (code, name_of(KEY)) == (1, "By hand")
    assert output.strip() == f"{UNKNOWN}: no such course with a published branch"
    assert not OverviewRebuildRun.objects.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [KEY, "--all"],
        ["--all", "--org", "TestX"],
        ["--stale", "--version-below", "3"],
        ["--stale", "--force"],
        ["--version-below", "3", "--force"],
        ["--version-below", str(COURSE_OVERVIEW_VERSION + 1)],
        ["--resume", "1", "--lanes", "3"],
        ["--all", "--dry-run", "--lanes", "3"],
        ["--resume", "1", "--all"],
        ["--resume", "1", "--rate", "3"],
        ["--all", "--html", "report.html"],
        ["--all", "--dry-run", "--no-wait"],
        ["--all", "--dry-run", "--here"],
        ["--all", "--here", "--no-wait"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused_and_nothing_is_done(arguments):
    code, _ = reindex(*arguments)

    assert code == 2
    assert not OverviewRebuildRun.objects.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--all", "--rate", "0"],
        ["--all", "--rate", "fast"],
        ["--version-below", "0"],
        ["--all", "--lanes", "0"],
        ["--all", "--lanes", "101"],
        ["--resume", "x"],
    ],
    ids=" ".join,
)
def test_wrong_values_are_refused_with_exit_code_2(arguments):
    called = subprocess.run(
        [OVERVIEW, "reindex", *arguments], capture_output=True, text=True, check=False
    )

    assert called.returncode == 2
    assert arguments[-1] in called.stderr


def test_a_run_remembers_who_asked_for_it_and_why(two_courses):
    reindex(KEY, "--here", "--reason", "the editor's wish", "--rate", "100")

    run = asked()
    assert (run.asked_by, run.asked_from) == (account_name(), RunOrigin.COMMAND)
    assert (run.reason, run.rate) == ("the editor's wish", 100.0)


def test_a_course_that_fails_is_named_with_its_reason_and_others_are_rebuilt(author: SplitAuthor):
    author.create_course(KEY, settings={"start": "garbage"})
    author.create_course(OTHER)

    code, output = reindex("--all", "--here")

    assert code == 1
    assert "written: 1, failed: 1" in output
    assert f"{KEY}: faulty: start = 'garbage'" in output
    assert CourseOverview.objects.filter(id=OTHER).exists()


def test_as_json_it_is_one_object_with_every_figure_and_nothing_else(author: SplitAuthor):
    author.create_course(KEY, settings={"start": "garbage"})
    author.create_course(OTHER)

    code, output = reindex("--all", "--here", "--json")

    told = json.loads(output)
    assert code == 1
    assert (told["up_to_date"], told["watching_ended"]) == (False, "over")
    assert (told["state"], told["scope"], told["depth"]) == ("done", "all", "stale")
    assert (told["total_count"], told["written_count"], told["failed_count"]) == (2, 1, 1)
    (failure,) = told["failures"]
    assert (failure["course_key"], failure["outcome"]) == (KEY, "faulty")


def test_without_waiting_the_run_is_asked_for_and_left_to_the_workers(two_courses):
    code, output = reindex("--all", "--no-wait")

    assert code == 0
    assert asked().state == "planned"
    assert f"overview runs watch {asked().pk}" in output


def test_without_waiting_json_is_the_run_as_it_was_asked_for(two_courses):
    code, output = reindex("--all", "--no-wait", "--json")

    assert (code, json.loads(output)["state"]) == (0, "planned")
    assert json.loads(output)["run"] == asked().pk


def test_a_second_run_of_all_courses_is_refused_and_the_first_is_named(two_courses):
    reindex("--all", "--no-wait")

    code, output = reindex("--all", "--force", "--here")

    assert code == 1
    assert f"run {asked().pk} of all courses is planned" in output
    assert account_name() in output


def test_time_that_is_up_leaves_the_run_to_the_workers_and_is_no_success(two_courses):
    code, output = reindex(KEY, "--timeout", "0")

    assert (code, asked().state) == (1, "planned")
    assert f"{KEY}: not rebuilt yet: no worker has come to it" in output
    assert f"overview runs watch {asked().pk}" in output


def test_a_cancelled_run_is_resumed_where_it_was(two_courses):
    edit_by_hand(KEY, OTHER)
    reindex("--all", "--force", "--no-wait")
    cancel_run(asked().pk)

    code, output = reindex("--resume", str(asked().pk), "--here")

    assert (code, asked().state) == (0, "done")
    assert (name_of(KEY), name_of(OTHER)) == ("As published", "As published")
    assert f"run {asked().pk} goes on: all, rewrite" in output


def test_a_run_that_is_done_cannot_be_resumed(two_courses):
    reindex(KEY, "--here")

    code, output = reindex("--resume", str(asked().pk))

    assert code == 1
    assert f"run {asked().pk} is done" in output


def test_a_course_that_lags_behind_its_announcement_is_named_and_is_no_success(
    author: SplitAuthor, two_courses
):
    author.edit_settings(KEY, {"display_name": "Published anew"})
    OverviewState.objects.filter(course_key=KEY).update(source_updated_at="2099-01-01 00:00:00Z")

    code, output = reindex(KEY, "--here")

    assert code == 1
    assert "left to another rebuild: 1" in output
    assert f"{KEY}: not rebuilt yet: " in output


def test_a_broker_that_is_away_is_told_of_and_the_run_stands(two_courses):
    called = subprocess.run(
        [OVERVIEW, "reindex", "--all", "--no-wait"],
        env=own_environment(OVERVIEW_BROKER_URL="amqp://127.0.0.1:9/x"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert called.returncode == 0, called.stderr
    assert "the broker does not answer" in called.stdout
    assert asked().state == "planned"


def test_ctrl_c_stops_a_run_that_is_done_here_and_it_is_resumed(author: SplitAuthor, two_courses):
    keys = [f"course-v1:TestX+Reindex+Slow{number}" for number in range(20)]
    for key in keys:
        author.create_course(key)

    with subprocess.Popen(
        [OVERVIEW, "reindex", "--all", "--force", "--here", "--rate", "2"],
        env=own_environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(
            lambda: OverviewRebuildRun.objects.filter(written_count__gt=0).exists(),
            what="a run that has rebuilt some courses",
        )
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    run = asked()
    OverviewRebuildRun.objects.update(rate=None, not_before=None)
    code, resumed = reindex("--resume", str(run.pk), "--here")

    assert (process.returncode, run.state) == (130, "running")
    assert f"overview reindex --resume {run.pk} --here" in output
    assert code == 0
    assert f"written: {len(keys) + 2}" in resumed


def own_environment(**variables: str) -> dict[str, str]:
    """Return the environment of a process on the databases of the test."""
    return {
        **web_environment(sql_database=str(connection.settings_dict["NAME"]), port=0),
        "OVERVIEW_MONGODB_DATABASE": settings.OVERVIEW_MONGODB_DATABASE,
        **variables,
    }


def test_a_dry_run_shows_each_column_that_would_change_and_writes_nothing(two_courses):
    edit_by_hand(KEY)

    code, output = reindex(KEY, OTHER, "--dry-run")

    assert code == 1
    assert re.search("display_name: .*By hand.* → .*As published", output)
    assert "2 courses compared" in output
    assert name_of(KEY) == "By hand"
    assert not OverviewRebuildRun.objects.exists()
    assert not OverviewMark.objects.filter(dirty_since__isnull=False).exists()


def test_a_dry_run_of_all_looks_at_what_is_stale_and_with_force_at_everything(
    author: SplitAuthor, two_courses
):
    author.edit_settings(KEY, {"display_name": "Published anew"})
    edit_by_hand(OTHER)

    _, stale = reindex("--all", "--dry-run")
    _, everything = reindex("--all", "--force", "--dry-run")

    assert re.search("display_name: .*As published.* → .*Published anew", stale)
    assert OTHER not in stale
    assert "1 course compared" in stale
    assert re.search("display_name: .*By hand.* → .*As published", everything)
    assert "2 courses compared" in everything


def test_a_dry_run_where_nothing_would_change_is_a_success(two_courses):
    assert [reindex("--all", *force, "--dry-run")[0] for force in ((), ("--force",))] == [0, 0]


def test_a_dry_run_shows_what_would_be_removed(author: SplitAuthor, two_courses):
    author.delete_course(KEY)

    code, output = reindex("--org", "TestX", "--dry-run")

    assert code == 1
    assert f"{KEY}: orphaned" in output
    assert CourseOverview.objects.filter(id=KEY).exists()


def test_a_dry_run_writes_its_report_as_json_and_as_a_page(two_courses, tmp_path: Path):
    edit_by_hand(KEY)
    page = tmp_path / "report.html"

    code, output = reindex(KEY, "--dry-run", "--json", "--html", str(page))

    assert code == 1
    (course,) = json.loads(output)["courses"]
    assert course["course_key"] == KEY
    assert "By hand" in page.read_text()


def test_help_teaches_with_examples_and_exit_codes(capsys):
    with pytest.raises(SystemExit):
        call_command("overview", "reindex", "--help")

    shown = capsys.readouterr().out
    for words in (
        "overview reindex --all --dry-run",
        "--resume 12",
        "Ctrl-C",
        "Exit code 0",
        "130",
    ):
        assert words in shown


@pytest.mark.parametrize("option", ["--all", "--all-courses"])
def test_generate_course_overview_rebuilds_missing_old_and_stale_rows_only(
    author: SplitAuthor, two_courses, option, bulk_worker
):
    author.edit_settings(KEY, {"display_name": "Published anew"})
    edit_by_hand(OTHER)

    code, _ = generate(option)

    assert (code, name_of(KEY), name_of(OTHER)) == (0, "Published anew", "By hand")


@pytest.mark.parametrize("option", ["--force-update", "--force_update"])
def test_generate_course_overview_writes_every_row_where_it_is_forced(
    two_courses, option, bulk_worker
):
    edit_by_hand(KEY, OTHER)

    code, _ = generate("--all", option)

    assert (code, name_of(KEY), name_of(OTHER)) == (0, "As published", "As published")


def test_generate_course_overview_takes_course_ids(two_courses, bulk_worker):
    edit_by_hand(KEY, OTHER)

    code, _ = generate(KEY, "--force-update")

    assert (code, name_of(KEY), name_of(OTHER)) == (0, "As published", "By hand")


def test_generate_course_overview_says_which_options_mean_nothing_here(two_courses, bulk_worker):
    code, output = generate(KEY, "--routing-key", "edx.lms.core.high", "--chunk-size", "10")

    assert code == 0
    assert "--routing-key means nothing here" in output
    assert "--chunk-size means nothing here" in output


def test_generate_course_overview_wants_courses_or_all_of_them():
    code, output = generate()

    assert code == 2
    assert "name some courses, or use --all-courses" in output


def test_generate_course_overview_takes_all_courses_though_some_are_named_as_in_open_edx(
    two_courses, bulk_worker
):
    edit_by_hand(KEY, OTHER)

    code, output = generate(KEY, "--all", "--force-update")

    assert (code, name_of(KEY), name_of(OTHER)) == (0, "As published", "As published")
    assert "rebuilt among all others" in output


def test_generate_course_overview_names_what_is_unknown(two_courses):
    code, output = generate(KEY, UNKNOWN)

    assert code == 1
    assert f"{UNKNOWN}: no such course" in output
