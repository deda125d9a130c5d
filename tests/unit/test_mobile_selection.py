"""Which enrolments the apps show, which page of them, and which one first."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from lms_integration.learners.access import Standing
from lms_integration.mobile.links import absolute, course_info_url, logo_url, user_path
from lms_integration.mobile.paging import EnrollmentPages
from lms_integration.mobile.selection import (
    Candidate,
    Progress,
    Status,
    candidate_org,
    having,
    primary_of,
    shown,
    status_named,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DAY = timedelta(days=1)
NOBODY = Standing()


def candidate(number: int = 0, **facts: Any) -> Candidate:
    """Return an enrolment in a course of its own, the older the higher its number."""
    given: dict[str, Any] = {
        "enrollment_id": number,
        "id": f"course-v1:Org+C{number}+R",
        "created": NOW - number * DAY,
        "has_overview": True,
        "org": "Org",
        "mobile_available": True,
    }
    return Candidate(**{**given, **facts})


def numbers(candidates: Any) -> list[int]:
    return [each.enrollment_id for each in candidates]


# --- what is shown


def test_what_is_not_flagged_is_shown_to_its_testers_only() -> None:
    flagged, unflagged = candidate(0), candidate(1, mobile_available=False)
    tester = Standing(beta_courses={unflagged.id})

    assert numbers(shown([flagged, unflagged], NOBODY, flag_counts=True)) == [0]
    assert numbers(shown([flagged, unflagged], tester, flag_counts=True)) == [0, 1]
    assert numbers(shown([flagged, unflagged], NOBODY, flag_counts=False)) == [0, 1]


def test_a_course_without_an_overview_is_shown() -> None:
    lost = candidate(has_overview=False, mobile_available=False)

    assert numbers(shown([lost], NOBODY, flag_counts=True)) == [0]


@pytest.mark.parametrize(("org", "is_shown"), [("ORG", True), ("Or", False), ("", False)])
def test_an_organization_is_asked_for_in_any_case(org: str, is_shown: bool) -> None:
    assert bool(shown([candidate()], NOBODY, flag_counts=True, org=org)) is is_shown


@pytest.mark.parametrize(("orgs", "is_shown"), [({"Org"}, True), ({"org"}, False), (set(), True)])
def test_a_site_shows_its_own_organizations(orgs: set[str], is_shown: bool) -> None:
    assert bool(shown([candidate()], NOBODY, flag_counts=True, site_orgs=orgs)) is is_shown


def test_the_organization_is_that_of_the_key_without_an_overview() -> None:
    assert candidate_org("course-v1:Org+C+R", None) == "Org"
    assert candidate_org("Org/C/R", None) == "Org"
    assert candidate_org("no key", None) == ""
    assert candidate_org("course-v1:Org+C+R", "Other") == "Other"


# --- how far the learner is


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({}, Status.IN_PROGRESS),
        ({"start": NOW, "end": NOW}, Status.IN_PROGRESS),
        ({"start": NOW - DAY, "end": NOW + DAY}, Status.IN_PROGRESS),
        ({"start": NOW + DAY}, None),
        ({"end": NOW - DAY}, Status.EXPIRED),
        ({"start": NOW + DAY, "end": NOW - DAY}, Status.EXPIRED),
        ({"end": NOW - DAY, "has_certificate": True}, Status.COMPLETED),
        ({"has_certificate": True}, Status.COMPLETED),
        ({"has_overview": False}, Status.IN_PROGRESS),
        ({"has_overview": False, "is_deleted": True}, Status.EXPIRED),
    ],
)
def test_an_enrolment_has_at_most_one_status(facts: dict[str, Any], status: Status | None) -> None:
    parts = [Status.IN_PROGRESS, Status.COMPLETED, Status.EXPIRED]

    covering = [each for each in parts if having([candidate(**facts)], each, now=NOW)]

    assert covering == ([status] if status else [])
    assert having([candidate(**facts)], Status.ALL, now=NOW)


@pytest.mark.parametrize("name", [None, "", "ALL", "bogus"])
def test_another_status_is_none(name: str | None) -> None:
    assert status_named(name) is None


def test_a_status_has_its_name() -> None:
    assert status_named("in_progress") is Status.IN_PROGRESS


# --- which one first


def test_the_newest_enrolment_comes_first_without_progress() -> None:
    assert primary_of([candidate(0), candidate(1)], None) == candidate(0)
    assert primary_of([], None) is None


def test_later_progress_comes_before_a_newer_enrolment() -> None:
    newest, older = candidate(1), candidate(2)
    later = Progress(course_id=older.id, at=NOW)
    earlier = Progress(course_id=older.id, at=NOW - 9 * DAY)

    assert primary_of([newest, older], later) is older
    assert primary_of([newest, older], earlier) is newest


def test_a_course_without_an_overview_never_comes_first() -> None:
    lost = candidate(0, has_overview=False)

    assert primary_of([lost, candidate(1)], None) == candidate(1)
    assert primary_of([lost], None) is None


# --- pages


def page(query: str = "", *, of: int = 7) -> Any:
    pages = EnrollmentPages(page_size=3, max_page_size=5)
    request = Request(APIRequestFactory().get(f"/list/?{query}"))
    return pages.envelope(pages.page_of(list(range(of)), request))


def test_the_first_page_is_the_default() -> None:
    assert page() == {
        "next": "http://testserver/list/?page=2",
        "previous": None,
        "count": 7,
        "num_pages": 3,
        "current_page": 1,
        "start": 0,
        "results": [0, 1, 2],
    }


def test_the_last_page_has_a_name() -> None:
    last = page("page=last&org=x")

    assert last["results"] == [6]
    assert (last["current_page"], last["start"]) == (3, 6)
    assert last["previous"] == "http://testserver/list/?org=x&page=2"


def test_the_page_before_the_second_is_the_list_itself() -> None:
    assert page("page=2")["previous"] == "http://testserver/list/"


@pytest.mark.parametrize(
    ("size", "length"), [("2", 2), ("99", 5), ("0", 3), ("-1", 3), ("abc", 3), ("", 3)]
)
def test_a_page_has_the_size_that_is_asked_for(size: str, length: int) -> None:
    assert len(page(f"page_size={size}")["results"]) == length


@pytest.mark.parametrize("number", ["0", "4", "-1", "abc", "1.5"])
def test_a_page_that_is_not_there_is_not_found(number: str) -> None:
    with pytest.raises(NotFound, match="Invalid page"):
        page(f"page={number}")


def test_nothing_is_one_empty_page() -> None:
    assert page(of=0)["num_pages"] == 1
    assert page(of=0)["results"] == []


# --- addresses


def test_keys_are_quoted_in_paths_as_open_edx_quotes_them() -> None:
    url = course_info_url(
        "http://host", version="v1", course_id="course-v1:Ü Org+C:1+R", part="updates"
    )

    assert url == "http://host/api/mobile/v1/course_info/course-v1:%C3%9C%20Org+C:1+R/updates"
    assert user_path(version="v2", username="ü@x") == "/api/mobile/v2/users/%C3%BC@x"


def test_urls_stay_as_they_are() -> None:
    assert absolute("https://host", "/certificates/a") == "https://host/certificates/a"
    assert absolute("https://host", "http://other/a.pdf") == "http://other/a.pdf"


def test_an_organization_without_a_logo_has_no_address_of_it() -> None:
    assert logo_url("a.png", media_url="/media/") == "/media/a.png"
    assert logo_url("", media_url="/media/") == logo_url(None, media_url="/media/") == ""
