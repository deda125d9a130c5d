"""How new a course is, as one number to sort by. Does no I/O."""

import math
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from dateutil import parser

#: In so many days a score changes by a factor of e: Open edX's scale, some ten months.
_SCALE_DAYS = 300.0


def newness_score(
    *,
    start: datetime | None,
    advertised_start: str | None,
    announcement: datetime | None,
    now: datetime,
) -> float:
    """Return the score of a course: the lower, the newer; announced courses are below all others.

    An ``advertised_start`` that holds a date counts instead of ``start``. A course without any date
    counts as started long ago: infinity. So far away that the score has no float: infinity, too.
    """
    if announcement is not None:
        return -_exponential(-(now - announcement).days)
    begins = _date_in(advertised_start, now=now) or start
    return math.inf if begins is None else _exponential((now - begins).days)


def _exponential(days: int) -> float:
    try:
        return math.exp(days / _SCALE_DAYS)
    except OverflowError:  # 583 years
        return math.inf


def _date_in(text: str | None, *, now: datetime) -> datetime | None:
    """Return the date that a text holds, with what it does not say taken from today at midnight."""
    if not text:
        return None
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        return parser.parse(text, default=today, tzinfos=_zone)
    except (ValueError, OverflowError):
        return None


def _zone(_name: str | None, offset_seconds: int | None) -> tzinfo:
    """Read named time zones as UTC, so that no zone of the machine matters."""
    return UTC if offset_seconds is None else timezone(timedelta(seconds=offset_seconds))
