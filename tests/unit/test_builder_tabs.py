"""Tabs: stored lists brought up to date, default tabs, and bad tabs."""

from typing import Any

import pytest
from bson.code import Code
from bson.objectid import ObjectId

from lms_integration.data import CourseOverviewTabData
from overview_worker.builder.settings import BuilderSettings
from overview_worker.builder.tab_types import TAB_TYPES, TabType
from overview_worker.documents import BuiltOverview
from tests.builder_courses import build, degraded_fields

COURSEWARE = {"type": "courseware", "name": "Course"}
DEFAULTS = ["courseware", "progress", "dates", "discussion", "wiki", "textbooks"]


def _build(*tabs: Any, **fields: Any) -> BuiltOverview:
    return build({"tabs": list(tabs), **fields})


def _types(built: BuiltOverview) -> list[str | None]:
    return [tab.type for tab in built.tabs]


def _last(*tabs: Any) -> CourseOverviewTabData:
    built = _build(COURSEWARE, *tabs)
    assert built.degradations == ()
    return built.tabs[-1]


# Default tabs


@pytest.mark.parametrize("fields", [{}, {"tabs": []}])
def test_a_course_without_tabs_has_the_default_ones_by_priority(fields: dict[str, Any]) -> None:
    built = build(fields)

    assert _types(built) == DEFAULTS
    assert [tab.name for tab in built.tabs] == [
        "Course",
        "Progress",
        "Dates",
        "Discussion",
        "Wiki",
        "Textbooks",
    ]
    assert [tab.is_hidden for tab in built.tabs] == [False, False, False, False, True, False]
    assert built.degradations == ()


def test_a_discussion_link_replaces_the_default_discussion_and_comes_last() -> None:
    built = build({"discussion_link": "https://forum.example.com"})

    assert _types(built) == [
        "courseware",
        "progress",
        "dates",
        "wiki",
        "textbooks",
        "external_discussion",
    ]
    assert built.tabs[-1] == CourseOverviewTabData(
        tab_id="external_discussion",
        type="external_discussion",
        name="External Discussion",
        course_staff_only=False,
        url_slug=None,
        link="https://forum.example.com",
        is_hidden=False,
    )


def test_a_discussion_link_does_nothing_to_stored_tabs_and_is_not_even_read() -> None:
    built = _build(COURSEWARE, {"type": "discussion"}, discussion_link=5)

    assert _types(built) == ["courseware", "discussion"]
    assert built.degradations == ()


@pytest.mark.parametrize("link", ["", None])
def test_an_empty_discussion_link_is_none(link: str | None) -> None:
    assert _types(build({"discussion_link": link})) == DEFAULTS


def test_a_bad_discussion_link_is_degraded() -> None:
    built = build({"discussion_link": ["x"]})

    assert _types(built) == DEFAULTS
    assert degraded_fields(built) == ["discussion_link"]


# Upgrades of old lists


@pytest.mark.parametrize(
    "tabs",
    [
        [{"type": "course_info", "name": "Home"}, COURSEWARE, {"type": "wiki"}],
        [{"type": "courseware", "name": "C"}, {"type": "course_info"}, {"type": "wiki"}],
    ],
)
def test_the_former_home_tab_goes(tabs: list[Any]) -> None:
    built = _build(*tabs)

    assert [(tab.type, tab.name) for tab in built.tabs] == [
        ("courseware", "Course"),
        ("wiki", "Wiki"),
    ]
    assert built.degradations == ()


def test_the_stored_documents_are_not_changed() -> None:
    tabs = [{"type": "courseware", "name": "C"}, {"type": "course_info"}]

    build({"tabs": tabs})

    assert tabs == [{"type": "courseware", "name": "C"}, {"type": "course_info"}]


def test_a_courseware_tab_keeps_its_name_otherwise() -> None:
    assert _build({"type": "course_info"}, {"type": "courseware", "name": "C"}).tabs[0].name == "C"


def test_a_former_home_tab_further_down_is_an_unknown_type() -> None:
    built = _build(COURSEWARE, {"type": "wiki"}, {"type": "course_info"})

    assert _types(built) == ["courseware", "wiki"]


# Invalid lists


