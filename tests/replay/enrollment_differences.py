"""What we answer otherwise than the recorded Enrollment API, exchange by exchange, and why."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import CourseEnrollment, CourseMode
from tests.recorded_http import Difference, Exchange, assert_same, exchanges

PAGE_SIZE = 100
RND018 = "course-v1:MITx+RND018+2011_T0"
ADV5 = "course-v1:DateOrg+ADV5+R1"


def recorded(family: str, name: str) -> Any:
    """Return what was answered in an exchange."""
    return next(each.response for each in exchanges(family) if each.id == name)


def text_of(moment: datetime | None) -> str | None:
    """Return a date as the answers have it."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


# --- enrolments in courses without an overview


def unbuilt_item(row: CourseEnrollment) -> dict[str, Any]:
    """Return the item of an enrolment of whose course nothing is known but the key and the modes."""
    return {
        "created": text_of(row.created),
        "mode": row.mode,
        "is_active": row.is_active,
        "course_details": {
            "course_id": row.course_id,
            "course_name": row.course_id,
            "enrollment_start": None,
            "enrollment_end": None,
            "course_start": None,
            "course_end": None,
            "invite_only": False,
            "course_modes": mode_items(row.course_id),
            "pacing_type": "Instructor Paced",
        },
        "user": row.user.username,
        "course_state": "never_built",
    }


def mode_items(course_id: str) -> list[dict[str, Any]]:
    """Return the items of a course's modes, none of which has a last day; or of the default mode."""
    rows = CourseMode.objects.filter(course_id=course_id).order_by("id")
    default = CourseMode(mode_slug="audit", mode_display_name="Audit")
    return [
        {
            "slug": row.mode_slug,
            "name": row.mode_display_name,
            "min_price": row.min_price,
            "suggested_prices": row.suggested_prices,
            "currency": row.currency,
            "expiration_datetime": None,
            "description": row.description,
            "sku": row.sku,
            "bulk_sku": row.bulk_sku,
        }
        for row in rows or [default]
    ]


def has_overview(course_id: str) -> bool:
    """Return whether there is a row; key compared byte by byte."""
    return CourseOverview.objects.filter(id=course_id).exists()


def check_list(response: Any, exchange: Exchange) -> None:
    """Every active enrolment is there: as recorded, or as one in a course that was never built."""
    answer = exchange.response
    if answer is None:  # a 500; the same learner's list was recorded with another broken course too
        answer = recorded("lazy_fill", "lazy.unbuildable.OSError.enrollment_list")
    items = {item["course_details"]["course_id"]: item for item in answer}
    rows = CourseEnrollment.objects.filter(user__username=exchange.caller, is_active=True)
    expected = [
        items[row.course_id] if has_overview(row.course_id) else unbuilt_item(row)
        for row in rows.order_by("created")
    ]
    assert response.status_code == 200
    assert response.json() == expected
    assert any("course_state" in item for item in expected)


def check_one(response: Any, exchange: Exchange) -> None:
    """The enrolment is given, in a course that was never built."""
    body = exchange.body or {"user": exchange.caller}
    course_id = exchange.path.partition("/enrollment/v1/enrollment/")[2]
    course_id = course_id or body["course_details"]["course_id"]
    row = CourseEnrollment.objects.get(user__username=body["user"], course_id=course_id)
    assert response.status_code == 200
    assert response.json() == unbuilt_item(row)
    assert not has_overview(course_id)


#: Which enrolments a staff list has to have, by the exchange's query.
_ASKED: Mapping[str, Callable[[QuerySet[CourseEnrollment]], QuerySet[CourseEnrollment]]] = {
    "course_ids=nope": lambda rows: rows.filter(course_id="course-v1:Nope+NOPE+R1"),
    "course_ids=_": lambda rows: rows.filter(course_id__contains="_"),
    "username=g_other": lambda rows: rows.filter(user__username="g_other"),
    f"course_id={RND018}": lambda rows: rows.filter(course_id=RND018),
    "course_id=course-v1:Nope+NOPE+R1": lambda rows: rows.filter(
        course_id="course-v1:Nope+NOPE+R1"
    ),
    "course_id=course-v1:LifeOrg+DELETED+R1": lambda rows: rows.filter(
        course_id="course-v1:LifeOrg+DELETED+R1"
    ),
    "course_id=course-v1:caseorg+case101+run1": lambda rows: rows.filter(
        course_id="course-v1:caseorg+case101+run1"
    ),
}


