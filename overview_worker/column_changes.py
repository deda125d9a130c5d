"""Which columns of an overview a rebuild changes: for the story of its row, and for the history.

The story reads no old values: the state keeps a short digest of every column that was written last.
The history compares with what the tables hold, so that it is told also what was edited by hand.
Does no I/O and knows no framework.
"""

from collections.abc import Mapping
from dataclasses import astuple, fields
from typing import Any
from zlib import crc32

from lms_integration.change_values import as_json, recorded_value
from lms_integration.data import (
    CourseOverviewData,
    CourseOverviewImageSetData,
    CourseOverviewProjectionData,
    CourseOverviewTabData,
)
from lms_integration.log_lines import one_line
from overview_worker.documents import BuiltOverview
from overview_worker.ports import WriteOverview

#: Longest new value that is told, in characters.
TOLD_VALUE_LENGTH = 60
#: Longest value that the history keeps whole, in characters; of a list, of its JSON text.
RECORDED_VALUE_LENGTH = 10_000
#: Columns of the row itself that the history tells: the key is beside them.
ROW_COLUMNS = tuple(field.name for field in fields(CourseOverviewData) if field.name != "id")
PROJECTION_COLUMNS = tuple(field.name for field in fields(CourseOverviewProjectionData))
TAB_COLUMNS = tuple(field.name for field in fields(CourseOverviewTabData))
IMAGE_SET_COLUMNS = tuple(field.name for field in fields(CourseOverviewImageSetData))
IMAGE_SET, TABS = "image_set", "tabs"
#: Whose values are rows of typed columns: equal ones are the same.
_ROWS = frozenset({IMAGE_SET, TABS})
_CONTAINERS = (list, tuple, dict)

_DIGEST_LENGTH = 6
_OVERVIEW_COLUMNS = tuple(field.name for field in fields(CourseOverviewData))
_COLUMNS = (*_OVERVIEW_COLUMNS, IMAGE_SET, TABS, *PROJECTION_COLUMNS)


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


def written_columns(write: WriteOverview, *, catalog_owns_language: bool) -> dict[str, Any]:
    """Return ``{column: value}`` of all that ``write`` writes, but the copies that lists go by.

    The tabs are one column, and so is the image set; each is as it would be read.
    """
    built = write.built
    columns: dict[str, Any] = {}
    if write.row_changed:
        columns = {name: getattr(built.overview, name) for name in ROW_COLUMNS}
        if catalog_owns_language and write.course.state.has_row:
            del columns["language"]
        if built.image_set is not None:
            columns[IMAGE_SET] = _named(IMAGE_SET_COLUMNS, built.image_set)
        elif loses_image_set(write):
            columns[IMAGE_SET] = None
    if write.tabs_changed:
        columns[TABS] = [_named(TAB_COLUMNS, tab) for tab in built.tabs]
    if write.projection_changed:
        columns |= {name: getattr(built.projection, name) for name in PROJECTION_COLUMNS}
    return columns


def loses_image_set(write: WriteOverview) -> bool:
    """Whether image sets are off now and were not when the row was written: Open edX has none then."""
    changed = write.changed_columns
    return (
        write.built.image_set is None
        and write.course.state.has_row
        and (changed is None or IMAGE_SET in changed)
    )


def column_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return ``{column: [old, new]}`` for the columns that differ, as JSON values.

    What one of them lacks counts as None: of a new row everything is new, of a deleted one all goes.
    """
    differences: dict[str, list[Any]] = {}
    for name in dict.fromkeys((*old, *new)):
        one, other = old.get(name), new.get(name)
        if one is other or (one == other if name in _ROWS else is_same_value(one, other)):
            continue
        differences[name] = [
            recorded_value(value, length=RECORDED_VALUE_LENGTH) for value in (one, other)
        ]
    return differences


def is_same_value(one: Any, other: Any) -> bool:
    """Whether two values of a column are the same to every reader."""
    if not (isinstance(one, _CONTAINERS) and isinstance(other, _CONTAINERS)):
        return bool(one == other)
    if not one and type(one) is type(other):
        return not other
    return as_json(one) == as_json(other)  # 1, 1.0 and True are equal in Python, not as JSON


def _named(names: tuple[str, ...], data: object) -> dict[str, Any]:
    return {name: getattr(data, name) for name in names}


def _values_of(built: BuiltOverview) -> list[object]:
    return [
        *(getattr(built.overview, name) for name in _OVERVIEW_COLUMNS),
        None if built.image_set is None else astuple(built.image_set),
        [astuple(tab) for tab in built.tabs],
        *(getattr(built.projection, name) for name in PROJECTION_COLUMNS),
    ]


def _digest(value: object) -> str:
    return f"{crc32(repr(value).encode('utf-8', 'replace')):08x}"[-_DIGEST_LENGTH:]


def _told(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)} of them"
    text = "none" if value is None else one_line(str(value)[: TOLD_VALUE_LENGTH + 1])
    return text if len(text) <= TOLD_VALUE_LENGTH else f"{text[:TOLD_VALUE_LENGTH]}…"
