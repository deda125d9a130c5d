"""The event contract: what goes onto the wire, and what is refused."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lms_integration.events import (
    EVENT_MAX_BYTES,
    CourseDeleted,
    CoursePublished,
    InvalidEvent,
    RebuildRequested,
    decode_event,
    encode_event,
)

KEY = "course-v1:OpenedX+DemoX+DemoCourse"
VERSION = "6b033f466c2a3b3c53b90433"
MOMENT = datetime(2026, 11, 22, 19, 15, 22, 303000, tzinfo=UTC)

PUBLISHED = CoursePublished(
    course_key=KEY,
    event_id="e1",
    occurred_at=MOMENT,
    marked_in="5d1c0c7e-8b0e-4d3b-9a4e-0a4f4d2f7a11",
    published_version=VERSION,
    published_at=MOMENT,
)


def envelope(**changes):
    return {**json.loads(encode_event(PUBLISHED)), **changes}


def body(**changes) -> bytes:
    return json.dumps(envelope(**changes)).encode()


def test_a_publish_travels_as_a_cloud_event_that_names_course_and_version():
    assert json.loads(encode_event(PUBLISHED, source="/studio")) == {
        "specversion": "1.0",
        "id": "e1",
        "source": "/studio",
        "type": "org.openedx.overview_pipeline.course.published.v1",
        "time": "2026-11-22T19:15:22.303000Z",
        "subject": KEY,
        "datacontenttype": "application/json",
        "data": {
            "marked_in": "5d1c0c7e-8b0e-4d3b-9a4e-0a4f4d2f7a11",
            "published_version": VERSION,
            "published_at": "2026-11-22T19:15:22.303000Z",
        },
    }


@pytest.mark.parametrize(
    "event",
    [
        PUBLISHED,
        CoursePublished(course_key=KEY),
        CourseDeleted(course_key=KEY, deleted_at=MOMENT),
        CourseDeleted(course_key=KEY),
        RebuildRequested(course_key=KEY),
        RebuildRequested(course_key="course-v1:Académie+Ünï+2026"),
    ],
)
def test_an_event_comes_back_from_the_wire_as_it_was(event):
    assert decode_event(encode_event(event)) == event


def test_an_attribute_that_a_newer_publisher_added_is_ignored():
    decoded = decode_event(body(traceparent="00-abc", data={"published_by": "someone"}))

    assert decoded.course_key == KEY


def test_an_event_without_data_is_enough_to_name_a_course():
    without = envelope()
    del without["data"]

    assert decode_event(json.dumps(without).encode()).course_key == KEY


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"type": "org.example.other.v1"}, "unknown event type"),
        ({"type": None}, "type must be"),
        ({"id": ""}, "id must be"),
        ({"id": "x" * 65}, "at most 64"),
        ({"id": "a\nb"}, "printable"),
        ({"id": "\ud800"}, "printable"),
        ({"subject": "nonsense"}, "not a course key"),
        ({"subject": None}, "subject must be"),
        ({"subject": "course-v1:a+b+" + "c" * 300}, "at most 255"),
        ({"subject": "library-v1:LibOrg+LIB0"}, "library"),
        ({"subject": "OldOrg/OLD101/Run"}, "old modulestore"),
        ({"subject": "course-v1:a+b+c+branch@draft-branch"}, "without branch"),
        ({"time": "yesterday"}, "not a time"),
        ({"time": "2026-11-22T10:00:00"}, "time zone"),
        ({"time": "0001-01-01T00:00:00Z"}, "out of range"),
        ({"data": []}, "data must be"),
        ({"data": {"published_version": "xyz"}}, "24 hex digits"),
        ({"data": {"published_version": VERSION.upper()}}, "24 hex digits"),
        ({"data": {"published_at": 5}}, "published_at must be"),
    ],
)
def test_an_event_that_breaks_the_contract_is_refused_with_its_reason(changes, reason):
    with pytest.raises(InvalidEvent, match=reason):
        decode_event(body(**changes))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 4000,
        b"1" * 4090,
        b'{"specversion": NaN}',
        body()[:-1] + b',"data":{"published_at":Infinity}}',
        body()[:-1] + b',"subject":"course-v1:Other+Course+R1"}',
        b"x" * (EVENT_MAX_BYTES + 1),
    ],
    ids=[
        "empty",
        "null",
        "list",
        "cut",
        "not utf-8",
        "deep",
        "huge number",
        "nan",
        "infinity",
        "a name twice",
        "too large",
    ],
)
def test_a_message_that_is_no_event_is_refused(raw):
    with pytest.raises(InvalidEvent):
        decode_event(raw)


@given(st.binary(max_size=600))
def test_no_bytes_do_anything_but_decode_or_be_refused(raw):
    _decode_or_refuse(raw)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(envelope())), _JSON, max_size=8))
def test_no_garbage_in_any_attribute_does_anything_but_decode_or_be_refused(changes):
    _decode_or_refuse(json.dumps({**envelope(), **changes}).encode())


def _decode_or_refuse(raw: bytes) -> None:
    try:
        event = decode_event(raw)
    except InvalidEvent:
        return
    assert decode_event(encode_event(event)) == event
