"""The Courses API on the real database: what it costs, what it keeps to itself, and that nothing breaks it."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.db.models import QuerySet
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from opaque_keys.edx.keys import CourseKey

from lms_integration.courses.queries import Filters, listed_courses
from lms_integration.courses.viewers import Viewer
from lms_integration.learners.access import ANONYMOUS
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    OverviewProjection,
    OverviewTombstone,
)
from lms_integration.platform_tables.models import (
    CourseAccessRole,
    CourseEnrollment,
    CourseEnrollmentAllowed,
)
from tests.recorded_overviews import projection_of

pytestmark = [pytest.mark.service, pytest.mark.django_db]

LIST = "/api/courses/v1/courses/"
IDS = "/api/courses/v1/course_ids/"
NOW = datetime(2026, 6, 15, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1000)
MOST_QUERIES = 8


@pytest.fixture(autouse=True)
def _fresh_history() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def overview(course_key: str, **columns: Any) -> CourseOverview:
    key = CourseKey.from_string(course_key)
    defaults: dict[str, Any] = {
        "version": CourseOverview.VERSION,
        "location": str(key.make_usage_key("course", "course")),
        "org": key.org,
        "display_name": f"Name of {course_key}",
        "display_org_with_default": key.org,
        "display_number_with_default": key.course,
        "course_image_url": "/image.jpg",
        "banner_image_url": "/banner.jpg",
        "pre_requisite_courses_json": "[]",
        "start": LONG_AGO,
        "catalog_visibility": "both",
        "created": NOW,
        "modified": NOW,
    }
    return CourseOverview(id=course_key, **defaults | columns)


def store(*overviews: CourseOverview) -> None:
    CourseOverview.objects.bulk_create(overviews)
    CourseOverviewImageSet.objects.bulk_create(
        CourseOverviewImageSet(course_overview=each, small_url="/small.jpg") for each in overviews
    )
    OverviewProjection.objects.bulk_create(
        projection_of(each, overview_html=f"<p>{each.id}</p>") for each in overviews
    )


def store_many(count: int, *, prefix: str = "C", org_count: int = 1) -> None:
    store(
        *(
            overview(f"course-v1:Org{number % org_count}+{prefix}{number:05d}+R1")
            for number in range(count)
        )
    )


def client_of(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def get(path: str, *, user: User | None = None, **query: str) -> Any:
    return client_of(user).get(path, query)


def keys(response: Any) -> list[str]:
    return [item["id"] for item in response.json()["results"]]


def statements(path: str, *, user: User | None = None, **query: str) -> list[str]:
    """Return the SQL of one request that succeeds."""
    cache.clear()
    client = client_of(user)
    with CaptureQueriesContext(connection) as captured:
        response = client.get(path, query)
    assert response.status_code == 200, response.content
    return [each["sql"] for each in captured.captured_queries]


@pytest.fixture
def site_staff() -> User:
    return User.objects.create_user("site_staff", is_staff=True)


@pytest.fixture
def learner() -> User:
    """Somebody with every role and an invitation, so that nothing is left out of the queries."""
    user = User.objects.create_user("learner", email="learner@example.org")
    for role in ("staff", "instructor", "beta_testers"):
        for course_key in ("course-v1:Org0+C00000+R1", "course-v1:Org0+C00001+R1"):
            CourseAccessRole.objects.create(user=user, role=role, org="Org0", course_id=course_key)
    CourseAccessRole.objects.create(user=user, role="staff", org="Org1", course_id="")
    CourseEnrollmentAllowed.objects.create(email=user.email, course_id="course-v1:Org0+C00002+R1")
    return user


# --- what it costs


def test_the_number_of_queries_does_not_grow_with_the_courses(learner, site_staff):
    requests: list[tuple[str, User | None, dict[str, str]]] = [
        (LIST, None, {"page_size": "100"}),
        (LIST, learner, {"page_size": "100", "username": "learner"}),
        (LIST, site_staff, {"page_size": "100", "username": "learner", "permissions": "load"}),
        (IDS, learner, {"role": "staff"}),
        (IDS, site_staff, {"role": "instructor", "username": "learner"}),
        (f"{LIST}course-v1:Org0+C00001+R1", None, {}),
        (f"{LIST}course-v1:Org0+C00001+R1", site_staff, {"username": "learner"}),
    ]
    store_many(3)
    few = [len(statements(path, user=user, **query)) for path, user, query in requests]
    store_many(60, prefix="D")
    many = [len(statements(path, user=user, **query)) for path, user, query in requests]

    assert few == many
    assert many == [3, 7, 8, 5, 6, 2, 8]
    assert max(many) <= MOST_QUERIES


def test_the_list_reads_no_column_that_it_does_not_show():
    store_many(3)

    counted, keyed, rows = statements(LIST)

    assert "COUNT(*)" in counted
    assert selected(keyed) == {"overview_projection.course_key"}
    assert {name.partition(".")[2] for name in selected(rows)} == {
        # shown, or behind a value that is shown
        "id", "_location", "display_name", "display_number_with_default",
        "display_org_with_default", "start", "end", "advertised_start", "banner_image_url",
        "course_image_url", "course_video_url", "mobile_available", "enrollment_start",
        "enrollment_end", "invitation_only", "catalog_visibility", "short_description", "effort",
        "self_paced",
        # of the image set
        "small_url", "large_url",
    }  # fmt: skip


def selected(sql: str) -> set[str]:
    columns = re.sub('[`"]| AS [^,]*', "", sql.removeprefix("SELECT ").partition(" FROM ")[0])
    return set(columns.split(", "))


def test_the_about_page_is_read_for_one_course_alone():
    store_many(3)

    assert not [sql for sql in statements(LIST) if "overview_html" in sql]
    assert [sql for sql in statements(f"{LIST}course-v1:Org0+C00001+R1") if "overview_html" in sql]


@pytest.mark.django_db(transaction=True)
def test_lists_are_read_in_the_order_of_an_index():
    store_many(4000, org_count=40)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE TABLE overview_projection")
        cursor.fetchall()
    visitor = Viewer(standing=ANONYMOUS, now=NOW)
    everything = listed_courses(visitor, Filters())
    of_an_org = listed_courses(visitor, Filters(org="org7"))

    assert plan(everything[:100]) == ("overview_projection_sort", False)
    assert plan(everything[3900:4000]) == ("overview_projection_sort", False)
    assert plan(of_an_org[:100]) == ("overview_projection_org", False)
    assert counting_plan(everything) == ("overview_projection_count", True)


def plan(courses: QuerySet[Any, Any]) -> tuple[str, bool]:
    """Return the index of a page's query, and whether the database sorts."""
    row = explained(*courses.query.sql_with_params())
    return row["key"], "filesort" in row["Extra"]


