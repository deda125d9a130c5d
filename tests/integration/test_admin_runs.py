"""Rebuild runs in the admin: who may, what they see, what each button does and leaves behind."""

import logging
import re
import shlex
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.urls import reverse

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import (
    CourseOverview,
    OverviewInspection,
    OverviewProjection,
    OverviewRebuildRun,
    OverviewRunFailure,
    OverviewState,
    RunDepth,
    RunOrigin,
    RunScope,
    RunState,
)
from lms_integration.rebuild_desk import RunRequest, ask_for_run, pause_run
from tests.race_scene import Crew
from tests.recorded_overviews import projection_of
from tests.sql_accounts import printed_accounts, signed_in

pytestmark = pytest.mark.django_db

HOSTILE = '<script>alert("x")</script>\u202e'
LIST = reverse("admin:lms_integration_overviewrebuildrun_changelist")
ASK = reverse("admin:lms_integration_ask_for_run")
COURSES = reverse("admin:lms_integration_courseoverview_changelist")
STATES = reverse("admin:lms_integration_overviewstate_changelist")
MAY = ("view_overviewrebuildrun", "run_rebuild", "view_courseoverview", "view_overviewstate")
STEERING = ("pause", "resume", "cancel")


def person(*permissions: str, name: str = "ann", is_staff: bool = True) -> Client:
    """A browser signed in as somebody with these permissions of ours."""
    user = User.objects.create_user(name, is_staff=is_staff)
    found = Permission.objects.filter(
        content_type__app_label="lms_integration", codename__in=permissions
    )
    assert len(found) == len(permissions)
    user.user_permissions.set(found)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def ann() -> Client:
    return person(*MAY)


def page(response) -> str:
    assert response.status_code == 200, response
    return str(response.content.decode())


def token_in(shown: str) -> str:
    found = re.search(r'name="token" value="([0-9a-f]{32})"', shown)
    assert found, shown
    return found[1]


def course(name: str, *, org: str = "TidesX", **columns) -> str:
    key = f"course-v1:{org}+{name}+R1"
    row = CourseOverview.objects.create(
        id=key, org=org, version=19, pre_requisite_courses_json="[]", **columns
    )
    projection_of(row).save(force_insert=True)
    return key


def run(*, age_seconds: int = 3600, **columns) -> OverviewRebuildRun:
    """A run of one organisation, as the workers leave it, that was asked for a while ago."""
    defaults = {
        "scope": RunScope.ORG,
        "org": "TidesX",
        "depth": RunDepth.STALE,
        "asked_from": RunOrigin.COMMAND,
        "created_at": DatabaseNow(offset_seconds=-age_seconds),
    }
    made = OverviewRebuildRun.objects.create(**defaults | columns)
    made.refresh_from_db()
    return made


def running(**columns) -> OverviewRebuildRun:
    defaults: dict[str, Any] = {
        "state": RunState.RUNNING,
        "total_count": 2000,
        "written_count": 300,
        "unchanged_count": 200,
        "running_seconds": 10.0,
    }
    return run(**defaults | columns)


def address(of: OverviewRebuildRun) -> str:
    return reverse("admin:lms_integration_overviewrebuildrun_change", args=[of.pk])


def progress_address(of: OverviewRebuildRun) -> str:
    return reverse("admin:lms_integration_run_progress", args=[of.pk])


def steering_address(action: str, of: OverviewRebuildRun) -> str:
    return reverse(f"admin:lms_integration_{action}_run", args=[of.pk])


def wanted(**more: str) -> dict[str, str]:
    return {"scope": "all", "org": "", "depth": "stale", "rate": "", "reason": "", **more}


def begin(client: Client, **more: str):
    return client.post(ASK, {**wanted(**more), "step": "begin"})


def preview(client: Client, **more: str) -> str:
    return page(client.post(ASK, {**wanted(**more), "step": "preview"}))


def select(client: Client, where: str, *keys: str, **more: str):
    data = {"action": "rebuild_selected", ACTION_CHECKBOX_NAME: list(keys), **more}
    return client.post(where, data, follow=True)


