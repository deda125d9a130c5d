"""The Enrollment API on the real database: what it costs, what it says of absent courses, what it bears."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lms_integration.enrollments.serializers import (
    EnrollmentCourseSerializer,
    EnrollmentModeSerializer,
    EnrollmentSerializer,
    ListedEnrollmentSerializer,
)
from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import (
    CourseAccessRole,
    CourseEnrollment,
    CourseEnrollmentAllowed,
    CourseEnrollmentAttribute,
    CourseMode,
)
from tests.enrollment_scene import (
    API,
    COURSE,
    course,
    enroll,
    enrolled,
    person,
    post,
    signed_in,
    tombstone,
)

pytestmark = [pytest.mark.service, pytest.mark.django_db]

OTHER = "course-v1:Sea+Dunes+2026"
API_KEY = "the key of these tests"
#: Columns that a list of enrolments shows, and those that it is put together by.
SHOWN_COLUMNS = {
    "student_courseenrollment": {"id", "user_id", "course_id", "created", "is_active", "mode"},
    "auth_user": {"id", "username"},
    "course_overviews_courseoverview": {
        "id",
        "_location",
        "display_name",
        "start",
        "end",
        "enrollment_start",
        "enrollment_end",
        "invitation_only",
        "self_paced",
    },
    "overview_tombstone": {"course_key", "display_name", "start", "end"},
}


@pytest.fixture(autouse=True)
def _no_throttle_history() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def enrolled_in_many(user: User, count: int) -> None:
    for number in range(count):
        course(f"course-v1:Sea+C{number}+R")
        enrolled(user, f"course-v1:Sea+C{number}+R")
        CourseMode.objects.create(course_id=f"course-v1:Sea+C{number}+R", mode_slug="audit")


def queries_of(client: Client, url: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return [query["sql"] for query in queries]


# --- what it costs


@pytest.mark.parametrize("count", [1, 20, 60])
def test_ones_own_list_costs_five_queries_however_long_it_is(count: int):
    ada = person()
    enrolled_in_many(ada, count)
    client = signed_in(ada)

    queries = queries_of(client, f"{API}/enrollment")

    assert len(queries) == 5  # session, account, versions, enrolments with courses, modes


@pytest.mark.parametrize("count", [1, 20, 60])
def test_a_list_seen_by_a_course_team_costs_five_queries(count: int):
    teacher = person("teacher")
    enrolled_in_many(person(), count)
    for number in range(count):
        CourseAccessRole.objects.create(
            user=teacher, org="Sea", course_id=f"course-v1:Sea+C{number}+R", role="staff"
        )

    queries = queries_of(signed_in(teacher), f"{API}/enrollment?user=ada")

    assert len(queries) == 5


@pytest.mark.parametrize("count", [1, 20, 60])
def test_the_staff_list_costs_three_queries(count: int):
    enrolled_in_many(person(), count)

    queries = queries_of(signed_in(person("boss", is_staff=True)), f"{API}/enrollments")

    assert len(queries) == 3


@pytest.mark.parametrize(
    ("url", "count"),
    [
        (f"{API}/enrollment/{COURSE}", 4),
        (f"{API}/course/{COURSE}", 2),
        (f"{API}/roles/", 3),
        (f"{API}/enrollment_allowed/", 3),
    ],
)
def test_one_thing_costs_few_queries(url: str, count: int):
    boss = person("boss", is_staff=True)
    course()
    enrolled(boss)

    client = Client() if "/course/" in url else signed_in(boss)

    assert len(queries_of(client, url)) == count


def test_no_column_is_read_that_a_list_does_not_show():
    ada = person()
    course()
    enrolled(ada)

    queries = queries_of(signed_in(ada), f"{API}/enrollment")

    assert selected_columns(queries) == SHOWN_COLUMNS


def test_the_staff_list_reads_of_a_course_whether_it_is_there():
    course()
    enrolled(person())

    queries = queries_of(signed_in(person("boss", is_staff=True)), f"{API}/enrollments")

    assert selected_columns(queries) == {
        **SHOWN_COLUMNS,
        "course_overviews_courseoverview": {"id"},
        "overview_tombstone": {"course_key"},
    }


def selected_columns(queries: list[str]) -> dict[str, set[str]]:
    """Return the columns by table that the query for enrolments selects."""
    sql = next(sql for sql in queries if "FROM `student_courseenrollment`" in sql)
    found: dict[str, set[str]] = {}
    for table, column in re.findall(r"`(\w+)`\.`(\w+)`", sql.partition(" FROM ")[0]):
        found.setdefault(table, set()).add(column)
    return found


def test_enrolling_costs_few_statements_and_writes_no_overview():
    ada = person()
    course(max_student_enrollments_allowed=5)
    client = signed_in(ada)

    with CaptureQueriesContext(connection) as queries:
        assert enroll(client).status_code == 200

    written = {
        match[1]
        for query in queries
        if (match := re.match(r"(?:INSERT INTO|UPDATE|DELETE FROM) `(\w+)`", query["sql"]))
    }
    assert written <= {"student_courseenrollment", "student_courseenrollmentallowed"}
    assert len(queries) <= 20


# --- courses that are not there


def test_an_enrolment_in_a_course_that_was_never_built_is_listed():
    ada = person()
    enrolled(ada)

    (item,) = signed_in(ada).get(f"{API}/enrollment").json()

    assert item["course_state"] == "never_built"
    assert item["course_details"]["course_name"] == COURSE
    assert set(item["course_details"]) == set(EnrollmentCourseSerializer().fields)


def test_an_enrolment_in_a_deleted_course_is_listed_with_what_its_tombstone_keeps():
    ada = person()
    enrolled(ada)
    tombstone(start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2021, 1, 1, tzinfo=UTC))

    (item,) = signed_in(ada).get(f"{API}/enrollment").json()

    details = item["course_details"]
    assert item["course_state"] == "deleted"
    assert (details["course_name"], details["course_start"], details["course_end"]) == (
        "Tides",
        "2020-01-01T00:00:00Z",
        "2021-01-01T00:00:00Z",
    )


def test_a_deleted_course_without_a_name_has_its_key():
    ada = person()
    enrolled(ada)
    tombstone(display_name=None)

    answer = signed_in(ada).get(f"{API}/enrollment/{COURSE}").json()

    assert answer["course_details"]["course_name"] == COURSE


def test_an_enrolment_under_what_is_no_key_is_listed():
    ada = person()
    enrolled(ada, "not a key at all")

    (item,) = signed_in(ada).get(f"{API}/enrollment").json()

    assert item["course_details"]["course_id"] == "not a key at all"


def test_the_staff_list_says_why_a_course_has_no_overview():
    ada = person()
    enrolled(ada)
    enrolled(ada, OTHER)
    tombstone(OTHER)

    results = signed_in(person("boss", is_staff=True)).get(f"{API}/enrollments").json()["results"]

    assert {item["course_id"]: item["course_state"] for item in results} == {
        COURSE: "never_built",
        OTHER: "deleted",
    }


def test_nobody_learns_whether_a_course_was_deleted_or_never_was():
    tombstone()

    deleted = Client().get(f"{API}/course/{COURSE}")
    unknown = Client().get(f"{API}/course/{OTHER}")

    assert deleted.status_code == unknown.status_code == 400
    assert deleted.json()["message"].replace(COURSE, OTHER) == unknown.json()["message"]


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_a_hidden_course_looks_like_a_deleted_or_unknown_one_and_costs_the_same(is_signed_in: bool):
    hidden, deleted = COURSE, "course-v1:Sea+Gone+2026"
    course(visible_to_staff_only=True)
    tombstone(deleted)
    client = signed_in(person()) if is_signed_in else Client()

    found = [_asked(client, f"{API}/course/", key) for key in (hidden, deleted, OTHER)]

    assert found[0] == found[1] == found[2]
    assert len(found[0][2]) == (4 if is_signed_in else 1)


def _asked(client: Client, url: str, key: str) -> tuple[Any, ...]:
    """Return status, body and statements of a request, without the key."""
    with CaptureQueriesContext(connection) as captured:
        response = client.get(url + key)
    queries = [re.sub(r"\d{4}-\d\d-\d\d [\d:.]+", "TIME", query["sql"]) for query in captured]
    return (
        response.status_code,
        response.content.decode().replace(key, "KEY"),
        [query.replace(key, "KEY") for query in queries],
    )


@pytest.mark.parametrize("role", ["staff", "limited_staff", "instructor"])
def test_a_course_for_its_team_only_is_shown_to_its_team_and_to_other_servers(role: str):
    course(visible_to_staff_only=True)
    teacher = person("teacher")
    CourseAccessRole.objects.create(user=teacher, org="Sea", course_id=COURSE, role=role)
    url = f"{API}/course/{COURSE}"

    with override_settings(EDX_API_KEY=API_KEY):
        answers = {
            "visitor": Client().get(url).status_code,
            "learner": signed_in(person()).get(url).status_code,
            "team": signed_in(teacher).get(url).status_code,
            "site": signed_in(person("boss", is_staff=True)).get(url).status_code,
            "server": Client().get(url, headers={"X-Edx-Api-Key": API_KEY}).status_code,
        }

    assert answers == {"visitor": 400, "learner": 400, "team": 200, "site": 200, "server": 200}


def test_a_course_that_was_published_again_is_shown_as_it_is_now_at_once():
    course()
    url = f"{API}/course/{COURSE}"
    assert Client().get(url).json()["course_name"] == "Tides"

    CourseOverview.objects.filter(id=COURSE).update(display_name="High tides")

    assert Client().get(url).json()["course_name"] == "High tides"


def test_an_overview_whose_name_cannot_be_read_is_shown_with_its_key():
    course(display_name=None, location="nonsense")

    assert Client().get(f"{API}/course/{COURSE}").json()["course_name"] == COURSE


# --- answers are what the description says


def test_items_have_the_keys_that_are_described():
    ada = person()
    course()
    enrolled(ada)

    item = signed_in(ada).get(f"{API}/enrollment/{COURSE}").json()
    boss = signed_in(person("boss", is_staff=True))
    listed = boss.get(f"{API}/enrollments").json()["results"][0]

    assert {*item, "course_state"} == set(EnrollmentSerializer().fields)
    assert {*listed, "course_state"} == set(ListedEnrollmentSerializer().fields)
    (mode,) = item["course_details"]["course_modes"]
    assert set(mode) == set(EnrollmentModeSerializer().fields)


# --- enrolling


def test_the_same_request_twice_gives_the_same_answer_and_one_row():
    course()
    client = signed_in(person())

    answers = [enroll(client).json() for _ in range(2)]

    assert answers[0] == answers[1]
    assert CourseEnrollment.objects.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {"is_active": False},
        {"mode": "verified"},
        {"mode": "verified", "is_active": True},
        {"enrollment_attributes": [{"namespace": "order", "name": "number", "value": "1"}]},
    ],
)
def test_another_server_may_repeat_itself(body: dict[str, Any]):
    course(enrollment_end=datetime(2020, 1, 1, tzinfo=UTC))
    CourseMode.objects.create(course_id=COURSE, mode_slug="audit")
    CourseMode.objects.create(
        course_id=COURSE, mode_slug="verified", expiration_datetime=datetime(2020, 1, 1, tzinfo=UTC)
    )
    enrolled(person())
    server = Client(headers={"X-Edx-Api-Key": API_KEY})

    with override_settings(EDX_API_KEY=API_KEY):
        answers = [enroll(server, user="ada", **body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content


def test_who_has_left_a_course_that_is_gone_has_left_it():
    enrolled(person())
    server = Client(headers={"X-Edx-Api-Key": API_KEY})

    with override_settings(EDX_API_KEY=API_KEY):
        answers = [enroll(server, user="ada", is_active=False) for _ in range(2)]

    assert [answer.json()["is_active"] for answer in answers] == [False, False]


def test_an_address_finds_a_person():
    course()
    ada = person(email="ada@sea.example.org")

    answer = enroll(signed_in(person("boss", is_staff=True)), email="ada@sea.example.org")

    assert answer.json()["user"] == ada.username


def test_who_has_the_last_place_keeps_it_on_asking_again():
    course(max_student_enrollments_allowed=1)
    client = signed_in(person())

    statuses = [enroll(client).status_code for _ in range(2)]

    assert statuses == [200, 200]


def test_a_refused_mode_shows_the_course_to_those_who_may_see_it():
    course()

    answer = enroll(signed_in(person()), mode="honor")

    assert answer.status_code == 400
    assert answer.json()["course_details"]["course_name"] == "Tides"


@pytest.mark.parametrize(
    ("who", "is_shown"),
    [("learner", False), ("former", False), ("enrolled", True), ("team", True), ("site", True)],
)
def test_a_refused_mode_shows_a_hidden_course_to_its_team_and_to_who_is_in_it(
    who: str, is_shown: bool
):
    course(visible_to_staff_only=True)
    asking = person(who, is_staff=who == "site")
    if who in ("former", "enrolled"):
        enrolled(asking, is_active=who == "enrolled")
    if who == "team":
        CourseAccessRole.objects.create(user=asking, org="Sea", course_id=COURSE, role="staff")

    answer = enroll(signed_in(asking), mode="honor")

    assert answer.status_code == 400
    assert ("course_details" in answer.json()) is is_shown
    assert ("Tides" in answer.json().get("course_details", {}).get("course_name", "")) is is_shown


def test_a_team_takes_nobodys_place():
    course(max_student_enrollments_allowed=1)
    teacher = person("teacher")
    CourseAccessRole.objects.create(user=teacher, org="Sea", course_id=COURSE, role="instructor")
    enrolled(teacher)

    statuses = [enroll(signed_in(person(name))).status_code for name in ("ada", "bob")]

    assert statuses == [200, 400]


def test_a_place_that_somebody_left_can_be_taken():
    course(max_student_enrollments_allowed=1)
    enrolled(person("bob"), is_active=False)

    assert enroll(signed_in(person())).status_code == 200


def test_the_sites_team_cannot_put_a_former_learner_back_into_a_full_course():
    course(max_student_enrollments_allowed=1)
    enrolled(person(), is_active=False)
    enrolled(person("bob"))
    boss = signed_in(person("boss", is_staff=True))

    answer = enroll(boss, user="ada", is_active=True, force_enrollment=True)

    assert answer.status_code == 400
    assert not CourseEnrollment.objects.get(user__username="ada").is_active


@pytest.mark.parametrize(
    ("columns", "status"),
    [
        ({"enrollment_start": timedelta(days=-1)}, 200),
        ({"enrollment_start": timedelta(days=1)}, 400),
        ({"enrollment_end": timedelta(days=1)}, 200),
        ({"enrollment_end": timedelta(days=-1)}, 400),
        ({"invitation_only": True}, 400),
    ],
)
def test_a_closed_course_takes_no_learner(columns: dict[str, Any], status: int):
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        name: now + value if isinstance(value, timedelta) else value
        for name, value in columns.items()
    }
    course(**values)

    assert enroll(signed_in(person())).status_code == status


def test_an_invitation_opens_a_closed_course_to_one_person():
    course(invitation_only=True)
    ada, bob = person(email="same@example.org"), person("bob", email="same@example.org")
    CourseEnrollmentAllowed.objects.create(email="same@example.org", course_id=COURSE)

    statuses = [enroll(signed_in(each)).status_code for each in (ada, bob)]

    assert statuses == [200, 400]
    assert CourseEnrollmentAllowed.objects.get().user == ada


def test_a_second_way_of_saying_the_same_attribute_replaces_the_first():
    course()
    ada = person()
    attribute = {"namespace": "order", "name": "number", "value": "1"}
    boss = signed_in(person("boss", is_staff=True))
    CourseMode.objects.create(course_id=COURSE, mode_slug="audit")
    CourseMode.objects.create(course_id=COURSE, mode_slug="verified")
    enroll(boss, user="ada", enrollment_attributes=[attribute])

    enroll(boss, user="ada", mode="verified", enrollment_attributes=[{**attribute, "value": "2"}])

    (kept,) = CourseEnrollmentAttribute.objects.filter(enrollment__user=ada)
    assert kept.value == "2"


def test_a_key_in_another_case_is_another_course():
    course()
    course(COURSE.lower(), display_name="another")
    client = signed_in(person())

    names = [enroll(client, key).json()["course_details"] for key in (COURSE, COURSE.lower())]

    assert [details["course_name"] for details in names] == ["Tides", "another"]
    assert CourseEnrollment.objects.count() == 2


# --- whatever is sent, nothing breaks

_TEXTS = st.text(st.characters(), max_size=40) | st.sampled_from(
    ["\x00", "\ud800", "\U0001f600" * 300, "x" * 5000, COURSE, "ada", "boss", "audit", "credit"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
_BODIES = st.fixed_dictionaries(
    {},
    optional={
        "course_details": st.fixed_dictionaries({"course_id": st.just(COURSE)}) | _JSON,
        "user": _JSON,
        "email": _JSON,
        "mode": _JSON,
        "is_active": st.booleans() | _JSON,
        "force_enrollment": st.booleans() | _JSON,
        "enrollment_attributes": st.lists(
            st.fixed_dictionaries({"namespace": _JSON, "name": _JSON, "value": _JSON}), max_size=2
        )
        | _JSON,
        "cohort": _JSON,
        "course_id": st.just(COURSE) | _JSON,
        "auto_enroll": _JSON,
    },
)
_hostile = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def caller(with_api_key: None) -> Client:
    """One of the site's team, for whom most is looked at; another server too, so nothing throttles."""
    course()
    person()
    client = signed_in(person("boss", is_staff=True))
    client.defaults["HTTP_X_EDX_API_KEY"] = API_KEY
    return client


