"""What the mobile API says of itself in the OpenAPI document: parameters and bodies.

The serializers describe; the bodies are made in ``items`` and ``lists``.
"""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from lms_integration.learners.enrolled import CourseState
from lms_integration.mobile.selection import Status

_Serializer = serializers.Serializer[Any]


def _text(**arguments: Any) -> serializers.CharField:
    return serializers.CharField(allow_null=True, **arguments)


class MobileDetailSerializer(_Serializer):
    """Why a request was refused."""

    detail = serializers.CharField()


class MobileRefusalSerializer(_Serializer):
    """Why nobody is signed in; ``detail``, or for an unknown token the other two."""

    detail = serializers.CharField(required=False)
    error_code = serializers.CharField(required=False)
    developer_message = serializers.CharField(required=False)


class MobileCoursewareAccessSerializer(_Serializer):
    """Whether the learner may open the course, and if not, why."""

    has_access = serializers.BooleanField()
    error_code = _text()
    developer_message = _text()
    user_message = _text()
    additional_context_user_message = _text()
    user_fragment = _text()


class MobileCourseImageSerializer(_Serializer):
    """The image of a course."""

    uri = serializers.CharField(allow_blank=True)
    name = serializers.CharField()


class MobileCourseMediaSerializer(_Serializer):
    """The pictures of a course."""

    course_image = MobileCourseImageSerializer()


class MobileCourseSerializer(_Serializer):
    """A course as the apps list it."""

    id = serializers.CharField()
    name = _text(allow_blank=True)
    number = serializers.CharField(allow_blank=True)
    org = serializers.CharField(allow_blank=True)
    org_logo = serializers.CharField(allow_blank=True)
    start = serializers.DateTimeField(allow_null=True)
    start_display = _text(allow_blank=True)
    start_type = serializers.ChoiceField(choices=("string", "timestamp", "empty"))
    end = serializers.DateTimeField(allow_null=True)
    dynamic_upgrade_deadline = serializers.DateTimeField(allow_null=True)
    subscription_id = serializers.CharField()
    courseware_access = MobileCoursewareAccessSerializer()
    media = MobileCourseMediaSerializer()
    course_image = serializers.CharField(allow_blank=True)
    course_about = serializers.CharField()
    course_sharing_utm_parameters = serializers.DictField(child=serializers.CharField())
    course_updates = serializers.CharField()
    course_handouts = serializers.CharField()
    discussion_url = _text()
    video_outline = _text()
    is_self_paced = serializers.BooleanField()


class MobileCertificateSerializer(_Serializer):
    """Where the learner's certificate is; empty while there is none to be seen."""

    url = serializers.CharField(required=False)


class MobileCourseModeSerializer(_Serializer):
    """A way to take a course, with what the shops call it."""

    slug = serializers.CharField()
    sku = _text()
    android_sku = _text()
    ios_sku = _text()
    min_price = serializers.IntegerField()


class MobileOldEnrollmentSerializer(_Serializer):
    """An enrolment as version 0.5 lists it."""

    created = serializers.DateTimeField(allow_null=True)
    mode = serializers.CharField()
    is_active = serializers.BooleanField()
    course = MobileCourseSerializer()
    certificate = MobileCertificateSerializer()
    course_state = serializers.ChoiceField(
        choices=(CourseState.NEVER_BUILT.value, CourseState.DELETED.value),
        required=False,
        help_text="There only where the course has no overview, and says why.",
    )


class MobileCourseProgressSerializer(_Serializer):
    """How many assignments there are and are done; nought where no progress is known."""

    total_assignments_count = serializers.IntegerField()
    assignments_completed = serializers.IntegerField()


class MobileEnrollmentSerializer(MobileOldEnrollmentSerializer):
    """An enrolment as versions 1 to 4 list it."""

    audit_access_expires = serializers.DateTimeField(allow_null=True)
    course_modes = MobileCourseModeSerializer(many=True)
    course_progress = MobileCourseProgressSerializer(
        required=False, help_text="In version 4, with requested_fields=course_progress."
    )


class MobileCourseStatusSerializer(_Serializer):
    """Where in a course the learner was last."""

    last_visited_module_id = serializers.CharField()
    last_visited_module_path = serializers.ListField(child=serializers.CharField())
    last_visited_block_id = serializers.CharField()
    last_visited_unit_display_name = serializers.CharField()


class MobileCourseAssignmentsSerializer(_Serializer):
    """The assignments of a course, by whether they are due; empty where none are known."""

    future_assignments = serializers.ListField(child=serializers.DictField())
    past_assignments = serializers.ListField(child=serializers.DictField())


class MobilePrimaryEnrollmentSerializer(MobileEnrollmentSerializer):
    """The enrolment to go on with."""

    course_status = MobileCourseStatusSerializer(allow_null=True)
    course_progress = MobileCourseProgressSerializer()
    course_assignments = MobileCourseAssignmentsSerializer()


class MobileConfigsSerializer(_Serializer):
    """The configuration of the apps: further values by their names, that of their shops apart."""

    iap_configs = serializers.DictField(child=serializers.CharField(allow_blank=True))


