"""The OpenAPI document is generated from the code, valid, and true: schemathesis finds no exception to it.

Each operation is asked with generated input, as a learner with a session and as a member of the site's
team with a token. Names, course keys and addresses in the input are now real ones, now generated, so
that operations do their work and do not only refuse. No answer may be a 500, and every answer has a
documented status, content type and body. ``tests/replay`` holds the recorded requests to the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from django.test import Client, override_settings
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rest_framework.authtoken.models import Token
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from lms_integration.platform_tables.models import CourseEnrollment, CourseEnrollmentAllowed
from tests.documented_api import document, documented_api, may_be_empty
from tests.recorded_http import (
    HOST,
    RECORDED_SETTINGS,
    load_recorded_state,
    needs_recorded_http,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
LEARNER, MEMBER = "g_twenty", "g_staff"
INVITED = "invited@example.org"
OPERATIONS = [found.ok() for found in documented_api().get_all_operations()]
#: Operations whose success is none of 200 to 299, with that success and its reason.
OTHER_SUCCESSES = {
    "GET /api/mobile/{api_version}/my_user_info": (302, "it sends to the asker's own page"),
}
IN_JSON = [each for each in OPERATIONS if each.label != "POST /change_enrollment"]
#: Bodies that succeed; generated ones mostly miss one thing or another.
GOOD_BODIES: Mapping[str, Any] = {
    "POST /api/enrollment/v1/enrollment": {"course_details": {"course_id": "course_id"}},
    "POST /api/enrollment/v1/enrollment_allowed/": {"email": "new", "course_id": "course_id"},
    "DELETE /api/enrollment/v1/enrollment_allowed/": {"email": "email", "course_id": "course_id"},
    "POST /change_enrollment": {"enrollment_action": "enrollment_action", "course_id": "course_id"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Somebody who asks, with what a client of theirs sends and what is real for them."""

    username: str
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    real: Mapping[str, Sequence[str]]  #: values by the names of parameters and of keys in bodies