def check_page(response: Any, exchange: Exchange) -> None:
    """The page has every enrolment, newest first; those with an overview are as recorded."""
    query = exchange.query.replace("%3A", ":").replace("%2B", "+")
    rows = _ASKED.get(query, lambda rows: rows)(CourseEnrollment.objects.select_related("user"))
    page = rows.order_by("-created", "id")[:PAGE_SIZE]
    answer = response.json()
    known = [item for item in answer["results"] if "course_state" not in item]
    kept = [item for item in exchange.response["results"] if has_overview(item["course_id"])]
    lost = [row for row in page if not has_overview(row.course_id)]
    assert response.status_code == 200
    assert [(item["user"], item["course_id"]) for item in answer["results"]] == [
        (row.user.username, row.course_id) for row in page
    ]
    assert known == [item for item in kept if _is_of(item, page)]
    assert [item for item in answer["results"] if "course_state" in item] == [
        {
            "created": text_of(row.created),
            "mode": row.mode,
            "is_active": row.is_active,
            "user": row.user.username,
            "course_id": row.course_id,
            "course_state": "never_built",
        }
        for row in lost
    ]
    assert lost
    assert (answer["next"] is None) == (rows.count() <= PAGE_SIZE)


def _is_of(item: Mapping[str, Any], page: QuerySet[CourseEnrollment]) -> bool:
    return any(
        item["user"] == row.user.username and item["course_id"] == row.course_id for row in page
    )


def check_no_course(response: Any, exchange: Exchange) -> None:
    """There is no such course to enrol in."""
    if exchange.method == "POST":
        course_id = exchange.body["course_details"]["course_id"]
        message = f"No course '{course_id}' found for enrollment"
    else:
        course_id = exchange.path.partition("/enrollment/v1/course/")[2]
        message = f"No course found for course ID '{course_id}'"
    check_message(response, 400, message)
    assert not CourseEnrollment.objects.filter(
        course_id=course_id, user__username=exchange.caller, is_active=True
    ).exists()


def check_hidden(response: Any, exchange: Exchange) -> None:
    """The answer is, to the letter, that for a course that never was."""
    course_id = exchange.path.partition("/enrollment/v1/course/")[2]
    never = recorded("enrollment_course", "course.unknown.anonymous")["message"]
    check_message(response, 400, never.replace("course-v1:Nope+NOPE+R1", course_id))
    assert CourseOverview.objects.get(id=course_id).visible_to_staff_only


def check_message(response: Any, status: int, message: str, **more: Any) -> None:
    """The answer is one message."""
    assert (response.status_code, response.json()) == (status, {"message": message, **more})


# --- keys and bodies that cannot be read

_NO_NAMESPACE = "'namespace' not in enrollment attribute"
_NO_OBJECT = "'course_details' must be an object that has a 'course_id'."
#: What is said instead of an error 500.
UNREADABLE: Mapping[str, Mapping[str, str]] = {
    "one.malformed_a+b+c": {"message": "'a+b+c' is not a valid course id."},
    "one.user_malformed": {"message": "'xx/yy/z z' is not a valid course id."},
    "course.malformed.anonymous": {"message": "'a+b+c' is not a valid course id."},
    "course.space.anonymous": {"message": "'edX/De moX/x' is not a valid course id."},
    "allowed.post.malformed": {"message": "'nope' is not a valid course id."},
    "post.course_details_null": {
        "message": "Course ID must be specified to create a new enrollment."
    },
    "post.course_details_string": {"message": _NO_OBJECT},
    "post.form_encoded": {"message": _NO_OBJECT},
    "post.course_id_int": {"message": "'course_id' must be a text."},
    "post.body_list": {"message": "The request body must be a JSON object."},
    "post.attrs_invalid": {"message": _NO_NAMESPACE, "localizedMessage": _NO_NAMESPACE},
}


