"""Reads what is asked to be done with an invitation: which address, which course. No I/O."""

from dataclasses import dataclass
from typing import Any

from rest_framework import serializers

from lms_integration.course_keys import COURSE_KEY_MAX_LENGTH
from lms_integration.enrollments.course_ids import invalid_course_id, is_course_id
from lms_integration.enrollments.errors import Refused, shown
from lms_integration.enrollments.orders import is_text, json_object

#: Width of the column of addresses, in characters.
EMAIL_LENGTH = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class InvitationOrder:
    """Which invitation is to be made or removed."""

    email: str
    course_id: str
    auto_enroll: bool

    def __str__(self) -> str:
        return f"email {self.email} and course {self.course_id}"


def invitation_order_of(data: object) -> InvitationOrder:
    """Return the invitation that a body names.

    Raises Refused where it names none.
    """
    body = json_object(data)
    email, course_id = body.get("email"), body.get("course_id")
    if not email or not course_id:
        raise Refused("Please provide a value for 'email' and 'course_id' in the request data.")
    if not isinstance(email, str) or not is_text(email) or len(email) > EMAIL_LENGTH:
        raise Refused(f"'email' must be a text of at most {EMAIL_LENGTH} characters.")
    if not isinstance(course_id, str) or not is_course_id(course_id):
        raise Refused(invalid_course_id(shown(course_id)))
    if len(course_id) > COURSE_KEY_MAX_LENGTH:
        raise Refused(f"'course_id' must be of at most {COURSE_KEY_MAX_LENGTH} characters.")
    return InvitationOrder(
        email=email, course_id=course_id, auto_enroll=_flag(body.get("auto_enroll", False))
    )


def _flag(value: Any) -> bool:
    """Return a boolean of JSON, or of a form in any of its spellings."""
    try:
        return bool(serializers.BooleanField().to_internal_value(value))
    except serializers.ValidationError as error:
        raise Refused(f"'{shown(value)}' is an invalid auto enroll status.") from error