# Who may


def test_strangers_are_asked_to_sign_in(client):
    for where in (LIST, ASK, address(run())):
        response = client.get(where)
        assert response.status_code == 302
        assert response["Location"].startswith("/admin/login/")


def test_learners_may_not():
    learner = person(*MAY, is_staff=False)

    for where in (LIST, ASK, address(run())):
        assert learner.get(where).status_code == 302


def test_staff_without_a_permission_may_not():
    nobody = person()
    there = running()

    for where in (LIST, ASK, address(there), progress_address(there)):
        assert nobody.get(where).status_code == 403
    for action in STEERING:
        assert nobody.post(steering_address(action, there)).status_code == 403


def test_who_may_only_look_sees_no_button_and_can_do_nothing():
    onlooker = person("view_overviewrebuildrun", "view_courseoverview", "view_overviewstate")
    key = course("A")
    there = running()

    lists = page(onlooker.get(LIST)) + page(onlooker.get(COURSES)) + page(onlooker.get(STATES))
    shown = page(onlooker.get(address(there))) + page(onlooker.get(progress_address(there)))
    select(onlooker, COURSES, key)

    assert ASK not in lists
    assert "rebuild_selected" not in lists
    for action in STEERING:
        assert steering_address(action, there) not in shown
        assert onlooker.post(steering_address(action, there)).status_code == 403
    assert onlooker.get(ASK).status_code == 403
    assert begin(onlooker).status_code == 403
    assert OverviewRebuildRun.objects.count() == 1


def test_who_may_ask_may_also_look():
    there = run()

    asker = person("run_rebuild")

    assert f"Run {there.pk}" in page(asker.get(LIST))
    assert asker.get(address(there)).status_code == 200


@pytest.mark.parametrize("action", STEERING)
def test_a_forged_request_is_refused(action):
    browser = person(*MAY)
    browser.handler.enforce_csrf_checks = True
    there = running(state=RunState.PAUSED)

    assert browser.post(steering_address(action, there), {"confirmed": "yes"}).status_code == 403
    assert begin(browser).status_code == 403

    there.refresh_from_db()
    assert there.state == RunState.PAUSED
    assert OverviewRebuildRun.objects.count() == 1


def test_buttons_are_not_links(ann):
    there = running()

    for action in STEERING:
        assert ann.get(steering_address(action, there)).status_code == 405
    assert ann.post(address(there)).status_code == 403
    there.refresh_from_db()
    assert there.state == RunState.RUNNING


# The list


def test_the_list_has_the_newest_run_first_and_says_all_of_it(ann):
    old = run(age_seconds=7200, state=RunState.DONE)
    new = running(age_seconds=300, asked_by="bob", reason="the new theme", failed_count=2)

    shown = page(ann.get(LIST))

    assert shown.index(f"Run {new.pk}") < shown.index(f"Run {old.pk}")
    for words in (
        *("the courses of TidesX", "bob (a command)", "the new theme", "25 %, 502 of 2,000"),
        *("written 300, unchanged 200, failed 2", "50.2/s", "30 s", "5 min"),
    ):
        assert words in shown, words
    assert 'value="0.2510"' in shown


def test_a_run_that_is_to_begin_later_says_when(ann):
    ask_for_run(
        RunRequest(
            scope=RunScope.ALL,
            depth=RunDepth.STALE,
            asked_from=RunOrigin.SCHEDULE,
            delay_seconds=600,
        )
    )

    assert "begins in" in page(ann.get(LIST))


def test_runs_are_found_by_state_and_by_who_asked(ann):
    done, paused = run(state=RunState.DONE, asked_by="bob"), run(state=RunState.PAUSED)

    by_state = page(ann.get(LIST, {"state__exact": "paused"}))
    by_name = page(ann.get(LIST, {"q": "bob"}))

    assert f"Run {paused.pk}<" in by_state
    assert f"Run {done.pk}<" not in by_state
    assert f"Run {done.pk}<" in by_name
    assert f"Run {paused.pk}<" not in by_name


