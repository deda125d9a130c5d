"""The builder against every course of the reference data: the same rows as Open edX's.

Every published row, column by column and tab by tab. Where Open edX fails, the outcome that
``docs/fidelity.md`` documents.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from lms_integration.data import CourseOverviewData, CourseOverviewProjectionData
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings, ImageSetSettings
from overview_worker.builder.tab_types import TAB_TYPES
from overview_worker.documents import BuiltOverview
from overview_worker.errors import MalformedCourse
from tests.shared_data import (
    golden_overviews,
    needs_shared_data,
    published_courses,
    recorded_about_pages,
    settings_document,
)

pytestmark = needs_shared_data

#: Columns that the rebuild does not write.
NOT_BUILT = {
    "created",
    "modified",
    "marketing_url",
    "eligible_for_financial_aid",
    "external_id",
    "start_date",
    "end_date",
}
RENAMED = {"location": "_location", "pre_requisite_courses_json": "_pre_requisite_courses_json"}
BOOLEANS = {
    name for name, kind in CourseOverviewData.__annotations__.items() if "bool" in str(kind)
}

#: Keys under which there is nothing to build.
NO_SUCH_COURSE = {
    "library-v1:LibOrg+LIB0",
    "library-v1:LibOrg+LIB1",
    "library-v1:LibOrg+LIB2",
    "course-v1:LifeOrg+TRULYDRAFT+R1",
    "course-v1:LifeOrg+DELETED+R1",
    "course-v1:Nope+NOPE+R1",
}
#: Keys whose access-deciding field cannot be read.
MALFORMED = {
    "course-v1:RawOrg+RAWDATE13+R1": "start",
    "course-v1:RawOrg+RAWDATEBAD+R1": "start",
    "course-v1:RawOrg+RAW05+R1": "max_student_enrollments_allowed",
    "course-v1:RawOrg+RAW22+R1": "max_student_enrollments_allowed",
}
#: Keys that are built although Open edX fails: the degraded fields, and the columns as they become.
DEGRADED: dict[str, tuple[list[str], dict[str, Any]]] = {
    "course-v1:CertOrg+WEBLIST+R1": (["certificates"], {"has_any_active_web_certificate": False}),
    "course-v1:CertOrg+NAMESNULL+R1": (
        ["cert_name_short", "cert_name_long"],
        {"cert_name_short": "", "cert_name_long": ""},
    ),
    "course-v1:GradeOrg+GPRAW0+R1": (["grading_policy"], {"lowest_passing_grade": Decimal("0.50")}),
    "course-v1:GradeOrg+GPRAW2+R1": (["grading_policy"], {"lowest_passing_grade": Decimal("0.50")}),
    "course-v1:GradeOrg+GPRAW3+R1": (["grading_policy"], {"lowest_passing_grade": Decimal("0.50")}),
    "course-v1:GradeOrg+GPRAW7+R1": (["grading_policy"], {"lowest_passing_grade": Decimal("0.50")}),
    "course-v1:ImgOrg+SAP3+R1": (
        ["course_image"],
        {
            "course_image_url": "/static/toy/images/course_image.jpg",
            "banner_image_url": "/static/toy/images/banner_image.jpg",
        },
    ),
    "course-v1:TabOrg+TAB11+R1": (["tabs"], {}),
    "course-v1:TabOrg+TAB12+R1": (["tabs"], {}),
    "course-v1:TabOrg+TABBAD0+R1": (["tabs"], {}),
    "course-v1:TabOrg+TABBAD1+R1": (["tabs"], {}),
    "course-v1:TabOrg+TABNULL+R1": (["tabs"], {}),
    "course-v1:RawOrg+RAW12+R1": (
        ["entrance_exam_minimum_score_pct"],
        {"entrance_exam_minimum_score_pct": 0.65},
    ),
    "course-v1:RawOrg+RAW14+R1": (["language"], {"language": None}),
    "course-v1:RawOrg+RAW16+R1": (
        ["proctoring_escalation_email"],
        {"proctoring_escalation_email": None},
    ),
    # Open edX's key column ignores case, ours does not: this is a course of its own.
    "course-v1:caseorg+case101+run1": (
        [],
        {"display_name": "lower (case variant of the previous)"},
    ),
}
#: Tabs of the keys above; all others have the default tabs.
TABS_WHERE_OPEN_EDX_FAILS = {
    "course-v1:TabOrg+TAB11+R1": [("courseware", None)],
    "course-v1:TabOrg+TAB12+R1": [("courseware", "X")],
}
DEFAULT_TABS = [
    ("courseware", "Course"),
    ("progress", "Progress"),
    ("dates", "Dates"),
    ("discussion", "Discussion"),
    ("wiki", "Wiki"),
    ("textbooks", "Textbooks"),
]

WITH_ROW = sorted(key for key, record in golden_overviews().items() if record.get("row"))
WITHOUT_ROW = sorted(key for key, record in golden_overviews().items() if not record.get("row"))


def build(key: str, settings: BuilderSettings | None = None) -> BuiltOverview:
    return build_overview(published_courses()[key], settings=settings or BuilderSettings())


def as_sql(name: str, value: Any) -> Any:
    """Return a built value in the form in which the reference rows write it down."""
    if isinstance(value, datetime):
        assert value.utcoffset() == datetime.now(UTC).utcoffset()
        return value.replace(tzinfo=None).isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return int(value) if name in BOOLEANS and value is not None else value


def row_of(built: BuiltOverview) -> dict[str, Any]:
    columns = asdict(built.overview)
    return {RENAMED.get(name, name): as_sql(name, value) for name, value in columns.items()}


def test_the_reference_data_has_all_its_keys() -> None:
    assert (len(WITH_ROW), len(WITHOUT_ROW)) == (298, 26)


@pytest.mark.parametrize("key", WITH_ROW)
def test_every_row_of_open_edx_is_reproduced(key: str) -> None:
    golden = golden_overviews()[key]

    built = build(key)

    expected = {name: value for name, value in golden["row"].items() if name not in NOT_BUILT}
    assert row_of(built) == expected
    assert [asdict(tab) for tab in built.tabs] == golden["tabs"]
    assert built.image_set == golden["image_set"]
    assert built.degradations == ()


@pytest.mark.parametrize("key", WITH_ROW)
def test_every_value_has_the_type_of_its_column(key: str) -> None:
    built = build(key)

    numbers = built.overview.days_early_for_beta, built.overview.entrance_exam_minimum_score_pct
    assert all(type(number) in (float, type(None)) for number in numbers)
    assert all(type(getattr(built.overview, name)) is bool for name in BOOLEANS)


def test_no_course_is_missing_and_none_is_too_many() -> None:
    assert set(published_courses()) == set(golden_overviews()) - NO_SUCH_COURSE


def test_every_key_that_fails_in_open_edx_has_a_documented_outcome() -> None:
    documented = [*NO_SUCH_COURSE, *MALFORMED, *DEGRADED]

    assert sorted(documented) == WITHOUT_ROW


@pytest.mark.parametrize(("key", "field"), MALFORMED.items())
def test_a_course_whose_access_cannot_be_read_is_refused(key: str, field: str) -> None:
    with pytest.raises(MalformedCourse) as refusal:
        build(key)

    assert (refusal.value.course_key, refusal.value.field) == (key, field)


@pytest.mark.parametrize("key", DEGRADED)
def test_a_course_with_another_bad_value_is_built_with_its_default(key: str) -> None:
    fields, columns = DEGRADED[key]

    built = build(key)

    assert [degradation.field for degradation in built.degradations] == fields
    assert {name: getattr(built.overview, name) for name in columns} == columns
    tabs = [(tab.tab_id, tab.name) for tab in built.tabs]
    assert tabs == TABS_WHERE_OPEN_EDX_FAILS.get(key, DEFAULT_TABS)


def test_every_about_page_that_open_edx_showed_is_projected() -> None:
    shown = {
        key: html for key, html in recorded_about_pages().items() if key in published_courses()
    }

    assert {key: build(key).projection.overview_html for key in shown} == shown
    assert len(shown) > 60
    assert None not in shown.values()


def test_only_a_course_whose_about_page_was_never_published_has_none() -> None:
    without = [
        key
        for key in published_courses()
        if key not in MALFORMED and build(key).projection.overview_html is None
    ]

    assert without == ["course-v1:LifeOrg+NEVERPUB+R1"]


def test_what_the_reference_stores_beside_the_rows_is_projected() -> None:
    defaults = asdict(CourseOverviewProjectionData())
    found = {}
    for key in published_courses():
        if key not in MALFORMED:
            for name, value in asdict(build(key).projection).items():
                if name != "overview_html" and value != defaults[name]:
                    found[name, key] = value

    assert sorted({name for name, _ in found}) == [
        "html_textbooks",
        "pdf_textbooks",
        "teams_enabled",
        "textbooks",
    ]
    assert len(found) == 4
    assert found["teams_enabled", "course-v1:OpenedX+DemoX+DemoCourse"] is True


def test_image_sets_name_the_thumbnails_that_the_contentstore_holds() -> None:
    settings = BuilderSettings(image_set=ImageSetSettings())

    urls = {
        key: image_set.small_url
        for key in WITH_ROW
        if (image_set := build(key, settings).image_set) is not None and image_set.small_url
    }

    prefix = "/asset-v1:ImgOrg+{}+R1+type@thumbnail+block@{}"
    assert urls == {
        "course-v1:ImgOrg+REAL0+R1": prefix.format("REAL0", "real-png-375x200.jpg"),
        "course-v1:ImgOrg+REAL1+R1": prefix.format("REAL1", "real-375x200.jpg"),
        "course-v1:ImgOrg+REAL2+R1": prefix.format("REAL2", "rgba-png-375x200.jpg"),
    }


def test_textbooks_have_the_default_of_the_reference_platform() -> None:
    declared = settings_document()["course_fields"]["textbooks"]

    assert declared == {"default": [], "scope": "content", "type": "TextbookList"}
    assert CourseOverviewProjectionData().textbooks == declared["default"]


def test_the_tab_types_are_those_of_the_reference_platform() -> None:
    reference = settings_document()["tab_types"]

    assert {tab_type.type for tab_type in TAB_TYPES.values()} == set(reference)
    for tab_type in TAB_TYPES.values():
        declared = reference[tab_type.type]
        assert tab_type.priority == declared["priority"]
        assert tab_type.allow_multiple == declared["allow_multiple"]
        assert str(tab_type.title) == declared["title"]
        assert tab_type.is_fragment == declared["has url_slug"]
