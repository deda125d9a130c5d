"""Errors whose class says what happens next.

``RetryableError``: nothing is wrong with the course, try again soon. ``PermanentError``: the course
or the message is at fault, record it and go on. Anything else is a bug.
"""

#: How the messages begin that say which server was away.
MODULESTORE_TROUBLE = ("MongoDB did not answer", "course index in SQL")
STORE_TROUBLE = "overview database"


#: In the reason of every course whose key the overview table takes for another course's.
COLLISION_WORDS = "which its collation cannot tell apart"


class OverviewError(Exception):
    """Base of the pipeline's own errors."""


class RetryableError(OverviewError):
    """A server was away or too slow; the same work may succeed later."""


class ModulestoreUnavailable(RetryableError):
    """MongoDB, or the SQL course index, did not answer."""


class StoreUnavailable(RetryableError):
    """The overview database did not answer."""


class ExchangeUnavailable(RetryableError):
    """The broker did not answer, or did not confirm: nobody knows which events it has."""


class PermanentError(OverviewError):
    """Trying again will not help until somebody changes the course or the message."""


class MalformedCourse(PermanentError):
    """A course document that cannot become an overview, because of one named field.

    Raised for fields that decide access and for structures without a readable course block.
    """

    def __init__(self, course_key: str, *, field: str, value: object, reason: str) -> None:
        self.course_key = course_key
        self.field = field
        self.value = shown_value(value)
        self.reason = reason
        super().__init__(f"{course_key}: {field} = {self.value}: {reason}")


class RowRefused(PermanentError):
    """The overview table refused a course's row (a collision, a foreign key, a value out of range)."""

    def __init__(self, course_key: str, reason: str) -> None:
        self.course_key = course_key
        self.reason = reason
        super().__init__(f"{course_key}: {reason}")


#: Longest representation of a stored value in an error or a degradation, in characters.
SHOWN_VALUE_LENGTH = 120


def shown_value(value: object) -> str:
    """Return ``repr(value)``, cut to ``SHOWN_VALUE_LENGTH`` characters with the full length named.

    A value too large or too deep for ``repr`` is shown by its type.
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        text = f"<{type(value).__name__}>"
    if len(text) <= SHOWN_VALUE_LENGTH:
        return text
    return f"{text[:SHOWN_VALUE_LENGTH]}… ({len(text)} characters)"
