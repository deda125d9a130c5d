"""What the Courses API makes of a query: one test for each rule, and any text for all of them."""

from contextlib import suppress
from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from lms_integration.courses.parameters import (
    DetailParameters,
    IdsParameters,
    ListParameters,
    course_key_of_path,
    read_parameters,
)
from lms_integration.http.developer_errors import FieldErrors

KEY, OTHER = "course-v1:Org+C+R", "course-v1:Org+D+R"


def read(query: str, parameters: Any = ListParameters) -> dict[str, Any]:
    request = APIRequestFactory().get("/", QUERY_STRING=query)
    return read_parameters(parameters, Request(request))


def errors(query: str, parameters: Any = ListParameters) -> Any:
    with pytest.raises(FieldErrors) as caught:
        read(query, parameters)
    detail: Any = caught.value.detail
    return {name: error["developer_message"] for name, error in detail["field_errors"].items()}


def test_nothing_asked_is_nothing_read():
    assert read("") == {}


@pytest.mark.parametrize("name", ["mobile", "mobile_search", "active_only"])
@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("True", True), ("1", True), ("false", False), ("False", False), ("0", False)],
)
def test_a_flag_is_spelled_as_open_edx_spells_it(name, text, value):
    assert read(f"{name}={text}") == {name: value}


@pytest.mark.parametrize("text", ["FALSE", "yes", "2", "%00", "null", "t"])
def test_another_flag_is_refused(text):
    assert errors(f"mobile={text}") == {"mobile": "Invalid Boolean Value."}


def test_an_empty_flag_says_nothing():
    assert read("mobile=") == {}


@pytest.mark.parametrize(
    "query",
    [
        f"course_keys={KEY},{OTHER}",
        f"course_keys={KEY}&course_keys={OTHER}",
        f"course_keys={KEY},{OTHER},{KEY}",
    ],
)
def test_several_keys_come_with_commas_or_repeated(query):
    assert read(query.replace("+", "%2B"))["course_keys"] == [KEY, OTHER]


@pytest.mark.parametrize("name", ["course_keys", "permissions"])
def test_an_empty_list_asks_nothing(name):
    assert read(f"{name}=")[name] == []


def test_the_first_bad_key_is_named():
    assert errors("course_keys=a,b") == {"course_keys": "'a' is not a valid course key."}


def test_every_bad_parameter_is_named():
    assert set(errors("course_keys=a&mobile=b&permissions=c")) == {
        "course_keys", "mobile", "permissions",
    }  # fmt: skip


def test_a_bad_permission_is_told_which_there_are():
    assert errors("permissions=load,bogus")["permissions"] == (
        "'bogus' is not one of load, load_mobile, enroll, see_exists, see_in_catalog, "
        "see_about_page, staff, instructor."
    )


@pytest.mark.parametrize("query", ["", "role="])
def test_a_role_is_needed(query):
    assert errors(query, IdsParameters) == {"role": "This field is required."}


@pytest.mark.parametrize("role", ["staff", "STAFF", " Staff "])
def test_a_role_is_read_without_its_case(role):
    assert read(f"role={role.replace(' ', '%20')}", IdsParameters)["role"] == "staff"


@pytest.mark.parametrize("key", [KEY, "Old/C/R", "library-v1:Org+Lib"])
def test_a_key_of_any_kind_is_a_key(key):
    assert course_key_of_path(key) == key


@pytest.mark.parametrize(
    "key", ["a+b+c", "", "course-v1:a+b", "\0", "block-v1:a+b+c+type@x+block@y"]
)
def test_another_text_is_no_key(key):
    with pytest.raises(FieldErrors) as caught:
        course_key_of_path(key)

    detail: Any = caught.value.detail
    message = f"'{key}' is not a valid course key."
    assert detail == {"field_errors": {"course_key": {"developer_message": message}}}


@pytest.mark.parametrize("parameters", [ListParameters, DetailParameters, IdsParameters])
@given(data=st.data())
def test_any_query_is_read_or_refused(parameters, data):
    names = st.sampled_from(
        [
            "search_term",
            "username",
            "org",
            "mobile",
            "permissions",
            "course_keys",
            "role",
            "course_keys[0]",
        ]
    )
    query = QueryDict(mutable=True)
    for name, text in data.draw(st.lists(st.tuples(names, st.text()), max_size=6)):
        query.appendlist(name, text)

    with suppress(FieldErrors):
        read(query.urlencode(), parameters)


@given(st.text())
def test_any_path_is_a_key_or_refused(text):
    with suppress(FieldErrors):
        course_key_of_path(text)
