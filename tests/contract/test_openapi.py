"""The OpenAPI document is generated from the code, valid, and true: schemathesis finds no exception to it.

Each operation is asked with generated input, as a learner and as a member of the site's team. No answer
may be a 500, and every answer has a documented status, content type and body.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.test import Client, override_settings
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from lms_integration.http.openapi import MAY_BE_EMPTY
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


def document() -> dict[str, Any]:
    """The document as it is served."""
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


schema = schemathesis.openapi.from_dict(document())
schema.app = get_wsgi_application()


@pytest.fixture(scope="module")
def site(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The recorded courses and learners, on a connection that outlives a request, as in Django's client."""
    with django_db_blocker.unblock(), _connections_kept(), transaction.atomic():
        load_recorded_state()
        yield
        transaction.set_rollback(True)


@contextmanager
def _connections_kept() -> Iterator[None]:
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


@pytest.fixture(params=["g_twenty", "g_staff"])
def cookies(request: pytest.FixtureRequest, site: None, db: None) -> dict[str, str]:
    """The session of a learner, and of somebody of the site's team."""
    client = Client()
    client.force_login(User.objects.get(username=request.param))
    return {name: morsel.value for name, morsel in client.cookies.items()}


def test_the_document_is_valid_openapi():
    validate_schema(document())


def test_the_document_names_every_endpoint_and_no_operation_twice():
    paths = document()["paths"]
    operations = [each["operationId"] for path in paths.values() for each in path.values()]

    assert len(operations) == len(set(operations))
    assert {path.split("/")[2] for path in paths} >= {
        "mobile",
        "enrollment",
        "courses",
        "learner_home",
    }


@needs_recorded_http
@pytest.mark.django_db
@schema.parametrize()
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_operation_answers_as_documented(case: Any, cookies: dict[str, str]):
    with override_settings(
        **{**RECORDED_SETTINGS, "ALLOWED_HOSTS": [HOST, "localhost", "testserver"]},
        CACHES={"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}},
    ):
        response = case.call(cookies=cookies)
        is_empty = response.status_code in (200, 404) and not response.content
        if is_empty and MAY_BE_EMPTY in case.operation.definition.raw:
            return
        case.validate_response(response, checks=CHECKS)
