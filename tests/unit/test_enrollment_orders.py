"""What a POST to the Enrollment API asks for, and what is said of bodies that ask for nothing."""

from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from lms_integration.enrollments.errors import Refused, shown
from lms_integration.enrollments.invitations import invitation_order_of
from lms_integration.enrollments.orders import (
    MAX_ATTRIBUTES,
    Attribute,
    Caller,
    Change,
    Target,
    change_of,
    may_act_for,
    missing_attributes,
    target_of,
)

COURSE = "course-v1:Sea+Tides+2026"
ADA = Caller(username="ada")
SERVER = Caller(username="", has_api_key=True)
STAFF = Caller(username="boss", is_staff=True)


def body(**more: Any) -> dict[str, Any]:
    return {"course_details": {"course_id": COURSE}, **more}


def attributes(*values: object) -> list[dict[str, object]]:
    return [{"namespace": "credit", "name": "provider_id", "value": value} for value in values]


@pytest.mark.parametrize("more", [{}, {"user": None}, {"user": ""}, {"user": "ada"}])
def test_who_names_nobody_means_oneself(more: dict[str, Any]):
    assert target_of(body(**more), ADA) == Target(course_id=COURSE, username="ada", email="")


def test_an_email_counts_where_there_is_no_username():
    target = target_of(body(user="", email="a@example.org"), STAFF)

    assert target == Target(course_id=COURSE, username="", email="a@example.org")


def test_a_number_is_a_name():
    assert target_of(body(user=1003), STAFF).username == "1003"


@pytest.mark.parametrize(
    ("caller", "more", "expected"),
    [
        (ADA, {}, True),
        (ADA, {"user": "ada", "email": "bob@example.org"}, True),
        (ADA, {"user": "bob"}, False),
        (ADA, {"user": "ADA"}, False),
        (ADA, {"email": "ada@example.org"}, False),
        (STAFF, {"user": "bob"}, True),
        (SERVER, {"user": "bob"}, True),
        (SERVER, {"email": "bob@example.org"}, True),
    ],
)
def test_learners_act_for_themselves_alone(caller: Caller, more: dict[str, Any], expected: bool):
    assert may_act_for(target_of(body(**more), caller), caller) is expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "The request body must be a JSON object."),
        (None, "The request body must be a JSON object."),
        ({}, "Course ID must be specified to create a new enrollment."),
        ({"course_details": None}, "Course ID must be specified to create a new enrollment."),
        ({"course_details": {}}, "Course ID must be specified to create a new enrollment."),
        ({"course_details": COURSE}, "'course_details' must be an object that has a 'course_id'."),
        ({"course_details": {"course_id": 5}}, "'course_id' must be a text."),
        ({"course_details": {"course_id": "nope"}}, "No course 'nope' found for enrollment"),
        ({"course_details": {"course_id": "\ud800"}}, "No course '?' found for enrollment"),
        (body(user=[]), "'user' must be a text."),
        (body(user=True), "'user' must be a text."),
        (body(email="\ud800"), "'email' must be a text."),
        (
            QueryDict("course_details=x"),
            "'course_details' must be an object that has a 'course_id'.",
        ),
    ],
)
def test_a_body_that_names_no_course_or_person_is_refused(data: object, message: str):
    with pytest.raises(Refused) as refusal:
        target_of(data, ADA)

    assert refusal.value.detail == {"message": message}


def test_what_is_not_said_is_not_changed():
    assert change_of(body()) == Change()


def test_everything_that_can_be_said_is_read():
    change = change_of(
        body(
            mode="credit",
            is_active=False,
            force_enrollment=True,
            enrollment_attributes=attributes("hogwarts", 5),
            cohort="blue",
        )
    )

    assert change == Change(
        mode="credit",
        is_active=False,
        force=True,
        attributes=(
            Attribute(namespace="credit", name="provider_id", value="hogwarts"),
            Attribute(namespace="credit", name="provider_id", value="5"),
        ),
        cohort="blue",
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"mode": 5}, "'5' is not a course mode."),
        ({"is_active": "true"}, "'true' is an invalid enrollment activation status."),
        ({"is_active": 1}, "'1' is an invalid enrollment activation status."),
        ({"is_active": [[1]]}, "'a list' is an invalid enrollment activation status."),
        ({"force_enrollment": "yes"}, "'yes' is an invalid force enrollment status."),
        ({"enrollment_attributes": {}}, "'enrollment_attributes' must be a list of objects."),
        ({"enrollment_attributes": ["x"]}, "'enrollment_attributes' must be a list of objects."),
        (
            {"enrollment_attributes": attributes(*range(MAX_ATTRIBUTES + 1))},
            f"At most {MAX_ATTRIBUTES} enrollment attributes are taken at once.",
        ),
    ],
)
def test_what_is_of_the_wrong_type_is_refused(more: dict[str, Any], message: str):
    with pytest.raises(Refused) as refusal:
        change_of(body(**more))

    assert refusal.value.detail == {"message": message}


@pytest.mark.parametrize("value", ["x" * 256, "\ud800", None, True, {}])
def test_an_attribute_that_cannot_be_stored_is_refused(value: object):
    with pytest.raises(Refused) as refusal:
        change_of(body(enrollment_attributes=attributes(value)))

    assert refusal.value.detail == {
        "message": "'value' of an enrollment attribute must be a text of at most 255 characters."
    }


def test_an_attribute_without_a_value_is_refused_in_two_languages():
    with pytest.raises(Refused) as refusal:
        change_of(body(enrollment_attributes=[{"namespace": "a", "name": "b"}]))

    message = "'value' not in enrollment attribute"
    assert refusal.value.detail == {"message": message, "localizedMessage": message}


@pytest.mark.parametrize(
    ("more", "missing"),
    [
        ({"mode": "credit"}, []),
        ({"mode": "credit", "enrollment_attributes": attributes("x")}, []),
        (
            {
                "mode": "credit",
                "enrollment_attributes": [{"namespace": "x", "name": "y", "value": "z"}],
            },
            ["credit:provider_id"],
        ),
        (
            {
                "mode": "audit",
                "enrollment_attributes": [{"namespace": "", "name": "", "value": ""}],
            },
            [],
        ),
    ],
)
def test_credit_needs_a_provider_where_attributes_are_given(
    more: dict[str, Any], missing: list[str]
):
    assert missing_attributes(change_of(body(**more))) == missing


@given(value=st.text(st.characters()) | st.integers() | st.floats())
def test_what_is_shown_can_be_sent(value: object):
    text = shown(value)

    assert text == text.encode().decode()
    assert len(text) <= 301


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "Please provide a value for 'email' and 'course_id' in the request data."),
        ({"email": 5, "course_id": COURSE}, "'email' must be a text of at most 255 characters."),
        (
            {"email": "a" * 256, "course_id": COURSE},
            "'email' must be a text of at most 255 characters.",
        ),
        ({"email": "a@b", "course_id": "nope"}, "'nope' is not a valid course id."),
        ({"email": "a@b", "course_id": [1]}, "'a list' is not a valid course id."),
        (
            {"email": "a@b", "course_id": "a/b/" + "c" * 255},
            "'course_id' must be of at most 255 characters.",
        ),
        (
            {"email": "a@b", "course_id": COURSE, "auto_enroll": "maybe"},
            "'maybe' is an invalid auto enroll status.",
        ),
    ],
)
def test_an_invitation_of_nobody_to_nothing_is_refused(data: object, message: str):
    with pytest.raises(Refused) as refusal:
        invitation_order_of(data)

    assert refusal.value.detail == {"message": message}