@pytest.fixture
def with_api_key() -> Iterator[None]:
    with override_settings(EDX_API_KEY=API_KEY):
        yield


@_hostile
@given(body=_BODIES | _JSON)
def test_no_body_breaks_enrolling(caller: Client, body: object):
    answer = post(caller, body)

    assert answer.status_code in {200, 400, 406}
    assert isinstance(answer.json(), dict)


@_hostile
@given(body=_BODIES | _JSON, method=st.sampled_from(["post", "delete"]))
def test_no_body_breaks_invitations(caller: Client, body: object, method: str):
    send = getattr(caller, method)

    answer = send(f"{API}/enrollment_allowed/", json.dumps(body), content_type="application/json")

    assert answer.status_code in {201, 204, 400, 404, 409}


@_hostile
@given(
    path=st.sampled_from(["enrollment", "enrollments", "roles/", "enrollment_allowed/"]),
    query=st.dictionaries(
        st.sampled_from(
            ["user", "username", "email", "course_id", "course_ids", "cursor", "page_size", "page"]
        ),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
        | st.sampled_from(
            ["cD0yMDI2", "cD1ub25l", "bz05OTk5OTk5", "cj0xJnA9MDAwMS0wMS0wMQ==", ","]
        ),
    ),
)
def test_no_query_breaks_a_list(caller: Client, path: str, query: dict[str, str]):
    answer = caller.get(f"{API}/{path}", query)

    assert answer.status_code in {200, 400, 404}


