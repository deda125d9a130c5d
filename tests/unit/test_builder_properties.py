"""Whatever the documents hold, a build gives rows that fit their columns or names what is wrong."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from bson.binary import Binary
from bson.code import Code
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lms_integration.data import (
    CourseOverviewData,
    CourseOverviewListingData,
    CourseOverviewProjectionData,
    CourseOverviewTabData,
)
from lms_integration.listing import CATALOG_VISIBILITY_LENGTH, listing_of
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings, ImageSetSettings
from overview_worker.builder.tab_types import TAB_TYPES
from overview_worker.documents import Block, BuiltOverview, PublishedCourse
from overview_worker.errors import MalformedCourse
from tests.builder_courses import make_course

#: Fields of which a bad value refuses the course.
ACCESS_FIELDS = {
    "start",
    "end",
    "enrollment_start",
    "enrollment_end",
    "enrollment_domain",
    "max_student_enrollments_allowed",
    "visible_to_staff_only",
    "catalog_visibility",
    "invitation_only",
}
COURSE_FIELDS = [
    *sorted(ACCESS_FIELDS),
    "display_name",
    "display_coursenumber",
    "display_organization",
    "announcement",
    "advertised_start",
    "social_sharing_url",
    "end_of_course_survey_url",
    "course_image",
    "banner_image",
    "static_asset_path",
    "certificates_display_behavior",
    "certificates_show_before_end",
    "cert_html_view_enabled",
    "certificates",
    "cert_name_short",
    "cert_name_long",
    "days_early_for_beta",
    "mobile_available",
    "pre_requisite_courses",
    "self_paced",
    "highlights_enabled_for_messaging",
    "children",
    "enable_proctored_exams",
    "allow_proctoring_opt_out",
    "proctoring_provider",
    "proctoring_escalation_email",
    "entrance_exam_enabled",
    "entrance_exam_id",
    "entrance_exam_minimum_score_pct",
    "force_on_flexible_peer_openassessments",
    "language",
    "tabs",
    "discussion_link",
    "certificate_available_date",
    "grading_policy",
    "textbooks",
    "pdf_textbooks",
    "html_textbooks",
    "allow_public_wiki_access",
    "hide_progress_tab",
    "edxnotes",
    "enable_ccx",
    "course_visibility",
    "teams_configuration",
    "show_calculator",
    "edxnotes_visibility",
]
#: Longest texts that columns hold; all others are LONGTEXT.
LENGTHS = {
    "id": 255,
    "location": 255,
    "entrance_exam_id": 255,
    "tab_id": 50,
    "type": 50,
    "course_key": 255,
    "sort_key": 255,
}


Outcome = BuiltOverview | MalformedCourse
Row = (
    CourseOverviewData
    | CourseOverviewTabData
    | CourseOverviewListingData
    | CourseOverviewProjectionData
)


class Unknown:
    """Stands for a BSON type that nobody thought of."""


any_text = st.one_of(
    st.text(max_size=20),
    st.text(alphabet=st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010), max_size=5),
    st.sampled_from(
        ["true", "null", "2013-02-05T05:00Z", "2013-02", "12.9", "nan", "1e400", "\x00"]
    ),
    st.integers(min_value=40, max_value=400).map("x".__mul__),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, -(2**31) - 1, 2**63 - 1, 1360040400000, 10**4000, Int64(7)]),
    st.floats(),
    any_text,
    st.binary(max_size=5),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from([ObjectId("5" * 24), Decimal128("0.5"), Binary(b"x"), Code("x"), Unknown()]),
)
garbage = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


def objects(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


tabs = objects(
    type=st.sampled_from([*TAB_TYPES, "course_info", "ccx_coach"]) | garbage,
    name=garbage,
    url_slug=garbage,
    link=garbage,
    tab_id=garbage,
    lti_config_id=garbage,
    is_hidden=garbage,
    course_staff_only=garbage,
)
#: Values that come close to what a field expects.
LIKELY: Mapping[str, st.SearchStrategy[Any]] = {
    "tabs": st.lists(tabs | garbage, max_size=4).map(lambda rest: [{"type": "courseware"}, *rest]),
    "certificates": objects(
        certificates=st.lists(objects(is_active=garbage) | garbage, max_size=3)
    ),
    "grading_policy": objects(
        GRADE_CUTOFFS=st.dictionaries(st.text(max_size=3), scalars, max_size=3) | garbage
    ),
    "children": st.lists(
        st.just(["chapter", "a"]) | st.just(["chapter", "b"]) | garbage, max_size=4
    ),
    "highlights_enabled_for_messaging": st.just(True),
    "textbooks": st.lists(st.lists(garbage, min_size=2, max_size=2), max_size=2),
    "pdf_textbooks": st.lists(garbage, max_size=3),
    "html_textbooks": st.lists(garbage, max_size=3),
    "teams_configuration": objects(
        enabled=garbage,
        team_sets=st.lists(objects(id=garbage) | garbage, max_size=3) | garbage,
        topics=garbage,
    ),
}


@st.composite
def contents(draw: st.DrawFn, names: list[str]) -> dict[str, Any]:
    """A few of the named fields: with all of them, hardly a course would get past its dates."""
    chosen = draw(st.lists(st.sampled_from(names), max_size=5, unique=True))
    return {name: draw(LIKELY.get(name, st.nothing()) | garbage) for name in chosen}


chapter_fields = objects(highlights=garbage, hide_from_toc=garbage) | garbage
sometimes_no_object: st.SearchStrategy[Any] = contents(COURSE_FIELDS) | garbage

all_settings = st.builds(
    BuilderSettings,
    default_mobile_available=st.booleans(),
    proctored_exams_enabled=st.booleans(),
    default_proctoring_provider=st.sampled_from(["null", None]),
    catalog_owns_language=st.booleans(),
    image_set=st.sampled_from([None, ImageSetSettings()]),
)


@st.composite
def courses(draw: st.DrawFn, names: list[str]) -> PublishedCourse:
    """A course with a readable structure, and garbage in every field of its blocks."""
    return make_course(
        draw(contents(names)),
        definition=draw(contents(names)),
        defaults=draw(contents(names)),
        about=draw(
            objects(overview=garbage, short_description=garbage, effort=garbage, video=garbage)
        ),
        chapters=draw(objects(a=chapter_fields, b=chapter_fields)),
        thumbnail_names=frozenset({"images_course_image-375x200.jpg"}),
    )


@st.composite
def odd_structures(draw: st.DrawFn) -> PublishedCourse:
    """A course whose root, and whose first block, may be anything."""
    first: dict[str, Any] = {
        "block_type": draw(st.just("course") | garbage),
        "block_id": draw(st.just("course") | garbage),
        "fields": draw(sometimes_no_object),
        "defaults": draw(sometimes_no_object),
        "definition_fields": draw(sometimes_no_object),
    }
    root: Any = draw(st.just(["course", "course"]) | garbage)
    course = make_course()
    return replace(course, root=root, blocks=(Block(**first), *course.blocks))


def assert_fits(name: str, value: Any, kinds: tuple[type, ...]) -> None:
    assert type(value) in kinds, f"{name}: {value!r}"
    if isinstance(value, str):
        assert len(value.encode()) >= 0
        assert len(value) <= LENGTHS.get(name, len(value))
    elif isinstance(value, datetime):
        assert value.tzinfo is UTC
    elif isinstance(value, Decimal):
        assert abs(value) < 1000
        assert value.as_tuple().exponent == -2
    elif isinstance(value, float):
        assert math.isfinite(value)
    elif isinstance(value, int):
        assert -(2**31) <= value < 2**31


def assert_row_fits(row: Row) -> None:
    hints = get_type_hints(type(row))
    for field in dataclass_fields(row):
        hint, value = hints[field.name], getattr(row, field.name)
        kinds = get_args(hint) if isinstance(hint, UnionType) else (get_origin(hint) or hint,)
        if kinds == (list,):
            # What a JSON column takes: MariaDB and MySQL refuse NaN, surrogates and deep nesting.
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        assert_fits(field.name, value, kinds)


def assert_everything_fits(built: BuiltOverview) -> None:
    assert_row_fits(built.overview)
    assert_row_fits(built.projection)
    listing = listing_of(built.overview)
    assert_row_fits(listing)
    assert len(listing.catalog_visibility or "") <= CATALOG_VISIBILITY_LENGTH
    assert built.tabs
    for tab in built.tabs:
        assert_row_fits(tab)
    if built.image_set is not None:
        assert_fits("small_url", built.image_set.small_url, (str,))
        assert_fits("large_url", built.image_set.large_url, (str,))
    for degradation in built.degradations:
        assert degradation.field not in ACCESS_FIELDS
        assert len(degradation.value) < 200


def refusal_or_overview(course: PublishedCourse, chosen: BuilderSettings) -> Outcome:
    try:
        return build_overview(course, settings=chosen)
    except MalformedCourse as refusal:
        return refusal


@settings(max_examples=500, deadline=None)
@given(courses(COURSE_FIELDS) | odd_structures(), all_settings)
@example(make_course({"tabs": [{"type": "courseware", "name": "\ud800"}]}), BuilderSettings())
@example(make_course(chapters={"a": None}), BuilderSettings(image_set=ImageSetSettings()))
def test_any_documents_give_rows_that_fit_or_an_error_that_names_the_field(
    course: PublishedCourse, chosen: BuilderSettings
) -> None:
    outcome = refusal_or_overview(course, chosen)

    if isinstance(outcome, BuiltOverview):
        assert_everything_fits(outcome)
    else:
        assert outcome.field in {*ACCESS_FIELDS, "structure"}
        assert outcome.course_key == course.course_key
        assert len(outcome.value) < 200


@settings(max_examples=500, deadline=None)
@given(courses(sorted(set(COURSE_FIELDS) - ACCESS_FIELDS)), all_settings)
def test_a_course_whose_access_can_be_read_is_always_built(
    course: PublishedCourse, chosen: BuilderSettings
) -> None:
    assert_everything_fits(build_overview(course, settings=chosen))


@given(courses(COURSE_FIELDS), all_settings)
def test_the_same_documents_always_give_the_same_outcome(
    course: PublishedCourse, chosen: BuilderSettings
) -> None:
    first, second = (refusal_or_overview(course, chosen) for _ in range(2))

    assert str(first) == str(second)


def test_the_property_knows_every_kind_of_column() -> None:
    hints = get_type_hints(CourseOverviewData).values()
    kinds = {kind for hint in hints for kind in (get_args(hint) or (hint,))}

    assert kinds == {str, int, float, bool, datetime, Decimal, NoneType}
