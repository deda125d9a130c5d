"""What Open edX's ``CourseOverview`` asks MongoDB for each time: eleven fields, and the about page.

Names and defaults are those of ``CourseFields`` and ``InheritanceMixin`` of edx-platform's ``xmodule``.
None of them decides who may enter a course, so that a bad value costs only its own field. Does no I/O.
"""

import re
from collections.abc import Mapping
from typing import Any

from lms_integration.data import CourseOverviewProjectionData
from overview_worker.builder.about import about_text
from overview_worker.builder.fields import BadValue, to_boolean, to_plain_list, to_text
from overview_worker.builder.reading import FieldReader
from overview_worker.documents import Block

#: Texts that Open edX takes as the id of a team-set; entries with others do not count.
_TEAM_SET_ID = re.compile(r"[A-Za-z0-9_. -]+$")


def course_projection(
    reader: FieldReader, blocks: Mapping[tuple[str, str], Block]
) -> CourseOverviewProjectionData:
    """Return the projection of the course whose root block ``reader`` reads."""
    read = reader.read
    return CourseOverviewProjectionData(
        allow_public_wiki_access=read("allow_public_wiki_access", to_boolean, False),
        textbooks=read("textbooks", to_textbooks, []),
        pdf_textbooks=read("pdf_textbooks", to_plain_list, []),
        html_textbooks=read("html_textbooks", to_plain_list, []),
        hide_progress_tab=read("hide_progress_tab", to_boolean, None),
        edxnotes=read("edxnotes", to_boolean, False),
        enable_ccx=read("enable_ccx", to_boolean, False),
        course_visibility=read("course_visibility", to_text, "private"),
        teams_enabled=read("teams_configuration", to_teams_enabled, False),
        show_calculator=read("show_calculator", to_boolean, False),
        edxnotes_visibility=read("edxnotes_visibility", to_boolean, True),
        overview_html=about_text(blocks, "overview", notes=reader.notes),
    )


def to_textbooks(value: object) -> list[Any]:
    """Return ``[[title, address], …]``; null and entries of another shape are refused.

    As in Open edX's ``TextbookList``, where they break the whole course.
    """
    if not isinstance(value, list):
        raise BadValue("null" if value is None else "not a list")
    if not all(isinstance(each, list | tuple) and len(each) == 2 for each in value):
        raise BadValue("an entry that is not a title and an address")
    return to_plain_list(value)


def to_teams_enabled(value: object) -> bool:
    """Return whether a stored ``teams_configuration`` switches teams on; never refuses.

    Follows ``TeamsConfig.is_enabled``: what ``enabled`` says where it is stored, else whether there is
    a team-set. Anything but an object configures nothing.
    """
    if not isinstance(value, Mapping):
        return False
    enabled = value.get("enabled")
    return _has_team_set(value) if enabled is None else bool(enabled)


def _has_team_set(configuration: Mapping[str, Any]) -> bool:
    """Return whether a team-set has an id; they were called topics once."""
    team_sets = configuration.get("team_sets", configuration.get("topics"))
    if not isinstance(team_sets, list):
        return False
    return any(_is_team_set(each) for each in team_sets)


def _is_team_set(entry: object) -> bool:
    set_id = entry.get("id") if isinstance(entry, Mapping) else None
    if isinstance(set_id, str):
        return _TEAM_SET_ID.match(set_id) is not None
    return isinstance(set_id, int)  # whose digits are an id, too
