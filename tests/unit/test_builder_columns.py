"""Keys, names, certificates, about texts, highlights and structure: one test for each rule."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson.code import Code
from bson.objectid import ObjectId

from lms_integration.data import COURSE_OVERVIEW_VERSION
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.documents import Block, PublishedCourse
from overview_worker.errors import MalformedCourse
from tests.builder_courses import build, column, degraded_fields, make_block, make_course

DATE = datetime(2026, 5, 1, tzinfo=UTC)


# Keys and structure


def test_the_keys_come_from_the_course_key_and_the_root_block() -> None:
    overview = build().overview

    assert overview.id == "course-v1:Org+Course+Run"
    assert overview.location == "block-v1:Org+Course+Run+type@course+block@course"
    assert (overview.org, overview.version) == ("Org", COURSE_OVERVIEW_VERSION)


def test_another_root_block_than_the_usual_one_works() -> None:
    built = build({"display_name": "Old"}, root=("course", "2012_Fall"))

    assert column(built, "display_name") == "Old"
    assert column(built, "location") == "block-v1:Org+Course+Run+type@course+block@2012_Fall"


def _with_blocks(*blocks: Block, root: Any = ("course", "course")) -> PublishedCourse:
    course = make_course()
    return PublishedCourse(
        course_key=course.course_key,
        org=course.org,
        course=course.course,
        run=course.run,
        source_version=course.source_version,
        source_updated_at=None,
        root=root,
        blocks=blocks,
    )


@pytest.mark.parametrize(
    "course",
    [
        _with_blocks(),
        _with_blocks(make_block("course", "other")),
        _with_blocks(make_block("course", "course"), root=("course",)),
        _with_blocks(make_block("course", "course"), root=None),
        _with_blocks(make_block("course", "course"), root=("course", ["course"])),
        _with_blocks(make_block("course", "course", ["not", "an", "object"])),
        _with_blocks(make_block("course", "course", definition="text")),
        _with_blocks(make_block("course", "course", defaults=[1])),
        _with_blocks(make_block("course", "x" * 255), root=("course", "x" * 255)),
    ],
)
def test_a_structure_without_a_readable_course_block_is_refused(course: PublishedCourse) -> None:
    with pytest.raises(MalformedCourse) as refusal:
        build_overview(course, settings=BuilderSettings())

    assert refusal.value.field == "structure"


def test_a_root_that_is_a_list_works_as_mongodb_stores_it() -> None:
    root: Any = ["course", "course"]

    built = build_overview(
        _with_blocks(make_block("course", "course"), root=root), settings=BuilderSettings()
    )

    assert column(built, "display_name") == "Empty"


@pytest.mark.parametrize("block_id", [["x"], Code("x"), None, 5])
def test_a_block_without_a_readable_id_is_passed_over(block_id: Any) -> None:
    unreadable = make_block("chapter", block_id)

    built = build_overview(
        _with_blocks(unreadable, make_block("course", "course")), settings=BuilderSettings()
    )

    assert built.degradations == ()


# Layers of a block


def test_a_definition_hides_the_field_of_the_structure_even_with_null() -> None:
    built = build(
        {"display_name": "structure", "start": DATE, "certificate_available_date": DATE},
        definition={"display_name": "definition", "start": None},
    )

    assert column(built, "display_name") == "definition"
    assert column(built, "start") is None
    assert column(built, "certificate_available_date") == DATE


def test_the_defaults_of_a_block_count_only_where_nothing_is_explicit() -> None:
    defaults = {"display_name": "default", "advertised_start": "soon"}

    built = build({"display_name": None}, defaults=defaults)

    assert column(built, "display_name") is None
    assert column(built, "advertised_start") == "soon"


# Names


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_displayed_number_or_organization_falls_back_to_the_key(empty: str | None) -> None:
    built = build({"display_coursenumber": empty, "display_organization": empty})

    assert column(built, "display_number_with_default") == "Course"
    assert column(built, "display_org_with_default") == "Org"
    assert built.degradations == ()


def test_white_space_is_a_displayed_number_and_organization() -> None:
    built = build({"display_coursenumber": " ", "display_organization": "  "})

    assert column(built, "display_number_with_default") == " "
    assert column(built, "display_org_with_default") == "  "


def test_a_bad_displayed_number_falls_back_to_the_key_and_is_degraded() -> None:
    built = build({"display_coursenumber": 101, "display_organization": ["x"]})

    assert column(built, "display_number_with_default") == "Course"
    assert column(built, "display_org_with_default") == "Org"
    assert degraded_fields(built) == ["display_coursenumber", "display_organization"]


def test_a_course_without_a_name_is_called_empty() -> None:
    assert column(build(), "display_name") == "Empty"


# Pre-requisites


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([], "[]"),
        (None, "null"),
        (["course-v1:A+B+C"], '["course-v1:A+B+C"]'),
        (["Ünï", "😀", "\ud800"], '["\\u00dcn\\u00ef", "\\ud83d\\ude00", "\\ud800"]'),
        ([1, {"a": None}], '[1, {"a": null}]'),
    ],
)
def test_pre_requisites_are_json_with_ascii_escapes(stored: object, expected: str) -> None:
    built = build({"pre_requisite_courses": stored})

    assert column(built, "pre_requisite_courses_json") == expected
    assert built.degradations == ()


@pytest.mark.parametrize(
    "stored", ["course-v1:A+B+C", {}, [DATE], [ObjectId("5" * 24)], [10**5000]]
)
def test_pre_requisites_that_json_cannot_hold_are_degraded(stored: object) -> None:
    built = build({"pre_requisite_courses": stored})

    assert column(built, "pre_requisite_courses_json") == "[]"
    assert degraded_fields(built) == ["pre_requisite_courses"]


# Certificates


@pytest.mark.parametrize("behavior", ["end", "end_with_date", "early_with_info", "", None, "bogus"])
def test_any_behavior_but_early_no_info_follows_the_available_date(behavior: str | None) -> None:
    fields = {"certificates_display_behavior": behavior}

    without_date = build(fields, definition={"certificate_available_date": None})
    with_date = build(fields, definition={"certificate_available_date": DATE})

    assert _certificate_display(without_date) == (None, "end")
    assert _certificate_display(with_date) == (DATE, "end_with_date")


def test_early_no_info_drops_the_available_date() -> None:
    built = build(
        {"certificates_display_behavior": "early_no_info"},
        definition={"certificate_available_date": DATE},
    )

    assert _certificate_display(built) == (None, "early_no_info")


def test_bad_certificate_settings_count_as_absent() -> None:
    built = build(
        {"certificates_display_behavior": 5}, definition={"certificate_available_date": "soon"}
    )

    assert _certificate_display(built) == (None, "end")
    assert degraded_fields(built) == [
        "certificates_display_behavior",
        "certificate_available_date",
    ]


def _certificate_display(built: Any) -> tuple[datetime | None, str]:
    overview = built.overview
    return overview.certificate_available_date, overview.certificates_display_behavior


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({}, False),
        ({"other": 1}, False),
        ({"certificates": []}, False),
        ({"certificates": [{"is_active": False}]}, False),
        ({"certificates": [{}]}, False),
        ({"certificates": [{"is_active": True}]}, True),
        ({"certificates": [{"is_active": False}, {"is_active": 1}]}, True),
        ({"certificates": [{"is_active": "false"}]}, True),
        ({"certificates": [{"is_active": True}, "garbage"]}, True),
        ({"certificates": ""}, False),
        ({"certificates": {}}, False),
    ],
)
def test_a_web_certificate_is_active_when_its_flag_is_truthy(
    stored: object, expected: bool
) -> None:
    built = build({"certificates": stored, "cert_html_view_enabled": False})

    assert column(built, "has_any_active_web_certificate") is expected
    assert built.degradations == ()


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        "text",
        {"certificates": None},
        {"certificates": 5},
        {"certificates": "text"},
        {"certificates": {"is_active": True}},
        {"certificates": ["garbage", {"is_active": True}]},
    ],
)
def test_certificates_that_open_edx_cannot_walk_are_degraded(stored: object) -> None:
    built = build({"certificates": stored})

    assert column(built, "has_any_active_web_certificate") is False
    assert degraded_fields(built) == ["certificates"]


# About texts


def test_about_texts_are_null_without_their_blocks() -> None:
    overview = build().overview

    assert (overview.short_description, overview.effort) == (None, None)
    assert overview.course_video_url is None


@pytest.mark.parametrize("text", ["", "Short é 😀", "<p>html &amp; entities</p>", "06:00", None])
def test_about_texts_are_kept_as_they_are(text: str | None) -> None:
    built = build(about={"short_description": text, "effort": text})

    assert column(built, "short_description") == text
    assert column(built, "effort") == text


def test_an_about_block_without_data_is_empty() -> None:
    course = _with_blocks(make_block("course", "course"), make_block("about", "effort"))

    assert column(build_overview(course, settings=BuilderSettings()), "effort") == ""


@pytest.mark.parametrize("data", [5, ["text"]])
def test_a_bad_about_text_counts_as_absent(data: object) -> None:
    built = build(about={"short_description": data, "effort": data, "video": data})

    assert column(built, "short_description") is None
    assert column(built, "effort") is None
    assert column(built, "course_video_url") is None
    assert degraded_fields(built) == [
        "about/short_description/data",
        "about/effort/data",
        "about/video/data",
    ]


def test_an_about_block_whose_fields_are_no_object_counts_as_absent() -> None:
    course = _with_blocks(
        make_block("course", "course"), make_block("about", "effort", definition=["text"])
    )

    built = build_overview(course, settings=BuilderSettings())

    assert column(built, "effort") is None
    assert degraded_fields(built) == ["about/effort"]


@pytest.mark.parametrize(
    ("text", "video"),
    [
        ('<iframe src="//www.youtube.com/embed/abc-DEF_123?rel=0"></iframe>', "abc-DEF_123"),
        ("embed/first embed/second", "first"),
        ("embed/ embed/second", "second"),
        ("x=1:abc embed/wins", "wins"),
        ("<video youtube=1:abc-DEF_9>", "=1:abc-DEF_9"),
        ("a<=25:zzz", "<=25:zzz"),
    ],
)
def test_the_video_is_the_first_embedded_one(text: str, video: str) -> None:
    built = build(about={"video": text})

    assert column(built, "course_video_url") == f"http://www.youtube.com/watch?v={video}"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        '<video youtube="1.0:OEoXaMPEzfM"/>',
        "https://youtu.be/xyz",
        '<iframe src="//player.vimeo.com/video/12345"></iframe>',
        "1.00:abcDEF-_9,1.25:zzz",
        '<iframe src="https://www.youtube.com/embed/?rel=0"></iframe>',
        "12:34 not a video",
    ],
)
def test_a_text_that_embeds_nothing_gives_no_video(text: str | None) -> None:
    assert column(build(about={"video": text}), "course_video_url") is None


# Highlights


def _highlights(chapters: dict[str, Any], **fields: Any) -> Any:
    children = [["chapter", block_id] for block_id in chapters]
    course = {"highlights_enabled_for_messaging": True, "children": children, **fields}
    return build(course, chapters=chapters)


@pytest.mark.parametrize(
    ("chapters", "expected"),
    [
        ({}, False),
        ({"a": {}}, False),
        ({"a": {"highlights": []}}, False),
        ({"a": {"highlights": None}}, False),
        ({"a": {"highlights": ["week 1"]}}, True),
        ({"a": {"highlights": [""]}}, True),
        ({"a": {"highlights": ["x"], "visible_to_staff_only": True}}, True),
        ({"a": {"highlights": ["x"], "hide_from_toc": True}}, False),
        ({"a": {"highlights": ["x"], "hide_from_toc": "true"}}, False),
        ({"a": {"highlights": ["x"], "hide_from_toc": "yes"}}, True),
        ({"a": {"highlights": ["x"], "hide_from_toc": True}, "b": {"highlights": ["y"]}}, True),
    ],
)
def test_highlights_are_those_of_chapters_that_the_outline_shows(
    chapters: dict[str, Any], expected: bool
) -> None:
    built = _highlights(chapters)

    assert column(built, "has_highlights") is expected
    assert built.degradations == ()


@pytest.mark.parametrize("enabled", [False, None, "yes", 0])
def test_highlights_do_not_count_unless_they_are_enabled(enabled: object) -> None:
    chapters = {"a": {"highlights": ["x"]}}

    built = _highlights(chapters, highlights_enabled_for_messaging=enabled)

    assert column(built, "has_highlights") is False


@pytest.mark.parametrize("children", [[], None, [["chapter", "gone"]], [["sequential", "a"]]])
def test_only_chapters_that_are_children_of_the_course_count(children: object) -> None:
    built = _highlights({"a": {"highlights": ["x"]}}, children=children)

    assert column(built, "has_highlights") is False
    assert built.degradations == ()


def test_bad_highlights_are_passed_over_and_noted() -> None:
    built = _highlights({"a": {"highlights": "x"}, "b": ["not fields"], "c": {"highlights": ["y"]}})

    assert column(built, "has_highlights") is True
    assert degraded_fields(built) == ["chapter/a/highlights", "chapter/b"]


@pytest.mark.parametrize("children", ["text", {"chapter": "a"}, 5])
def test_children_that_are_no_list_are_noted(children: object) -> None:
    built = _highlights({"a": {"highlights": ["x"]}}, children=children)

    assert column(built, "has_highlights") is False
    assert degraded_fields(built) == ["children"]


@pytest.mark.parametrize(
    "child", ["chapter", 5, None, ["chapter"], ["chapter", 5], ["a", "b", "c"]]
)
def test_a_child_that_is_no_block_id_is_passed_over_and_noted(child: object) -> None:
    built = _highlights({"a": {"highlights": ["x"]}}, children=[child, ["chapter", "a"]])

    assert column(built, "has_highlights") is True
    assert degraded_fields(built) == ["children"]


# Settings (section 6 of the mapping)


def test_settings_give_the_defaults_of_absent_fields() -> None:
    settings = BuilderSettings(default_mobile_available=True, default_catalog_visibility="none")

    absent = build(settings=settings)
    stored = build({"mobile_available": None, "catalog_visibility": "about"}, settings=settings)

    assert (column(absent, "mobile_available"), column(absent, "catalog_visibility")) == (
        True,
        "none",
    )
    assert (column(stored, "mobile_available"), column(stored, "catalog_visibility")) == (
        False,
        "about",
    )


def test_the_default_enrollment_start_is_a_setting() -> None:
    settings = BuilderSettings(default_enrollment_start=True)

    assert column(build(settings=settings), "enrollment_start") == datetime(2030, 1, 1, tzinfo=UTC)
    assert column(build({"enrollment_start": None}, settings=settings), "enrollment_start") is None


@pytest.mark.parametrize("stored", ["proctortrack", None, 5])
@pytest.mark.parametrize("default", ["null", "mock", None])
def test_while_proctoring_is_off_the_stored_provider_is_ignored(
    stored: object, default: str | None
) -> None:
    settings = BuilderSettings(default_proctoring_provider=default)

    built = build({"proctoring_provider": stored}, settings=settings)

    assert column(built, "proctoring_provider") == default
    assert built.degradations == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "mock"),
        ({"proctoring_provider": None}, "mock"),
        ({"proctoring_provider": "proctortrack"}, "proctortrack"),
        ({"proctoring_provider": "null"}, "null"),
        ({"proctoring_provider": ""}, ""),
    ],
)
def test_while_proctoring_is_on_the_stored_provider_counts(
    fields: dict[str, Any], expected: str
) -> None:
    settings = BuilderSettings(proctored_exams_enabled=True, default_proctoring_provider="mock")

    assert column(build(fields, settings=settings), "proctoring_provider") == expected


def test_while_proctoring_is_on_a_bad_provider_is_degraded() -> None:
    settings = BuilderSettings(proctored_exams_enabled=True, default_proctoring_provider="mock")

    built = build({"proctoring_provider": 5}, settings=settings)

    assert column(built, "proctoring_provider") == "mock"
    assert degraded_fields(built) == ["proctoring_provider"]


@pytest.mark.parametrize("stored", ["fr", None, 5])
def test_a_language_that_the_catalog_owns_is_not_read(stored: object) -> None:
    built = build({"language": stored}, settings=BuilderSettings(catalog_owns_language=True))

    assert column(built, "language") is None
    assert built.degradations == ()