@pytest.mark.parametrize(
    "tabs",
    [
        None,
        "",
        "tabs",
        5,
        {},
        {"type": "courseware"},
        [{"type": "progress"}, COURSEWARE],
        [{"type": "course_info"}],
        [{"name": "no type"}],
        ["courseware"],
        [None, COURSEWARE],
        [COURSEWARE, COURSEWARE],
        [COURSEWARE, {"type": "progress"}, {"type": "progress", "name": "P2"}],
        [COURSEWARE, {"type": "ccx_coach"}, {"type": "ccx_coach"}],
    ],
)
def test_an_invalid_list_gives_the_default_tabs_and_a_note(tabs: object) -> None:
    built = build({"tabs": tabs})

    assert _types(built) == DEFAULTS
    assert degraded_fields(built) == ["tabs"]


@pytest.mark.parametrize("name", ["static_tab", "external_link", "lti_tab", "syllabus"])
def test_some_types_may_come_more_than_once(name: str) -> None:
    tab = {"type": name, "name": "N", "url_slug": "s", "link": "l"}

    assert _types(_build(COURSEWARE, tab, tab)) == ["courseware", name, name]


@pytest.mark.parametrize("name", ["edxnotes2_unknown", "ccx_coach", "", None, 5])
def test_unknown_types_are_left_out_in_silence(name: object) -> None:
    built = _build(COURSEWARE, {"type": name}, {"type": "wiki"}, {"name": "no type"})

    assert _types(built) == ["courseware", "wiki"]
    assert built.degradations == ()


def test_types_may_repeat_when_they_are_unknown() -> None:
    assert _types(_build(COURSEWARE, {"type": "x"}, {"type": "x"})) == ["courseware"]


def test_types_are_looked_up_by_their_entry_point() -> None:
    tab = _last({"type": "ccx"})

    assert (tab.type, tab.tab_id, tab.name) == ("ccx_coach", "ccx_coach", "CCX Coach")


def test_the_tab_types_are_a_setting() -> None:
    settings = BuilderSettings(
        tab_types={**TAB_TYPES, "extra": TabType(type="extra_type", title="Extra", priority=1)}
    )

    built = build({"tabs": [COURSEWARE, {"type": "extra"}]}, settings=settings)

    assert [(tab.type, tab.name) for tab in built.tabs][1] == ("extra_type", "Extra")


def test_default_tabs_leave_out_types_that_the_deployment_lacks() -> None:
    without_wiki = {name: tab for name, tab in TAB_TYPES.items() if name != "wiki"}

    built = build(settings=BuilderSettings(tab_types=without_wiki))

    assert _types(built) == [name for name in DEFAULTS if name != "wiki"]


# Columns


@pytest.mark.parametrize("name", sorted(set(TAB_TYPES) - {"courseware"}))
def test_a_tab_of_every_type_has_its_id_and_its_title(name: str) -> None:
    tab_type = TAB_TYPES[name]
    required = dict.fromkeys(tab_type.required_keys, "stored")

    tab = _last({"type": name, **required})

    assert tab.type == tab_type.type
    assert tab.name == ("stored" if "name" in required else tab_type.title)
    assert tab.tab_id == ("static_tab_stored" if name == "static_tab" else tab_type.type)


@pytest.mark.parametrize("name", ["discussion", "lti_discussion", "lti_live"])
def test_fragment_tabs_have_an_address_of_their_own(name: str) -> None:
    assert _last({"type": name, "url_slug": "ignored"}).url_slug == f"tab/{name}"


def test_other_tabs_store_neither_slug_nor_link() -> None:
    tab = _last({"type": "progress", "url_slug": "ignored", "link": "ignored"})

    assert (tab.url_slug, tab.link) == (None, None)


def test_texts_of_another_bson_type_are_texts() -> None:
    tab = _last({"type": Code("wiki"), "name": Code("N"), "is_hidden": Code("0")})

    assert (tab.type, tab.name, tab.is_hidden) == ("wiki", "N", False)
    assert type(tab.name) is str


def test_a_static_tab_takes_its_id_from_its_slug() -> None:
    tab = _last({"type": "static_tab", "name": "N", "url_slug": "s", "tab_id": "ignored"})

    assert (tab.tab_id, tab.url_slug) == ("static_tab_s", "s")


def test_an_lti_tab_takes_its_id_from_its_configuration() -> None:
    tab = _last({"type": "lti_tab", "name": "N", "lti_config_id": "abc", "tab_id": "ignored"})

    assert (tab.tab_id, tab.url_slug) == ("lti_tab_abc", None)


@pytest.mark.parametrize("name", ["external_link", "external_discussion"])
def test_link_tabs_keep_their_link(name: str) -> None:
    tab = _last({"type": name, "name": "N", "link": "https://x.example.com"})

    assert (tab.link, tab.url_slug) == ("https://x.example.com", None)


