"""Errors in the form of Open edX's newer views: ``{"developer_message": …}`` instead of ``{"detail": …}``."""

from collections.abc import Mapping
from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.views import APIView


class FieldErrors(APIException):
    """A query whose parameters are not acceptable: 400, one message for each of them."""

    status_code = status.HTTP_400_BAD_REQUEST

    def __init__(self, messages: Mapping[str, str]) -> None:
        super().__init__()
        errors: Any = {name: {"developer_message": message} for name, message in messages.items()}
        self.detail = {"field_errors": errors}


class DeveloperErrors(APIView):
    """A view whose errors are ``{"developer_message": …}``; headers such as Retry-After are kept."""

    def handle_exception(self, exc: Exception) -> Response:
        """Return the answer to an error; what is no HTTP error is raised again."""
        response = super().handle_exception(exc)
        response.data = in_developer_words(response.data)
        return response


def in_developer_words(data: Any) -> Any:
    """Return an error's body with its one message under ``developer_message``; others as they are."""
    if isinstance(data, Mapping) and set(data) == {"detail"}:
        return {"developer_message": data["detail"]}
    return data
