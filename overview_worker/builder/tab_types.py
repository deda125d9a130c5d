"""The course tab types of Open edX: what the classes behind ``openedx.course_tab`` declare.

Teak's entry points. A deployment with tab plugins of its own passes a longer mapping to
``BuilderSettings.tab_types``. Does no I/O and knows no framework.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True, slots=True)
class TabType:
    """What one tab class declares, as far as rows of tabs show it."""

    type: str  #: goes into the row; CCX's differs from its entry-point name
    title: str | None  #: name of tabs that store none
    priority: int | None  #: order among default tabs, None comes last
    allow_multiple: bool = False
    required_keys: tuple[str, ...] = ()  #: a stored tab without one of them is refused
    tab_id_key: str | None = None  #: key whose value makes ``{type}_{value}`` the tab's id
    hidden: bool = False  #: ``is_hidden`` of tabs that do not store it
    has_url_slug: bool = False  #: stores its own ``url_slug``
    is_fragment: bool = False  #: its ``url_slug`` is ``tab/{type}``
    has_link: bool = False  #: stores a ``link``


COURSEWARE = TabType(type="courseware", title="Course", priority=11)
_STATIC_TAB = TabType(
    type="static_tab",
    title=None,
    priority=100,
    allow_multiple=True,
    required_keys=("name", "url_slug"),
    tab_id_key="url_slug",
    has_url_slug=True,
)
_EXTERNAL_LINK = TabType(
    type="external_link",
    title=None,
    priority=110,
    allow_multiple=True,
    required_keys=("name", "link"),
    has_link=True,
)
_EXTERNAL_DISCUSSION = TabType(
    type="external_discussion",
    title="Discussion",
    priority=None,
    required_keys=("link",),
    has_link=True,
)
_LTI_TAB = TabType(
    type="lti_tab", title=None, priority=120, allow_multiple=True, tab_id_key="lti_config_id"
)

#: ``{entry-point name: tab type}``. Stored tabs are looked up by these names, not by ``type``.
TAB_TYPES: Mapping[str, TabType] = MappingProxyType(
    {
        "ccx": TabType(type="ccx_coach", title="CCX Coach", priority=310),
        "courseware": COURSEWARE,
        "dates": TabType(type="dates", title="Dates", priority=30),
        "discussion": TabType(type="discussion", title="Discussion", priority=40, is_fragment=True),
        "edxnotes": TabType(type="edxnotes", title="Notes", priority=50),
        "external_discussion": _EXTERNAL_DISCUSSION,
        "external_link": _EXTERNAL_LINK,
        "html_textbooks": TabType(type="html_textbooks", title="Textbooks", priority=202),
        "instructor": TabType(type="instructor", title="Instructor", priority=300),
        "lti_discussion": TabType(
            type="lti_discussion", title="Discussion", priority=41, is_fragment=True
        ),
        "lti_live": TabType(type="lti_live", title="Live", priority=42, is_fragment=True),
        "lti_tab": _LTI_TAB,
        "pdf_textbooks": TabType(type="pdf_textbooks", title="Textbooks", priority=201),
        "progress": TabType(type="progress", title="Progress", priority=20),
        "static_tab": _STATIC_TAB,
        "syllabus": TabType(type="syllabus", title="Syllabus", priority=80, allow_multiple=True),
        "teams": TabType(type="teams", title="Teams", priority=60),
        "textbooks": TabType(type="textbooks", title="Textbooks", priority=200),
        "wiki": TabType(type="wiki", title="Wiki", priority=70, hidden=True),
    }
)
