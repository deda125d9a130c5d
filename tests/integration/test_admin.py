"""The admin pages: who may, what they do, and that nothing of a stranger's is obeyed."""

import logging
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from lms_integration.events import CoursePublished
from lms_integration.models import (
    CourseOverview,
    DeadLetter,
    OverviewMark,
    OverviewRemoval,
    OverviewState,
)
from overview_worker.documents import DeadLetterSource
from tests.letters import KEY, OTHER, event_letter, letter, letter_ids, rebuild_letter

pytestmark = pytest.mark.django_db

HOSTILE = '<script>alert("x")</script>'
LIST = reverse("admin:lms_integration_deadletter_changelist")


def explain_address(course_key: str = KEY) -> str:
    return reverse("admin:lms_integration_explain", args=[course_key])


def staff(*permissions: str, is_staff: bool = True) -> Client:
    """A browser signed in as somebody with these permissions of ours."""
    user = User.objects.create_user("ann", is_staff=is_staff)
    found = Permission.objects.filter(
        content_type__app_label="lms_integration", codename__in=permissions
    )
    assert len(found) == len(permissions)
    user.user_permissions.set(found)
    client = Client(enforce_csrf_checks=False)
    client.force_login(user)
    return client


ALL = ("view_deadletter", "replay_deadletter", "delete_deadletter", "view_overviewstate")


def act(client: Client, action: str, *ids: int, **more: str):
    data = {"action": action, ACTION_CHECKBOX_NAME: [str(each) for each in ids], **more}
    return client.post(LIST, data, follow=True)


def page(response) -> str:
    assert response.status_code == 200
    return str(response.content.decode())


def row(**values) -> CourseOverview:
    return CourseOverview.objects.create(
        id=KEY, version=19, pre_requisite_courses_json="[]", **values
    )


# Permissions


@pytest.mark.parametrize("address", [LIST, explain_address()])
def test_strangers_are_asked_to_sign_in(client, address):
    response = client.get(address)

    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("address", [LIST, explain_address()])
def test_learners_may_not(address):
    learner = staff(*ALL, is_staff=False)

    assert learner.get(address).status_code == 302


@pytest.mark.parametrize("address", [LIST, explain_address()])
def test_staff_without_the_permission_may_not(address):
    assert staff().get(address).status_code == 403


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_who_may_only_look_is_offered_no_action_and_can_do_none(action):
    letter_id = rebuild_letter()
    client = staff("view_deadletter")

    shown = page(client.get(LIST))
    act(client, action, letter_id, confirmed="yes")

    assert f'value="{action}"' not in shown
    assert letter_ids() == [letter_id]
    assert not OverviewMark.objects.exists()


def test_nothing_can_be_added_changed_or_deleted_otherwise():
    letter_id = rebuild_letter()
    row(display_name="Tides")
    User.objects.create_superuser("root")
    client = Client()
    client.force_login(User.objects.get(username="root"))

    for model, primary_key in (("deadletter", letter_id), ("courseoverview", KEY)):
        name = f"admin:lms_integration_{model}"
        assert client.get(reverse(f"{name}_add")).status_code == 403
        assert client.post(reverse(f"{name}_delete", args=[primary_key])).status_code == 403
        change = reverse(f"{name}_change", args=[primary_key])
        assert client.post(change, {"display_name": "x"}).status_code == 403
        assert client.get(change).status_code == 200

    assert letter_ids() == [letter_id]


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_a_forged_request_is_refused(action):
    letter_id = rebuild_letter()
    browser = staff(*ALL)
    browser.handler.enforce_csrf_checks = True

    response = browser.post(
        LIST, {"action": action, ACTION_CHECKBOX_NAME: [str(letter_id)], "confirmed": "yes"}
    )

    assert response.status_code == 403
    assert letter_ids() == [letter_id]


def test_explain_is_only_looked_at():
    assert staff(*ALL).post(explain_address()).status_code == 405


# Replay and discard


def test_replay_marks_and_removes_and_reaches_no_broker():
    event = event_letter(CoursePublished(course_key=KEY))
    stays = letter(body=b"not json")

    shown = page(act(staff(*ALL), "replay", event, stays))

    assert OverviewMark.objects.get(course_key=KEY).wanted == 1
    assert letter_ids() == [stays]
    assert "1 replayed" in shown
    assert f"{stays} stays, it cannot be replayed: still no event" in shown


def test_discard_asks_first():
    ids = [rebuild_letter(), rebuild_letter(OTHER)]

    shown = page(act(staff(*ALL), "discard", *ids))

    assert letter_ids() == ids
    assert "2 dead letters will be removed for good" in shown
    assert "csrfmiddlewaretoken" in shown
    for letter_id in ids:
        assert f'value="{letter_id}"' in shown


def test_a_confirmed_discard_removes_and_says_who(caplog):
    letter_id, kept = rebuild_letter(), rebuild_letter(OTHER)

    with caplog.at_level(logging.WARNING, logger="overview_audit"):
        shown = page(act(staff(*ALL), "discard", letter_id, confirmed="yes"))

    assert letter_ids() == [kept]
    assert "1 discarded" in shown
    assert f"dead letter {letter_id} discarded by admin user ann" in caplog.text
    assert LogEntry.objects.get().object_id == str(letter_id)


def test_all_that_a_filter_finds_can_be_discarded_at_once():
    kept = letter(body=b"x")
    for number in range(60):
        rebuild_letter(reason=f"reason {number}")
    first = DeadLetter.objects.filter(origin="rebuild").values_list("id", flat=True)[0]

    staff(*ALL).post(
        f"{LIST}?origin__exact=rebuild",
        {
            "action": "discard",
            ACTION_CHECKBOX_NAME: [str(first)],
            "select_across": "1",
            "confirmed": "yes",
        },
    )

    assert letter_ids() == [kept]


