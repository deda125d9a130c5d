"""The Enrollment API for learners and for other servers: their enrolments, enrolling, what a course is."""

from collections.abc import Sequence

from django.middleware.csrf import get_token
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lms_integration.enrollments.course_ids import invalid_course_id, is_course_id
from lms_integration.enrollments.documented import NOTHING, errors
from lms_integration.enrollments.enrolling import enroll
from lms_integration.enrollments.errors import ModeNotAllowed, Refused, shown
from lms_integration.enrollments.items import course_item, enrollment_item
from lms_integration.enrollments.orders import (
    FREE_MODES,
    Caller,
    change_of,
    may_act_for,
    target_of,
)
from lms_integration.enrollments.parsers import PARSERS
from lms_integration.enrollments.permissions import ApiKeyOrSignedIn, caller_of
from lms_integration.enrollments.queries import (
    active_enrollments,
    enrollment_numbered,
    enrollment_of,
    modes_of,
    roles_of,
    shown_course,
    team_courses,
)
from lms_integration.enrollments.serializers import (
    EnrollmentCourseSerializer,
    EnrollmentOrderSerializer,
    EnrollmentRolesSerializer,
    EnrollmentSerializer,
)
from lms_integration.http.conditional import conditional
from lms_integration.http.openapi import MAY_BE_EMPTY
from lms_integration.http.throttling import EnrollmentThrottle
from lms_integration.learners.access import Standing
from lms_integration.learners.modes import modes_by_course
from lms_integration.learners.standing import standing_of
from lms_integration.learners.versions import own_versions
from lms_integration.models import CourseOverview


class EnrollmentApiView(APIView):
    """What all of these views have in common."""

    permission_classes: Sequence[type[BasePermission]] = (ApiKeyOrSignedIn,)
    throttle_classes = (EnrollmentThrottle,)
    parser_classes = PARSERS


class EnrollmentListView(EnrollmentApiView):
    """A learner's active enrolments, and enrolling.

    Learners see and change their own enrolments, in the free modes. The site's team and servers with
    the API key see and change everybody's, in any mode. A course's team sees those in its course.
    """

    @extend_schema(
        operation_id="enrollment_list",
        parameters=[OpenApiParameter("user", OpenApiTypes.STR, description="Username.")],
        responses={200: EnrollmentSerializer(many=True), **errors(401)},
    )
    @conditional(own_versions)
    def get(self, request: Request) -> Response:
        """List active enrolments, oldest first, those in courses without an overview included."""
        get_token(request._request)
        caller = caller_of(request)
        username = request.query_params.get("user", caller.username)
        among = None
        if username != caller.username and not caller.is_trusted:
            among = team_courses(standing_of(request.user))
        rows = active_enrollments(username, among=among)
        modes = modes_of(rows)
        return Response([enrollment_item(row, modes=modes[row.course_id]) for row in rows])

    @extend_schema(
        operation_id="enrollment_create",
        request=EnrollmentOrderSerializer,
        responses={200: EnrollmentSerializer, 404: NOTHING, **errors(400, 401, 403, 415, 503)},
    )
    def post(self, request: Request) -> Response:
        """Enrol, unenrol or change the mode; the same request again changes nothing more."""
        caller = caller_of(request)
        target = target_of(request.data, caller)
        if not may_act_for(target, caller):
            return Response(status=status.HTTP_404_NOT_FOUND)
        change = change_of(request.data)
        if change.mode not in FREE_MODES and not caller.is_trusted:
            raise ModeNotAllowed(
                "User does not have permission to create enrollment with mode "
                f"[{shown(change.mode)}]."
            )
        row = enrollment_numbered(enroll(target, change, caller, now=timezone.now()))
        return Response(enrollment_item(row, modes=modes_of([row])[row.course_id]))


class EnrollmentView(EnrollmentApiView):
    """One enrolment, active or not."""

    @extend_schema(
        operation_id="enrollment_retrieve",
        responses={200: EnrollmentSerializer, 404: NOTHING, **errors(400, 401)},
        extensions={MAY_BE_EMPTY: True},
    )
    def get(self, request: Request, username: str, course_id: str) -> Response:
        """Show somebody's enrolment; without a body where there is none."""
        return _one_enrollment(request, username, course_id)


class OwnEnrollmentView(EnrollmentApiView):
    """One's own enrolment in a course, active or not."""

    @extend_schema(
        operation_id="enrollment_retrieve_own",
        responses={200: EnrollmentSerializer, 404: NOTHING, **errors(400, 401)},
        extensions={MAY_BE_EMPTY: True},
    )
    def get(self, request: Request, course_id: str) -> Response:
        """Show one's own enrolment; without a body where there is none."""
        return _one_enrollment(request, request.user.get_username(), course_id)


def _one_enrollment(request: Request, username: str, course_id: str) -> Response:
    get_token(request._request)
    caller = caller_of(request)
    if username != caller.username and not caller.is_trusted:
        return Response(status=status.HTTP_404_NOT_FOUND)
    if not is_course_id(course_id):
        raise Refused(invalid_course_id(shown(course_id)))
    row = enrollment_of(username, course_id)
    if row is None:
        return Response()
    return Response(enrollment_item(row, modes=modes_of([row])[row.course_id]))


class EnrollmentCourseDetailView(EnrollmentApiView):
    """What somebody who thinks of enrolling wants to know of a course; for everybody who may see it."""

    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="enrollment_course_retrieve",
        parameters=[
            OpenApiParameter(
                "include_expired", OpenApiTypes.STR, description="Anything but '' means yes."
            )
        ],
        responses={200: EnrollmentCourseSerializer, 404: NOTHING, **errors(400, 401)},
    )
    def get(self, request: Request, course_id: str) -> Response:
        """Show a course with its modes, as it was published last."""
        if not is_course_id(course_id):
            raise Refused(invalid_course_id(shown(course_id)))
        standing = standing_of(
            request.user
        )  # first: a hidden course costs what an unknown one does
        overview = shown_course(course_id)
        if overview is None or not _is_shown(overview, standing, caller_of(request)):
            raise Refused(f"No course found for course ID '{shown(course_id)}'")
        even_expired = bool(request.query_params.get("include_expired"))
        modes = modes_by_course([course_id], include_expired=even_expired)[course_id]
        return Response(course_item(overview, modes=modes))


def _is_shown(overview: CourseOverview, standing: Standing, caller: Caller) -> bool:
    """Return whether a course may be shown; one for its team's eyes only is, to others, no course."""
    if not overview.visible_to_staff_only or caller.has_api_key:
        return True
    return standing.is_staff_of(overview.id, overview.org)


class EnrollmentUserRolesView(EnrollmentApiView):
    """The roles of the person who asks."""

    @extend_schema(
        operation_id="enrollment_roles_retrieve",
        parameters=[OpenApiParameter("course_id", OpenApiTypes.STR, description="Only in that.")],
        responses={200: EnrollmentRolesSerializer, **errors(401)},
    )
    def get(self, request: Request) -> Response:
        """List roles in courses, and in whole organizations with ``None`` as their course id."""
        course_id = request.query_params.get("course_id")
        roles = [
            {"org": role.org, "course_id": role.course_id or "None", "role": role.role}
            for role in roles_of(request.user.pk, course_id=course_id)
        ]
        return Response({"roles": roles, "is_staff": caller_of(request).is_staff})
