"""The query parameters of the staff list: what they mean, and what is said of those that mean nothing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lms_integration.enrollments.course_ids import invalid_course_id, is_course_id
from lms_integration.enrollments.errors import shown
from lms_integration.http.developer_errors import FieldErrors

#: Values of one parameter, with commas between them.
MAX_VALUES = 100
#: What a username can be: Django's own rule, Unicode letters included.
_USERNAME = re.compile(r"[\w.@+-]+")
_BAD_USERNAME = "Usernames can only contain letters (A-Z, a-z), numerals (0-9), underscores (_), and hyphens (-)."


@dataclass(frozen=True, kw_only=True, slots=True)
class EnrollmentFilters:
    """Which enrolments are asked for; what is empty does not filter."""

    course_id: str = ""
    parts: Sequence[str] = ()  #: parts of course ids
    usernames: Sequence[str] = ()
    emails: Sequence[str] = ()


def filters_of(query: Mapping[str, str]) -> EnrollmentFilters:
    """Return the filters that a query string asks for; empty values between commas are none.

    Raises FieldErrors, with a message for each parameter that cannot be used.
    """
    course_id = query.get("course_id", "")
    lists = {name: _values(query.get(name, "")) for name in ("username", "course_ids", "email")}
    errors = {name: _too_many(name, len(values)) for name, values in lists.items()}
    if not all(_USERNAME.fullmatch(name) for name in lists["username"]):
        errors["username"] = _BAD_USERNAME
    if course_id and not is_course_id(course_id):
        errors["course_id"] = invalid_course_id(shown(course_id))
    if found := {name: message for name, message in errors.items() if message}:
        raise FieldErrors(found)
    return EnrollmentFilters(
        course_id=course_id,
        parts=lists["course_ids"],
        usernames=lists["username"],
        emails=lists["email"],
    )


def _values(text: str) -> list[str]:
    return [value for value in text.split(",") if value]


def _too_many(name: str, count: int) -> str:
    if count <= MAX_VALUES:
        return ""
    plural = name if name.endswith("s") else f"{name}s"
    return f"Too many {plural} in a single request - {count}. A maximum of {MAX_VALUES} is allowed"
