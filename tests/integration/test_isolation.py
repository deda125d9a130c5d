"""Every endpoint answers with MongoDB and the broker stopped, and touches neither while they run.

The guard is on in all tests; here the servers are really away.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from dev.servers.control import find_server
from lms_integration.models import CourseOverview, OverviewProjection
from lms_integration.platform_tables.models import CourseEnrollment

COURSE = "course-v1:Isle+I1+R1"
LEARNER = "islander"
PASSWORD = "far from everything"
#: One address for each route, by the beginning of the route; a new endpoint has to be added here.
ADDRESSES = {
    "health": "/health",
    "api-docs/openapi": "/api-docs/openapi.json",
    "api-docs/": "/api-docs/",
    **{
        f"mobile list {version}": f"/api/mobile/{version}/users/{LEARNER}/course_enrollments/"
        for version in ("v0.5", "v0x5", "v1", "v2", "v3", "v4")
    },
    "mobile statuses": f"/api/mobile/v1/users/{LEARNER}/enrollments_status/",
    "mobile user": f"/api/mobile/v1/users/{LEARNER}",
    "mobile me": "/api/mobile/v1/my_user_info",
    "enrolments": "/api/enrollment/v1/enrollment",
    "own enrolment": f"/api/enrollment/v1/enrollment/{COURSE}",
    "one enrolment": f"/api/enrollment/v1/enrollment/{LEARNER},{COURSE}",
    "course of the enrolment API": f"/api/enrollment/v1/course/{COURSE}",
    "enrolments of all": "/api/enrollment/v1/enrollments",
    "roles": "/api/enrollment/v1/roles/",
    "allowed": "/api/enrollment/v1/enrollment_allowed/",
    "courses": "/api/courses/v1/courses/",
    "course": f"/api/courses/v1/courses/{COURSE}",
    "course ids": f"/api/courses/v1/course_ids/?role=staff&username={LEARNER}",
    "dashboard": "/dashboard",
    "course search": "/courses",
    "about page": f"/courses/{COURSE}/about",
    "learner home": "/api/learner_home/init/",
    "sign in": "/login",
    "start": "/",
    "CSRF token": "/csrf/api/v1/token",
}


@pytest.fixture(scope="module")
def servers_away() -> Iterator[None]:
    """MongoDB and RabbitMQ, stopped for the tests of this module."""
    folder = Path(os.environ["OVERVIEW_TEST_SERVERS"])
    with ExitStack() as back:
        for name in ("mongodb", "rabbitmq"):
            server = find_server(name, folder=folder)
            server.stop()
            back.callback(server.start)
        yield


@pytest.fixture
def learner(db: None) -> User:
    user = User.objects.create_user(LEARNER, password=PASSWORD, is_staff=True)
    CourseOverview.objects.create(
        id=COURSE,
        version=19,
        location="block-v1:Isle+I1+R1+type@course+block@course",
        org="Isle",
        display_name="Isolation",
        pre_requisite_courses_json="[]",
        mobile_available=True,
    )
    OverviewProjection.objects.create(
        course_key=COURSE, sort_key=COURSE, org="Isle", search_text=""
    )
    CourseEnrollment.objects.create(user=user, course_id=COURSE)
    return user


@pytest.fixture
def client(learner: User) -> Client:
    client = Client()
    client.force_login(learner)
    return client


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_an_endpoint_answers_without_mongodb_and_broker(
    address: str, client: Client, servers_away: None
):
    response = client.get(address)

    assert response.status_code < 400, response.content[:300]


def test_a_learner_enrols_and_leaves_without_mongodb_and_broker(client: Client, servers_away: None):
    enrolments = CourseEnrollment.objects.filter(user__username=LEARNER, is_active=True)
    for is_active in (False, True):
        body = {"course_details": {"course_id": COURSE}, "is_active": is_active}

        response = client.post(
            "/api/enrollment/v1/enrollment", body, content_type="application/json"
        )

        assert response.status_code == 200, response.content[:300]
        assert enrolments.exists() is is_active


def test_pages_enrol_and_let_leave_without_mongodb_and_broker(client: Client, servers_away: None):
    enrolments = CourseEnrollment.objects.filter(user__username=LEARNER, is_active=True)
    page = f"/courses/{COURSE}"
    form = {"course_id": COURSE}

    asked = client.get(f"{page}/unenroll")
    left = client.post(f"{page}/unenroll")
    gone = not enrolments.exists()
    entered = client.post(f"{page}/enroll")
    there = enrolments.exists()
    left_again = client.post("/change_enrollment", {"enrollment_action": "unenroll", **form})
    gone_again = not enrolments.exists()
    entered_again = client.post("/change_enrollment", {"enrollment_action": "enroll", **form})

    assert [each.status_code for each in (asked, left, entered)] == [200, 302, 302]
    assert (left_again.status_code, entered_again.status_code) == (200, 200)
    assert (gone, there, gone_again, enrolments.exists()) == (True, True, True, True)


def test_the_team_invites_and_takes_back_without_mongodb_and_broker(
    client: Client, servers_away: None
):
    address = "/api/enrollment/v1/enrollment_allowed/"
    body = {"email": "castaway@example.org", "course_id": COURSE}

    made = client.post(address, body, content_type="application/json")
    removed = client.delete(address, body, content_type="application/json")

    assert (made.status_code, removed.status_code) == (201, 204), made.content[:300]


def test_somebody_signs_in_and_out_without_mongodb_and_broker(learner: User, servers_away: None):
    client = Client(enforce_csrf_checks=True)

    form = client.get("/login")
    token = {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    entered = client.post("/login", {"username": LEARNER, "password": PASSWORD, **token})
    signed_in = client.get("/dashboard").status_code
    token = {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    left = client.post("/logout", token)
    signed_out = client.get("/dashboard").status_code

    assert (form.status_code, entered.status_code, left.status_code) == (200, 302, 302)
    assert (signed_in, signed_out) == (200, 302)


#: Routes that only change something: the tests above ask them by POST.
OTHER_ROUTES = {
    "logout",
    "change_enrollment",
    r"^courses/(?P<course_id>.+)/enroll$",
    r"^courses/(?P<course_id>.+)/unenroll$",
}
#: Pages of the site's team, which may use more than request paths may.
TEAM_PAGES = "admin/"


def test_every_route_is_among_the_addresses():
    addresses = (address.partition("?")[0] for address in ADDRESSES.values())
    asked = {get_resolver().resolve(address).route for address in addresses}

    routes = {route for route in _routes(get_resolver()) if not route.startswith(TEAM_PAGES)}

    assert routes - asked == OTHER_ROUTES


def _routes(resolver: Any, prefix: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _routes(entry, route)
        elif isinstance(entry, URLPattern):
            yield route
