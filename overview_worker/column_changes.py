"""Which columns of an overview a rebuild changes, for the story of its row.

The old values are not read: the state keeps a short digest of every column that was written last.
Does no I/O and knows no framework.
"""

from collections.abc import Mapping
from dataclasses import astuple, fields
from zlib import crc32

from lms_integration.data import CourseOverviewData, CourseOverviewProjectionData
from lms_integration.log_lines import one_line
from overview_worker.documents import BuiltOverview

#: Longest new value that is told, in characters.
TOLD_VALUE_LENGTH = 60

_DIGEST_LENGTH = 6
_OVERVIEW_COLUMNS = tuple(field.name for field in fields(CourseOverviewData))
_PROJECTION_COLUMNS = tuple(field.name for field in fields(CourseOverviewProjectionData))
_COLUMNS = (*_OVERVIEW_COLUMNS, "image_set", "tabs", *_PROJECTION_COLUMNS)


def column_digests_of(built: BuiltOverview) -> str:
    """Return the digests of all columns, in their order, as one text of hex digits."""
    return "".join(_digest(value) for value in _values_of(built))


def changed_columns(built: BuiltOverview, *, digests: str, old: str) -> Mapping[str, str] | None:
    """Return ``{column: its new value, cut short}`` for the columns that differ.

    ``digests`` are those of ``built``, ``old`` those of what is stored. None where ``old`` cannot be
    compared: it is empty, or from a release that had other columns.
    """
    if len(old) != len(digests):
        return None
    changed: dict[str, str] = {}
    for number, (name, value) in enumerate(zip(_COLUMNS, _values_of(built), strict=True)):
        place = slice(number * _DIGEST_LENGTH, (number + 1) * _DIGEST_LENGTH)
        if digests[place] != old[place]:
            changed[name] = _told(value)
    return changed


def _values_of(built: BuiltOverview) -> list[object]:
    return [
        *(getattr(built.overview, name) for name in _OVERVIEW_COLUMNS),
        None if built.image_set is None else astuple(built.image_set),
        [astuple(tab) for tab in built.tabs],
        *(getattr(built.projection, name) for name in _PROJECTION_COLUMNS),
    ]


def _digest(value: object) -> str:
    return f"{crc32(repr(value).encode('utf-8', 'replace')):08x}"[-_DIGEST_LENGTH:]


def _told(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)} of them"
    text = "none" if value is None else one_line(str(value)[: TOLD_VALUE_LENGTH + 1])
    return text if len(text) <= TOLD_VALUE_LENGTH else f"{text[:TOLD_VALUE_LENGTH]}…"
