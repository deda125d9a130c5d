"""What the generated OpenAPI document has to be told: addresses, what else answers, ways to sign in.

A hook and extensions of drf-spectacular (``SPECTACULAR_SETTINGS['POSTPROCESSING_HOOKS']``), which finds
the extensions because the hook is imported.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

#: What parameters in addresses are made of; another address is no endpoint's.
_ADDRESS_PATTERNS: Mapping[str, str] = {
    "username": r"^[\w.@+-]+$",
    "course_id": r"^[^/+?]+(/|\+)[^/+?]+(/|\+)[^/+?]+$",
    "course_key": r"^[^/+?]+(/|\+)[^/+?]+(/|\+)[^/+?]+$",
}
_VERSIONS = ("v0.5", "v1", "v2", "v3", "v4")
#: An operation whose answers 200 and 404 may have no body at all says so, since OpenAPI cannot.
MAY_BE_EMPTY = "x-may-be-empty"
#: The operation that answers in text, whatever its asker takes.
_IN_TEXT = "change_enrollment"
_NO_SUCH_ADDRESS = "No such address: the key or the name cannot be one."
_JSON_ALONE = "The asker takes no JSON, and there is nothing else."


def describe_addresses(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Return the document with the patterns of addresses, and the page that any other one gets.

    Where a view has not said how it refuses to answer in anything but JSON, that is said, too.
    """
    for operation in _operations(result):
        if operation["operationId"] != _IN_TEXT:
            operation["responses"].setdefault("406", _json_alone(operation))
        has_parts = False
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                has_parts = True
                _describe(parameter)
        if has_parts:
            _add_not_found_page(operation)
    return result


def _operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def _json_alone(operation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the refusal, which has the form of the view's other refusals, sign-in's among them."""
    content = operation["responses"].get("401", {}).get("content", {})
    return {"description": _JSON_ALONE, "content": dict(content)}


def _describe(parameter: dict[str, Any]) -> None:
    name, schema = parameter["name"], parameter["schema"]
    if name == "api_version":
        schema.pop("pattern", None)
        schema["enum"] = list(_VERSIONS)
    elif name in _ADDRESS_PATTERNS:
        schema["pattern"] = _ADDRESS_PATTERNS[name]


def _add_not_found_page(operation: dict[str, Any]) -> None:
    answer = operation["responses"].setdefault("404", {"description": _NO_SUCH_ADDRESS})
    answer.setdefault("content", {})["text/html"] = {"schema": {"type": "string"}}


class _SignIn(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers subclasses
    """One way to sign in; what it is is in ``definition``."""

    match_subclasses = True
    definition: Mapping[str, str] = {}

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme."""
        return dict(self.definition)


class SessionSignIn(_SignIn):  # type: ignore[no-untyped-call]
    """The session of a browser."""

    target_class = "lms_integration.http.authentication.SessionAuthentication"
    name = "session"
    definition: Mapping[str, str] = {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class BearerSignIn(_SignIn):  # type: ignore[no-untyped-call]
    """An OAuth 2 access token."""

    target_class = "lms_integration.http.authentication.OAuth2BearerAuthentication"
    name = "bearer"
    definition: Mapping[str, str] = {"type": "http", "scheme": "bearer"}


class JwtSignIn(_SignIn):  # type: ignore[no-untyped-call]
    """A signed JSON Web Token."""

    target_class = "lms_integration.http.authentication.JwtAuthentication"
    name = "jwt"
    definition: Mapping[str, str] = {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "JWT, a blank, and the token",
    }


class RestTokenSignIn(_SignIn):  # type: ignore[no-untyped-call]
    """A token of REST framework's table."""

    target_class = "lms_integration.http.authentication.RestTokenAuthentication"
    name = "token"
    definition: Mapping[str, str] = {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "Token, a blank, and the token",
    }
