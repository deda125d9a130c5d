"""The history of rows: kept for its time, shown in the admin and at the terminal, and Open edX's own."""

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings
from django.urls import reverse

from lms_integration.change_history import SIGNAL_JOB
from lms_integration.checks import check_settings, database_messages
from lms_integration.conf import MIN_HISTORY_DAYS
from lms_integration.database_clock import DatabaseNow
from lms_integration.events import CoursePublished
from lms_integration.models import CourseOverview, OverviewChange, OverviewJob, OverviewProjection
from lms_integration.platform_tables.models import HistoricalCourseOverview
from overview_worker.ports import OverviewStore
from overview_worker.rebuild import BUILDER_VERSION
from overview_worker.store import change_retention
from overview_worker.store.change_retention import SIGNALLER_DAYS, purge_changes
from overview_worker.store.conf import StoreConf
from overview_worker.store.overview_store import DjangoOverviewStore
from tests.written_overviews import apply, removed, written

pytestmark = pytest.mark.django_db

KEY = "course-v1:TestX+History+R1"
OTHER = "course-v1:TestX+History+R2"
HOSTILE = '<script>alert("x")</script>'
LIST = reverse("admin:lms_integration_overviewchange_changelist")
DAY = 86_400


def store(**conf: Any) -> OverviewStore:
    return DjangoOverviewStore(StoreConf(builder_version=BUILDER_VERSION, **conf))


def write(course_key: str = KEY, **settings: Any) -> OverviewChange:
    apply(store(), written(**settings), course_key)
    found = OverviewChange.objects.filter(course_key=course_key).order_by("-id").first()
    assert found is not None
    return found


# Retention


def old(days: int, **values: Any) -> int:
    """A change from so many days ago."""
    change = OverviewChange.objects.create(
        **{"course_key": KEY, "row_seq": 1, "kind": "changed", "changed_at": DatabaseNow()} | values
    )
    OverviewChange.objects.filter(pk=change.pk).update(
        changed_at=DatabaseNow(offset_seconds=-days * DAY)
    )
    return int(change.pk)


def kept() -> set[int]:
    return set(OverviewChange.objects.values_list("id", flat=True))


def purge(*, announces: bool = True) -> int:
    return purge_changes(days=365, announces=announces, using="default")


def signaller_was_there(days_ago: int) -> None:
    OverviewJob.objects.create(
        name=SIGNAL_JOB, started_at=DatabaseNow(offset_seconds=-days_ago * DAY)
    )


def test_changes_are_kept_for_their_time(monkeypatch):
    monkeypatch.setattr(change_retention, "PAGE_SIZE", 2)
    for _ in range(5):
        old(366, announced_at=datetime.now(UTC))
    young = old(364, announced_at=datetime.now(UTC))

    assert purge() == 5
    assert kept() == {young}


def test_what_is_still_to_be_announced_is_kept():
    waiting = old(400)
    old(400, announced_at=datetime.now(UTC))

    purge()

    assert kept() == {waiting}


def test_with_announcing_off_nothing_waits():
    old(400)

    purge(announces=False)

    assert kept() == set()


def test_what_is_still_to_be_signalled_is_kept_where_somebody_signals():
    signaller_was_there(SIGNALLER_DAYS - 1)
    waiting = old(400, announced_at=datetime.now(UTC))
    old(400, announced_at=datetime.now(UTC), signalled_at=datetime.now(UTC))

    purge()

    assert kept() == {waiting}


def test_nobody_is_waited_for_who_has_not_signalled_for_long():
    signaller_was_there(SIGNALLER_DAYS + 1)
    old(400, announced_at=datetime.now(UTC))

    purge()

    assert kept() == set()


@pytest.mark.parametrize("days", [MIN_HISTORY_DAYS - 1, "365", True, None])
def test_a_time_that_cannot_be_used_is_named(days):
    with override_settings(OVERVIEW_HISTORY_DAYS=days):
        (message,) = check_settings()

    assert message.id == "overview.E006"