def test_the_list_asks_the_database_equally_often_however_many_runs_there_are(
    ann, django_assert_max_num_queries, django_assert_num_queries
):
    running()
    ann.get(LIST)

    with django_assert_max_num_queries(8) as few:
        ann.get(LIST)
    for _ in range(30):
        running()
    with django_assert_num_queries(len(few)):
        ann.get(LIST)


# The page of a run


def test_a_run_shows_its_progress_and_its_counts(ann):
    there = running(
        failed_count=1,
        tombstoned_count=4,
        busy_count=5,
        rate=80.0,
        waiting_for="publishes wait",
        reason="the new theme",
        started_at=datetime(2026, 5, 1, 3, 17, tzinfo=UTC),
    )

    shown = page(ann.get(address(there)))

    for words in (
        *("510 of 2,000", "51.0/s (at most 80/s)", "29 s", "publishes wait", "the new theme"),
        *("2026-05-01 03:17:00", "Left to another rebuild", progress_address(there)),
    ):
        assert words in shown, words


def test_what_the_page_fetches_is_the_part_that_changes_and_nothing_else(ann):
    there = running()

    shown = page(ann.get(progress_address(there)))
    OverviewRebuildRun.objects.filter(pk=there.pk).update(state=RunState.DONE)
    over = page(ann.get(progress_address(there)))

    assert "500 of 2,000" in shown
    assert "<html" not in shown
    assert "data-over" not in shown
    assert steering_address("pause", there) in shown
    assert "100 %" in over
    assert "data-over" in over
    assert "<form" not in over


def test_what_the_page_fetches_is_kept_by_nobody(ann):
    assert "no-store" in ann.get(progress_address(running()))["Cache-Control"]


def test_no_page_has_a_script_or_a_style_of_its_own_within_it(ann):
    there, key = running(), course("A")

    shown = [
        page(ann.get(address(there))),
        page(ann.get(progress_address(there))),
        page(ann.get(ASK)),
        preview(ann),
        page(ann.post(steering_address("cancel", there))),
        page(select(ann, COURSES, key)),
    ]

    for each in shown:
        main = each[each.find('<main id="content-start"') :]
        assert "<script" not in main
        assert "style=" not in main
        assert "onclick" not in main


def test_failures_are_linked_to_the_story_of_their_course_and_paged(ann):
    there = running(failed_count=60)
    for number in range(60):
        OverviewRunFailure.objects.create(
            run=there,
            course_key=f"course-v1:TidesX+F{number:02}+R1",
            outcome="faulty",
            reason=f"no date {number}",
            failed_at=datetime(2026, 5, 1, tzinfo=UTC),
        )

    first, second = page(ann.get(address(there))), page(ann.get(address(there), {"page": "2"}))

    story = reverse("admin:lms_integration_explain", args=["course-v1:TidesX+F00+R1"])
    assert f'href="{story}"' in first
    assert "Courses that failed (60)" in first
    assert "no date 49<" in first
    assert "no date 50<" not in first
    assert "no date 50<" in second
    assert "Page 2 of 2" in second


def test_the_page_asks_the_database_equally_often_however_many_courses_failed(
    ann, django_assert_max_num_queries, django_assert_num_queries
):
    there = running()
    ann.get(address(there))

    with django_assert_max_num_queries(9) as few:
        ann.get(address(there))
    for number in range(40):
        OverviewRunFailure.objects.create(
            run=there,
            course_key=f"course-v1:TidesX+F{number:02}+R1",
            outcome="faulty",
            reason="no date",
            failed_at=datetime(2026, 5, 1, tzinfo=UTC),
        )
    # The second query of a page with rows is the rows themselves.
    with django_assert_num_queries(len(few) + 1):
        ann.get(address(there))


def test_a_run_that_is_not_there_is_not_found(ann):
    nowhere = run()
    OverviewRebuildRun.objects.all().delete()

    assert ann.get(address(nowhere)).status_code == 404
    assert ann.get(progress_address(nowhere)).status_code == 404
    assert ann.post(steering_address("pause", nowhere)).status_code == 404


