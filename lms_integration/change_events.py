"""The event that tells what changed of a row: ``course.overview.changed``, and its wire form.

CloudEvents 1.0, structured JSON, on the exchange of the publish events but under a routing key of its
own, to which the intake's queue is not bound. Unlike a publish event it carries values, old and new,
so that a consumer can go without asking; the truth remains the row. It is sent at least once, and in
the order of ``row_seq`` for each course. Does no I/O and knows no framework.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from lms_integration.change_values import shortened
from lms_integration.course_keys import InvalidCourseKey, parse_course_key
from lms_integration.events import InvalidEvent

CHANGE_EVENT_TYPE = "org.openedx.overview_pipeline.course.overview.changed.v1"
#: Not below ``course.``, which is what the intake's queue takes, on brokers of older releases too.
CHANGE_ROUTING_KEY = "overview.changed"
CHANGE_SOURCE = "/overview-pipeline/workers"
#: Largest wire form, in bytes: a broker may have been told to refuse what is larger than 256 KiB.
CHANGE_EVENT_MAX_BYTES = 200_000
CHANGE_KINDS = ("created", "changed", "deleted")

#: Longest value that an event carries whole, in characters; and where all of them make too much.
_VALUE_LENGTH = 1000
_SHORT_VALUE_LENGTH = 150
_PAIR = 2
_Value = TypeVar("_Value", str, int)


@dataclass(frozen=True, kw_only=True, slots=True)
class OverviewChanged:
    """One real change of one course's row."""

    event_id: str  #: the same whenever it is sent again
    course_key: str
    row_seq: int  #: of the row after it: grows with each change of a course
    kind: str  #: one of ``CHANGE_KINDS``
    changed_at: datetime  #: by the database's clock
    #: ``{column: [old, new]}``; a long value is cut, see ``change_values``.
    columns: Mapping[str, Sequence[Any]]
    source_version: str = ""  #: published structure that the row was built from; '' for a delete
    builder_version: int = 0
    cause: str = ""  #: type of the event that had the row rebuilt, or what else did
    cause_event_id: str = ""
    run_id: int | None = None  #: rebuild run that had the row rebuilt
    asked_by: str = ""


def encode_change(event: OverviewChanged) -> bytes:
    """Return the wire form: UTF-8 JSON of at most ``CHANGE_EVENT_MAX_BYTES``; values are cut to fit."""
    encoded = _encode(event, value_length=_VALUE_LENGTH)
    if len(encoded) > CHANGE_EVENT_MAX_BYTES:
        return _encode(event, value_length=_SHORT_VALUE_LENGTH)
    return encoded


def decode_change(body: bytes) -> OverviewChanged:
    """Return the event that ``body`` holds; attributes that we do not know are ignored.

    Raises:
        InvalidEvent: too large, not UTF-8 JSON, not this type of CloudEvent, or an attribute that
            breaks the contract.
    """
    envelope = _decode_json(body)
    if envelope.get("specversion") != "1.0" or envelope.get("type") != CHANGE_EVENT_TYPE:
        raise InvalidEvent(f"not a CloudEvents 1.0 message of type {CHANGE_EVENT_TYPE}")
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise InvalidEvent("data must be an object")
    return OverviewChanged(
        event_id=_value(envelope, "id", str),
        course_key=_course_key(envelope),
        changed_at=_time(envelope),
        columns=_columns(data),
        row_seq=_value(data, "row_seq", int),
        kind=_kind(data),
        source_version=_value(data, "source_version", str),
        builder_version=_value(data, "builder_version", int),
        cause=_value(data, "cause", str),
        cause_event_id=_value(data, "cause_event_id", str),
        run_id=None if data.get("run_id") is None else _value(data, "run_id", int),
        asked_by=_value(data, "asked_by", str),
    )


def _encode(event: OverviewChanged, *, value_length: int) -> bytes:
    data = {
        "row_seq": event.row_seq,
        "kind": event.kind,
        "columns": {
            name: [shortened(value, length=value_length) for value in pair]
            for name, pair in event.columns.items()
        },
        "source_version": event.source_version,
        "builder_version": event.builder_version,
        "cause": event.cause,
        "cause_event_id": event.cause_event_id,
        "run_id": event.run_id,
        "asked_by": event.asked_by,
    }
    envelope = {
        "specversion": "1.0",
        "id": event.event_id,
        "source": CHANGE_SOURCE,
        "type": CHANGE_EVENT_TYPE,
        "time": event.changed_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "subject": event.course_key,
        "datacontenttype": "application/json",
        "data": data,
    }
    text = json.dumps(envelope, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace")


def _decode_json(body: bytes) -> dict[str, Any]:
    if len(body) > CHANGE_EVENT_MAX_BYTES:
        raise InvalidEvent(
            f"message of {len(body)} bytes: at most {CHANGE_EVENT_MAX_BYTES} are allowed"
        )
    try:
        decoded = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"not JSON in UTF-8: {str(error)[:200]}") from error
    if not isinstance(decoded, dict):
        raise InvalidEvent(f"a JSON object is expected, not {type(decoded).__name__}")
    return decoded


def _value(values: dict[str, Any], name: str, kind: type[_Value]) -> _Value:
    value = values.get(name)
    if type(value) is not kind:
        raise InvalidEvent(f"{name} must be of type {kind.__name__}")
    return value


def _kind(data: dict[str, Any]) -> str:
    kind = _value(data, "kind", str)
    if kind not in CHANGE_KINDS:
        raise InvalidEvent(f"kind must be one of {', '.join(CHANGE_KINDS)}")
    return kind


def _course_key(envelope: dict[str, Any]) -> str:
    text = _value(envelope, "subject", str)
    try:
        parse_course_key(text)
    except InvalidCourseKey as error:
        raise InvalidEvent(f"subject: {error}") from error
    return text


def _columns(data: dict[str, Any]) -> dict[str, list[Any]]:
    columns = data.get("columns")
    if not isinstance(columns, dict) or not all(
        isinstance(pair, list) and len(pair) == _PAIR for pair in columns.values()
    ):
        raise InvalidEvent("columns must be an object of pairs: the old value and the new one")
    return columns


def _time(envelope: dict[str, Any]) -> datetime:
    try:
        moment = datetime.fromisoformat(_value(envelope, "time", str))
        in_utc = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidEvent("time is not a time") from error
    if moment.tzinfo is None:
        raise InvalidEvent("time must have a time zone")
    return in_utc