@pytest.fixture(scope="module")
def site(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The recorded courses and learners."""
    with django_db_blocker.unblock(), transaction.atomic():
        load_recorded_state()
        yield
        transaction.set_rollback(True)


@pytest.fixture
def callers(site: None, db: None) -> list[Caller]:
    """A learner whose browser has a session and its CSRF token, and somebody of the team with a token."""
    client = Client()
    client.get("/login")
    client.force_login(User.objects.get(username=LEARNER))
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    token = Token.objects.create(user=User.objects.get(username=MEMBER))
    return [
        Caller(
            username=LEARNER,
            headers={"X-CSRFToken": cookies["csrftoken"]},
            cookies=cookies,
            real=_real_values(LEARNER, MEMBER),
        ),
        Caller(
            username=MEMBER,
            headers={"Authorization": f"Token {token.key}"},
            cookies={},
            real=_real_values(MEMBER, LEARNER),
        ),
    ]


def _real_values(own_name: str, other_name: str) -> dict[str, list[str]]:
    """Return what stands in the database by the names it is asked for; what succeeds comes first."""
    enrolled = CourseEnrollment.objects.filter(user__username=LEARNER, overview__isnull=False)
    keys = list(enrolled.order_by("id").values_list("course_id", flat=True)[:5])
    CourseEnrollmentAllowed.objects.get_or_create(email=INVITED, course_id=keys[0])
    names = [own_name, other_name]
    return {
        "username": names,
        "user": names,
        "email": [
            INVITED,
            *User.objects.filter(username__in=names).values_list("email", flat=True),
        ],
        "course_id": keys,
        "course_key": keys,
        "course_ids": [",".join(keys), keys[0]],
        "course_keys": [",".join(keys), keys[0]],
        "org": [key.split(":")[1].split("+")[0] for key in keys],
        "api_version": ["v1", "v4"],
        "role": ["staff", "instructor"],
        "enrollment_action": ["enroll", "unenroll"],
        "new": ["somebody.new@example.org"],
    }


def test_the_document_is_valid_openapi():
    validate_schema(document())


def test_the_document_names_every_endpoint_and_no_operation_twice():
    paths = document()["paths"]
    operations = [each["operationId"] for path in paths.values() for each in path.values()]

    assert len(operations) == len(set(operations))
    assert {path.split("/")[2] for path in paths if path.startswith("/api/")} >= {
        "mobile",
        "enrollment",
        "courses",
        "learner_home",
    }


@needs_recorded_http
@pytest.mark.django_db
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: str(operation.label))
def test_an_operation_answers_as_documented_and_succeeds(operation: Any, callers: list[Caller]):
    statuses: set[int] = set()

    @given(case=_generated(operation), caller=st.sampled_from(callers), data=st.data())
    @settings(
        max_examples=15,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    def ask_anything(case: Any, caller: Caller, data: st.DataObject) -> None:
        _put_real_values(case, caller, data)
        statuses.add(_status_of(case, caller))

    with _as_recorded():
        statuses |= {_status_of(_good_case(operation, caller), caller) for caller in callers}
        ask_anything()

    success, _ = OTHER_SUCCESSES.get(operation.label, (200, ""))
    assert any(status == success or 200 <= status < 300 for status in statuses), statuses


def _generated(operation: Any) -> st.SearchStrategy[Any]:
    """Return cases that keep to the document, and cases that do not."""
    return st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )


def _put_real_values(case: Any, caller: Caller, data: st.DataObject) -> None:
    """Replace some of what is generated by what is there, in the address, the query and the body."""
    case.path_parameters = _partly_real(case.path_parameters, caller, data)
    case.query = _partly_real(case.query, caller, data)
    case.body = _partly_real(case.body, caller, data)


def _partly_real(value: Any, caller: Caller, data: st.DataObject) -> Any:
    if not isinstance(value, Mapping):
        return value
    found = {}
    for name, each in value.items():
        if name in caller.real and data.draw(st.sampled_from([True, True, False])):
            found[name] = data.draw(st.sampled_from(caller.real[name]))
        else:
            found[name] = _partly_real(each, caller, data)
    return found


def _good_case(operation: Any, caller: Caller) -> Any:
    """Return the case that has what it must have, all of it real."""
    parts = {each.name: caller.real[each.name][0] for each in operation.path_parameters}
    body = GOOD_BODIES.get(operation.label)
    arguments: dict[str, Any] = {}
    if body is not None:
        documented = operation.definition.raw.get("requestBody", {}).get("content", {})
        media_type = next(iter(documented), "application/json")  # of a DELETE, nothing is said
        arguments = {"body": _filled(body, caller), "media_type": media_type}
    return operation.Case(path_parameters=parts, **arguments)


def _filled(body: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    return {
        name: caller.real[value][0] if isinstance(value, str) else _filled(value, caller)
        for name, value in body.items()
    }


def _status_of(case: Any, caller: Caller) -> int:
    """Return the status of an answer that is as documented; what was written for it is undone."""
    with transaction.atomic():
        response = case.call(headers=dict(caller.headers), cookies=dict(caller.cookies))
        transaction.set_rollback(True)
    status, content = int(response.status_code), response.content
    if not may_be_empty(case.operation.definition.raw, status=status, content=content):
        case.validate_response(response, checks=CHECKS)
    return status


@contextmanager
def _as_recorded() -> Iterator[None]:
    """The settings of the recording, throttles that forget, and a connection that outlives a request."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    with override_settings(
        **{**RECORDED_SETTINGS, "ALLOWED_HOSTS": [HOST, "localhost", "testserver"]},
        CACHES={"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}},
    ):
        yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@needs_recorded_http
@pytest.mark.django_db
@pytest.mark.parametrize("operation", IN_JSON, ids=lambda operation: str(operation.label))
def test_an_operation_says_as_documented_that_it_answers_in_json_alone(
    operation: Any, callers: list[Caller]
):
    case = _good_case(operation, callers[1])
    case.headers = {"Accept": "text/html"}

    with _as_recorded():
        status = _status_of(case, callers[1])

    assert status in (406, 302)