def check_unreadable(response: Any, exchange: Exchange) -> None:
    """One message says what cannot be read, and nothing is written."""
    assert exchange.status == 500
    assert (response.status_code, response.json()) == (400, UNREADABLE[exchange.id])


# --- single exchanges


def check_not_enrolled(response: Any, exchange: Exchange) -> None:
    """There is no enrolment under this key: an empty answer."""
    assert (response.status_code, response.content) == (200, b"")
    assert "Content-Type" not in response.headers


def check_trailing_comma(response: Any, exchange: Exchange) -> None:
    """The answer is that of the same query without the comma."""
    name = f"enrollments.filter.course_ids={RND018}".replace(":", "%3A").replace("+", "%2B")
    assert response.status_code == 200
    assert response.json() == recorded("enrollments_list", name)


def check_unicode_username(response: Any, exchange: Exchange) -> None:
    """The answer is that of the same learner's address."""
    name = "enrollments.filter.email=%C3%BCn%C3%AF%2Btag%40ex%C3%A4mple.org"
    assert response.status_code == 200
    assert response.json() == recorded("enrollments_list", name)


def check_enrolled_stays(response: Any, exchange: Exchange) -> None:
    """The enrolment that there is already is given, unchanged."""
    course_id = exchange.body["course_details"]["course_id"]
    row = CourseEnrollment.objects.get(user__username="g_staff", course_id=course_id)
    answer = response.json()
    assert response.status_code == 200
    assert answer.pop("course_details")["course_id"] == course_id
    assert answer == {
        "created": text_of(row.created),
        "mode": "audit",
        "is_active": True,
        "user": "g_staff",
    }


def check_refused_whole(response: Any, exchange: Exchange) -> None:
    """The refusal is as recorded, and nothing is written."""
    assert_same(response, exchange)
    course_id = exchange.body["course_details"]["course_id"]
    rows = CourseEnrollment.objects.filter(user__username=exchange.caller, course_id=course_id)
    assert not rows.exists()


def check_enrolled(response: Any, exchange: Exchange) -> None:
    """The learner is enrolled."""
    course_id = exchange.body["course_details"]["course_id"]
    answer = response.json()
    assert response.status_code == 200
    assert answer["course_details"]["course_id"] == course_id
    assert (answer["user"], answer["mode"], answer["is_active"]) == (exchange.caller, "audit", True)
    assert answer["created"] == text_of(exchange.recorded_at)


def check_own_enrollment(response: Any, exchange: Exchange) -> None:
    """As recorded, but of an enrolment that was made by ``post.apikey_deactivate_not_enrolled``."""
    made = next(
        each.recorded_at
        for each in exchanges("enrollment_post")
        if each.id == "post.apikey_deactivate_not_enrolled"
    )
    assert response.status_code == 200
    assert response.json() == {**exchange.response, "created": text_of(made)}


def check_final_list(response: Any, exchange: Exchange) -> None:
    """As recorded, but without what was refused, and with what was made later at its later place."""
    refused = {"g_post": "course-v1:DateOrg+ADV0+R1", "g_post2": "course-v1:DateOrg+ADV3+R1"}
    later = text_of(CourseEnrollment.objects.get(user__username="g_post", course_id=ADV5).created)
    expected = [
        {**item, "created": later}
        if exchange.caller == "g_post" and item["course_details"]["course_id"] == ADV5
        else item
        for item in exchange.response
        if item["course_details"]["course_id"] != refused[exchange.caller]
    ]
    assert response.status_code == 200
    assert len(expected) == len(exchange.response) - 1
    assert response.json() == sorted(expected, key=lambda item: item["created"])


def check_options(response: Any, exchange: Exchange) -> None:
    """The same facts, and a description of our own."""
    answer = response.json()
    assert response.status_code == 200
    assert answer.pop("description").startswith("A learner's active enrolments, and enrolling.")
    assert answer == {
        name: value for name, value in exchange.response.items() if name != "description"
    }


