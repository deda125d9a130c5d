"""The mobile API on the real database: what it costs, what it reads, and enrolments without a course."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from lms_integration.mobile import queries
from lms_integration.mobile.queries import LIST_COLUMNS
from lms_integration.models import CourseOverview, CourseOverviewTab, OverviewTombstone
from lms_integration.platform_tables.models import (
    CourseAccessRole,
    CourseEnrollment,
    CourseMode,
    GeneratedCertificate,
    LastSeenCoursewareTimezone,
    MobileConfig,
    Organization,
    OrganizationCourse,
    Schedule,
    StudentModule,
)

pytestmark = [pytest.mark.service, pytest.mark.django_db]

VERSIONS = ("v0.5", "v1", "v2", "v3", "v4")
#: Queries of a list with enrolments, session and user included, and of one without.
COSTS = {"v0.5": (7, 5), "v1": (7, 5), "v2": (7, 5), "v3": (7, 5), "v4": (8, 5)}
NOW = datetime.now(UTC)
TABLE = CourseOverview._meta.db_table


def list_url(version: str, user: User, **asked: str) -> str:
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    return f"/api/mobile/{version}/users/{user.username}/course_enrollments/?{query}"


@pytest.fixture
def learner() -> User:
    return User.objects.create(username="learner")


@pytest.fixture
def client(learner: User) -> Client:
    client = Client()
    client.force_login(learner)
    return client


def course(number: int, **columns: Any) -> str:
    key = f"course-v1:Org+C{number}+Run"
    defaults: dict[str, Any] = {
        "version": CourseOverview.VERSION,
        "org": "Org",
        "display_name": f"Course {number}",
        "display_number_with_default": f"C{number}",
        "display_org_with_default": "Org",
        "start": NOW - timedelta(days=100),
        "course_image_url": "/image.jpg",
        "mobile_available": True,
        "pre_requisite_courses_json": "[]",
        "certificates_display_behavior": "end_with_date",
        "certificate_available_date": NOW - timedelta(days=1),
        "cert_html_view_enabled": True,
    }
    row = CourseOverview.objects.create(id=key, **{**defaults, **columns})
    CourseOverviewTab.objects.create(course_overview=row, tab_id="discussion")
    return key


def enroll(user: User, key: str, **columns: Any) -> CourseEnrollment:
    return CourseEnrollment.objects.create(user=user, course_id=key, **columns)


def enroll_in_everything(user: User, number: int) -> None:
    """Enrol in a course that has something in every table that a list reads."""
    enrollment = enroll(user, course(number), created=NOW - timedelta(days=number))
    key = enrollment.course_id
    organization, _ = Organization.objects.get_or_create(short_name="Org", logo="logo.png")
    OrganizationCourse.objects.create(course_id=key, organization=organization)
    for slug in ("audit", "verified"):
        CourseMode.objects.create(course_id=key, mode_slug=slug, mode_display_name=slug)
    GeneratedCertificate.objects.create(
        user=user, course_id=key, status="downloadable", verify_uuid=f"{number:032}"
    )
    Schedule.objects.create(enrollment=enrollment, start_date=NOW)
    StudentModule.objects.create(course_id=key, student=user, module_id=f"{key} block")


def queries_of(client: Client, url: str) -> Sequence[str]:
    with CaptureQueriesContext(connection) as captured:
        response = client.get(url)
    assert response.status_code == 200
    return [query["sql"] for query in captured]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_list_costs_the_same_whatever_the_number_of_enrolments(
    client: Client, learner: User, version: str
) -> None:
    counts = set()
    enrolled = 0
    for total in (1, 20, 60):
        for number in range(enrolled, total):
            enroll_in_everything(learner, number)
        enrolled = total
        counts.add(len(queries_of(client, list_url(version, learner))))

    assert counts == {COSTS[version][0]}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_list_without_enrolments_costs_less(client: Client, learner: User, version: str) -> None:
    assert len(queries_of(client, list_url(version, learner))) == COSTS[version][1]


def test_a_status_list_costs_the_same_whatever_the_number_of_enrolments(
    client: Client, learner: User
) -> None:
    url = f"/api/mobile/v1/users/{learner.username}/enrollments_status/"
    counts = set()
    for number in range(20):
        enroll_in_everything(learner, number)
        counts.add(len(queries_of(client, url)))

    assert counts == {5}


@override_settings(
    OVERVIEW_DYNAMIC_UPGRADE_DEADLINES=True,
    OVERVIEW_DURATION_LIMITS_AS_OF=NOW - timedelta(days=999),
)
def test_schedules_cost_no_query_of_their_own(client: Client, learner: User) -> None:
    for number in range(3):
        enroll_in_everything(learner, number)

    assert len(queries_of(client, list_url("v1", learner))) == COSTS["v1"][0]


# --- what is read


def selected_columns(statements: Sequence[str]) -> set[str]:
    """Return the overview columns that a list selects, its widest statement's."""
    unquoted = [re.sub(r'[`"]', "", sql) for sql in statements]
    widest = max((sql for sql in unquoted if TABLE in sql), key=len)
    select = widest[: widest.index(" FROM student_courseenrollment")]
    return set(re.findall(rf"{TABLE}\.(\w+)", select))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_list_selects_the_declared_overview_columns_only(
    client: Client, learner: User, version: str
) -> None:
    enroll_in_everything(learner, 1)

    statements = queries_of(client, list_url(version, learner))

    assert selected_columns(statements) == {"id", *LIST_COLUMNS}


