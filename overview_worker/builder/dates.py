"""Conversion of stored dates: BSON dates, ISO and other texts, milliseconds since 1970.

Follows ``Date`` of edX's ``xmodule/fields.py``, except that nothing here reads a clock or the
machine's time zone: a text that names no year is refused, where Open edX takes the year in which
its process started. Does no I/O.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from dateutil import parser

from overview_worker.builder.fields import BadValue

#: A text longer than this is no date; the parser is slow on long texts.
LONGEST_DATE_TEXT = 200

#: The form that exports and imports write; the standard library reads it 100 times faster.
_ISO_FORM = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?", re.ASCII
)
#: What the parser fills gaps from: results that differ show which part was missing.
_SEED = datetime(2000, 1, 1, tzinfo=UTC)
_OTHER_DAY_AND_MONTH = datetime(2000, 2, 2, tzinfo=UTC)
_OTHER_YEAR = datetime(2004, 1, 1, tzinfo=UTC)
#: Everything that dateutil is known to raise on odd texts; its documentation promises the first two.
_PARSER_ERRORS = (
    ValueError,
    OverflowError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
)


class _FixedCentury(parser.parserinfo):
    """Reads two-digit years as 1975 to 2074 on every day; dateutil's own rule moves with the clock."""

    def convertyear(self, year: int, century_specified: bool = False) -> int:
        if century_specified or year >= 100:
            return year
        return year + (2000 if year < 75 else 1900)


_PARSER = parser.parser(_FixedCentury())


def to_datetime(value: object) -> datetime | None:
    """Return a stored date as aware UTC; None for null, '' and texts without a day or a month.

    Numbers are milliseconds since 1970, and dates without a time zone are UTC. Raises ``BadValue``
    for anything else, and for what falls outside the years 1 to 9999.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return _in_utc(value)
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, int | float):
        return _from_milliseconds(value)
    raise BadValue("neither a date nor a text nor a number")


def _in_utc(moment: datetime) -> datetime:
    try:
        if moment.utcoffset() is None:
            return moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadValue("outside the years 1 to 9999") from error


def _from_milliseconds(value: float) -> datetime:
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise BadValue("not a number of milliseconds in the years 1 to 9999") from error


def _from_text(text: str) -> datetime | None:
    if len(text) > LONGEST_DATE_TEXT:
        raise BadValue("too long for a date")
    if _ISO_FORM.fullmatch(text):
        try:
            return _in_utc(datetime.fromisoformat(text))
        except BadValue:
            raise
        except ValueError:
            pass  # dateutil is more patient with offsets such as +05:75
    return _from_free_text(text)


def _from_free_text(text: str) -> datetime | None:
    try:
        moment = _parsed(text, _SEED)
        if moment != _parsed(text, _OTHER_DAY_AND_MONTH):
            return None
        year_is_missing = moment != _parsed(text, _OTHER_YEAR)
    except _PARSER_ERRORS as error:
        raise BadValue("not a date") from error
    if year_is_missing:
        raise BadValue("a date without a year")
    return _in_utc(moment)


def _parsed(text: str, seed: datetime) -> datetime:
    return _PARSER.parse(text, default=seed, tzinfos=_zone)


def _zone(_name: str | None, offset_seconds: int | None) -> tzinfo:
    """Return the offset that the text gives; names without one count as UTC, as on a UTC server."""
    return UTC if not offset_seconds else timezone(timedelta(seconds=offset_seconds))