_ENCODED_CASE = "course-v1%3Acaseorg%2Bcase101%2Brun1"
DIFFERENCES = (
    Difference(
        ids=(
            "list.g_edge.self",
            "list.g_staff.self",
            "lazy.enrollment_list",
            "lazy.unbuildable.OSError.enrollment_list",
            "lazy.unbuildable.ParserError.enrollment_list",
            "lazy.unbuildable.not_null_violation.enrollment_list",
        ),
        reason="An enrolment in a course without an overview is listed like any other, and one "
        "broken course breaks no list.",
        check=check_list,
    ),
    Difference(
        ids=(
            "one.edge.OldOrg/OLD101/Run",
            "one.edge.course-v1:caseorg+case101+run1",
            "lazy.enrollment_one",
            "lazy.unbuildable.OSError.enrollment_one",
            "lazy.unbuildable.ParserError.enrollment_one",
            "lazy.unbuildable.not_null_violation.enrollment_one",
            "post.apikey_deactivate_deleted_course",
        ),
        reason="A single enrolment in a course without an overview has details too, and no request "
        "builds any.",
        check=check_one,
    ),
    Difference(
        ids=(
            "enrollments.all_default",
            "enrollments.filter.username=",
            "enrollments.filter.course_id=",
            "enrollments.filter.course_id=course-v1%3ANope%2BNOPE%2BR1",
            "enrollments.filter.course_id=course-v1%3ALifeOrg%2BDELETED%2BR1",
            f"enrollments.filter.course_id={_ENCODED_CASE}",
            "enrollments.filter.course_ids=nope",
            "enrollments.filter.cursor=Y3JlYXRlZD0%3D",
            "lazy.enrollments_staff",
            "lazy.enrollments_staff_course_id",
        ),
        reason="The staff list drops no enrolment, and shows the course id that is stored.",
        check=check_page,
    ),
    Difference(
        ids=(
            "course.overview_build_fails.anonymous",
            "course.case_variant_existing_course.anonymous",
            "course.case_variant.anonymous",
            "lazy.enrollment_course",
            "lazy.post_enrol",
            "post.case_variant",
            "post.case_variant_not_enrolled",
        ),
        reason="A course without an overview under exactly this key is unknown to those who want to "
        "enrol; nothing is built in a request.",
        check=check_no_course,
    ),
    Difference(
        ids=("course.course-v1:MiscOrg+M14+R1.anonymous",),
        reason="A course that is visible to its team only is no course to others: its details are not "
        "shown to everybody.",
        check=check_hidden,
    ),
    Difference(
        ids=("one.edge.course-v1:CaseOrg+CASE101+Run1", "one.case_variant_key_of_enrolled"),
        reason="Course keys that differ in case are different courses, so there is no enrolment.",
        check=check_not_enrolled,
    ),
    Difference(
        ids=("post.apikey_deactivate_not_enrolled", "post.is_active_null"),
        reason="No enrolment under a variant of the key stands in the way, so one is made under the "
        "key itself.",
        check=check_own_enrollment,
    ),
    Difference(
        ids=tuple(UNREADABLE),
        reason="A key or a body that cannot be read is answered 400 with one message, not 500.",
        check=check_unreadable,
    ),
    Difference(
        ids=("enrollments.filter.course_ids=course-v1%3AMITx%2BRND018%2B2011_T0%2C",),
        reason="Nothing between two commas is no filter value; it does not match everything.",
        check=check_trailing_comma,
    ),
    Difference(
        ids=("enrollments.filter.username=g_%C3%BCn%C3%AF_%E5%AD%B8",),
        reason="Usernames that can exist can be asked for.",
        check=check_unicode_username,
    ),
    Difference(
        ids=("post.full_staff",),
        reason="Who is enrolled already and asks again gets the enrolment, full course or not: the "
        "same request twice has the same answer.",
        check=check_enrolled_stays,
    ),
    Difference(
        ids=("post.attrs_no_value", "post.cohort_unknown"),
        reason="What is refused is not done in part: the answer is the same, the learner is not "
        "enrolled.",
        check=check_refused_whole,
    ),
    Difference(
        ids=("final_list.g_post", "final_list.g_post2"),
        reason="The lists at the end of the recording show what the exchanges above did otherwise.",
        check=check_final_list,
    ),
    Difference(
        ids=("post.noprofile_user",),
        reason="A person without a profile can enrol.",
        check=check_enrolled,
    ),
    Difference(
        ids=("options",),
        reason="The description of the endpoint is in our own words.",
        check=check_options,
    ),
)