# Pause, resume, cancel


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("pause", RunState.RUNNING, RunState.PAUSED),
        ("pause", RunState.PLANNED, RunState.PAUSED),
        ("resume", RunState.PAUSED, RunState.RUNNING),
        ("resume", RunState.CANCELLED, RunState.RUNNING),
        ("cancel", RunState.RUNNING, RunState.CANCELLED),
    ],
)
def test_a_button_does_what_it_says_and_the_log_says_who(ann, caplog, action, before, after):
    there = running(state=before)

    with caplog.at_level(logging.WARNING, logger="overview_audit"):
        response = ann.post(steering_address(action, there), {"confirmed": "yes"}, follow=True)

    there.refresh_from_db()
    assert there.state == after
    assert f"Run {there.pk} is" in page(response)
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("ann", str(there.pk))
    assert entry.action_flag == CHANGE
    assert f"run {there.pk} of the courses of TidesX" in caplog.text
    assert "by admin user ann" in caplog.text


def test_who_did_what_is_a_page_of_the_run(ann):
    there = running()
    ann.post(steering_address("pause", there))
    history = reverse("admin:lms_integration_overviewrebuildrun_history", args=[there.pk])

    assert history in page(ann.get(address(there)))
    shown = page(ann.get(history))

    assert "Paused." in shown
    assert "ann" in shown


def test_cancelling_asks_first(ann):
    there = running()

    shown = page(ann.post(steering_address("cancel", there)))

    there.refresh_from_db()
    assert there.state == RunState.RUNNING
    assert "What is rebuilt stays rebuilt" in shown
    assert "csrfmiddlewaretoken" in shown
    assert not LogEntry.objects.exists()


def test_only_what_can_be_done_is_offered(ann):
    offered = {
        state: [
            action
            for action in STEERING
            if steering_address(action, there := running(state=state))
            and steering_address(action, there) in page(ann.get(address(there)))
        ]
        for state in RunState
    }

    assert offered == {
        RunState.PLANNED: ["pause", "cancel"],
        RunState.RUNNING: ["pause", "cancel"],
        RunState.PAUSED: ["resume", "cancel"],
        RunState.CANCELLED: ["resume"],
        RunState.FAILED: ["resume"],
        RunState.DONE: [],
    }


def test_what_the_desk_refuses_is_told_and_leaves_no_entry(ann):
    there = running(state=RunState.DONE)

    shown = page(ann.post(steering_address("pause", there), follow=True))

    assert f"run {there.pk} is done: nothing can be done about it now" in shown
    assert not LogEntry.objects.exists()


# Asking for a run


@pytest.mark.parametrize("where", [LIST, COURSES])
def test_the_lists_lead_to_the_form(ann, where):
    assert f'href="{ASK}"' in page(ann.get(where))


def test_the_form_offers_the_organisations_that_there_are(ann):
    course("A", org="TidesX")
    course("B", org="ReefX")
    course("C", org="ReefX")

    shown = page(ann.get(ASK, {"scope": "org", "org": "ReefX"}))

    assert shown.count("ReefX</option>") == 1
    assert '<option value="ReefX" selected>' in shown
    assert '<option value="TidesX">' in shown


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scope": "org"}, "Choose the organisation"),
        ({"scope": "org", "org": "NobodyX"}, "Select a valid choice"),
        ({"scope": "courses"}, "Select a valid choice"),
        ({"depth": "deep"}, "Select a valid choice"),
        ({"rate": "0"}, "greater than or equal to 0.01"),
        ({"rate": "nan"}, "Enter a number"),
        ({"scope": "courses", "course_keys": "nonsense"}, "nonsense is not a course key"),
    ],
)
def test_what_makes_no_sense_is_told_on_the_form_and_begins_nothing(ann, given, words):
    assert words in preview(ann, **given)
    assert words in page(begin(ann, **given))
    assert not OverviewRebuildRun.objects.exists()