def counting_plan(courses: QuerySet[Any, Any]) -> tuple[str, bool]:
    """Return the index of a count, and whether it is all that the database looks at."""
    with CaptureQueriesContext(connection) as captured:
        courses.count()
    row = explained(captured[0]["sql"], ())
    return row["key"], "Using index" in row["Extra"]


def explained(sql: str, params: Any) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN FORMAT=TRADITIONAL {sql}", params or None)
        assert cursor.description is not None
        names = [column[0] for column in cursor.description]
        (row,) = cursor.fetchall()
    return dict(zip(names, row, strict=True))


# --- what it keeps to itself


@pytest.mark.parametrize("path", [LIST, "{}{}"])
def test_what_is_hidden_looks_like_what_never_was(path):
    hidden, closed, deleted, unknown = (
        f"course-v1:Org0+{name}+R1" for name in ("HIDDEN", "CLOSED", "DELETE", "NOBODY")
    )
    store(
        overview(hidden, visible_to_staff_only=True),
        overview(closed, invitation_only=True, start=NOW + timedelta(days=36500)),
    )
    OverviewTombstone.objects.create(course_key=deleted, display_name="It was", deleted_at=NOW)

    answers = {key: asked(path, key) for key in (hidden, closed, deleted, unknown)}

    assert answers[hidden] == answers[closed] == answers[deleted] == answers[unknown]


def asked(path: str, key: str) -> tuple[Any, ...]:
    """Return everything that an asker can tell of a course: answer, headers, and the work behind."""
    client = Client()
    with CaptureQueriesContext(connection) as captured:
        if path == LIST:
            response = client.get(LIST, {"course_keys": key})
        else:
            response = client.get(LIST + key)
    queries = [each["sql"].replace(key, "KEY") for each in captured]
    assert not [sql for sql in queries if key in sql]
    times_left_out = [re.sub(r"\d{4}-\d\d-\d\d [\d:.]+", "TIME", sql) for sql in queries]
    return response.status_code, response.content, dict(response.headers), times_left_out


