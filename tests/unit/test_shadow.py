"""The shadow comparison: what Open edX has written, beside what we would write."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from lms_integration.data import CourseOverviewImageSetData, CourseOverviewTabData
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.difference_reasons import published_at
from overview_worker.documents import BuiltOverview, PublishedCourse, PublishedPointer
from overview_worker.errors import ModulestoreUnavailable
from overview_worker.ports import ReadResult
from overview_worker.reports import CourseComparison, Reason, Verdict
from overview_worker.shadow import CHUNK, Shadow
from overview_worker.shadow_testing import InMemoryShadowStore
from overview_worker.testing import InMemoryModulestore

KEY = "course-v1:Org+Course+Run"
OTHER = "course-v1:Org+Course+Run2"
CUSTOM = "ccx-v1:Org+Course+Run+ccx@1"
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
SYLLABUS = CourseOverviewTabData(
    tab_id="syllabus",
    type="syllabus",
    name="Syllabus",
    course_staff_only=False,
    url_slug=None,
    link=None,
    is_hidden=False,
)


class Site:
    """A modulestore, and tables that Open edX has filled from it."""

    def __init__(self) -> None:
        self.modulestore = InMemoryModulestore()
        self.store = InMemoryShadowStore()
        self.shadow = Shadow(
            modulestore=self.modulestore,
            store=self.store,
            drafts=self.modulestore,
            build=partial(build_overview, settings=BuilderSettings()),
        )

    def built(self, course_key: str) -> BuiltOverview:
        pointers = self.modulestore.find_published([course_key])
        read = self.modulestore.read_published(list(pointers.values()))[course_key]
        assert isinstance(read, PublishedCourse)
        return self.shadow.build(read)

    def publish_and_save(self, course_key: str, **settings: Any) -> BuiltOverview:
        self.modulestore.publish(course_key, **settings)
        built = self.built(course_key)
        self.store.save(built)
        return built

    def compare(self, course_key: str = KEY) -> CourseComparison:
        (comparison,) = self.shadow.compare_courses([course_key])
        return comparison


@pytest.fixture
def site() -> Site:
    return Site()


def reasons(comparison: CourseComparison) -> dict[str, Reason | None]:
    return {each.column: each.reason for each in comparison.differences}


def test_a_row_that_we_would_write_too_is_equal(site: Site):
    site.publish_and_save(KEY, display_name="Tides")

    assert site.compare() == CourseComparison(course_key=KEY)


def test_a_column_that_nobody_can_explain_is_different(site: Site):
    site.publish_and_save(KEY, display_name="Tides")
    site.store.change(KEY, display_name="By hand")

    comparison = site.compare()

    assert comparison.verdict is Verdict.DIFFERENT
    (difference,) = comparison.differences
    assert (difference.column, difference.stored, difference.expected, difference.reason) == (
        "display_name",
        "'By hand'",
        "'Tides'",
        None,
    )


def test_the_language_is_left_out_where_the_catalog_owns_it(site: Site):
    site.publish_and_save(KEY, language="en")
    site.store.change(KEY, language="de")
    by_catalog = replace(site.shadow, catalog_owns_language=True)

    assert [each.verdict for each in by_catalog.compare_courses([KEY])] == [Verdict.EQUAL]
    assert site.compare().verdict is Verdict.DIFFERENT
    assert "language" in by_catalog.not_compared()


def test_the_second_of_a_publish_is_in_the_id_of_its_structure():
    pointer = PublishedPointer(
        course_key=KEY, structure_id="67748580" + "0" * 16, updated_at=LONG_AGO
    )

    assert published_at(pointer) == datetime(2025, 1, 1, tzinfo=UTC)
    assert published_at(replace(pointer, structure_id="x" * 24)) is None
    assert published_at(replace(pointer, structure_id="short")) is None


def test_a_row_that_was_saved_before_the_publish_is_stale_and_says_since_when(site: Site):
    built = site.publish_and_save(KEY, display_name="Tides")
    pointer = site.modulestore.find_published([KEY])[KEY]
    moved = replace(pointer, structure_id="67748580" + "0" * 16)
    site.modulestore._structures[moved.structure_id] = site.modulestore._structures[
        pointer.structure_id
    ]
    site.modulestore.point_at(moved)
    site.store.save(built, at=datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC))
    site.store.change(KEY, display_name="Before")

    comparison = site.compare()

    assert reasons(comparison) == {"display_name": Reason.ROW_OLDER}
    assert comparison.notes == (
        "saved 2024-12-31 23:59:59+00:00, published 2025-01-01 00:00:00+00:00",
    )


def test_a_row_of_an_older_schema_is_open_edxs_to_rebuild(site: Site):
    site.publish_and_save(KEY, display_name="Tides")
    site.store.change(KEY, version=18, effort="9 h")

    assert reasons(site.compare()) == {
        "version": Reason.OLD_VERSION,
        "effort": Reason.OLD_VERSION,
    }


def test_a_row_of_a_newer_schema_has_no_excuse(site: Site):
    site.publish_and_save(KEY, display_name="Tides")
    site.store.change(KEY, version=20)

    assert reasons(site.compare()) == {"version": None}


def test_a_course_that_nobody_has_read_has_no_row_yet(site: Site):
    site.modulestore.publish(KEY, display_name="Tides")

    assert reasons(site.compare()) == {"row": Reason.NOT_BUILT}


def test_the_draft_explains_only_the_columns_that_have_its_value(site: Site):
    site.publish_and_save(KEY, display_name="Tides", effort="1 h")
    site.modulestore.save_draft(KEY, display_name="Tides, draft", self_paced=True)
    site.store.change(KEY, display_name="Tides, draft", days_early_for_beta=7.0)

    assert reasons(site.compare()) == {"display_name": Reason.DRAFT, "days_early_for_beta": None}


def test_an_address_of_studios_static_files_is_studios(site: Site):
    site.publish_and_save(KEY, course_image="", banner_image="")
    site.store.change(
        KEY,
        course_image_url="/static/studio/images/pencils.jpg",
        banner_image_url="/static/other/images/pencils.jpg",
    )

    assert reasons(site.compare()) == {
        "course_image_url": Reason.STUDIO_URL,
        "banner_image_url": None,
    }


def test_a_bad_value_keeps_the_row_of_open_edx_as_it_was(site: Site):
    site.publish_and_save(KEY, display_name="Tides")
    site.modulestore.publish(KEY, display_name="Newer", proctoring_escalation_email="nobody")

    comparison = site.compare()

    assert reasons(comparison) == {"display_name": Reason.DEGRADED}
    assert comparison.notes[0].startswith("proctoring_escalation_email = 'nobody': ")


def test_a_bad_value_that_decides_access_keeps_the_row_here_too(site: Site):
    site.publish_and_save(KEY, display_name="Tides")
    site.modulestore.publish(KEY, start="soon")

    comparison = site.compare()

    assert reasons(comparison) == {"row": Reason.REFUSED}
    assert "start = 'soon'" in comparison.notes[0]


def test_a_key_that_the_table_takes_for_another_is_told(site: Site):
    site.publish_and_save(KEY, display_name="Tides")
    lower = KEY.replace("Org", "org")
    site.modulestore.publish(lower, display_name="Dunes")

    comparison = site.compare(lower)

    assert reasons(comparison) == {"row": Reason.COLLIDING}
    assert comparison.notes == (f"the table has {KEY}",)


def test_a_row_that_no_published_course_stands_for_is_different(site: Site):
    site.publish_and_save(KEY, display_name="Tides")
    site.modulestore.delete(KEY)

    comparison = site.compare()

    assert comparison.verdict is Verdict.DIFFERENT
    assert comparison.findings == ("orphaned",)
    assert comparison.differences[0].expected == "nothing: the course is not published"


def test_a_course_that_neither_side_knows_is_a_finding(site: Site):
    assert site.compare().findings == ("no such course",)


def test_rows_of_custom_courses_are_left_alone(site: Site):
    built = site.publish_and_save(KEY, display_name="Tides")
    site.store.save(replace(built, overview=replace(built.overview, id=CUSTOM)))

    assert reasons(site.compare(CUSTOM)) == {"row": Reason.FOREIGN_KEY}


def test_a_structure_that_is_missing_says_so(site: Site):
    pointer = site.modulestore.publish(KEY, display_name="Tides")
    site.modulestore.lose_structure(pointer.structure_id)

    comparison = site.compare()

    assert comparison.verdict is Verdict.UNREADABLE
    assert "is not there" in comparison.unreadable


def test_a_bug_of_the_builder_costs_its_own_course_only(site: Site):
    site.publish_and_save(KEY, display_name="Tides")
    site.publish_and_save(OTHER, display_name="Dunes")

    def build(course: PublishedCourse) -> BuiltOverview:
        if course.course_key == KEY:
            raise ZeroDivisionError
        return site.shadow.build(course)

    found = list(replace(site.shadow, build=build).compare_courses([KEY, OTHER]))

    assert [each.verdict for each in found] == [Verdict.UNREADABLE, Verdict.EQUAL]
    assert found[0].unreadable == "builder failed: ZeroDivisionError()"


def test_image_sets_and_tabs_that_we_do_not_make_are_explained(site: Site):
    built = site.publish_and_save(KEY, display_name="Tides")
    thumbnail = "/asset-v1:Org+Course+Run+type@thumbnail+block@card-375x200.jpg"
    site.store.save(
        replace(
            built,
            tabs=(*built.tabs[:1], SYLLABUS, *built.tabs[1:]),
            image_set=CourseOverviewImageSetData(small_url=thumbnail, large_url="/by/hand.jpg"),
        )
    )
    empty = CourseOverviewImageSetData(small_url="", large_url="")
    with_images = replace(
        site.shadow, build=lambda course: replace(site.shadow.build(course), image_set=empty)
    )

    (comparison,) = with_images.compare_courses([KEY])

    assert reasons(comparison) == {
        "tabs": Reason.SYLLABUS,
        "image_set.small_url": Reason.THUMBNAIL,
        "image_set.large_url": None,
    }


def test_an_image_set_that_was_never_made_is_made_while_reading(site: Site):
    site.publish_and_save(KEY, display_name="Tides")
    empty = CourseOverviewImageSetData(small_url="", large_url="")
    with_images = replace(
        site.shadow, build=lambda course: replace(site.shadow.build(course), image_set=empty)
    )

    (comparison,) = with_images.compare_courses([KEY])

    assert reasons(comparison) == {"image_set": Reason.NO_IMAGE_SET}


class PublishingMeanwhile(InMemoryModulestore):
    """Publishes, and Open edX saves the row, between the first reading of the two sides."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.reads = 0

    def read_published(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, ReadResult]:
        read = super().read_published(pointers)
        self.reads += 1
        if self.reads == 1:
            built = self.site.shadow.build(read[KEY])  # type: ignore[arg-type]  # it is published
            self.site.store.save(built)
        return read