def test_nothing_begins_before_the_estimate_is_confirmed(ann):
    for number in range(3):
        course(f"C{number}")
    course("D", org="ReefX")

    everything, reef = preview(ann), preview(ann, scope="org", org="ReefX", rate="0.5")
    deep = preview(ann, depth="rewrite")

    assert "4 courses, about" in everything
    assert "a guess: no run was measured yet" in everything
    assert "overview reindex --all --dry-run" in everything
    assert "1 course, about 2.0 s" in reef
    assert "overview reindex --org ReefX --dry-run" in reef
    assert "overview verify --all" in deep
    assert not OverviewRebuildRun.objects.exists()


def test_the_estimate_says_when_it_was_measured(ann):
    course("A")
    run(state=RunState.DONE, total_count=1000, rebuilt_count=1000, running_seconds=10.0)

    assert "100 rebuilds a second (as the last runs did)" in preview(ann)


def test_an_empty_table_is_not_taken_for_an_empty_catalogue(ann):
    assert "Estimate</dt><dd>not known" in preview(ann)

    OverviewInspection.objects.create(
        started_at=DatabaseNow(), finished_at=DatabaseNow(), course_count=1200
    )

    assert "1,200 courses, about" in preview(ann)


def test_the_page_of_a_run_says_what_was_expected_of_it(ann):
    course("A", org="ReefX")
    begin(ann, scope="org", org="ReefX", rate="0.5")
    made = OverviewRebuildRun.objects.get()

    assert (made.estimated_count, made.estimated_seconds) == (1, 2.0)
    assert "1 course, 2.0 s" in page(ann.get(address(made)))


def test_a_button_that_is_pressed_twice_makes_one_run(ann):
    given = {"scope": "all", "token": token_in(preview(ann))}

    first, second = begin(ann, **given), begin(ann, **given)

    made = OverviewRebuildRun.objects.get()
    assert first["Location"] == second["Location"] == address(made)
    assert LogEntry.objects.count() == 1


def test_each_confirmation_is_a_request_of_its_own(ann):
    course("A", org="ReefX")
    for _ in range(2):
        begin(ann, scope="org", org="ReefX", token=token_in(preview(ann)))

    assert OverviewRebuildRun.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    connection.vendor != "mysql", reason="SQLite in memory: threads refuse each other's locks"
)
@pytest.mark.parametrize("scope", ["all", "org"])
def test_a_button_that_is_pressed_twice_at_once_makes_one_run(ann, scope):
    course("A", org="ReefX")
    given = {"scope": scope, "org": "ReefX", "token": token_in(preview(ann))}
    barrier = threading.Barrier(4)
    locations: list[str] = []

    def press() -> None:
        barrier.wait()
        locations.append(begin(ann, **given)["Location"])

    with Crew() as crew:
        for _ in range(barrier.parties):
            crew.start(press)

    assert locations == [address(OverviewRebuildRun.objects.get())] * barrier.parties
    assert LogEntry.objects.count() == 1


def test_the_command_that_compares_is_safe_to_paste(ann):
    course("A", org="X; rm -rf ~")

    shown = preview(ann, scope="org", org="X; rm -rf ~")

    assert shlex.quote("X; rm -rf ~").replace("'", "&#x27;") in shown


def test_a_confirmed_run_is_planned_and_the_log_says_who_and_which_courses(ann, caplog):
    course("A", org="ReefX")

    with caplog.at_level(logging.WARNING, logger="overview_audit"):
        response = begin(
            ann, scope="org", org="ReefX", depth="build", rate="20", reason="the new theme"
        )

    made = OverviewRebuildRun.objects.get()
    assert response["Location"] == address(made)
    assert (made.state, made.scope, made.org) == (RunState.PLANNED, RunScope.ORG, "ReefX")
    assert (made.depth, made.rate, made.reason) == (RunDepth.BUILD, 20.0, "the new theme")
    assert (made.asked_by, made.asked_from) == ("ann", RunOrigin.ADMIN)
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("ann", str(made.pk))
    assert entry.action_flag == ADDITION
    for words in ("the courses of ReefX", "at most 20 a second", "the new theme"):
        assert words in entry.get_change_message()
    assert f"run {made.pk} of the courses of ReefX asked for by admin user ann" in caplog.text


