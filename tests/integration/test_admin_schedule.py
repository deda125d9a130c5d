"""The schedule in the admin: what can be edited there, by whom, and what cannot."""

import json

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from lms_integration.models import RunDepth
from overview_worker.store.operator_schedule import NIGHTLY_NAME, look_at_schedule
from overview_worker.store.scheduled_runs import ASK_FOR_FULL_RUN, ScheduledRun
from tests.sql_accounts import printed_accounts, signed_in

pytestmark = pytest.mark.django_db

LIST = reverse("admin:django_celery_beat_periodictask_changelist")
ADD = reverse("admin:django_celery_beat_periodictask_add")
HOSTILE = '<script>alert("x")</script>'
EDITOR = tuple(
    f"{action}_{model}"
    for action in ("view", "add", "change", "delete")
    for model in ("periodictask", "crontabschedule", "intervalschedule", "clockedschedule")
)


def person(*permissions: str) -> Client:
    user = User.objects.create_user("ann", is_staff=True)
    found = Permission.objects.filter(
        content_type__app_label="django_celery_beat", codename__in=permissions
    )
    assert len(found) == len(permissions)
    user.user_permissions.set(found)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def ann() -> Client:
    return person(*EDITOR)


def page(response) -> str:
    assert response.status_code == 200, response
    return str(response.content.decode())


def nightly() -> PeriodicTask:
    return PeriodicTask.objects.select_related("crontab").get(name=NIGHTLY_NAME)


def address(entry: PeriodicTask) -> str:
    return reverse("admin:django_celery_beat_periodictask_change", args=[entry.pk])


def filled(**more: str) -> dict[str, str]:
    """The form of an entry, as a browser sends it; what is not ticked is not sent."""
    found = {
        "name": NIGHTLY_NAME,
        "enabled": "on",
        "description": "",
        "depth": "stale",
        "org": "",
        "rate": "",
        "jitter_seconds": "900",
        "crontab": str(nightly().crontab_id),
        "interval": "",
        "clocked": "",
        "start_time_0": "",
        "start_time_1": "",
        "expires_0": "",
        "expires_1": "",
        **more,
    }
    return {name: value for name, value in found.items() if value is not None}


def test_the_nightly_run_is_there_and_says_when_and_what(ann):
    shown = page(ann.get(LIST))

    for words in (NIGHTLY_NAME, "17 3 * * *", "all courses: courses whose row"):
        assert words in shown


def test_the_hour_of_the_nightly_run_can_be_changed(ann):
    early = CrontabSchedule.objects.create(minute="5", hour="1", timezone="Europe/Paris")

    response = ann.post(address(nightly()), filled(crontab=str(early.pk)), follow=True)

    assert "was changed successfully" in page(response)
    assert nightly().crontab == early


def test_what_the_nightly_run_is_to_be_can_be_changed(ann):
    ann.post(
        address(nightly()), filled(depth="build", org="TidesX", rate="2.5", jitter_seconds="60")
    )

    assert ScheduledRun.from_arguments(json.loads(nightly().kwargs)) == ScheduledRun(
        depth=RunDepth.BUILD, org="TidesX", rate=2.5, jitter_seconds=60
    )
    shown = page(ann.get(address(nightly())))
    assert '<option value="build" selected>' in shown
    assert 'value="TidesX"' in shown
    assert 'value="60"' in shown


def test_the_nightly_run_can_be_switched_off(ann):
    form = filled()
    del form["enabled"]

    ann.post(address(nightly()), form)

    assert not nightly().enabled


@pytest.mark.django_db(transaction=True)
def test_an_entry_of_ones_own_can_be_run(ann):
    hourly = IntervalSchedule.objects.create(every=1, period="hours")

    ann.post(ADD, filled(name="hourly", crontab="", interval=str(hourly.pk), org="TidesX"))

    made = PeriodicTask.objects.get(name="hourly")
    assert made.task == ASK_FOR_FULL_RUN
    PeriodicTask.objects.filter(pk=made.pk).update(last_run_at="2026-01-01T00:00Z")
    assert [each.order.org for each in look_at_schedule().due if each.name == "hourly"] == [
        "TidesX"
    ]


