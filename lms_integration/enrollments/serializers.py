"""What the Enrollment API takes and gives, for its OpenAPI description; ``items.py`` makes the answers."""

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from lms_integration.enrollments.orders import ATTRIBUTE_LENGTH, MAX_ATTRIBUTES
from lms_integration.learners.enrolled import CourseState
from lms_integration.platform_tables.models import CourseEnrollmentAllowed

_ABSENT = (CourseState.NEVER_BUILT.value, CourseState.DELETED.value)


class EnrollmentModeSerializer(serializers.Serializer[Any]):
    """A way to take a course: its name, its price, and the last day on which it can be chosen."""

    slug = serializers.CharField(help_text="Short name, such as `audit`.")
    name = serializers.CharField()
    min_price = serializers.IntegerField()
    suggested_prices = serializers.CharField(help_text="Numbers with commas between them.")
    currency = serializers.CharField()
    expiration_datetime = serializers.DateTimeField(allow_null=True)
    description = serializers.CharField(allow_null=True)
    sku = serializers.CharField(allow_null=True)
    bulk_sku = serializers.CharField(allow_null=True)


class EnrollmentCourseSerializer(serializers.Serializer[Any]):
    """A course as somebody who thinks of enrolling sees it."""

    course_id = serializers.CharField()
    course_name = serializers.CharField()
    enrollment_start = serializers.DateTimeField(allow_null=True)
    enrollment_end = serializers.DateTimeField(allow_null=True)
    course_start = serializers.DateTimeField(allow_null=True)
    course_end = serializers.DateTimeField(allow_null=True)
    invite_only = serializers.BooleanField()
    course_modes = EnrollmentModeSerializer(many=True)
    pacing_type = serializers.ChoiceField(choices=("Self Paced", "Instructor Paced"))


class CourseStateSerializer(serializers.Serializer[Any]):
    """Why a course has no overview."""

    course_state = serializers.ChoiceField(
        choices=_ABSENT,
        required=False,
        help_text="Only of a course without an overview: it was never built, or has been deleted.",
    )


class EnrollmentSerializer(CourseStateSerializer):
    """One enrolment with its course."""

    created = serializers.DateTimeField(allow_null=True)
    mode = serializers.CharField()
    is_active = serializers.BooleanField()
    course_details = EnrollmentCourseSerializer()
    user = serializers.CharField(help_text="Username.")


class ListedEnrollmentSerializer(CourseStateSerializer):
    """One enrolment in the list for the site's team."""

    created = serializers.DateTimeField(allow_null=True)
    mode = serializers.CharField()
    is_active = serializers.BooleanField()
    user = serializers.CharField(help_text="Username.")
    course_id = serializers.CharField()


class EnrollmentPageSerializer(serializers.Serializer[Any]):
    """One page of that list; ``next`` and ``previous`` are addresses."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = ListedEnrollmentSerializer(many=True)


class EnrollmentAttributeSerializer(serializers.Serializer[Any]):
    """What else an enrolment says, such as `credit`, `provider_id`, `hogwarts`."""

    namespace = serializers.CharField(max_length=ATTRIBUTE_LENGTH, allow_blank=True)
    name = serializers.CharField(max_length=ATTRIBUTE_LENGTH, allow_blank=True)
    value = serializers.CharField(max_length=ATTRIBUTE_LENGTH, allow_blank=True)


class EnrollmentOrderSerializer(serializers.Serializer[Any]):
    """What a POST asks for; whatever else is sent is ignored."""

    course_details = inline_serializer(
        "EnrollmentOrderCourse", {"course_id": serializers.CharField()}
    )
    user = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, help_text="Username; oneself by default."
    )
    email = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, help_text="Counts where `user` is empty."
    )
    mode = serializers.CharField(
        required=False, allow_null=True, help_text="By default `audit`, or else `honor`."
    )
    is_active = serializers.BooleanField(
        required=False, allow_null=True, help_text="False unenrols; not everybody may."
    )
    force_enrollment = serializers.BooleanField(
        required=False,
        allow_null=True,
        help_text="For the site's team: windows, invitations and expired modes do not count.",
    )
    enrollment_attributes = serializers.ListField(
        child=EnrollmentAttributeSerializer(),
        required=False,
        allow_null=True,
        max_length=MAX_ATTRIBUTES,
    )


class CourseRoleSerializer(serializers.Serializer[Any]):
    """One role of a person; the course id of a role in a whole organization is `None`."""

    org = serializers.CharField()
    course_id = serializers.CharField()
    role = serializers.CharField()


class EnrollmentRolesSerializer(serializers.Serializer[Any]):
    """All roles of the person who asks."""

    roles = CourseRoleSerializer(many=True)
    is_staff = serializers.BooleanField(help_text="Of the site's team.")


class InvitationSerializer(serializers.ModelSerializer[CourseEnrollmentAllowed]):
    """An address that may enrol although the course is closed or by invitation."""

    class Meta:
        """``user`` is the number of the account that has used the invitation."""

        model = CourseEnrollmentAllowed
        fields = ("email", "course_id", "auto_enroll", "created", "user")


class InvitationOrderSerializer(serializers.Serializer[Any]):
    """Which invitation is to be made."""

    email = serializers.CharField(max_length=255)
    course_id = serializers.CharField(max_length=255)
    auto_enroll = serializers.BooleanField(required=False, default=False)


class MessageSerializer(serializers.Serializer[Any]):
    """Why something was refused, and in what courses and modes it would not be."""

    message = serializers.CharField()
    localizedMessage = serializers.CharField(required=False)  # noqa: N815 - Open edX's name
    course_details = EnrollmentCourseSerializer(required=False)


class DetailSerializer(serializers.Serializer[Any]):
    """Why a request was not even looked at."""

    detail = serializers.CharField()


class DeveloperMessageSerializer(serializers.Serializer[Any]):
    """The same in the form of Open edX's newer views."""

    developer_message = serializers.CharField()


class QueryErrorsSerializer(serializers.Serializer[Any]):
    """What is wrong with which parameter."""

    field_errors = serializers.DictField(child=DeveloperMessageSerializer())