def test_a_hidden_course_is_shown_to_its_team(learner):
    key = "course-v1:Org1+HIDDEN+R1"
    store(overview(key, visible_to_staff_only=True))

    shown = get(LIST + key, user=learner, username="learner")

    assert shown.status_code == 200
    assert shown.json()["overview"] == f"<p>{key}</p>"
    assert get(LIST + key, user=learner).status_code == 404
    assert keys(get(LIST, user=learner, username="learner")) == [key]
    assert keys(get(LIST, user=learner)) == []


def test_a_course_whose_row_is_gone_between_two_queries_is_left_out():
    store_many(3)
    CourseOverview.objects.filter(id="course-v1:Org0+C00001+R1").delete()

    assert keys(get(LIST)) == ["course-v1:Org0+C00000+R1", "course-v1:Org0+C00002+R1"]
    assert get(f"{LIST}course-v1:Org0+C00001+R1").status_code == 404


def test_courses_whose_keys_differ_by_case_are_two():
    upper, lower = "course-v1:CaseOrg+CASE+R1", "course-v1:caseorg+case+r1"
    store(overview(upper), overview(lower))

    assert keys(get(LIST)) == [upper, lower]
    assert keys(get(LIST, course_keys=lower)) == [lower]
    assert get(LIST + lower).json()["id"] == lower


def test_who_is_enrolled_is_told_to_whom_it_concerns(learner, site_staff):
    key = "course-v1:Org0+C00000+R1"
    store_many(1)
    enrollment = CourseEnrollment.objects.create(user=learner, course_id=key)

    assert "is_enrolled" not in get(LIST + key, user=learner).json()
    assert get(LIST + key, user=learner, username="learner").json()["is_enrolled"] is True
    assert get(LIST + key, user=site_staff, username="learner").json()["is_enrolled"] is True
    CourseEnrollment.objects.filter(pk=enrollment.pk).update(is_active=False)
    assert get(LIST + key, user=learner, username="learner").json()["is_enrolled"] is False


# --- what is found


def test_a_course_without_a_start_is_open_and_shown():
    store(overview("course-v1:Org0+C+R1", start=None))

    item = get(f"{LIST}course-v1:Org0+C+R1").json()

    assert (item["start"], item["start_display"], item["start_type"]) == (None, "", "timestamp")
    assert keys(get(LIST, permissions="load")) == ["course-v1:Org0+C+R1"]


def test_a_tester_may_load_a_course_before_it_starts(learner):
    soon = datetime.now(UTC) + timedelta(days=3)
    tested, other = "course-v1:Beta+C1+R1", "course-v1:Beta+C2+R1"
    store(overview(tested, start=soon, days_early_for_beta=5.0), overview(other, start=soon))
    for key in (tested, other):
        CourseAccessRole.objects.create(
            user=learner, role="beta_testers", org="Beta", course_id=key
        )

    assert keys(get(LIST, user=learner, username="learner", permissions="load")) == [tested]
    assert keys(get(LIST, permissions="load")) == []


@override_settings(FEATURES={"ENABLE_COURSEWARE_SEARCH": True})
@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("tides", ["C1", "C2"]),
        ("TIDES  dunes", ["C1"]),
        ("dunes tides", ["C1"]),
        ("100%", ["C2"]),
        ("C1+R1", ["C1"]),
        ("_", []),
        ("\\", []),
        ("sea", []),
        ("   ", ["C1", "C2", "C3"]),
        ("tide " * 40, ["C1", "C2"]),
    ],
)
def test_a_search_finds_the_courses_that_have_every_word(term, found):
    store(
        overview("course-v1:Org0+C1+R1", display_name="Of Tides", short_description="and dunes"),
        overview("course-v1:Org0+C2+R1", display_name="tides", short_description="100% wet"),
        overview("course-v1:Org0+C3+R1", display_name="Nothing"),
    )

    answer = get(LIST, search_term=term)

    assert [key.split("+")[1] for key in keys(answer)] == found
    assert answer.json()["pagination"]["count"] == len(found)


def test_the_last_page_is_there_by_name():
    store_many(25)

    last = get(LIST, page="last").json()

    assert [item["number"] for item in last["results"]] == [f"C{n:05d}" for n in range(20, 25)]
    assert last["pagination"]["count"] == 25
    assert last["pagination"]["num_pages"] == 3
    assert last["pagination"]["next"] is None


