"""Recorded answers of the mobile API that we answer otherwise, each with what we answer instead."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from lms_integration.mobile.views import EnrollmentListV1
from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import CourseEnrollment
from tests.recorded_http import HOST, Difference, Exchange, exchanges

CASE_COURSE = "course-v1:CaseOrg+CASE101+Run1"
CASE_VARIANT = "course-v1:caseorg+case101+run1"
NEVER_BUILT = {
    "has_access": False,
    "error_code": "course_not_built",
    "developer_message": "Course has no overview yet",
    "user_message": "This course is not available yet",
    "additional_context_user_message": None,
    "user_fragment": None,
}

Item = Mapping[str, Any]


def lists_every_enrolment(response: Any, exchange: Exchange, *, joined: str | None = None) -> None:
    """Assert the recorded answer with the lost enrolments in it, newest first, each saying why.

    ``joined`` is a course that Open edX showed for an enrolment in another one.
    """
    assert response.status_code == 200
    ours, recorded = response.json(), exchange.response
    expected = [item for item in _items(recorded) if _key(item) != joined]
    lost = _lost_enrollments(exchange.caller)
    added = [item for item in _items(ours) if "course_state" in item]
    kept = [item for item in _items(ours) if "course_state" not in item]
    assert lost
    assert kept == expected[: len(kept)]
    assert {_key(item) for item in added} <= set(lost)
    for item in added:
        _assert_lost(item, lost[_key(item)], like=_any_item(exchange))
    if isinstance(ours, dict):
        _assert_page(ours, exchange, more=len(lost) - (joined is not None))
    else:
        assert len(added) == len(lost)
        assert len(kept) == len(expected)
    created = [item["created"] for item in _items(ours) if "created" in item]
    assert created == sorted(created, reverse=True)


def _items(body: Any) -> Sequence[Item]:
    found: Sequence[Item] = body["enrollments"]["results"] if isinstance(body, dict) else body
    return found


def _key(item: Item) -> str:
    return str(item["course"]["id"] if "course" in item else item["course_id"])


def _lost_enrollments(username: str) -> Mapping[str, CourseEnrollment]:
    """Return the enrolments in courses without a row of exactly that key, by course key."""
    rows = CourseEnrollment.objects.filter(user__username=username, is_active=True)
    built = set(CourseOverview.objects.values_list("id", flat=True))
    return {row.course_id: row for row in rows if row.course_id not in built}


def _any_item(exchange: Exchange) -> Item:
    """Return any recorded item of the kind that an exchange answers with, for the keys it has."""
    families = exchanges("mobile_course_enrollments") + exchanges("mobile_users")
    kind = "status.v1" if "enrollments_status" in exchange.path else "mobile.v1"
    kind = "mobile.v0.5" if "/v0.5/" in exchange.path else kind
    [like] = [each for each in families if each.id == f"{kind}.g_one.self"]
    item: Item = like.response[0]
    return item


def _assert_lost(item: Item, row: CourseEnrollment, *, like: Item) -> None:
    assert item["course_state"] == "never_built"
    assert list(item) == [*like, "course_state"]
    if "course" not in item:
        assert item["course_name"] == row.course_id
        return
    assert item["mode"] == row.mode
    assert list(item["course"]) == list(like["course"])
    assert item["course"]["name"] == row.course_id
    assert item["course"]["courseware_access"] == NEVER_BUILT
    assert item["certificate"] == {}


def _assert_page(ours: Any, exchange: Exchange, *, more: int) -> None:
    """Assert the envelope of a first page, with so many enrolments more."""
    recorded, page = exchange.response, dict(ours["enrollments"])
    count = recorded["enrollments"]["count"] + more
    size = _page_size(exchange)
    results = page.pop("results")
    link = recorded["enrollments"]["next"]
    if link is None and count > size:
        link = f"http://{HOST}{exchange.path}?page=2"
    assert page == {
        "next": link,
        "previous": None,
        "count": count,
        "num_pages": math.ceil(count / size),
        "current_page": 1,
        "start": 0,
    }
    assert len(results) == min(count, size)
    assert {**ours, "enrollments": None} == {**recorded, "enrollments": None}


def _page_size(exchange: Exchange) -> int:
    [size] = parse_qs(exchange.query).get("page_size", ["10" if "/v3/" in exchange.path else "5"])
    return int(size)


def goes_on_without_progress(response: Any, exchange: Exchange) -> None:
    """Assert the recorded answer with nothing in it that only blocks could tell."""
    nothing = {"total_assignments_count": 0, "assignments_completed": 0}
    expected = dict(exchange.response)
    if "primary" in expected:
        expected["primary"] = {
            **expected["primary"],
            "course_status": None,
            "course_progress": nothing,
            "course_assignments": {"future_assignments": [], "past_assignments": []},
        }
    results = [
        {**item, **({"course_progress": nothing} if "course_progress" in item else {})}
        for item in _items(expected)
    ]
    expected["enrollments"] = {**expected["enrollments"], "results": results}
    assert response.status_code == 200
    assert response.json() == expected


def describes_itself(response: Any, exchange: Exchange) -> None:
    """Assert the recorded answer with our own description."""
    assert response.status_code == 200
    assert response.json() == {**exchange.response, "description": EnrollmentListV1.__doc__}


def shows_no_page_where_there_is_none(response: Any, exchange: Exchange) -> None:
    """Assert the recorded answer without the certificates that point at the answer itself."""
    itself = {"url": f"http://{HOST}{exchange.path}"}
    expected = [
        {**item, "certificate": {} if item["certificate"] == itself else item["certificate"]}
        for item in exchange.response
    ]
    assert itself in [item["certificate"] for item in exchange.response]
    assert response.status_code == 200
    assert response.json() == expected


#: When audit access ends, by learner and course: four weeks after enrolling, or after the start.
_EXPIRY: Mapping[str, Mapping[str, tuple[str, str | None]]] = {
    "g_modes": {
        "course-v1:HarvardX+RND039+2015_T0": ("2026-04-02T04:00:00.120000Z", "Apr 2, 2026"),
        "course-v1:Académie+RND006+2016_T0": ("2026-04-01T21:00:00.123456Z", "Apr 1, 2026"),
    },
    "g_certs": {"course-v1:DelftX+RND024+2017_T0": ("2026-12-10T09:00:00.123456Z", None)},
}


def limits_audit_access(response: Any, exchange: Exchange) -> None:
    """Assert what was recorded without the limits, with the ends of access in it."""
    version = "v0.5" if "/v0.5/" in exchange.path else "v1"
    [unlimited] = [
        each
        for each in exchanges("mobile_course_enrollments")
        if each.id == f"mobile.{version}.{exchange.caller}.self"
    ]
    expected = [
        _limited(item, exchange.caller, has_expiry=version == "v1") for item in unlimited.response
    ]
    if version == "v0.5":
        expected = [item for item in expected if not _is_expired(item)]
    assert exchange.status == 500
    assert response.status_code == 200
    assert response.json() == expected


def _limited(item: Item, username: str, *, has_expiry: bool) -> Item:
    key = _key(item)
    if key not in _EXPIRY[username]:
        return item
    expires, over = _EXPIRY[username][key]
    course = dict(item["course"])
    if over is not None:
        moment = expires.replace("T", " ").replace("Z", "+00:00")
        course["courseware_access"] = {
            "has_access": False,
            "error_code": "audit_expired",
            "developer_message": f"User {username} had access to {key} until {moment}",
            "user_message": f"Access expired on {over}",
            "additional_context_user_message": f"Access to {course['name']} expired on {over}",
            "user_fragment": None,
        }
    return {
        **item,
        **({"audit_access_expires": expires} if has_expiry else {}),
        "course": course,
    }


def _is_expired(item: Item) -> bool:
    return bool(item["course"]["courseware_access"]["error_code"] == "audit_expired")


def goes_on_with_a_course_that_is_there(response: Any, exchange: Exchange) -> None:
    """Assert version 4's form of what version 1 lists; the newest course with a row comes first."""
    [v1] = [e for e in exchanges("variants") if e.id == exchange.id.replace("v4", "v1")]
    [variant, first, *others] = v1.response
    body = response.json()
    assert exchange.status == 500
    assert response.status_code == 200
    assert _key(variant) == CASE_COURSE
    assert body["primary"]["course"]["id"] == first["course"]["id"]
    listed = body["enrollments"]["results"]
    assert [_key(item) for item in listed] == [CASE_VARIANT, *map(_key, others)]
    assert [item.get("course_state") for item in listed] == ["never_built", *[None] * len(others)]
    assert body["enrollments"]["count"] == len(listed)


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        ids=(
            "mobile.v0.5.g_edge.self",
            "mobile.v1.g_edge.self",
            "mobile.v3.g_edge.self",
            "mobile.v4.g_edge.self",
            "mobile.v1.g_staff.self",
            "mobile.v3.g_staff.self",
            "mobile.v4.g_staff.self",
            "mobile.v4.g_staff.status_all",
            "status.v1.g_edge.self",
            "status.v1.g_staff.self",
            "lazy.mobile.v0.5",
            "lazy.mobile.v0.5.again",
            "lazy.mobile.v1",
            "lazy.mobile.v1.again",
            "lazy.mobile.v4",
            "lazy.mobile.v4.again",
            "lazy.mobile_status",
        ),
        reason="Open edX drops an enrolment whose course has no overview row.",
        check=lists_every_enrolment,
    ),
    Difference(
        ids=(
            "mobile.v1.g_case.self",
            "status.v1.g_case.self",
            "variant.duration_limits.v0.5.g_case",
            "variant.duration_limits.v1.g_case",
            "variant.ignore_mobile_flag.v0.5.g_edge",
            "variant.ignore_mobile_flag.v1.g_edge",
            "variant.ignore_mobile_flag.v4.g_edge.status_all",
            "variant.ignore_mobile_flag.status.g_edge",
        ),
        reason="Open edX takes the row of a course whose key differs by case only.",
        check=partial(lists_every_enrolment, joined=CASE_COURSE),
    ),
    Difference(
        ids=("variant.duration_limits.v4.g_case",),
        reason="Open edX fails where the newest enrolment is in a course that differs by case only.",
        check=goes_on_with_a_course_that_is_there,
    ),
    Difference(
        ids=(
            "mobile.v4.g_beta.self",
            "mobile.v4.g_beta.requested_course_progress",
            "mobile.v4.g_beta.requested_progress_status_all",
        ),
        reason="Where in a course a learner was last and which assignments it has, only its blocks could tell.",
        check=goes_on_without_progress,
    ),
    Difference(
        ids=(
            "variant.duration_limits.v0.5.g_modes",
            "variant.duration_limits.v1.g_modes",
            "variant.duration_limits.v0.5.g_certs",
            "variant.duration_limits.v1.g_certs",
        ),
        reason="Open edX fails where audit access is limited in a course without a start.",
        check=limits_audit_access,
    ),
    Difference(
        ids=("variant.cert_html_off.mobile_v1",),
        reason="Open edX gives the address of the answer itself for a certificate that has neither page nor file.",
        check=shows_no_page_where_there_is_none,
    ),
    Difference(
        ids=("mobile.v1.head_like_options",),
        reason="The description that OPTIONS shows is the documentation of the code.",
        check=describes_itself,
    ),
)