def test_a_run_of_older_schemas_knows_this_release(ann):
    begin(ann, depth="old")

    assert OverviewRebuildRun.objects.get().version_below == CourseOverview.VERSION


def test_an_organisation_counts_only_where_it_is_asked_for(ann):
    course("A", org="ReefX")

    begin(ann, scope="all", org="ReefX")

    made = OverviewRebuildRun.objects.get()
    assert (made.scope, made.org) == (RunScope.ALL, "")


def test_what_was_chosen_can_be_changed_once_more(ann):
    course("A", org="ReefX")

    shown = page(
        ann.post(ASK, {**wanted(scope="org", org="ReefX", reason="theme"), "step": "change"})
    )

    assert '<option value="ReefX" selected>' in shown
    assert 'value="theme"' in shown
    assert not OverviewRebuildRun.objects.exists()


def test_a_second_run_of_all_courses_is_refused_in_the_desks_words(ann):
    begin(ann)
    first = OverviewRebuildRun.objects.get()

    shown = page(begin(ann, again="yes"))

    assert f"run {first.pk} of all courses is planned (asked for by ann)" in shown
    assert OverviewRebuildRun.objects.count() == 1
    assert LogEntry.objects.count() == 1


def test_another_run_of_all_courses_within_ten_minutes_needs_a_second_yes(ann):
    last = run(scope=RunScope.ALL, org="", state=RunState.DONE, age_seconds=300)

    warned, stopped = preview(ann), page(begin(ann))

    for shown in (warned, stopped):
        assert f"Run {last.pk} of all courses was asked for less than ten minutes ago" in shown
    assert "Nothing has begun" in stopped
    assert OverviewRebuildRun.objects.count() == 1

    begin(ann, again="yes")

    assert OverviewRebuildRun.objects.count() == 2


def test_after_ten_minutes_one_yes_is_enough(ann):
    run(scope=RunScope.ALL, org="", state=RunState.DONE, age_seconds=700)

    begin(ann)

    assert OverviewRebuildRun.objects.count() == 2


# Selected courses


@pytest.mark.parametrize("where", [COURSES, STATES], ids=["overviews", "states"])
def test_selected_courses_are_rebuilt_once_that_is_confirmed(ann, where):
    keys = [course("A"), course("B")]
    course("C")
    for key in [*keys, course("D")]:
        OverviewState.objects.create(course_key=key)

    shown = page(select(ann, where, *keys))

    assert "Rebuild 2 named courses?" in shown
    assert "2 courses, about" in shown
    assert all(key in shown for key in keys)
    assert not OverviewRebuildRun.objects.exists()

    begin(ann, scope="courses", course_keys=" ".join(keys), depth="build")

    made = OverviewRebuildRun.objects.get()
    assert (made.scope, made.course_keys) == (RunScope.COURSES, keys)


def test_all_that_a_filter_finds_can_be_selected_at_once(ann):
    keys = [course(f"C{number:03}") for number in range(130)]
    course("D", org="ReefX")

    shown = page(select(ann, f"{COURSES}?org=TidesX", keys[0], select_across="1"))

    assert "Rebuild 130 named courses?" in shown
    assert "and 110 more" in shown
    assert " ".join(keys) in shown


def test_too_many_selected_courses_are_refused(ann, monkeypatch):
    monkeypatch.setattr("lms_integration.admin_pages.asking.MAX_NAMED_COURSES", 2)
    keys = [course("A"), course("B"), course("C")]

    shown = page(select(ann, COURSES, *keys))

    assert "At most 2 courses at a time" in shown
    assert not OverviewRebuildRun.objects.exists()


def test_overviews_are_narrowed_to_an_organisation_and_offer_to_rebuild_it(ann):
    course("A", org="TidesX")
    course("B", org="ReefX")

    shown = page(ann.get(COURSES, {"org": "ReefX"}))

    assert "course-v1:ReefX+B+R1" in shown
    assert "course-v1:TidesX+A+R1" not in shown
    assert f"{ASK}?scope=org&amp;org=ReefX" in shown


