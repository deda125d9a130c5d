"""People, courses and requests for tests of the Enrollment API."""

import json
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from opaque_keys.edx.keys import CourseKey

from lms_integration.models import CourseOverview, OverviewTombstone
from lms_integration.platform_tables.models import CourseEnrollment

API = "/api/enrollment/v1"
COURSE = "course-v1:Sea+Tides+2026"
CREATED = datetime(2026, 5, 1, 12, tzinfo=UTC)


def course(course_key: str = COURSE, **columns: Any) -> CourseOverview:
    """Return a stored overview; open for enrolment, with room for everybody, unless said otherwise."""
    key = CourseKey.from_string(course_key)
    defaults: dict[str, Any] = {
        "version": CourseOverview.VERSION,
        "location": str(key.make_usage_key("course", "course")),
        "org": key.org,
        "display_name": "Tides",
        "display_org_with_default": key.org,
        "display_number_with_default": key.course,
        "pre_requisite_courses_json": "[]",
    }
    return CourseOverview.objects.create(id=course_key, **{**defaults, **columns})


def tombstone(course_key: str = COURSE, **columns: Any) -> OverviewTombstone:
    """Return what is kept of a deleted course."""
    defaults: dict[str, Any] = {
        "display_name": "Tides",
        "display_org_with_default": "Sea",
        "display_number_with_default": "Tides",
        "course_image_url": "",
        "deleted_at": CREATED,
    }
    return OverviewTombstone.objects.create(course_key=course_key, **{**defaults, **columns})


def person(username: str = "ada", **columns: Any) -> User:
    """Return an account."""
    return User.objects.create(username=username, **{"email": f"{username}@example.org", **columns})


def enrolled(user: User, course_key: str = COURSE, **columns: Any) -> CourseEnrollment:
    """Return an enrolment; active, in the audit mode, unless said otherwise."""
    return CourseEnrollment.objects.create(user=user, course_id=course_key, **columns)


def signed_in(user: User) -> Client:
    """Return a browser in which somebody is signed in."""
    client = Client()
    client.force_login(user)
    return client


def enroll(client: Client, course_key: str = COURSE, **body: Any) -> Any:
    """Return the answer to a request to enrol."""
    return post(client, {"course_details": {"course_id": course_key}, **body})


def post(client: Client, body: object) -> Any:
    """Return the answer to any JSON body."""
    return client.post(f"{API}/enrollment", json.dumps(body), content_type="application/json")
