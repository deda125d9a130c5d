"""The answers that all views of the Enrollment API may give beside their own, for the OpenAPI description."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, PolymorphicProxySerializer
from rest_framework import status

from lms_integration.enrollments.serializers import (
    DetailSerializer,
    DeveloperMessageSerializer,
    MessageSerializer,
    QueryErrorsSerializer,
)

Responses = dict[int, Any]

#: Why a request was refused: by this API in ``message``, by what stands before it in ``detail``.
REFUSAL = PolymorphicProxySerializer(
    component_name="EnrollmentRefusal",
    serializers=[MessageSerializer, DetailSerializer],
    resource_type_field_name=None,
)
#: The same of the staff list.
DEVELOPER_REFUSAL = PolymorphicProxySerializer(
    component_name="EnrollmentQueryRefusal",
    serializers=[DeveloperMessageSerializer, QueryErrorsSerializer],
    resource_type_field_name=None,
)
NOTHING = OpenApiResponse(
    description="No such address, or nothing that the asker may know of; without a body."
)


def errors(*codes: int) -> Responses:
    """Return the descriptions of these errors, and of those that every view may give."""
    always = (status.HTTP_406_NOT_ACCEPTABLE, status.HTTP_429_TOO_MANY_REQUESTS)
    return dict.fromkeys((*codes, *always), REFUSAL)


def developer_errors(*codes: int) -> Responses:
    """Return the same for the staff list."""
    always = (status.HTTP_406_NOT_ACCEPTABLE, status.HTTP_429_TOO_MANY_REQUESTS)
    return dict.fromkeys((*codes, *always), DEVELOPER_REFUSAL)