def test_the_list_of_overviews_asks_equally_often_however_many_organisations_there_are(
    ann, django_assert_max_num_queries, django_assert_num_queries
):
    course("A")
    ann.get(COURSES)

    with django_assert_max_num_queries(9) as few:
        ann.get(COURSES)
    for number in range(30):
        course("A", org=f"Org{number}")
    with django_assert_num_queries(len(few)):
        ann.get(COURSES)


# Hostile words


def test_nothing_that_others_wrote_is_obeyed(ann):
    row = CourseOverview.objects.create(
        id="course-v1:TidesX+H+R1",
        org=HOSTILE,
        display_name=HOSTILE,
        version=19,
        pre_requisite_courses_json="[]",
    )
    projection_of(row).save(force_insert=True)
    there = running(
        org=HOSTILE, asked_by=HOSTILE, reason=HOSTILE, waiting_for=HOSTILE, error=HOSTILE
    )
    OverviewRunFailure.objects.create(
        run=there,
        course_key=HOSTILE,
        outcome="faulty",
        reason=HOSTILE,
        failed_at=datetime(2026, 5, 1, tzinfo=UTC),
    )

    shown = "".join(
        [
            page(ann.get(LIST)),
            page(ann.get(COURSES)),
            page(ann.get(address(there))),
            page(ann.get(progress_address(there))),
            page(ann.get(ASK)),
            preview(ann, scope="org", org=HOSTILE, reason=HOSTILE),
            page(ann.post(steering_address("cancel", there))),
            page(ann.post(ASK, {**wanted(org=HOSTILE, reason=HOSTILE), "step": "change"})),
            page(ann.post(steering_address("pause", there), follow=True)),
        ]
    )

    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;\\u202e" in shown


# Rights in SQL


@pytest.mark.django_db(transaction=True)
def test_the_admins_sql_account_is_enough_for_all_of_it():
    ann = person(*MAY)
    key = course("A")

    with printed_accounts("admin") as passwords, signed_in("admin", passwords["admin"]):
        begin(ann)
        made = OverviewRebuildRun.objects.get()
        for action in STEERING:
            ann.post(steering_address(action, made), {"confirmed": "yes"})
        begin(ann, scope="courses", course_keys=key, depth="build")
        page(ann.get(LIST))
        page(ann.get(address(made)))

    made.refresh_from_db()
    assert made.state == RunState.CANCELLED
    assert LogEntry.objects.count() == 5
    assert OverviewRebuildRun.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_readers_sql_account_shows_runs_and_changes_none():
    ann = person(*MAY)
    there = running()

    with printed_accounts("reader") as passwords, signed_in("reader", passwords["reader"]):
        page(ann.get(LIST))
        page(ann.get(address(there)))
        ann.raise_request_exception = False
        assert ann.post(steering_address("pause", there)).status_code == 500

    there.refresh_from_db()
    assert there.state == RunState.RUNNING


# The desk


def test_a_run_that_is_to_begin_later_waits_by_the_databases_clock():
    made = ask_for_run(
        RunRequest(
            scope=RunScope.ALL,
            depth=RunDepth.STALE,
            asked_from=RunOrigin.SCHEDULE,
            delay_seconds=900,
        )
    )

    assert made.not_before is not None
    assert abs(made.not_before - made.created_at - timedelta(seconds=900)) < timedelta(seconds=1)


def test_a_paused_run_keeps_its_page(ann):
    made = ask_for_run(
        RunRequest(scope=RunScope.ALL, depth=RunDepth.STALE, asked_from=RunOrigin.COMMAND)
    )
    pause_run(made.pk)

    assert "goes on when somebody resumes it" in page(ann.get(address(made)))


def test_organisations_of_courses_that_are_gone_are_not_offered(ann):
    course("A", org="GoneX")
    OverviewProjection.objects.all().delete()

    assert "GoneX" not in page(ann.get(ASK))
