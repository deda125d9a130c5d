"""The tabs of a course, in order: stored ones brought to their present form, or the defaults.

Follows ``CourseTabList`` of edx-platform's ``xmodule/tabs.py``. Where Open edX refuses the whole course
because of its tabs, a single bad tab is left out and a bad list gives the default tabs, with a note.
Does no I/O.
"""

from collections.abc import Mapping
from typing import Any

from lms_integration.data import CourseOverviewTabData
from overview_worker.builder.fields import BadValue, to_text
from overview_worker.builder.reading import FieldReader
from overview_worker.builder.tab_rows import tab_row
from overview_worker.builder.tab_types import TabType

#: The tabs of a course that stores none, before they are sorted by priority.
_DEFAULT_TABS = ("courseware", "textbooks", "discussion", "wiki", "progress", "dates")

_COURSEWARE: Mapping[str, Any] = {"type": "courseware"}


def course_tabs(
    reader: FieldReader, *, tab_types: Mapping[str, TabType]
) -> tuple[CourseOverviewTabData, ...]:
    """Return the rows of the course whose root block ``reader`` reads, in the order of the list."""

    def to_tabs(value: object) -> list[Any]:
        return _checked(_upgraded(value), tab_types)

    stored = _stored_tabs(reader.read("tabs", to_tabs, []), reader, tab_types)
    return tuple(stored) or _default_tabs(reader, tab_types)


def _upgraded(value: object) -> list[Any]:
    """Return a copy without the former home tab, which stood before or right after courseware."""
    if not isinstance(value, list):
        raise BadValue("null" if value is None else "not a list")
    tabs = list(value)
    if len(tabs) < 2:
        return tabs
    if _type(tabs[0]) == "courseware" and _type(tabs[1]) == "course_info":
        return [{**tabs[0], "name": "Course"}, *tabs[2:]]
    return tabs[1:] if _type(tabs[0]) == "course_info" else tabs


def _checked(tabs: list[Any], tab_types: Mapping[str, TabType]) -> list[Any]:
    if tabs and _type(tabs[0]) != "courseware":
        raise BadValue("tabs that do not begin with courseware")
    types = [name for tab in tabs if (name := _type(tab)) is not None]
    if len(set(types)) < len(types):
        _refuse_repeats(types, tab_types)
    return tabs


def _refuse_repeats(types: list[str], tab_types: Mapping[str, TabType]) -> None:
    for tab_type in tab_types.values():
        if not tab_type.allow_multiple and types.count(tab_type.type) > 1:
            raise BadValue(f"more than one tab of type {tab_type.type}")


def _type(tab: object) -> str | None:
    """Return the type of a stored tab, None where it is missing or no text."""
    name = tab.get("type") if isinstance(tab, Mapping) else None
    return str.__str__(name) if isinstance(name, str) else None


def _stored_tabs(
    tabs: list[Any], reader: FieldReader, tab_types: Mapping[str, TabType]
) -> list[CourseOverviewTabData]:
    rows = []
    for tab in tabs:
        row = _row_of_stored(tab, reader, tab_types)
        if row is not None:
            rows.append(row)
    return rows


def _row_of_stored(
    tab: object, reader: FieldReader, tab_types: Mapping[str, TabType]
) -> CourseOverviewTabData | None:
    """Return a stored tab's row; None for unknown types and, with a note, for bad tabs."""
    if not isinstance(tab, Mapping):
        reader.degrade("tabs", tab, "a tab that is not an object")
        return None
    if isinstance(tab.get("type"), list | dict):
        reader.degrade("tabs", tab, "a tab whose type is not a text")
        return None
    name = _type(tab)
    tab_type = tab_types.get(name) if name is not None else None
    if tab_type is None:
        return None
    try:
        return tab_row(tab, tab_type, reader=reader)
    except BadValue as bad:
        reader.degrade("tabs", tab, str(bad))
    # The way into the course must not be lost to a bad name.
    return tab_row(_COURSEWARE, tab_type, reader=reader) if name == "courseware" else None


def _default_tabs(
    reader: FieldReader, tab_types: Mapping[str, TabType]
) -> tuple[CourseOverviewTabData, ...]:
    link = reader.read("discussion_link", to_text, None)
    external: Mapping[str, Any] = {"name": "External Discussion", "link": link}
    tabs: list[tuple[TabType, Mapping[str, Any]]] = []
    for name in _DEFAULT_TABS:
        is_external = name == "discussion" and bool(link)
        tab_type = tab_types.get("external_discussion" if is_external else name)
        if tab_type is not None:
            tabs.append((tab_type, external if is_external else {}))
    tabs.sort(key=lambda tab: tab[0].priority or float("inf"))
    return tuple(tab_row(tab, tab_type, reader=reader) for tab_type, tab in tabs)
