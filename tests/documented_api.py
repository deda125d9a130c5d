"""The served OpenAPI document, and whether an answer is one that it describes."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import requests
import schemathesis
from django.core.wsgi import get_wsgi_application
from drf_spectacular.generators import SchemaGenerator
from schemathesis.core.transport import Response

from lms_integration.http.openapi import MAY_BE_EMPTY

#: Answered the same for every address, documented or not: the method is not allowed.
METHOD_NOT_ALLOWED = 405
#: No body to be compared.
NOT_MODIFIED = 304


def document() -> dict[str, Any]:
    """Return the document as it is served."""
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


@cache
def documented_api() -> Any:
    """Return schemathesis' view of the document and of the application behind it, made once."""
    found = schemathesis.openapi.from_dict(document())
    found.app = get_wsgi_application()
    return found


def may_be_empty(definition: Mapping[str, Any], *, status: int, content: bytes) -> bool:
    """Return whether an answer has no body where the document allows that, in words of our own."""
    return MAY_BE_EMPTY in definition and status in (200, 404) and not content


def assert_documented(method: str, path: str, response: Any) -> None:
    """Assert that an answer of Django's test client is one that the document describes.

    Addresses that the document does not have are no business of its.
    """
    operation = documented_api().find_operation_by_path(method, path)
    status, content = response.status_code, response.content
    if operation is None or status in (METHOD_NOT_ALLOWED, NOT_MODIFIED):
        return
    definition = operation.definition.raw
    assert str(status) in definition["responses"], f"{operation.label} documents no {status}"
    if not may_be_empty(definition, status=status, content=content):
        operation.validate_response(_in_schemathesis_words(method, path, response))


def _in_schemathesis_words(method: str, path: str, response: Any) -> Response:
    request = requests.Request(method, f"http://testserver{path}").prepare()
    headers = {name: [value] for name, value in response.headers.items()}
    return Response(
        response.status_code, headers, response.content, request, elapsed=0.0, verify=False
    )