class _EnvelopeSerializer(_Serializer):
    """What is around the enrolments."""

    configs = MobileConfigsSerializer()
    user_timezone = serializers.CharField()


class MobileEnrollmentsV2Serializer(_EnvelopeSerializer):
    """All enrolments."""

    enrollments = MobileEnrollmentSerializer(many=True)


class MobileEnrollmentPageSerializer(_Serializer):
    """A page of enrolments."""

    next = _text()
    previous = _text()
    count = serializers.IntegerField()
    num_pages = serializers.IntegerField()
    current_page = serializers.IntegerField()
    start = serializers.IntegerField()
    results = MobileEnrollmentSerializer(many=True)


class MobileEnrollmentsV3Serializer(_EnvelopeSerializer):
    """Enrolments in pages."""

    enrollments = MobileEnrollmentPageSerializer()


class MobileEnrollmentsV4Serializer(MobileEnrollmentsV3Serializer):
    """Enrolments in pages, and the one to go on with where there is one and no status is asked for."""

    primary = MobilePrimaryEnrollmentSerializer(required=False)


class MobileEnrollmentStatusSerializer(_Serializer):
    """A course of the learner's."""

    course_id = serializers.CharField()
    course_name = _text(allow_blank=True)
    recently_active = serializers.BooleanField()
    course_state = serializers.ChoiceField(
        choices=(CourseState.NEVER_BUILT.value, CourseState.DELETED.value), required=False
    )


class MobileUserSerializer(_Serializer):
    """The learner."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.CharField(allow_blank=True)
    name = _text(allow_blank=True)
    course_enrollments = serializers.CharField()


# --- the operations, as arguments of ``extend_schema``


def _parameter(name: str, description: str, **more: Any) -> OpenApiParameter:
    return OpenApiParameter(
        name, more.pop("type", OpenApiTypes.STR), description=description, **more
    )


_USERNAME = _parameter("username", "The asker's own name.", location=OpenApiParameter.PATH)
_VERSION = _parameter(
    "api_version",
    "The version of the API; the answer is the same.",
    location=OpenApiParameter.PATH,
    enum=("v0.5", "v1", "v2", "v3", "v4"),
)
_ORG = _parameter("org", "Only courses of this organization, in any case.")
_PAGE = _parameter("page", "Number of a page, or last.")
_PAGE_SIZE = _parameter("page_size", "Enrolments on a page; what is no positive number is ignored.")
_STATUS = _parameter(
    "status", "Only enrolments that the learner is so far with; others are ignored.", enum=[*Status]
)
_FIELDS = _parameter(
    "requested_fields", "Names with commas between them; course_progress is the only one."
)
_REFUSALS: Mapping[int, Any] = {
    401: OpenApiResponse(MobileRefusalSerializer, "Nobody is signed in."),
    403: OpenApiResponse(MobileDetailSerializer, "The asker is not the one in the URL."),
}
_NO_PAGE: Mapping[int, Any] = {
    404: OpenApiResponse(MobileDetailSerializer, "There is no such page.")
}


def _operation(
    name: str, summary: str, body: Any, *parameters: OpenApiParameter, **errors: Any
) -> dict[str, Any]:
    return {
        "operation_id": f"mobile_{name}",
        "summary": summary,
        "parameters": [*parameters],
        "responses": {200: body, **_REFUSALS, **errors.get("errors", {})},
        "tags": ["mobile"],
    }


def _list(version: str, body: Any, *more: OpenApiParameter, **errors: Any) -> dict[str, Any]:
    return _operation(
        f"enrollments_{version.replace('.', '_')}",
        f"The asker's active enrolments, newest first, as version {version} has them",
        body,
        _USERNAME,
        _ORG,
        *more,
        **errors,
    )


LIST_V05 = _list("v0.5", MobileOldEnrollmentSerializer(many=True))
LIST_V1 = _list("v1", MobileEnrollmentSerializer(many=True))
LIST_V2 = _list("v2", MobileEnrollmentsV2Serializer)
LIST_V3 = _list("v3", MobileEnrollmentsV3Serializer, _PAGE, _PAGE_SIZE, errors=_NO_PAGE)
LIST_V4 = _list(
    "v4", MobileEnrollmentsV4Serializer, _PAGE, _PAGE_SIZE, _STATUS, _FIELDS, errors=_NO_PAGE
)
STATUS_LIST = _operation(
    "enrollments_status",
    "The asker's courses, by key, and in which of them they were active lately",
    MobileEnrollmentStatusSerializer(many=True),
    _VERSION,
    _USERNAME,
)
USER_DETAIL = _operation(
    "user", "The asker, and where their enrolments are", MobileUserSerializer, _VERSION, _USERNAME
)
MY_USER_INFO: dict[str, Any] = {
    "operation_id": "mobile_my_user_info",
    "summary": "The way to the asker's own page",
    "parameters": [_VERSION],
    "responses": {
        302: OpenApiResponse(None, "To the asker's own page."),
        401: _REFUSALS[401],
    },
    "tags": ["mobile"],
}
