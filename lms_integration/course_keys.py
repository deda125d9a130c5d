"""Course keys as text: which ones the pipeline accepts, and a clear word for those it does not."""

import re
from dataclasses import dataclass

from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey
from opaque_keys.edx.locator import CourseLocator

#: Width of the key columns, in characters (``course_overviews_courseoverview.id``).
COURSE_KEY_MAX_LENGTH = 255


#: Every key that this matches is one; the parser takes twenty times as long, which counts where a
#: whole course index is looked through.
_PLAIN_KEY = re.compile(r"course-v1:([\w\-~.:]+)\+([\w\-~.:]+)\+([\w\-~.:]+)", re.ASCII)


class InvalidCourseKey(ValueError):
    """A text that names no course of a Split modulestore; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseKeyParts:
    """The three parts of the key of a Split course."""

    org: str
    course: str
    run: str


def parse_course_key(text: str) -> CourseKeyParts:
    """Return the parts of the course key that ``text`` holds, such as ``course-v1:OpenedX+DemoX+DemoCourse``.

    Raises:
        InvalidCourseKey: too long (checked before parsing), unparseable, a library, a CCX, an old
            ``org/course/run`` key, or a key with a branch or version.
    """
    if len(text) > COURSE_KEY_MAX_LENGTH:
        raise InvalidCourseKey(
            f"course key of {len(text)} characters: at most {COURSE_KEY_MAX_LENGTH} are allowed "
            f"({text[:40]!r}…)"
        )
    if plain := _PLAIN_KEY.fullmatch(text):
        org, course, run = plain.groups()
        return CourseKeyParts(org=org, course=course, run=run)
    try:
        key = CourseKey.from_string(text)
    except InvalidKeyError as error:
        raise InvalidCourseKey(
            f"{text!r} is not a course key: expected something like course-v1:Org+Course+Run"
        ) from error
    if type(key) is not CourseLocator:
        raise InvalidCourseKey(f"{text!r} is not a course of the Split modulestore: {_kind(text)}")
    if key.deprecated:
        raise InvalidCourseKey(
            f"{text!r} is a key of the old modulestore; write it as course-v1:Org+Course+Run"
        )
    if key.branch is not None or key.version_guid is not None or str(key) != text:
        raise InvalidCourseKey(f"{text!r} must name a course without branch or version")
    return CourseKeyParts(org=str(key.org), course=str(key.course), run=str(key.run))


def is_course_key(text: str) -> bool:
    """Return whether ``parse_course_key`` accepts ``text``."""
    try:
        parse_course_key(text)
    except InvalidCourseKey:
        return False
    return True


def _kind(text: str) -> str:
    kinds = {"library-v1:": "it names a library", "ccx-v1:": "it names a custom course (CCX)"}
    return next((kind for prefix, kind in kinds.items() if text.startswith(prefix)), "wrong kind")