@override_settings(OVERVIEW_ASSET_BASE_URL="cdn.example.net")
def test_images_come_from_the_cdn_but_videos_and_foreign_images_do_not():
    store(
        overview(
            "course-v1:Org0+C+R1",
            course_image_url="https://elsewhere.example.org/a b.jpg",
            course_video_url="http://videos.example.org/1",
        )
    )

    media = get(f"{LIST}course-v1:Org0+C+R1").json()["media"]

    assert media == {
        "banner_image": {
            "uri": "/banner.jpg",
            "uri_absolute": "http://cdn.example.net/banner.jpg",
        },
        "course_image": {"uri": "https://elsewhere.example.org/a b.jpg"},
        "course_video": {"uri": "http://videos.example.org/1"},
        "image": {
            "raw": "https://elsewhere.example.org/a%20b.jpg",
            "small": "http://cdn.example.net/small.jpg",
            "large": "https://elsewhere.example.org/a%20b.jpg",
        },
    }


# --- that nothing breaks it

ODD_TEXTS = (
    "", " ", "\0", "a\0b", "\U0001f30a", "\ud7ff", "\u202e", "'", '"', "\\", "%", "%%s", "_", "../..",
    "x" * 3000, "9" * 5000, "-1", "1e9", "NaN", "True", "null", "[]", "{}", ",", ",,a,", ";",
    "course-v1:a+b", "course-v1:a+b+c", "course-v1:a+b+c+branch@published-branch",
    "course-v1:a+b+" + "c" * 300, "library-v1:a+b", "a/b/c", "a+b+c", "course-v1:\U0001f30a+b+c",
    "course-v1:a+b+c\n", "block-v1:a+b+c+type@x+block@y", "ccx-v1:a+b+c+ccx@1", "course_keys[0]",
)  # fmt: skip
LIST_PARAMETERS = (
    "search_term", "username", "org", "mobile", "mobile_search", "permissions", "active_only",
    "course_keys", "page", "page_size", "course_keys[" + "9" * 5000 + "]",
)  # fmt: skip


@override_settings(FEATURES={"ENABLE_COURSEWARE_SEARCH": True}, OVERVIEW_COURSE_ORG_FILTER=())
@pytest.mark.parametrize("name", LIST_PARAMETERS)
def test_no_parameter_of_the_list_breaks_it(name, site_staff):
    store_many(2)

    clients = [client_of(None), client_of(site_staff)]
    for text in ODD_TEXTS:
        for client in clients:
            cache.clear()
            response = client.get(LIST, {name: text})
            assert response.status_code in (200, 400, 403, 404), (text, response.content)
            assert json.loads(response.content)


@pytest.mark.parametrize("name", ["role", "username", "page", "page_size"])
def test_no_parameter_of_the_list_of_keys_breaks_it(name, site_staff):
    store_many(2)

    client = client_of(site_staff)
    for text in ODD_TEXTS:
        cache.clear()
        response = client.get(IDS, {"role": "staff", name: text})
        assert response.status_code in (200, 400, 404), (text, response.content)
        assert json.loads(response.content)


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_no_path_breaks_the_detail(text):
    store_many(1)

    for path in (text, f"a+b+{text}", f"course-v1:Org0+C00000+{text}"):
        response = Client().get(LIST + quote(path))
        assert response.status_code in (200, 400, 404), (path, response.content)


def test_bytes_that_are_no_text_break_nothing():
    for path in (b"%ff+b+c", b"a+%ed%a0%80+c"):
        assert Client().get(LIST + path.decode()).status_code == 400
    assert Client().get(f"{LIST}?org=%ff&course_keys=%ed%a0%80").status_code == 400


def test_odd_values_of_a_course_break_nothing():
    store(
        overview(
            "course-v1:Org0+C+R1",
            display_name="<b>&amp; <script",
            course_image_url="//[broken",
            banner_image_url="",
            advertised_start="\U0001f30a",
            start=datetime(1, 1, 1, tzinfo=UTC),
            end=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        )
    )

    (item,) = get(LIST).json()["results"]

    assert item["media"]["banner_image"] == {"uri": "", "uri_absolute": ""}
    assert item["media"]["image"]["raw"] == "//[broken"
    assert item["start_display"] == "\U0001f30a"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", [LIST, IDS, f"{LIST}course-v1:a+b+c"])
def test_other_methods_are_refused(method, path, site_staff):
    response = getattr(client_of(site_staff), method)(path)

    assert response.status_code == 405
    assert "developer_message" in response.json()
