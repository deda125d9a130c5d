"""One tab of a course as a row of ``course_overviews_courseoverviewtab``.

Follows the constructors of edx-platform's tab classes and the conversions that Django's model fields
make on the way into the table. Does no I/O.
"""

from collections.abc import Mapping
from typing import Any

from lms_integration.data import CourseOverviewTabData
from overview_worker.builder.fields import BadValue, storable_text
from overview_worker.builder.reading import FieldReader
from overview_worker.builder.tab_types import TabType

#: Length of the columns ``tab_id`` and ``type``, in characters.
LONGEST_TAB_ID = 50

#: The texts that Django's ``BooleanField`` reads, besides true, false, 1 and 0.
_FLAG_TEXTS = {"t": True, "True": True, "1": True, "f": False, "False": False, "0": False}


def tab_row(
    tab: Mapping[str, Any], tab_type: TabType, *, reader: FieldReader
) -> CourseOverviewTabData:
    """Return the row of a stored tab; flags that cannot be read are noted and take their default.

    Raises ``BadValue`` when a required key is missing or a text does not fit its column.
    """
    missing = [key for key in tab_type.required_keys if key not in tab]
    if missing:
        raise BadValue(f"a tab of type {tab_type.type} without {' and '.join(missing)}")
    return CourseOverviewTabData(
        tab_id=_tab_id(tab, tab_type, reader),
        type=_short(tab_type.type),
        name=_text(tab.get("name", tab_type.title)),
        course_staff_only=_flag(tab, "course_staff_only", False, reader),
        url_slug=_url_slug(tab, tab_type),
        link=_text(tab["link"]) if tab_type.has_link else None,
        is_hidden=_flag(tab, "is_hidden", tab_type.hidden, reader),
    )


def _tab_id(tab: Mapping[str, Any], tab_type: TabType, reader: FieldReader) -> str:
    key = tab_type.tab_id_key
    if key is not None and key in tab:
        return _short(f"{tab_type.type}_{_text(tab[key])}")
    tab_id = _text(tab.get("tab_id", tab_type.type))
    if tab_id is None:
        reader.degrade("tabs", tab, "a null tab_id")
        return tab_type.type
    return _short(tab_id)


def _short(text: str) -> str:
    if len(text) > LONGEST_TAB_ID:
        raise BadValue(f"a tab id or type of more than {LONGEST_TAB_ID} characters")
    return text


def _url_slug(tab: Mapping[str, Any], tab_type: TabType) -> str | None:
    if tab_type.has_url_slug:
        return _text(tab["url_slug"])
    return f"tab/{tab_type.type}" if tab_type.is_fragment else None


def _text(value: object) -> str | None:
    """Return a text or null as it is, and ``str`` of anything else, as Django's ``TextField`` does."""
    if value is None:
        return None
    if isinstance(value, str):
        return storable_text(value)
    try:
        return storable_text(str(value))
    except (ValueError, RecursionError) as error:
        raise BadValue("a tab whose text cannot be read") from error


def _flag(tab: Mapping[str, Any], key: str, default: bool, reader: FieldReader) -> bool:
    value = tab.get(key, default)
    if value is True or value is False:
        return bool(value)
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and (text := str.__str__(value)) in _FLAG_TEXTS:
        return _FLAG_TEXTS[text]
    reader.degrade("tabs", tab, f"{key} is neither true nor false")
    return default