def test_another_tab_keeps_its_stored_id() -> None:
    assert _last({"type": "progress", "tab_id": "mine"}).tab_id == "mine"


def test_a_stored_name_is_kept_even_null_or_empty() -> None:
    assert _last({"type": "progress", "name": None}).name is None
    assert _last({"type": "progress", "name": ""}).name == ""
    assert _last({"type": "external_discussion", "link": None}).link is None


def test_texts_of_tabs_are_written_as_django_writes_them() -> None:
    tab = _last({"type": "static_tab", "name": 5, "url_slug": 1.5})

    assert (tab.name, tab.url_slug, tab.tab_id) == ("5", "1.5", "static_tab_1.5")
    assert _last({"type": "progress", "name": ObjectId("5" * 24)}).name == "5" * 24
    assert _last({"type": "static_tab", "name": "N", "url_slug": None}).tab_id == "static_tab_None"


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({}, True),
        ({"is_hidden": False}, False),
        ({"is_hidden": 0}, False),
        ({"is_hidden": 1}, True),
    ],
)
def test_a_wiki_tab_is_hidden_unless_it_says_no(stored: dict[str, Any], expected: bool) -> None:
    assert _last({"type": "wiki", **stored}).is_hidden is expected


@pytest.mark.parametrize(
    ("stored", "expected"),
    [(True, True), (1, True), (1.0, True), ("True", True), ("t", True), ("0", False), (0, False)],
)
def test_flags_are_read_as_django_reads_them(stored: object, expected: bool) -> None:
    tab = _last({"type": "progress", "is_hidden": stored, "course_staff_only": stored})

    assert (tab.is_hidden, tab.course_staff_only) == (expected, expected)


# Bad tabs


@pytest.mark.parametrize("stored", [None, "true", "yes", 2, [], {}, float("nan")])
def test_a_bad_flag_takes_its_default_and_the_tab_stays(stored: object) -> None:
    tab = {"type": "wiki", "is_hidden": stored, "course_staff_only": stored}

    built = _build(COURSEWARE, tab)

    assert (built.tabs[1].is_hidden, built.tabs[1].course_staff_only) == (True, False)
    assert degraded_fields(built) == ["tabs", "tabs"]


def test_a_null_tab_id_takes_its_default_and_the_tab_stays() -> None:
    built = _build(COURSEWARE, {"type": "progress", "tab_id": None})

    assert built.tabs[1].tab_id == "progress"
    assert degraded_fields(built) == ["tabs"]


BAD_TABS: list[Any] = [
    "progress",
    5,
    None,
    ["type", "progress"],
    {"type": ["progress"]},
    {"type": {"progress": 1}},
    {"type": "static_tab", "name": "N"},
    {"type": "static_tab", "url_slug": "s"},
    {"type": "external_link", "name": "N"},
    {"type": "external_link", "link": "l"},
    {"type": "external_discussion", "name": "N"},
    {"type": "static_tab", "name": "N", "url_slug": "s" * 40},
    {"type": "progress", "tab_id": "x" * 51},
    {"type": "progress", "name": "\ud800"},
    {"type": "external_discussion", "link": "\ud800"},
    {"type": "progress", "name": 10**5000},
]


@pytest.mark.parametrize("tab", BAD_TABS, ids=range(len(BAD_TABS)))
def test_a_bad_tab_is_left_out_and_noted(tab: object) -> None:
    built = _build(COURSEWARE, tab, {"type": "wiki"})

    assert _types(built) == ["courseware", "wiki"]
    assert degraded_fields(built) == ["tabs"]


def test_a_tab_id_of_exactly_fifty_characters_fits() -> None:
    assert _last({"type": "static_tab", "name": "N", "url_slug": "s" * 39}).tab_id.endswith(
        "s" * 39
    )


def test_a_tab_type_longer_than_its_column_is_left_out() -> None:
    plugin = TabType(type="t" * 51, title="T", priority=1)
    settings = BuilderSettings(tab_types={**TAB_TYPES, "plugin": plugin})

    built = build({"tabs": [COURSEWARE, {"type": "plugin", "tab_id": "x"}]}, settings=settings)

    assert _types(built) == ["courseware"]
    assert degraded_fields(built) == ["tabs"]


def test_a_bad_courseware_tab_becomes_a_plain_one() -> None:
    built = _build({"type": "courseware", "tab_id": "x" * 51}, {"type": "wiki"})

    assert [(tab.tab_id, tab.name) for tab in built.tabs] == [
        ("courseware", "Course"),
        ("wiki", "Wiki"),
    ]
    assert degraded_fields(built) == ["tabs"]
