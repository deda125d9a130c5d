"""Reads what a POST asks for: who, in which course, in which mode. Pure: no I/O, no request.

Whatever JSON is sent, the outcome is an order or a ``Refused`` with one clear message.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from lms_integration.enrollments.course_ids import is_course_id
from lms_integration.enrollments.errors import Refused, no_course, shown
from lms_integration.learners.modes import AUDIT, HONOR

#: Modes that anybody may ask for; None is the course's default.
FREE_MODES = frozenset({None, AUDIT, HONOR})
#: What an enrolment in a mode has to say, as ``namespace:name``.
REQUIRED_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {"credit": ("credit:provider_id",)}
#: Width of the columns of an attribute, in characters.
ATTRIBUTE_LENGTH = 255
#: More in one request are refused: each costs a statement while the enrolment is locked.
MAX_ATTRIBUTES = 50

_NO_COURSE_ID = "Course ID must be specified to create a new enrollment."


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks: a person, another server that has the API key, or both."""

    username: str  #: '' for a server
    is_staff: bool = False  #: of the site's team
    has_api_key: bool = False

    @property
    def is_trusted(self) -> bool:
        """Whether the caller may act for others, in any mode."""
        return self.is_staff or self.has_api_key


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribute:
    """One thing that an enrolment says beside its mode, such as the provider of a credit."""

    namespace: str
    name: str
    value: str

    @property
    def identifier(self) -> str:
        """Namespace and name, as ``REQUIRED_ATTRIBUTES`` has them."""
        return f"{self.namespace}:{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Whose enrolment in what: by username, or by email where there is none ('')."""

    course_id: str
    username: str
    email: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What is to become of the enrolment; None is not said."""

    mode: str | None = None
    is_active: bool | None = None
    #: Asked for, closed courses and expired modes count as open. Not everybody's wish counts.
    force: bool = False
    attributes: tuple[Attribute, ...] = ()
    #: Name of a cohort to put the learner in.
    cohort: str | None = None


def target_of(data: object, caller: Caller) -> Target:
    """Return whom and what a body is about; the caller, where nobody is named.

    Raises Refused where that cannot be told.
    """
    body = json_object(data)
    course_id = _course_id(body.get("course_details"))
    username, email = _name(body, "user"), _name(body, "email")
    if not username and not email:
        username = caller.username
    return Target(course_id=course_id, username=username, email=email)


def may_act_for(target: Target, caller: Caller) -> bool:
    """Return whether a caller may touch this enrolment at all; naming oneself by email is not enough."""
    return caller.is_trusted or target.username == caller.username


def change_of(data: object) -> Change:
    """Return what a body asks to be changed.

    Raises Refused for what is not of the right type.
    """
    body = json_object(data)
    mode, cohort = body.get("mode"), body.get("cohort")
    if mode is not None and not isinstance(mode, str):
        raise Refused(f"'{shown(mode)}' is not a course mode.")
    return Change(
        mode=mode,
        is_active=_flag(body.get("is_active"), "enrollment activation"),
        force=bool(_flag(body.get("force_enrollment"), "force enrollment")),
        attributes=_attributes(body.get("enrollment_attributes")),
        cohort=None if cohort is None else shown(cohort),
    )


def missing_attributes(change: Change) -> list[str]:
    """Return what the mode requires and the attributes do not say; nothing where there are none."""
    required = REQUIRED_ATTRIBUTES.get(change.mode or "", ()) if change.attributes else ()
    said = {attribute.identifier for attribute in change.attributes}
    return sorted(set(required) - said)


def json_object(data: object) -> Mapping[str, Any]:
    """Return a request's body, which has to be an object or a form; raise Refused for another."""
    if isinstance(data, QueryDict):
        return data.dict()
    if isinstance(data, Mapping):
        return data
    raise Refused("The request body must be a JSON object.")


def _course_id(details: object) -> str:
    if details is None:
        raise Refused(_NO_COURSE_ID)
    if not isinstance(details, Mapping):
        raise Refused("'course_details' must be an object that has a 'course_id'.")
    course_id = details.get("course_id")
    if not course_id:
        raise Refused(_NO_COURSE_ID)
    if not isinstance(course_id, str):
        raise Refused("'course_id' must be a text.")
    if not is_course_id(course_id):
        raise no_course(course_id)
    return course_id


def _name(body: Mapping[str, Any], key: str) -> str:
    """Return a username or an email, '' without one; numbers are names too."""
    value = body.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None:
        return ""
    if not isinstance(value, str) or not is_text(value):
        raise Refused(f"'{key}' must be a text.")
    return value


def _flag(value: object, name: str) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise Refused(f"'{shown(value)}' is an invalid {name} status.")


def _attributes(values: object) -> tuple[Attribute, ...]:
    if values is None:
        return ()
    if not isinstance(values, list):
        raise Refused("'enrollment_attributes' must be a list of objects.")
    if len(values) > MAX_ATTRIBUTES:
        raise Refused(f"At most {MAX_ATTRIBUTES} enrollment attributes are taken at once.")
    return tuple(_attribute(value) for value in values)


def _attribute(value: object) -> Attribute:
    if not isinstance(value, Mapping):
        raise Refused("'enrollment_attributes' must be a list of objects.")
    for key in ("namespace", "name", "value"):
        if key not in value:
            message = f"'{key}' not in enrollment attribute"
            raise Refused(message, localizedMessage=message)
    return Attribute(
        **{key: _short_text(value[key], key) for key in ("namespace", "name", "value")}
    )


def _short_text(value: object, key: str) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not is_text(text) or len(text) > ATTRIBUTE_LENGTH:
        raise Refused(
            f"'{key}' of an enrollment attribute must be a text of at most "
            f"{ATTRIBUTE_LENGTH} characters."
        )
    return text


def is_text(value: str) -> bool:
    """Return whether a text can be stored: JSON can hold halves of characters, which cannot."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
