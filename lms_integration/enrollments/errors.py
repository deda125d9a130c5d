"""What the Enrollment API refuses, in Open edX's words: one message each, and the status it is sent with."""

from collections.abc import Mapping
from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException

#: Of a value that is not acceptable, so many characters are repeated in the message.
_SHOWN_LENGTH = 300


class Refused(APIException):
    """A request that cannot be done; the answer says why in ``message``."""

    status_code: int = status.HTTP_400_BAD_REQUEST

    def __init__(self, message: str, **more: Any) -> None:
        super().__init__(message)
        # APIException turns all values of a dict into text; these are JSON already.
        detail: Any = {"message": message, **more}
        self.detail = detail


class UnknownPerson(Refused):
    """The person to be enrolled does not exist; only other servers and the site's team hear it."""

    status_code = status.HTTP_406_NOT_ACCEPTABLE


class ModeNotAllowed(Refused):
    """Learners choose among the free modes; the others are given by other servers."""

    status_code = status.HTTP_403_FORBIDDEN


class Conflict(Refused):
    """What is to be made is there already."""

    status_code = status.HTTP_409_CONFLICT


class NotThere(Refused):
    """What is to be removed is not there."""

    status_code = status.HTTP_404_NOT_FOUND


class Busy(Refused):
    """The database was too busy with the same course or person; the same request may succeed soon."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    wait = 1  #: seconds, sent as ``Retry-After``


def no_course(course_id: str) -> Refused:
    """Return the refusal to enrol in a course that is unknown, deleted, unbuilt or no course at all."""
    return Refused(f"No course '{shown(course_id)}' found for enrollment")


def mode_unavailable(mode: str | None, course_id: str, course: Mapping[str, Any] | None) -> Refused:
    """Return the refusal of a mode, with the course's item, which has the modes there are.

    None instead of the item for those who may not see the course.
    """
    more = {} if course is None else {"course_details": course}
    return Refused(
        f"The [{mode if mode is None else shown(mode)}] course mode is expired or otherwise "
        f"unavailable for course run [{course_id}].",
        **more,
    )


def not_enrolled(username: str, course_id: str) -> Refused:
    """Return the refusal of a course that is closed, by invitation or full; which, is not said."""
    return Refused(
        "An error occurred while creating the new course enrollment for user "
        f"'{username}' in course '{course_id}'"
    )


def shown(value: object) -> str:
    """Return a value that somebody sent as text that can be sent back: valid, and not too long."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= _SHOWN_LENGTH else text[:_SHOWN_LENGTH] + "\u2026"