def test_no_other_task_can_be_scheduled(ann):
    ann.post(
        address(nightly()),
        filled(task="overview.sweep", regtask="overview.sweep", args="[1]", queue="elsewhere"),
    )

    assert nightly().task == ASK_FOR_FULL_RUN
    assert nightly().args == "[]"
    assert nightly().queue is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"depth": "deep"}, "Select a valid choice"),
        ({"rate": "0"}, "greater than or equal to 0.01"),
        ({"rate": "inf"}, "Enter a number"),
        ({"jitter_seconds": "86401"}, "less than or equal to 86400"),
        ({"jitter_seconds": ""}, "This field is required"),
        ({"crontab": ""}, "One of clocked, interval, crontab, or solar must be set"),
    ],
)
def test_what_makes_no_sense_is_told_and_changes_nothing(ann, wrong, words):
    before = nightly()

    shown = page(ann.post(address(before), filled(**wrong)))

    assert words in shown
    assert (nightly().kwargs, nightly().crontab) == (before.kwargs, before.crontab)


def test_two_times_for_one_entry_are_refused(ann):
    hourly = IntervalSchedule.objects.create(every=1, period="hours")

    shown = page(ann.post(address(nightly()), filled(interval=str(hourly.pk))))

    assert "Only one of clocked, interval, crontab" in shown


def test_no_click_reaches_the_broker(ann):
    response = ann.post(
        LIST, {"action": "run_tasks", "_selected_action": [str(nightly().pk)]}, follow=True
    )

    assert "run_tasks" not in page(response)
    assert nightly().total_run_count == 0


def test_a_row_of_another_task_is_shown_as_what_it_is_and_cannot_be_changed(ann):
    stranger = PeriodicTask.objects.create(
        name="stranger", task=HOSTILE, crontab=nightly().crontab, kwargs="nonsense"
    )

    listed, shown = page(ann.get(LIST)), page(ann.get(address(stranger)))
    response = ann.post(address(stranger), filled(name="stranger"))

    assert response.status_code == 403
    assert f"is not {ASK_FOR_FULL_RUN}" in listed
    assert HOSTILE not in listed + shown
    stranger.refresh_from_db()
    assert stranger.task == HOSTILE


def test_a_row_whose_arguments_cannot_be_read_can_be_mended(ann):
    PeriodicTask.objects.filter(name=NIGHTLY_NAME).update(kwargs="nonsense")

    assert page(ann.get(address(nightly())))
    ann.post(address(nightly()), filled())

    assert ScheduledRun.from_arguments(json.loads(nightly().kwargs)) == ScheduledRun()


def test_staff_without_a_permission_may_not_look():
    assert person().get(LIST).status_code == 403


def test_who_may_only_look_changes_nothing():
    onlooker = person("view_periodictask")

    assert "all courses: courses whose row" in page(onlooker.get(address(nightly())))
    assert onlooker.post(address(nightly()), filled(depth="build")).status_code == 403
    assert onlooker.get(ADD).status_code == 403


def test_who_may_ask_for_runs_may_not_change_the_schedule_by_that():
    asker = person()
    asker_permission = Permission.objects.get(codename="run_rebuild")
    User.objects.get(username="ann").user_permissions.add(asker_permission)

    assert asker.get(LIST).status_code == 403


@pytest.mark.parametrize("model", ["crontabschedule", "intervalschedule", "clockedschedule"])
def test_times_have_pages_of_their_own(ann, model):
    assert ann.get(reverse(f"admin:django_celery_beat_{model}_changelist")).status_code == 200
    assert ann.get(reverse(f"admin:django_celery_beat_{model}_add")).status_code == 200


def test_there_is_no_page_for_what_could_not_run():
    with pytest.raises(NoReverseMatch):
        reverse("admin:django_celery_beat_solarschedule_changelist")


def test_the_list_asks_the_database_equally_often_however_many_entries_there_are(
    ann, django_assert_max_num_queries, django_assert_num_queries
):
    ann.get(LIST)
    with django_assert_max_num_queries(8) as few:
        ann.get(LIST)
    for number in range(20):
        PeriodicTask.objects.create(
            name=f"entry {number}", task=ASK_FOR_FULL_RUN, crontab=nightly().crontab
        )
    with django_assert_num_queries(len(few)):
        ann.get(LIST)


@pytest.mark.django_db(transaction=True)
def test_the_admins_sql_account_is_enough_for_editing_the_schedule():
    ann = person(*EDITOR)
    form = filled(depth="build")

    with printed_accounts("admin") as passwords, signed_in("admin", passwords["admin"]):
        ann.post(address(nightly()), form)
        ann.post(
            reverse("admin:django_celery_beat_intervalschedule_add"),
            {
                "every": "2",
                "period": "days",
                "periodictask_set-TOTAL_FORMS": "0",
                "periodictask_set-INITIAL_FORMS": "0",
            },
        )
        ann.post(
            reverse("admin:django_celery_beat_periodictask_delete", args=[nightly().pk]),
            {"post": "yes"},
        )

    assert not PeriodicTask.objects.exists()
    assert IntervalSchedule.objects.filter(every=2, period="days").exists()
