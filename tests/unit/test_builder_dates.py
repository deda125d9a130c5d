"""Stored dates become aware UTC datetimes, or are refused."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64
from dateutil import parser
from hypothesis import given
from hypothesis import strategies as st

from overview_worker.builder.dates import LONGEST_DATE_TEXT, to_datetime
from overview_worker.builder.fields import BadValue
from overview_worker.errors import MalformedCourse
from tests.builder_courses import build, column, degraded_fields

#: The columns that hold dates of the course block, with their defaults.
ACCESS_DATES = ("start", "end", "enrollment_start", "enrollment_end")


@pytest.fixture
def machine_in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("empty", [None, ""])
def test_null_and_empty_texts_are_no_date(empty: object) -> None:
    assert to_datetime(empty) is None


def test_a_bson_date_is_kept_in_utc() -> None:
    stored = datetime(2015, 2, 28, 13, 5, 7, 123000, tzinfo=UTC)

    assert to_datetime(stored) == stored


def test_a_naive_date_counts_as_utc() -> None:
    assert to_datetime(datetime(2015, 1, 1)) == datetime(2015, 1, 1, tzinfo=UTC)  # noqa: DTZ001


def test_a_date_elsewhere_is_brought_to_utc() -> None:
    stored = datetime(2015, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))

    converted = to_datetime(stored)

    assert converted == datetime(2015, 1, 1, tzinfo=UTC)
    assert converted is not None
    assert converted.tzinfo is UTC


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (1360040400000, datetime(2013, 2, 5, 5, tzinfo=UTC)),
        (Int64(1360040400000), datetime(2013, 2, 5, 5, tzinfo=UTC)),
        (1360040400000.5, datetime(2013, 2, 5, 5, 0, 0, 500, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-86400000, datetime(1969, 12, 31, tzinfo=UTC)),
        (True, datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)),
    ],
)
def test_numbers_are_milliseconds_since_1970(stored: float, expected: datetime) -> None:
    assert to_datetime(stored) == expected


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("2013-02-05T05:00Z", datetime(2013, 2, 5, 5, tzinfo=UTC)),
        ("2013-02-05T05:00:00", datetime(2013, 2, 5, 5, tzinfo=UTC)),
        ("2013-02-05T05:00:00+05:30", datetime(2013, 2, 4, 23, 30, tzinfo=UTC)),
        ("2013-02-05T05:00:00.000+00:00", datetime(2013, 2, 5, 5, tzinfo=UTC)),
        ("2015-07-01T00:00:00.123456Z", datetime(2015, 7, 1, 0, 0, 0, 123456, tzinfo=UTC)),
        ("2013-02-05", datetime(2013, 2, 5, tzinfo=UTC)),
        ("20130205", datetime(2013, 2, 5, tzinfo=UTC)),
        ("February 5, 2013 17:00", datetime(2013, 2, 5, 17, tzinfo=UTC)),
        ("5 Feb 2013 00:00 -0400", datetime(2013, 2, 5, 4, tzinfo=UTC)),
        ("02/05/13", datetime(2013, 2, 5, tzinfo=UTC)),
        ("02/05/88", datetime(1988, 2, 5, tzinfo=UTC)),
        ("2013-02-05 05:00 EST", datetime(2013, 2, 5, 5, tzinfo=UTC)),
        ("2013-02-05 05:00 UTC", datetime(2013, 2, 5, 5, tzinfo=UTC)),
        ("Feb 29 2024", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_texts_are_read_as_dateutil_does_with_utc_where_no_zone_is_named(
    stored: str, expected: datetime
) -> None:
    assert to_datetime(stored) == expected


@pytest.mark.usefixtures("machine_in_new_york")
@pytest.mark.parametrize("zone", ["EST", "EDT", "", "UTC"])
def test_the_time_zone_of_the_machine_does_not_matter(zone: str) -> None:
    assert to_datetime(f"2013-02-05 05:00 {zone}") == datetime(2013, 2, 5, 5, tzinfo=UTC)


@pytest.mark.parametrize("stored", ["2013-02", "2013", "Feb 2013", "10:00", "Monday", "2013\x00"])
def test_a_text_without_a_day_or_a_month_is_no_date(stored: str) -> None:
    assert to_datetime(stored) is None


@pytest.mark.parametrize("stored", ["March 12 12:00", "02-05", "Feb 29"])
def test_a_text_without_a_year_is_refused_because_its_meaning_would_need_a_clock(
    stored: str,
) -> None:
    with pytest.raises(BadValue, match="without a year"):
        to_datetime(stored)


@pytest.mark.parametrize(
    "stored",
    [
        "null",
        " ",
        "soon",
        "2013-13-45",
        "2013-02-30T00:00:00Z",
        "2013-02-05T25:00",
        "0000-01-01T00:00:00Z",
        "10000-01-01",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        "2013-02-05T05:00:00+99:99",
        "2013-02-05 05:00:00 +9999",
        "\ud800",
        "1" * 5000,
        " " * LONGEST_DATE_TEXT + "2013-02-05",
        "x" * 3_000_000,
        float("nan"),
        float("inf"),
        10**20,
        -(10**20),
        10**400,
        253402300800000,
        {"a": 1},
        {},
        [],
        b"2013-02-05",
        DatetimeMS(10**17),
        object(),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))),
    ],
)
def test_anything_else_is_refused(stored: object) -> None:
    with pytest.raises(BadValue):
        to_datetime(stored)


@given(st.datetimes(), st.sampled_from(["", "Z", "+00:00", "-03:00", "+05:45"]), st.booleans())
def test_iso_texts_mean_what_dateutil_reads_in_them(
    moment: datetime, zone: str, with_seconds: bool
) -> None:
    text = moment.isoformat(timespec="auto" if with_seconds else "minutes") + zone
    read = parser.parse(text, default=datetime(2000, 1, 1, tzinfo=UTC))

    try:
        expected = read.astimezone(UTC)
    except OverflowError:
        with pytest.raises(BadValue):
            to_datetime(text)
    else:
        assert to_datetime(text) == expected


@given(st.text(alphabet="0123456789-/:. TZ+JanFebMonday", max_size=25))
def test_no_text_makes_the_reader_fail_in_another_way(text: str) -> None:
    try:
        converted = to_datetime(text)
    except BadValue:
        return
    assert converted is None or converted.tzinfo is UTC


@pytest.mark.parametrize("field", ACCESS_DATES)
@pytest.mark.parametrize("stored", [{"a": 1}, "null", [], 10**20])
def test_a_bad_date_of_the_course_or_its_enrolment_refuses_the_course(
    field: str, stored: object
) -> None:
    with pytest.raises(MalformedCourse) as refusal:
        build({field: stored})

    assert refusal.value.field == field
    assert refusal.value.course_key == "course-v1:Org+Course+Run"


def test_a_bad_announcement_date_is_left_out() -> None:
    built = build({"announcement": "soon"})

    assert column(built, "announcement") is None
    assert degraded_fields(built) == ["announcement"]


@pytest.mark.parametrize(
    ("field", "default"),
    [("start", datetime(2030, 1, 1, tzinfo=UTC)), *((name, None) for name in ACCESS_DATES[1:])],
)
def test_an_absent_date_takes_its_default_and_an_explicit_null_stays_null(
    field: str, default: datetime | None
) -> None:
    assert column(build(), field) == default
    assert column(build({field: None}), field) is None


@pytest.mark.parametrize("field", [*ACCESS_DATES, "announcement"])
def test_every_date_column_keeps_its_stored_date(field: str) -> None:
    stored: Any = datetime(2019, 1, 1, tzinfo=UTC)

    assert column(build({field: stored}), field) == stored
