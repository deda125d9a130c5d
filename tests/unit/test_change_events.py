"""The event that tells what changed: its wire form, its limits, and what is refused."""

import json
from datetime import UTC, datetime, timedelta, timezone
from fnmatch import fnmatch
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lms_integration.change_events import (
    CHANGE_EVENT_MAX_BYTES,
    CHANGE_EVENT_TYPE,
    CHANGE_ROUTING_KEY,
    OverviewChanged,
    decode_change,
    encode_change,
)
from lms_integration.change_values import is_cut, recorded_value, shown_text
from lms_integration.events import ROUTING_PATTERN, InvalidEvent, decode_event
from overview_worker.column_changes import (
    IMAGE_SET,
    PROJECTION_COLUMNS,
    RECORDED_VALUE_LENGTH,
    ROW_COLUMNS,
    TABS,
)

KEY = "course-v1:TestX+Events+R1"
AT = datetime(2026, 11, 23, 3, 4, 5, 678000, tzinfo=UTC)
EVENT = OverviewChanged(
    event_id="overview-change-12",
    course_key=KEY,
    row_seq=3,
    kind="changed",
    changed_at=AT,
    columns={"display_name": ["Tides", "Dunes"], "start": [None, "2030-01-01T00:00:00Z"]},
    source_version="5" * 24,
    builder_version=2,
    cause="org.openedx.overview_pipeline.course.published.v1",
    cause_event_id="e-1",
    run_id=7,
    asked_by="ann",
)
#: The wire form as consumers know it: never to be changed within ``v1``.
GOLDEN: dict[str, Any] = {
    "specversion": "1.0",
    "id": "overview-change-12",
    "source": "/overview-pipeline/workers",
    "type": "org.openedx.overview_pipeline.course.overview.changed.v1",
    "time": "2026-11-23T03:04:05.678000Z",
    "subject": KEY,
    "datacontenttype": "application/json",
    "data": {
        "row_seq": 3,
        "kind": "changed",
        "columns": {
            "display_name": ["Tides", "Dunes"],
            "start": [None, "2030-01-01T00:00:00Z"],
        },
        "source_version": "5" * 24,
        "builder_version": 2,
        "cause": "org.openedx.overview_pipeline.course.published.v1",
        "cause_event_id": "e-1",
        "run_id": 7,
        "asked_by": "ann",
    },
}
ALL_COLUMNS = (*ROW_COLUMNS, *PROJECTION_COLUMNS, TABS, IMAGE_SET)


def with_columns(columns: dict[str, Any]) -> OverviewChanged:
    return OverviewChanged(
        event_id="overview-change-1",
        course_key=KEY,
        row_seq=1,
        kind="created",
        changed_at=AT,
        columns=columns,
    )


def test_the_wire_form_is_what_consumers_know():
    assert json.loads(encode_change(EVENT)) == GOLDEN
    assert decode_change(json.dumps(GOLDEN).encode()) == EVENT


def test_attributes_that_are_not_known_are_ignored():
    newer = {**GOLDEN, "traceparent": "x", "data": {**GOLDEN["data"], "more": 1}}

    assert decode_change(json.dumps(newer).encode()) == EVENT


def test_the_intake_is_not_bound_to_it_and_would_refuse_it():
    assert ROUTING_PATTERN == "course.#"
    assert not fnmatch(CHANGE_ROUTING_KEY, "course*")
    with pytest.raises(InvalidEvent, match="unknown event type"):
        decode_event(encode_change(EVENT))


@pytest.mark.parametrize(
    "broken",
    [
        {"specversion": "0.3"},
        {"type": "org.openedx.overview_pipeline.course.published.v1"},
        {"subject": "nonsense"},
        {"subject": 5},
        {"time": "yesterday"},
        {"time": "2026-11-23T03:04:05"},
        {"id": None},
        {"data": []},
        {"data": {**GOLDEN["data"], "kind": "moved"}},
        {"data": {**GOLDEN["data"], "row_seq": "3"}},
        {"data": {**GOLDEN["data"], "row_seq": True}},
        {"data": {**GOLDEN["data"], "columns": {"start": ["one"]}}},
        {"data": {**GOLDEN["data"], "columns": "start"}},
        {"data": {**GOLDEN["data"], "run_id": "x"}},
    ],
)
def test_what_breaks_the_contract_is_refused(broken):
    with pytest.raises(InvalidEvent):
        decode_change(json.dumps({**GOLDEN, **broken}).encode())


@pytest.mark.parametrize("body", [b"\xff", b"[]", b"{", b" " * (CHANGE_EVENT_MAX_BYTES + 1)])
def test_what_is_no_event_is_refused(body):
    with pytest.raises(InvalidEvent):
        decode_change(body)


def test_a_long_value_is_cut_with_the_digest_of_the_whole():
    recorded = recorded_value("x" * (RECORDED_VALUE_LENGTH + 5), length=RECORDED_VALUE_LENGTH)
    decoded = decode_change(encode_change(with_columns({"effort": [None, recorded]})))

    old, new = decoded.columns["effort"]
    assert old is None
    assert is_cut(new)
    assert new["characters"] == RECORDED_VALUE_LENGTH + 5
    assert new["sha256"] == recorded["sha256"]
    assert new["cut"] == "x" * 1000
    assert "SHA-256" in shown_text(new)


@pytest.mark.parametrize("character", ["x", "\x01", '"', "\\", "€", "\U0001f30a"])
def test_an_event_is_never_larger_than_brokers_take(character):
    longest = recorded_value(character * RECORDED_VALUE_LENGTH, length=RECORDED_VALUE_LENGTH)
    tabs = recorded_value([{"name": character * 500}] * 40, length=RECORDED_VALUE_LENGTH)
    columns = {name: [longest, tabs if name == TABS else longest] for name in ALL_COLUMNS}

    encoded = encode_change(with_columns(columns))

    assert len(encoded) <= CHANGE_EVENT_MAX_BYTES
    assert decode_change(encoded).columns.keys() == columns.keys()


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(
    columns=st.dictionaries(
        st.sampled_from(ALL_COLUMNS), st.tuples(_VALUES, _VALUES).map(list), max_size=5
    ),
    kind=st.sampled_from(["created", "changed", "deleted"]),
    run_id=st.none() | st.integers(min_value=1),
    offset=st.integers(min_value=-12, max_value=12),
)
def test_what_is_sent_is_what_is_received(columns, kind, run_id, offset):
    event = OverviewChanged(
        event_id="overview-change-1",
        course_key=KEY,
        row_seq=1,
        kind=kind,
        changed_at=AT.astimezone(timezone(timedelta(hours=offset))),
        columns=columns,
        run_id=run_id,
    )

    decoded = decode_change(encode_change(event))

    assert decoded == event
    assert decoded.changed_at.tzinfo is UTC
    assert encode_change(decoded) == encode_change(event)


def test_the_type_says_its_version():
    assert CHANGE_EVENT_TYPE.endswith(".v1")
