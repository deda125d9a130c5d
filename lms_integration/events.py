"""The event contract: small frozen facts about courses, and their wire form.

The wire form is CloudEvents 1.0, structured JSON. An event carries no content, only which course
and, when known, which published version: whoever consumes it reads the source again. So a forged
or repeated event costs one rebuild and nothing else. Does no I/O and knows no framework.
"""

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from lms_integration.course_keys import InvalidCourseKey, parse_course_key

#: Largest wire form that is accepted, in bytes, counted before anything is decoded.
EVENT_MAX_BYTES = 4096
CONTENT_TYPE = "application/cloudevents+json"
#: Topic exchange that publishers write to and the intake's queue is bound to.
EXCHANGE = "course-authoring"
QUEUE = "overview.events"
#: Every routing key of the exchange begins so: ``course.published``, ``course.deleted`` …
ROUTING_PATTERN = "course.#"
DEFAULT_SOURCE = "/overview-pipeline/studio"

_TYPE_PREFIX = "org.openedx.overview_pipeline."
_EVENT_ID_MAX_LENGTH = 64
_VERSION_LENGTH = 24
# Within what every database holds.
_EARLIEST_YEAR, _LATEST_YEAR = 1970, 2999


class InvalidEvent(ValueError):
    """A message that is none of our events; the message says what is wrong with it."""


def _new_event_id() -> str:
    return str(uuid.uuid4())


def _utcnow() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseEvent:
    """What all events have: an id, a course, when it happened, and where it was marked."""

    type_name: ClassVar[str]
    routing_key: ClassVar[str]

    course_key: str
    event_id: str = field(default_factory=_new_event_id)
    occurred_at: datetime = field(default_factory=_utcnow)
    #: Identity of the database in which the publisher has already marked the course, else None.
    marked_in: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CoursePublished(CourseEvent):
    """The published branch of a course has moved (or the course was created)."""

    type_name: ClassVar[str] = f"{_TYPE_PREFIX}course.published.v1"
    routing_key: ClassVar[str] = "course.published"

    published_version: str | None = None  #: ObjectId of the structure, 24 hex digits
    published_at: datetime | None = None  #: ``last_update`` of the course index entry


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseDeleted(CourseEvent):
    """A course has left the course index."""

    type_name: ClassVar[str] = f"{_TYPE_PREFIX}course.deleted.v1"
    routing_key: ClassVar[str] = "course.deleted"

    deleted_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RebuildRequested(CourseEvent):
    """Somebody asks for a course's overview to be brought up to date; nothing is said of why."""

    type_name: ClassVar[str] = f"{_TYPE_PREFIX}course.rebuild_requested.v1"
    routing_key: ClassVar[str] = "course.rebuild_requested"


#: Marks of these start the clock of a publish: when will a reader see it?
PUBLISH_EVENT_TYPES = (CoursePublished.type_name, CourseDeleted.type_name)

Event = CoursePublished | CourseDeleted | RebuildRequested
_EVENT_TYPES: dict[str, type[CoursePublished | CourseDeleted | RebuildRequested]] = {
    event_type.type_name: event_type
    for event_type in (CoursePublished, CourseDeleted, RebuildRequested)
}


def encode_event(event: Event, *, source: str = DEFAULT_SOURCE) -> bytes:
    """Return the wire form of ``event``: UTF-8 JSON of at most ``EVENT_MAX_BYTES``."""
    data: dict[str, str | None] = {"marked_in": event.marked_in}
    match event:
        case CoursePublished():
            data["published_version"] = event.published_version
            data["published_at"] = _encode_time(event.published_at)
        case CourseDeleted():
            data["deleted_at"] = _encode_time(event.deleted_at)
    envelope = {
        "specversion": "1.0",
        "id": event.event_id,
        "source": source,
        "type": event.type_name,
        "time": _encode_time(event.occurred_at),
        "subject": event.course_key,
        "datacontenttype": "application/json",
        "data": {name: value for name, value in data.items() if value is not None},
    }
    return json.dumps(envelope, separators=(",", ":"), ensure_ascii=False).encode()


