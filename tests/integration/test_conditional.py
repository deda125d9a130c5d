"""A ``304`` is cheap, and never wrong: whatever an answer is made of changes its validator."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from lms_integration.http import conditional
from lms_integration.models import (
    CourseOverview,
    OverviewProjection,
    OverviewState,
    OverviewTombstone,
)
from lms_integration.platform_tables.models import (
    BlockCompletion,
    CourseAccessRole,
    CourseEnrollment,
    CourseMilestone,
    CourseMode,
    GeneratedCertificate,
    Milestone,
    MilestoneRelationshipType,
    MobileConfig,
    Organization,
    OrganizationCourse,
    StudentModule,
    UserPreference,
)

pytestmark = pytest.mark.django_db

COURSE = "course-v1:Cond+C1+R1"
ACTIVITY_TABLES = ("courseware_studentmodule", "completion_blockcompletion")
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LISTS = {
    "mobile v1": "/api/mobile/v1/users/conny/course_enrollments/",
    "mobile v4": "/api/mobile/v4/users/conny/course_enrollments/",
    "mobile status": "/api/mobile/v1/users/conny/enrollments_status/",
    "enrolments": "/api/enrollment/v1/enrollment",
    "learner home": "/api/learner_home/init/",
}


@pytest.fixture(autouse=True)
def at_noon():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def learner(settings: Any) -> User:
    settings.SESSION_COOKIE_AGE = 365 * 86_400  # time flies in these tests
    user = User.objects.create_user("conny")
    CourseOverview.objects.create(
        id=COURSE,
        version=19,
        location="block-v1:Cond+C1+R1+type@course+block@course",
        org="Cond",
        display_name="Before",
        pre_requisite_courses_json="[]",
        mobile_available=True,
        start=NOW + timedelta(days=40),
        end=NOW + timedelta(days=90),
        days_early_for_beta=10,
    )
    OverviewState.objects.create(course_key=COURSE, row_seq=1)
    OverviewProjection.objects.create(
        course_key=COURSE, sort_key=COURSE, org="Cond", search_text="", start=NOW - DAY
    )
    CourseEnrollment.objects.create(user=user, course_id=COURSE, created=NOW - timedelta(days=10))
    return user


@pytest.fixture
def client(learner: User) -> Client:
    client = Client()
    client.force_login(learner)
    return client


def etag_of(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content[:300]
    return str(response.headers["ETag"])


def is_unchanged(client: Client, address: str, etag: str) -> bool:
    response = client.get(address, headers={"If-None-Match": etag})
    assert response.status_code in (200, 304)
    return bool(response.status_code == 304)


@pytest.mark.parametrize("address", LISTS.values(), ids=LISTS)
def test_what_the_asker_still_has_is_not_built_again(
    address: str, client: Client, django_assert_max_num_queries: Any
):
    etag = etag_of(client, address)

    with django_assert_max_num_queries(3):  # session, account, versions
        response = client.get(address, headers={"If-None-Match": etag})

    assert response.status_code == 304
    assert response.content == b""
    assert response.headers["ETag"] == etag


@pytest.mark.parametrize("address", LISTS.values(), ids=LISTS)
def test_an_answer_is_private_and_to_be_asked_for_again(address: str, client: Client):
    response = client.get(address)

    assert {"private", "no-cache"} <= {
        each.strip() for each in response.headers["Cache-Control"].split(",")
    }
    varies = {each.strip().lower() for each in response.headers["Vary"].split(",")}
    assert {"cookie", "authorization", "x-edx-api-key"} <= varies


def publish(name: str = "After") -> None:
    CourseOverview.objects.filter(id=COURSE).update(display_name=name)
    OverviewState.objects.filter(course_key=COURSE).update(row_seq=F("row_seq") + 1)


@pytest.mark.parametrize("address", LISTS.values(), ids=LISTS)
def test_a_publish_is_in_the_very_next_answer(address: str, client: Client):
    etag = etag_of(client, address)

    publish()

    response = client.get(address, headers={"If-None-Match": etag})
    assert response.status_code == 200
    assert "After" in response.content.decode()


def _require_something() -> None:
    milestone = Milestone.objects.create(namespace="x", name="x")
    requires = MilestoneRelationshipType.objects.create(name="requires")
    CourseMilestone.objects.create(
        course_id=COURSE, milestone=milestone, milestone_relationship_type=requires
    )


def _give_a_logo() -> None:
    organization = Organization.objects.create(name="C", short_name="C", logo="c.png")
    OrganizationCourse.objects.create(course_id=COURSE, organization=organization)


def _delete_the_course() -> None:
    CourseOverview.objects.filter(id=COURSE).delete()
    OverviewTombstone.objects.create(
        course_key=COURSE,
        display_org_with_default="Cond",
        display_number_with_default="C1",
        course_image_url="",
        deleted_at=NOW,
    )


def me() -> dict[str, Any]:
    return {"user": User.objects.get(username="conny")}


def _look_at_something() -> None:
    StudentModule.objects.create(student=me()["user"], course_id=COURSE, module_id="x")


def _complete_something() -> None:
    BlockCompletion.objects.create(
        **me(), course_key=COURSE, block_key="x", block_type="html", completion=1.0
    )


#: What the answers are made of besides the course's row, each with a change of it.
CHANGES: dict[str, Callable[[], Any]] = {
    "a mode": lambda: CourseMode.objects.create(course_id=COURSE, mode_slug="verified"),
    "a certificate": lambda: GeneratedCertificate.objects.create(
        **me(), course_id=COURSE, status="downloadable", name=""
    ),
    "a role": lambda: CourseAccessRole.objects.create(
        **me(), org="Cond", course_id=COURSE, role="staff"
    ),
    "a prerequisite": _require_something,
    "a logo": _give_a_logo,
    "a time zone": lambda: UserPreference.objects.create(
        **me(), key="time_zone", value="Asia/Tokyo"
    ),
    "the apps' configuration": lambda: MobileConfig.objects.create(name="a", value="b"),
    "where the learner was last": _look_at_something,
    "the mode of the enrolment": lambda: CourseEnrollment.objects.update(mode="verified"),
    "unenrolling": lambda: CourseEnrollment.objects.update(is_active=False),
    "the address of the learner": lambda: User.objects.update(email="new@example.org"),
    "deleting the course": _delete_the_course,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_an_answer_is_made_of_changes_its_validator(
    change: Callable[[], Any], client: Client
):
    address = LISTS["mobile v4"]
    etag = etag_of(client, address)

    change()

    assert not is_unchanged(client, address, etag)


@pytest.mark.parametrize(
    ("address", "tables"),
    [
        pytest.param("mobile v1", [], id="mobile v1"),
        pytest.param("mobile v4", ["courseware_studentmodule"], id="mobile v4"),
        pytest.param("mobile status", ["completion_blockcompletion"], id="mobile status"),
        pytest.param("enrolments", [], id="enrolments"),
        pytest.param("learner home", ["completion_blockcompletion"], id="learner home"),
    ],
)
def test_activity_is_read_and_counts_where_it_shows_alone(
    address: str, tables: list[str], client: Client
):
    path = LISTS[address]
    CourseEnrollment.objects.update(created=NOW - timedelta(days=50))
    etag = etag_of(client, path)
    with CaptureQueriesContext(connection) as captured:
        assert is_unchanged(client, path, etag)

    _complete_something()
    _look_at_something()

    read = [each for each in ACTIVITY_TABLES if each in captured[-1]["sql"]]
    assert read == tables
    assert is_unchanged(client, path, etag) is (not tables)


def test_a_completion_is_recent_for_thirty_days(client: Client, at_noon: Any):
    CourseEnrollment.objects.update(created=NOW - timedelta(days=50))
    _complete_something()
    address = LISTS["mobile status"]
    at_noon.move_to(NOW + timedelta(days=29.5))
    before = etag_of(client, address)
    assert is_unchanged(client, address, before)

    at_noon.move_to(NOW + timedelta(days=30.5))

    assert not is_unchanged(client, address, before)


@pytest.mark.parametrize(
    "days",
    [
        pytest.param(18.5, id="enrolled lately no more: 28 days"),
        pytest.param(20.5, id="recently active no more: 30 days"),
        pytest.param(30.5, id="begun for beta testers"),
        pytest.param(35.5, id="starting soon"),
        pytest.param(40.5, id="started"),
        pytest.param(90.5, id="ended"),
    ],
)
def test_the_passing_of_a_date_changes_the_validator(days: float, client: Client, at_noon: Any):
    address = LISTS["mobile v1"]
    at_noon.move_to(NOW + timedelta(days=days - 1))
    before = etag_of(client, address)
    assert is_unchanged(client, address, before)

    at_noon.move_to(NOW + timedelta(days=days))

    assert not is_unchanged(client, address, before)


def test_learners_do_not_share_validators(client: Client):
    other = Client()
    other.force_login(User.objects.create_user("other"))

    assert not is_unchanged(other, LISTS["enrolments"], etag_of(client, LISTS["enrolments"]))


def test_a_language_has_validators_of_its_own(client: Client, settings: Any):
    etag = etag_of(client, LISTS["mobile v1"])

    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "es"

    assert not is_unchanged(client, LISTS["mobile v1"], etag)


@pytest.mark.parametrize("address", LISTS.values(), ids=LISTS)
def test_any_answer_at_all_may_be_asked_for_with_a_star(address: str, client: Client):
    assert is_unchanged(client, address, "*")


def test_what_is_not_there_is_not_unchanged(client: Client):
    response = client.get(f"{LISTS['mobile v4']}?page=99", headers={"If-None-Match": "*"})

    assert response.status_code == 404


@pytest.mark.parametrize(("name", "value"), [("release", lambda: "9.9.9"), ("JSON_FORMAT", 2)])
def test_another_release_has_validators_of_its_own(
    name: str, value: Any, client: Client, monkeypatch: pytest.MonkeyPatch
):
    etag = etag_of(client, LISTS["enrolments"])

    monkeypatch.setattr(conditional, name, value)

    assert not is_unchanged(client, LISTS["enrolments"], etag)


def test_the_release_is_the_one_that_is_installed():
    assert conditional.release() == version("overview-pipeline")


def test_a_course_of_the_courses_api_is_compared_by_its_text(client: Client):
    address = f"/api/courses/v1/courses/{COURSE}?username=conny"
    etag = etag_of(client, address)
    assert is_unchanged(client, address, etag)

    publish()

    assert not is_unchanged(client, address, etag)