# The admin


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(
            content_type__app_label="lms_integration", codename__in=permissions
        )
    )
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, address: str, **query: str) -> str:
    response = client.get(address, query)
    assert response.status_code == 200
    return str(response.content.decode())


def change_address(change: OverviewChange) -> str:
    return reverse("admin:lms_integration_overviewchange_change", args=[change.pk])


def test_who_may_not_look_sees_nothing():
    change = write()

    client = staff()

    assert client.get(LIST).status_code == 403
    assert client.get(change_address(change)).status_code == 403


def test_the_list_says_which_course_when_what_and_why():
    write(display_name="Tides")
    OverviewChange.objects.update(
        cause=CoursePublished.type_name, run_id=7, asked_by="bob", columns={"start": [None, "x"]}
    )

    shown = page(staff("view_overviewchange"), LIST)

    for text in (KEY, "created", "start", "course.published.v1", "bob", "7"):
        assert text in shown


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": KEY}, {KEY}),
        ({"q": "History+R"}, {KEY, OTHER}),
        ({"kind": "created"}, {KEY, OTHER}),
        ({"kind": "deleted"}, set()),
        ({"cause": "publish"}, {KEY}),
        ({"cause": "inspector"}, {OTHER}),
        ({"cause": "run"}, {OTHER}),
        ({"cause": "request"}, set()),
    ],
)
def test_the_list_is_narrowed_by_course_kind_and_cause(query, found):
    write()
    write(OTHER)
    OverviewChange.objects.filter(course_key=KEY).update(cause=CoursePublished.type_name)
    OverviewChange.objects.filter(course_key=OTHER).update(cause="inspector: missing", run_id=3)

    client = staff("view_overviewchange")
    response = client.get(LIST, query)

    assert {change.course_key for change in response.context["cl"].result_list} == found


def test_a_change_shows_old_and_new_side_by_side_word_by_word():
    write(display_name="Tides of the sea")
    change = write(display_name="Tides of the north sea", self_paced=True)

    shown = page(staff("view_overviewchange"), change_address(change))

    assert "<ins>north " in shown or "<ins> north" in shown
    assert "<del>false</del>" in shown
    assert "<ins>true</ins>" in shown


def test_what_authors_wrote_is_shown_and_never_obeyed():
    write(display_name="Tides")
    change = write(display_name=HOSTILE, tabs=[{"type": "courseware", "name": HOSTILE}])
    OverviewChange.objects.update(
        cause=HOSTILE, asked_by=HOSTILE, worker=HOSTILE, signal_error=HOSTILE
    )
    client = staff("view_overviewchange")

    for address in (LIST, change_address(change)):
        shown = page(client, address)
        assert "<script>alert" not in shown
        assert "&lt;" in shown


def test_nothing_can_be_changed():
    change = write()
    User.objects.create_superuser("root")
    client = Client()
    client.force_login(User.objects.get(username="root"))

    assert client.get(reverse("admin:lms_integration_overviewchange_add")).status_code == 403
    delete = reverse("admin:lms_integration_overviewchange_delete", args=[change.pk])
    assert client.post(delete).status_code == 403
    assert client.post(change_address(change), {"cause": "x"}).status_code == 403


def test_a_courses_story_links_to_its_changes():
    write()

    may = staff("view_overviewstate", "view_overviewchange")
    story = page(may, reverse("admin:lms_integration_explain", args=[KEY]))

    link = f"{LIST}?q=course-v1%3ATestX%2BHistory%2BR1"
    assert link in story
    assert KEY in page(may, link)


# At the terminal


def overview(*arguments: str) -> tuple[int, str]:
    output = StringIO()
    try:
        call_command("overview", *arguments, stdout=output)
    except SystemExit as exited:
        return int(exited.code or 0), output.getvalue()
    return 0, output.getvalue()


def test_the_command_tells_what_changed_newest_first():
    write(display_name="Tides")
    write(display_name="Dunes")
    OverviewChange.objects.filter(row_seq=2).update(
        columns={"display_name": ["Tides", "[red]Dunes\x1b[31m"]},
        cause=CoursePublished.type_name,
        event_id="e-1",
        run_id=7,
        asked_by="ann",
    )

    code, output = overview("history", KEY)

    assert code == 0
    assert output.index("change 2: changed") < output.index("change 1: created")
    assert r"Tides → [red]Dunes\u001b[31m" in output
    assert "course.published.v1 e-1, run 7, asked for by ann" in output


