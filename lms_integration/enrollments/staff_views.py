"""The Enrollment API for the site's team: everybody's enrolments, and invitations."""

from django.db import IntegrityError, transaction
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lms_integration.enrollments.documented import developer_errors, errors
from lms_integration.enrollments.errors import Conflict, NotThere
from lms_integration.enrollments.filters import filters_of
from lms_integration.enrollments.invitations import invitation_order_of
from lms_integration.enrollments.items import listed_item
from lms_integration.enrollments.paging import NewestFirst
from lms_integration.enrollments.parsers import PARSERS
from lms_integration.enrollments.queries import listed_enrollments
from lms_integration.enrollments.serializers import (
    EnrollmentPageSerializer,
    InvitationOrderSerializer,
    InvitationSerializer,
)
from lms_integration.http.developer_errors import DeveloperErrors
from lms_integration.http.throttling import EnrollmentThrottle
from lms_integration.platform_tables.models import CourseEnrollmentAllowed


def _parameter(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.STR, description=description)


class CourseEnrollmentsApiListView(DeveloperErrors):
    """Everybody's enrolments, active or not, newest first."""

    permission_classes = (IsAdminUser,)
    throttle_classes = (EnrollmentThrottle,)
    parser_classes = PARSERS

    @extend_schema(
        operation_id="enrollments_list",
        parameters=[
            _parameter("course_id", "Only in this course."),
            _parameter("course_ids", "Parts of course ids, with commas between them; any case."),
            _parameter("username", "Usernames, with commas between them."),
            _parameter("email", "Addresses, with commas between them."),
            _parameter("cursor", "Where a page begins; taken from `next` or `previous`."),
            _parameter("page_size", "At most 100, which is also the default."),
        ],
        responses={200: EnrollmentPageSerializer, **developer_errors(400, 401, 403, 404)},
    )
    def get(self, request: Request) -> Response:
        """List one page of enrolments, those in courses without an overview included."""
        filters = filters_of(request.query_params)
        rows = listed_enrollments(
            course_id=filters.course_id,
            parts=filters.parts,
            usernames=filters.usernames,
            emails=filters.emails,
        )
        pages = NewestFirst()
        page = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response([listed_item(row) for row in page])


class EnrollmentAllowedView(APIView):
    """Invitations: addresses that may enrol although a course is closed or by invitation."""

    permission_classes = (IsAdminUser,)
    throttle_classes = (EnrollmentThrottle,)
    parser_classes = PARSERS

    @extend_schema(
        operation_id="enrollment_allowed_list",
        parameters=[_parameter("email", "Of whom; one's own by default.")],
        responses={200: InvitationSerializer(many=True), **errors(401, 403)},
    )
    def get(self, request: Request) -> Response:
        """List the invitations of an address."""
        email = request.query_params.get("email") or getattr(request.user, "email", "")
        rows = CourseEnrollmentAllowed.objects.filter(email=email).order_by("id")
        return Response(InvitationSerializer(rows, many=True).data)

    @extend_schema(
        operation_id="enrollment_allowed_create",
        request=InvitationOrderSerializer,
        responses={201: InvitationSerializer, **errors(400, 401, 403, 409, 415)},
    )
    def post(self, request: Request) -> Response:
        """Invite an address to a course, whether or not there is an account or a course yet."""
        order = invitation_order_of(request.data)
        try:
            with transaction.atomic():
                made = CourseEnrollmentAllowed.objects.create(
                    email=order.email, course_id=order.course_id, auto_enroll=order.auto_enroll
                )
        except IntegrityError as error:
            raise Conflict(f"An enrollment allowed with {order} already exists.") from error
        return Response(InvitationSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        operation_id="enrollment_allowed_destroy",
        request=InvitationOrderSerializer,
        responses={204: None, **errors(400, 401, 403, 404, 415)},
    )
    def delete(self, request: Request) -> Response:
        """Take an invitation back."""
        order = invitation_order_of(request.data)
        rows = CourseEnrollmentAllowed.objects.filter(email=order.email, course_id=order.course_id)
        if not rows.delete()[0]:
            raise NotThere(f"An enrollment allowed with {order} doesn't exists.")
        return Response(status=status.HTTP_204_NO_CONTENT)
