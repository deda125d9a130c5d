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
    user = User.objects.create_user(LEARNER, is_staff=True)
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


#: Routes that are not asked for by GET, and why.
OTHER_ROUTES = {
    "logout": "changes something: POST only",
    r"^courses/(?P<course_id>.+)/enroll$": "changes something",
    r"^courses/(?P<course_id>.+)/unenroll$": "asks, then changes",
}
#: Pages of the site's team, which may use more than request paths may.
TEAM_PAGES = "admin/"


def test_every_route_is_among_the_addresses():
    addresses = (address.partition("?")[0] for address in ADDRESSES.values())
    asked = {get_resolver().resolve(address).route for address in addresses}

    routes = {route for route in _routes(get_resolver()) if not route.startswith(TEAM_PAGES)}

    assert routes - asked == OTHER_ROUTES.keys()


def _routes(resolver: Any, prefix: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _routes(entry, route)
        elif isinstance(entry, URLPattern):
            yield route