def test_a_publish_in_between_is_no_difference(site: Site):
    site.publish_and_save(KEY, display_name="Old")
    busy = PublishingMeanwhile(site)
    busy.publish(KEY, display_name="New")

    shadow = replace(site.shadow, modulestore=busy, drafts=busy)

    assert [each.verdict for each in shadow.compare_courses([KEY])] == [Verdict.EQUAL]


def test_every_course_of_either_side_is_listed_once(site: Site):
    built = site.publish_and_save(KEY, display_name="Tides")
    site.modulestore.publish(OTHER, display_name="Never read")
    for key in (CUSTOM, "course-v1:Gone+GONE+R1", "Old/Course/Run"):
        site.store.save(replace(built, overview=replace(built.overview, id=key)))

    assert list(site.shadow.keys()) == [
        KEY,
        OTHER,
        "Old/Course/Run",
        CUSTOM,
        "course-v1:Gone+GONE+R1",
    ]
    assert list(site.shadow.keys(org="ORG")) == [KEY, OTHER, CUSTOM]
    assert list(site.shadow.keys(org="old")) == ["Old/Course/Run"]


def test_what_came_before_an_outage_was_handed_out(site: Site):
    keys = [f"course-v1:Org+Course+R{number:03}" for number in range(CHUNK + 1)]
    for key in keys:
        site.publish_and_save(key, display_name="Tides")
    comparisons = site.shadow.compare_courses(keys)

    first = [next(comparisons) for _ in range(CHUNK)]
    site.modulestore.outage = ModulestoreUnavailable("gone")

    assert {each.verdict for each in first} == {Verdict.EQUAL}
    with pytest.raises(ModulestoreUnavailable):
        next(comparisons)