# What is shown


def test_a_hostile_letter_is_shown_and_not_obeyed():
    letter_id = letter(
        DeadLetterSource.INTAKE,
        reason=f"{HOSTILE} \x1b[2J",
        course_key=HOSTILE,
        body=HOSTILE.encode() + b"\xff\x00",
        content_type=HOSTILE,
    )
    client = staff(*ALL)
    change = reverse("admin:lms_integration_deadletter_change", args=[letter_id])

    shown = (
        page(client.get(LIST)) + page(client.get(change)) + page(act(client, "discard", letter_id))
    )

    assert HOSTILE not in shown
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;\\xff\\" in shown
    assert "\x1b" not in shown


def test_a_letter_says_what_replaying_it_would_do():
    letter_id = rebuild_letter()
    change = reverse("admin:lms_integration_deadletter_change", args=[letter_id])

    assert f"marks {KEY}" in page(staff(*ALL).get(change))


def test_letters_are_found_by_course_and_reason():
    rebuild_letter(reason="a bad date")
    rebuild_letter(OTHER, reason="collision")
    client = staff(*ALL)

    assert OTHER not in page(client.get(LIST, {"q": "bad date"}))
    assert KEY not in page(client.get(LIST, {"q": OTHER}))


def test_explain_tells_the_story_and_obeys_no_name():
    row(display_name=HOSTILE)
    OverviewState.objects.create(course_key=KEY, source_version="a" * 24, fault=HOSTILE, row_seq=7)
    OverviewMark.objects.create(
        course_key=KEY, wanted=2, done=1, dirty_since=datetime.now(UTC), last_event_type=HOSTILE
    )
    rebuild_letter(reason=HOSTILE)

    shown = page(staff(*ALL).get(explain_address()))

    assert HOSTILE not in shown
    assert "&lt;script&gt;" in shown
    assert "waiting for a rebuild" in shown
    assert "a" * 24 in shown
    assert "rebuilt by its event" in shown


def test_explain_shows_dead_letters_to_those_only_who_may_see_them():
    rebuild_letter(reason="a bad date")

    shown = page(staff("view_overviewstate").get(explain_address()))

    assert "a bad date" not in shown
    assert "Dead letters" not in shown


def test_explain_tells_of_a_removal_that_waits_for_a_persons_word():
    row(display_name="Tides")
    OverviewState.objects.create(course_key=KEY, source_version="a" * 24)
    OverviewMark.objects.create(course_key=KEY, wanted=2, done=1, dirty_since=datetime.now(UTC))
    OverviewRemoval.objects.create(
        course_key=KEY, status="held", changed_at=datetime.now(UTC), reason="6 of 100 vanished"
    )

    shown = page(staff(*ALL).get(explain_address()))

    assert "its removal is held: 6 of 100 vanished" in shown
    assert "overview deletes allow" in shown


def test_explain_of_a_course_that_nobody_knows_says_so():
    assert "nobody has asked for one" in page(staff(*ALL).get(explain_address()))


def test_explain_of_what_is_no_course_key_is_not_found():
    assert staff(*ALL).get(explain_address("nonsense")).status_code == 404


@pytest.mark.parametrize("model", ["overviewmark", "overviewstate", "courseoverview"])
def test_the_lists_link_to_the_story(model):
    row(display_name="Tides")
    OverviewState.objects.create(course_key=KEY, fault="no date", degradations=[{"field": "x"}])
    OverviewMark.objects.create(course_key=KEY, wanted=1, done=0)
    client = staff(f"view_{model}")
    address = reverse(f"admin:lms_integration_{model}_changelist")

    assert explain_address() in page(client.get(address))
    for narrowed in ("?dirty=yes", "?dirty=no", "?trouble=fault", "?trouble=degraded"):
        assert client.get(address + narrowed).status_code in (200, 302)


# Cost


def test_the_list_asks_the_database_equally_often_however_many_letters_there_are(
    django_assert_max_num_queries, django_assert_num_queries
):
    client = staff(*ALL)
    rebuild_letter()
    client.get(LIST)

    with django_assert_max_num_queries(10) as few:
        client.get(LIST)
    for number in range(30):
        rebuild_letter(reason=f"reason {number}")
    with django_assert_num_queries(len(few)):
        client.get(LIST)


def test_explain_asks_the_database_equally_often_however_long_the_story_is(
    django_assert_max_num_queries, django_assert_num_queries
):
    client = staff(*ALL)
    with django_assert_max_num_queries(14) as short:
        client.get(explain_address())
    row(display_name="Tides")
    OverviewState.objects.create(course_key=KEY)
    OverviewMark.objects.create(course_key=KEY, wanted=1, done=0)
    for number in range(30):
        rebuild_letter(reason=f"reason {number}")
    with django_assert_num_queries(len(short)):
        client.get(explain_address())


@pytest.mark.parametrize(
    ("tables", "loaded"), [("existing", []), ("", ["celery"])], ids=["on a platform's", "alone"]
)
def test_the_admin_loads_no_mongodb_and_celery_only_for_the_schedule(tables, loaded):
    script = (
        "import sys, django; django.setup(); import lms_integration.urls, lms_integration.admin; "
        "print([name for name in ('celery', 'pymongo', 'overview_worker.tasks') if name in sys.modules])"
    )

    found = subprocess.run(
        [sys.executable, "-c", script],
        env={
            "DJANGO_SETTINGS_MODULE": "lms_integration.settings",
            "OVERVIEW_PLATFORM_TABLES": tables,
            "PATH": "",
        },
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout.strip() == str(loaded)