def decode_event(body: bytes) -> Event:
    """Return the event that ``body`` holds.

    Attributes that we do not know are ignored, so that a newer publisher may add some.

    Raises:
        InvalidEvent: too large (checked first), not UTF-8 JSON, not CloudEvents 1.0, an unknown
            type, or an attribute or course key that breaks the contract.
    """
    envelope = _decode_json(body)
    if envelope.get("specversion") != "1.0":
        raise InvalidEvent("not a CloudEvents 1.0 message: specversion must be '1.0'")
    event_type = _EVENT_TYPES.get(_text(envelope, "type", max_length=200))
    if event_type is None:
        raise InvalidEvent(f"unknown event type {envelope['type']!r}")
    data = envelope.get("data", {})
    if not isinstance(data, dict):
        raise InvalidEvent("data must be an object")
    common: dict[str, Any] = {
        "event_id": _text(envelope, "id", max_length=_EVENT_ID_MAX_LENGTH),
        "course_key": _course_key(envelope),
        "occurred_at": _time(envelope, "time") or _utcnow(),
        "marked_in": _optional_text(data, "marked_in", max_length=36),
    }
    if event_type is CoursePublished:
        return CoursePublished(
            **common, published_version=_version(data), published_at=_time(data, "published_at")
        )
    if event_type is CourseDeleted:
        return CourseDeleted(**common, deleted_at=_time(data, "deleted_at"))
    return RebuildRequested(**common)


def _decode_json(body: bytes) -> dict[str, Any]:
    if len(body) > EVENT_MAX_BYTES:
        raise InvalidEvent(f"message of {len(body)} bytes: at most {EVENT_MAX_BYTES} are allowed")
    try:
        # RecursionError: deep nesting; ValueError: bad JSON, bad UTF-8, integers of 4,300 digits.
        decoded = json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique_names, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"not JSON in UTF-8: {str(error)[:200]}") from error
    if not isinstance(decoded, dict):
        raise InvalidEvent(f"a JSON object is expected, not {type(decoded).__name__}")
    return decoded


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; one that names something twice would mean another course to another reader."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return values


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _text(values: dict[str, Any], name: str, *, max_length: int) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidEvent(f"{name} must be a non-empty string")
    if len(value) > max_length:
        raise InvalidEvent(f"{name} has {len(value)} characters: at most {max_length} are allowed")
    if not value.isprintable():  # also lone surrogates, which no column can hold
        raise InvalidEvent(f"{name} must be printable: {value!r}")
    return value


def _optional_text(values: dict[str, Any], name: str, *, max_length: int) -> str | None:
    return None if values.get(name) is None else _text(values, name, max_length=max_length)


def _course_key(envelope: dict[str, Any]) -> str:
    text = _text(envelope, "subject", max_length=EVENT_MAX_BYTES)
    try:
        parse_course_key(text)
    except InvalidCourseKey as error:
        raise InvalidEvent(f"subject: {error}") from error
    return text


def _version(data: dict[str, Any]) -> str | None:
    version = _optional_text(data, "published_version", max_length=_VERSION_LENGTH)
    if version is None:
        return None
    if len(version) != _VERSION_LENGTH or not set(version) <= set("0123456789abcdef"):
        raise InvalidEvent(f"published_version must be 24 hex digits, not {version!r}")
    return version


def _encode_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _time(values: dict[str, Any], name: str) -> datetime | None:
    text = _optional_text(values, name, max_length=40)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        in_utc = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidEvent(f"{name} is not a time: {text!r}") from error
    if moment.tzinfo is None:
        raise InvalidEvent(f"{name} must have a time zone: {text!r}")
    if not _EARLIEST_YEAR <= in_utc.year <= _LATEST_YEAR:
        raise InvalidEvent(f"{name} is out of range: {text!r}")
    return in_utc
