"""Course ids as the Enrollment API takes them: any that Open edX's key library can read."""

from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey


def is_course_id(text: str) -> bool:
    """Return whether a text is the id of a course, of old ``org/course/run`` ones and libraries too.

    Whether there is such a course is another question.
    """
    try:
        return str(CourseKey.from_string(text)) == text
    except InvalidKeyError:
        return False


def invalid_course_id(text: str) -> str:
    """Return what is said of a text that is none."""
    return f"'{text}' is not a valid course id."
