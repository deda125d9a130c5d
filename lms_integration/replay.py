"""What replaying a dead letter comes to, told from the letter alone.

Does no I/O and knows no framework. A message that is an event counts as that event; a task, or a
letter about a course without any message, counts as a request to rebuild the courses it names.
"""

import json

from lms_integration.course_keys import is_course_key
from lms_integration.events import Event, InvalidEvent, RebuildRequested, decode_event


class NotReplayable(ValueError):
    """A letter that cannot be replayed; the message says why, and what to do instead."""


def events_of(*, course_key: str, body: bytes, body_bytes: int) -> tuple[Event, ...]:
    """Return the events that stand for a letter, as if it had arrived again; at least one.

    ``body`` is what is kept of the message, ``body_bytes`` the length that it had.

    Raises:
        NotReplayable: it was cut, or it is still neither an event nor a task about courses.
    """
    if body_bytes == 0:
        return (_request(course_key),)
    if body_bytes > len(body):
        raise NotReplayable(_why_cut(course_key, kept_bytes=len(body), body_bytes=body_bytes))
    try:
        return (decode_event(body),)
    except InvalidEvent as error:
        courses = courses_of_task(body)
        if not courses:
            raise NotReplayable(f"still no event: {error}") from error
        return tuple(RebuildRequested(course_key=key) for key in courses)


def courses_of_task(body: bytes) -> tuple[str, ...]:
    """Return the courses of a rebuild task's message, each once; empty for any other message.

    The first argument is one course key or a list of them: ``[["course-v1:…"], {}, {}]``.
    """
    try:
        first = json.loads(body)[0][0]
    except (ValueError, RecursionError, LookupError, TypeError):
        return ()
    keys = first if isinstance(first, list) else [first]
    if not all(isinstance(key, str) and is_course_key(key) for key in keys):
        return ()
    return tuple(dict.fromkeys(keys))


def _request(course_key: str) -> RebuildRequested:
    if not course_key:
        raise NotReplayable("the message is empty and names no course: there is nothing to replay")
    if not is_course_key(course_key):
        raise NotReplayable(f"{course_key[:80]!r} is not a course key")
    return RebuildRequested(course_key=course_key)


def _why_cut(course_key: str, *, kept_bytes: int, body_bytes: int) -> str:
    instead = f"; instead: overview publish {course_key}" if course_key else ""
    return (
        f"only the first {kept_bytes} of its {body_bytes} bytes are kept, so it cannot be replayed "
        f"as a message{instead}"
    )