def test_the_command_tells_the_newest_few_and_that_there_are_more():
    for number in range(4):
        write(display_name=f"Name {number}")

    code, output = overview("history", KEY, "--limit", "2")

    assert code == 0
    assert "change 4" in output
    assert "change 2" not in output
    assert "and 2 older: --limit 4" in output


def test_as_json_all_is_told():
    write(display_name="Tides")
    change = write(display_name="Dunes")

    code, output = overview("history", KEY, "--json")

    newest, oldest = json.loads(output)
    assert code == 0
    assert newest["columns"] == {"display_name": ["Tides", "Dunes"]}
    assert (newest["row_seq"], newest["source_version"]) == (2, change.source_version)
    assert oldest["kind"] == "created"


def test_of_a_course_without_changes_it_says_so():
    code, output = overview("history", KEY)

    assert code == 1
    assert f"{KEY}: no change is kept" in output


# Open edX's own history


def platform_history() -> list[HistoricalCourseOverview]:
    return list(HistoricalCourseOverview.objects.order_by("history_id"))


def wanted() -> OverviewStore:
    return store(writes_platform_history=True)


def test_each_change_of_the_row_leaves_a_copy_of_it():
    apply(wanted(), written(display_name="Tides"), KEY)
    created = CourseOverview.objects.get(id=KEY)
    CourseOverview.objects.update(marketing_url="https://example.org/tides")
    apply(wanted(), written(display_name="Dunes"), KEY)
    changed = CourseOverview.objects.get(id=KEY)
    apply(wanted(), removed, KEY)

    history = platform_history()
    assert [each.history_type for each in history] == ["+", "~", "-"]
    for copy, row in zip(history, (created, changed, changed), strict=True):
        for field in CourseOverview._meta.concrete_fields:
            if field.name != "marketing_url":
                assert getattr(copy, field.name) == getattr(row, field.name), field.name
        assert (copy.history_change_reason, copy.history_user_id) == (None, None)
        assert 0 <= (copy.history_date - created.created).total_seconds() < 60
    assert [each.marketing_url for each in history] == [None, *["https://example.org/tides"] * 2]


def test_what_does_not_touch_the_row_itself_leaves_none():
    apply(wanted(), written(tabs=[{"type": "courseware", "name": "Lessons"}]), KEY)
    apply(wanted(), written(tabs=[{"type": "courseware", "name": "Course"}]), KEY)
    apply(wanted(), written(tabs=[{"type": "courseware", "name": "Course"}]), KEY)

    assert [each.kind for each in OverviewChange.objects.order_by("id")] == ["created", "changed"]
    assert [each.history_type for each in platform_history()] == ["+"]


def test_unless_it_is_wanted_none_is_left():
    write()

    assert platform_history() == []
    assert OverviewProjection.objects.filter(course_key=KEY).exists()


def test_a_change_that_the_database_refuses_leaves_none_of_it():
    def refuse(course: Any) -> Any:
        raise KeyError("a bug")

    apply(wanted(), written(), KEY)
    with pytest.raises(KeyError, match="a bug"):
        apply(wanted(), refuse, KEY)

    assert len(platform_history()) == 1


@pytest.mark.django_db(transaction=True)
def test_where_the_table_is_missing_the_check_says_so():
    table = HistoricalCourseOverview._meta.db_table
    with override_settings(OVERVIEW_WRITE_PLATFORM_HISTORY=True):
        assert "overview.E007" not in [each.id for each in database_messages(connection)]
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO away")
        try:
            found = [each for each in database_messages(connection) if each.id == "overview.E007"]
        finally:
            with connection.cursor() as cursor:
                cursor.execute(f"ALTER TABLE away RENAME TO {table}")

    assert len(found) == 1
    assert table in found[0].msg
