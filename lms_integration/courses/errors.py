"""The bodies of errors, for the API's description; ``http.developer_errors`` makes them."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers


class DeveloperErrorSerializer(serializers.Serializer[Any]):
    """What went wrong, for whoever wrote the request."""

    developer_message = serializers.CharField()
    error_code = serializers.CharField(required=False)


class FieldErrorsSerializer(serializers.Serializer[Any]):
    """What is wrong with which parameter."""

    field_errors = serializers.DictField(child=DeveloperErrorSerializer())


UNREADABLE = OpenApiResponse(FieldErrorsSerializer, "A parameter cannot be read.")
UNAUTHENTICATED = OpenApiResponse(DeveloperErrorSerializer, "Nobody, or a broken token.")
FORBIDDEN = OpenApiResponse(DeveloperErrorSerializer, "The named person is somebody else.")
NO_PAGE = OpenApiResponse(DeveloperErrorSerializer, "No such page, or no such person.")
NO_COURSE = OpenApiResponse(
    DeveloperErrorSerializer, "No such course or person: hidden, deleted and unknown look alike."
)
THROTTLED = OpenApiResponse(DeveloperErrorSerializer, "Too many calls in a minute.")