@pytest.mark.parametrize("column", LIST_COLUMNS)
@override_settings(
    FEATURES={"ENABLE_MKTG_SITE": True}, SOCIAL_SHARING_SETTINGS={"CUSTOM_COURSE_URLS": True}
)
def test_a_list_uses_each_column_that_it_selects(
    client: Client, learner: User, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    enroll_in_everything(learner, 1)
    key = CourseOverview.objects.values_list("id", flat=True).get()
    CourseAccessRole.objects.create(user=learner, org="Org", course_id=key, role="beta_testers")
    others = tuple(each for each in LIST_COLUMNS if each != column)
    monkeypatch.setattr(queries, "LIST_COLUMNS", others)

    statements = queries_of(client, list_url("v1", learner))

    assert len(statements) == COSTS["v1"][0] + 1  # the column is fetched when it is used


def test_nothing_is_written(client: Client, learner: User) -> None:
    enroll_in_everything(learner, 1)
    urls = [list_url(version, learner) for version in VERSIONS]
    urls += [
        f"/api/mobile/v1/users/{learner.username}{end}" for end in ("", "/enrollments_status/")
    ]

    statements = [sql for url in urls for sql in queries_of(client, url)]

    assert {sql.lstrip("(").split()[0] for sql in statements} == {"SELECT"}


# --- enrolments whose course has no overview


@pytest.fixture
def lost(learner: User) -> Mapping[str, str]:
    """One enrolment in a course that was deleted, and one in a course that was never built."""
    deleted, unbuilt = "course-v1:Org+Deleted+Run", "course-v1:Org+New+Run"
    OverviewTombstone.objects.create(
        course_key=deleted,
        display_name="Gone",
        display_org_with_default="The Org",
        display_number_with_default="D1",
        course_image_url="/gone.jpg",
        deleted_at=NOW,
    )
    for days, key in enumerate((deleted, unbuilt)):
        enroll(learner, key, created=NOW - timedelta(days=days))
    return {"deleted": deleted, "never_built": unbuilt}


def results_of(response: Any) -> list[Any]:
    body = response.json()
    found = body["enrollments"] if isinstance(body, dict) else body
    results: list[Any] = found["results"] if isinstance(found, dict) else found
    return results


@pytest.mark.parametrize("version", VERSIONS)
def test_no_enrolment_is_lost(
    client: Client, learner: User, lost: Mapping[str, str], version: str
) -> None:
    response = client.get(list_url(version, learner))

    items = results_of(response)
    assert {item["course_state"]: item["course"]["id"] for item in items} == lost
    access = {item["course_state"]: item["course"]["courseware_access"] for item in items}
    assert access["deleted"]["error_code"] == "course_deleted"
    assert access["never_built"]["error_code"] == "course_not_built"
    assert not any(each["has_access"] for each in access.values())
    assert [item["course"]["name"] for item in items] == ["Gone", lost["never_built"]]


def test_the_status_list_loses_no_enrolment(
    client: Client, learner: User, lost: Mapping[str, str]
) -> None:
    response = client.get(f"/api/mobile/v1/users/{learner.username}/enrollments_status/")

    assert {item["course_state"]: item["course_id"] for item in response.json()} == lost


def test_a_lost_course_is_nothing_to_go_on_with(
    client: Client, learner: User, lost: Mapping[str, str]
) -> None:
    assert "primary" not in client.get(list_url("v4", learner)).json()

    key = course(1)
    enroll(learner, key, created=NOW - timedelta(days=9))

    body = client.get(list_url("v4", learner)).json()
    assert body["primary"]["course"]["id"] == key
    assert body["enrollments"]["count"] == 2


@pytest.mark.parametrize(
    ("status", "states"),
    [
        ("all", {"deleted", "never_built"}),
        ("in_progress", {"never_built"}),
        ("expired", {"deleted"}),
        ("completed", set()),
    ],
)
def test_a_lost_course_has_a_status(
    client: Client, learner: User, lost: Mapping[str, str], status: str, states: set[str]
) -> None:
    response = client.get(list_url("v4", learner, status=status))

    assert {item["course_state"] for item in results_of(response)} == states


def test_an_organization_is_that_of_the_key_where_there_is_no_overview(
    client: Client, learner: User, lost: Mapping[str, str]
) -> None:
    assert len(client.get(list_url("v1", learner, org="oRG")).json()) == 2
    assert client.get(list_url("v1", learner, org="Other")).json() == []


# --- what else is shown


def test_the_time_zone_is_the_one_last_seen_without_a_preference(
    client: Client, learner: User
) -> None:
    assert client.get(list_url("v2", learner)).json()["user_timezone"] == "UTC"

    LastSeenCoursewareTimezone.objects.create(user=learner, timezone="Asia/Tokyo")

    assert client.get(list_url("v2", learner)).json()["user_timezone"] == "Asia/Tokyo"


def test_configs_of_the_shops_stand_apart(client: Client, learner: User) -> None:
    for name in ("iap_config", "other"):
        MobileConfig.objects.create(name=name, value=f"{name} ✓")

    body = client.get(list_url("v2", learner)).json()

    assert body["configs"] == {"iap_configs": {"iap_config": "iap_config ✓"}, "other": "other ✓"}


def test_nobody_learns_who_exists(client: Client) -> None:
    User.objects.create(username="somebody")

    existing = client.get("/api/mobile/v1/users/somebody")
    unknown = client.get("/api/mobile/v1/users/nobody")

    assert existing.status_code == unknown.status_code == 403
    assert existing.content == unknown.content


def test_my_user_info_notes_no_login(client: Client, learner: User) -> None:
    before = User.objects.get().last_login

    response = client.get("/api/mobile/v1/my_user_info")

    assert response.headers["Location"] == f"/api/mobile/v1/users/{learner.username}"
    assert User.objects.get().last_login == before


@pytest.mark.parametrize(
    "path", ["users/learner", "users/learner/course_enrollments/", "my_user_info"]
)
def test_a_visitor_is_asked_to_sign_in(path: str) -> None:
    response = Client().get(f"/api/mobile/v1/{path}")

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'JWT realm="api"'
