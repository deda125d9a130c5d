"""What the Courses API answers otherwise than Open edX: for each reason, what exactly we answer instead."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from math import ceil
from typing import Any
from urllib.parse import urlencode

import time_machine
from django.core.cache import cache as history_of_calls
from django.http import QueryDict

from lms_integration.models import OverviewProjection
from tests.recorded_http import FAMILIES, Difference, Exchange, built_about_page, exchanges, send
from tests.shared_data import recorded_overviews

COURSES_API = "/api/courses/"
LIST_PATH = "/api/courses/v1/courses/"
NOT_FOUND = {"developer_message": "Course not found."}
MAX_PAGE_SIZE = 100


@cache
def recorded_exchanges() -> Mapping[str, Exchange]:
    """Return ``{id: exchange}`` of all recorded requests to the Courses API."""
    found = [exchange for family in FAMILIES for exchange in exchanges(family)]
    return {each.id: each for each in found if each.path.startswith(COURSES_API)}


@cache
def recorded_items() -> Mapping[str, Any]:
    """Return ``{course key: the item that Open edX listed for it}``, of lists without a setting changed."""
    lists = [each for each in exchanges("courses_list") if each.status == 200]
    plain = [each for each in lists if each.scheme == "http"]
    return {item["id"]: item for each in plain for item in each.response["results"]}


@cache
def staff_only() -> frozenset[str]:
    """Return the recorded courses that are visible to their team only."""
    rows = [record["row"] for record in recorded_overviews().values()]
    return frozenset(row["id"] for row in rows if row["visible_to_staff_only"])


def whole_list(exchange: Exchange) -> list[Any]:
    """Return the items of all pages that we answer to a request, at the time of its recording."""
    items: list[Any] = []
    number = 1
    while True:
        answer = _page(exchange, page=str(number), page_size=str(MAX_PAGE_SIZE))
        items += answer["results"]
        if answer["pagination"]["next"] is None:
            assert answer["pagination"]["count"] == len(items)
            return items
        number += 1


def _page(exchange: Exchange, **asked: str) -> Any:
    history_of_calls.clear()
    query = QueryDict(exchange.query, mutable=True)
    for name, value in asked.items():
        query[name] = value
    with time_machine.travel(exchange.recorded_at, tick=False):
        response = send(replace(exchange, query=query.urlencode()))
    assert response.status_code == 200, response.content[:500]
    return response.json()


def page_of(exchange: Exchange) -> tuple[int, int]:
    """Return the number and the size of the page that a request asks for."""
    query = QueryDict(exchange.query)
    size = int(query.get("page_size", 0))
    return int(query.get("page", 1)), min(size, MAX_PAGE_SIZE) if size > 0 else 10


# --- what we answer instead


def counts_exactly(response: Any, exchange: Exchange) -> None:
    """Assert the recorded items, and the number of those that there are on all pages."""
    answer, recorded = response.json(), exchange.response
    count = len(whole_list(exchange))
    _, size = page_of(exchange)
    assert response.status_code == 200
    assert answer["results"] == recorded["results"]
    assert answer["pagination"] == {
        **recorded["pagination"],
        "count": count,
        "num_pages": ceil(count / size),
    }
    assert count < recorded["pagination"]["count"]


def leaves_out_hidden_courses(response: Any, exchange: Exchange) -> None:
    """Assert the page of a list that is the recorded one without the courses of teams only."""
    answer, recorded = response.json(), exchange.response
    shown = [item for item in recorded["results"] if item["id"] not in staff_only()]
    assert len(shown) < len(recorded["results"])
    whole = whole_list(exchange)
    number, size = page_of(exchange)
    first = whole.index(shown[0]) if shown else 0
    assert whole[first : first + len(shown)] == shown
    assert (first == 0) == (number == 1)
    if recorded["pagination"]["next"] is None:
        assert len(whole) == first + len(shown)
    pages = max(ceil(len(whole) / size), 1)
    assert response.status_code == 200
    assert answer["results"] == whole[(number - 1) * size : number * size]
    assert answer["pagination"] == {
        "next": recorded["pagination"]["next"] if number < pages else None,
        "previous": recorded["pagination"]["previous"],
        "count": len(whole),
        "num_pages": pages,
    }


def is_no_course(response: Any, exchange: Exchange) -> None:
    """Assert what is answered to the key of a course that never was."""
    unknown = recorded_exchanges()["detail.unknown.g_staff"]
    assert (response.status_code, response.json()) == (unknown.status, unknown.response)
    assert response.json() == NOT_FOUND


def shows_the_course(response: Any, exchange: Exchange) -> None:
    """Assert the item that Open edX lists for the course, and its about page."""
    key = exchange.path.removeprefix(LIST_PATH)
    about = {"overview": built_about_page(key)}
    assert response.status_code == 200
    assert response.json() == {**recorded_items()[key], **about}


def lists_nothing(response: Any, exchange: Exchange) -> None:
    """Assert an empty list."""
    nothing = recorded_exchanges()["list.course_keys_comma.unknown"]
    assert (response.status_code, response.json()) == (200, nothing.response)


def shows_the_row_as_it_is(response: Any, exchange: Exchange) -> None:
    """Assert the recorded answer with the name that stands in the row."""
    stored = exchange.raw["overview_row_before"]["display_name"]
    assert response.status_code == 200
    assert response.json() == {**exchange.response, "name": stored}
    assert stored != exchange.response["name"]


def lists_the_staff_s_courses(response: Any, exchange: Exchange) -> None:
    """Assert what was recorded for the same role in small letters."""
    same = recorded_exchanges()["ids.g_cstaff.staff"]
    assert (response.status_code, response.json()) == (200, same.response)


def lists_one_s_own_courses(response: Any, exchange: Exchange) -> None:
    """Assert what was recorded for the same caller by name."""
    same = recorded_exchanges()["ids.staff.self"].response
    pagination = {
        **same["pagination"],
        "next": f"http://learn.example.org{exchange.path}?{urlencode({'page': 2})}&{exchange.query}",
    }
    assert response.status_code == 200
    assert response.json() == {"results": same["results"], "pagination": pagination}


def refuses_the_role(response: Any, exchange: Exchange) -> None:
    """Assert an error that names the parameter and the roles that there are."""
    message = "'bogus' is not one of staff, instructor."
    assert response.status_code == 400
    assert response.json() == {"field_errors": {"role": {"developer_message": message}}}


def lists_what_anybody_can_load_on_mobile(response: Any, exchange: Exchange) -> None:
    """Assert the courses that have begun, are for all, and that the apps have."""
    rows = {key: record["row"] for key, record in recorded_overviews().items()}
    moment = exchange.recorded_at.replace(tzinfo=None).isoformat()
    loadable = {
        key
        for key, row in rows.items()
        if row["mobile_available"]
        and not row["visible_to_staff_only"]
        and (row["start"] is None or row["start"] < moment)
    }
    whole = whole_list(exchange)
    assert len(loadable) > len(response.json()["results"]) > 0
    assert {item["id"] for item in whole} == loadable
    assert response.status_code == 200
    assert response.json()["results"] == whole[: page_of(exchange)[1]]
    assert response.json()["pagination"]["count"] == len(loadable)


def finds_the_searched_word(response: Any, exchange: Exchange) -> None:
    """Assert the listed courses in whose text the word occurs."""
    word = QueryDict(exchange.query)["search_term"]
    listed = whole_list(replace(exchange, query=""))
    texts = dict(OverviewProjection.objects.values_list("course_key", "search_text"))
    expected = [item for item in listed if word in texts[item["id"]].lower()]
    assert 0 < len(expected) < len(listed)
    assert response.status_code == 200
    assert response.json()["results"] == expected[: page_of(exchange)[1]]
    assert response.json()["pagination"]["count"] == len(expected)


DIFFERENCES = (
    Difference(
        ids=(
            "list.learner.default",
            "list.anon.default",
            "list.learner.username_self.p1",
            "list.staff.no_username",
            "list.staff.username_other",
            "list.apikey",
            "list.jwt",
            "list.page.page_size=0",
            "list.page.page_size=-5",
            "list.page.page_size=1000",
            "list.page.page_size=1&page=2",
            "list.org.Académie",
            "list.mobile.true",
            "list.mobile.false",
            "list.mobile.0",
            "list.active_only.true",
            "list.active_only.false",
            "list.active_only.0",
            "list.course_keys_empty",
            "list.perm.anon.see_about_page",
            "list.perm.anon.see_exists",
            "list.perm.anon.load,enroll",
            "list.perm.anon.empty",
            "list.perm.cstaff.enroll",
            "list.perm.learner.load",
            "list.perm.cstaff.load",
            "list.perm.learner.see_in_catalog",
            "list.perm.cstaff.see_in_catalog",
            "list.perm.repeat",
            "list.mobile_search",
            "list.filter_unknown",
            "list.https",
            "list.post",
            "throttle.courses_list.anonymous.1",
            "throttle.courses_list.anonymous.20",
            "throttle.courses_list.user.1",
            "throttle.courses_list.user.20",
            "variant.search_on.no_term",
            "variant.site_config.list",
        ),
        reason="Open edX counts the courses before it looks at who may see them.",
        check=counts_exactly,
    ),
    Difference(
        ids=(
            "list.anon.all.p2",
            "list.cstaff.username_self.org_MITx",
            "list.org.mitx",
            "list.org_full.MiscOrg",
            "list.course_keys_comma.staff_only",
            "lazy.courses_list",
            "variant.catalog_permission.list.misc",
            "variant.catalog_permission.list.hx",
        ),
        reason="Open edX lists courses that are visible to their team only.",
        check=leaves_out_hidden_courses,
    ),
    Difference(
        ids=(
            "detail.course-v1:MiscOrg+M14+R1.anonymous",
            "detail.course-v1:MiscOrg+M14+R1.g_five?username=g_five",
            "detail.course-v1:MiscOrg+M14+R1.g_cstaff",
            "detail.course-v1:MiscOrg+M14+R1.g_cstaff?username=g_cstaff",
            "detail.course-v1:OpenCraft+RND015+2025_T0.anonymous",
            "detail.course-v1:OpenCraft+RND015+2025_T0.g_five?username=g_five",
            "detail.course-v1:OpenCraft+RND015+2025_T0.g_staff",
            "variant.catalog_permission.detail.course-v1:MiscOrg+M14+R1",
        ),
        reason="Open edX shows everybody a course that is visible to its team only.",
        check=is_no_course,
    ),
    Difference(
        ids=(
            "detail.course-v1:Académie+RND006+2016_T0.anonymous",
            "detail.course-v1:DateOrg+START00+R1.anonymous",
            "detail.course-v1:DelftX+RND024+2017_T0.anonymous",
        ),
        reason="Open edX fails on a course without a start.",
        check=shows_the_course,
    ),
    Difference(
        ids=("detail.case_variant.anonymous", "detail.case_variant_existing_course.anonymous"),
        reason="Open edX takes a key in another case for the key of the course.",
        check=is_no_course,
    ),
    Difference(
        ids=("list.course_keys_comma.case_variant", "list.course_keys_repeat.case_variant"),
        reason="Open edX lists a course under a key in another case.",
        check=lists_nothing,
    ),
    Difference(
        ids=("lazy.courses_detail",),
        reason="Open edX builds a missing row in the reader's request.",
        check=is_no_course,
    ),
    Difference(
        ids=("lazy.courses_detail.version_18",),
        reason="Open edX rebuilds a row of an older version in the reader's request.",
        check=shows_the_row_as_it_is,
    ),
    Difference(
        ids=("list.perm.anon.load_mobile",),
        reason="Open edX cannot tell what a visitor may load on a mobile device.",
        check=lists_what_anybody_can_load_on_mobile,
    ),
    Difference(
        ids=("variant.search_on.list", "variant.search_on.mobile"),
        reason="The search engine of the recording held nothing.",
        check=finds_the_searched_word,
    ),
    Difference(
        ids=("ids.cstaff.username_self.STAFF",),
        reason="Open edX fails on a role in capital letters, although it documents that case is ignored.",
        check=lists_the_staff_s_courses,
    ),
    Difference(
        ids=("ids.cstaff.role_bogus",),
        reason="Open edX fails on a role that does not exist.",
        check=refuses_the_role,
    ),
    Difference(
        ids=("ids.staff.nouser",),
        reason="Open edX fails on a list of keys for nobody in particular.",
        check=lists_one_s_own_courses,
    ),
)