@_hostile
@given(
    prefix=st.sampled_from(["enrollment/", "enrollment/ada,", "course/"]),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    | st.sampled_from(
        [COURSE, "a+b+c", "a/b/\x00", "course-v1:a+b+" + "c" * 3000, "a/b/\U0001f600"]
    ),
)
def test_no_path_breaks_an_answer(caller: Client, prefix: str, text: str):
    answer = caller.get(f"{API}/{prefix}{text.replace('?', '').replace('#', '')}")

    assert answer.status_code in {200, 301, 400, 404}


@pytest.mark.parametrize(
    "body", ["[" * 100_000, "\xff", '{"a": NaN}', "9" * 5000, '"', '{"user": "\\ud800"}']
)
def test_what_is_no_json_is_said_to_be_none(body: str):
    client = signed_in(person())

    answer = client.post(
        f"{API}/enrollment", body.encode("latin-1"), content_type="application/json"
    )

    assert answer.status_code == 400


@pytest.mark.parametrize(
    "cursor",
    [
        "p=yesterday",
        "p=2026-13-45 00:00:00+00:00",
        "p=2026-01-01 00:00:00",
        "p=0001-01-01 00:00:00+14:00",
    ],
)
def test_a_cursor_that_is_no_date_is_no_cursor(cursor: str):
    encoded = b64encode(cursor.replace("+", "%2B").encode()).decode()

    answer = signed_in(person("boss", is_staff=True)).get(f"{API}/enrollments", {"cursor": encoded})

    assert (answer.status_code, answer.json()) == (404, {"developer_message": "Invalid cursor"})
