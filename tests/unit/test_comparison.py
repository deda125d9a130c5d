"""The comparison of stored and expected columns."""

from dataclasses import asdict, replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from lms_integration.data import CourseOverviewImageSetData
from lms_integration.listing import listing_of
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.comparison import ContentHashes, differences
from overview_worker.documents import BuiltOverview, PublishedCourse, PublishedPointer
from overview_worker.inspection_ports import StoredOverview
from overview_worker.testing import InMemoryModulestore

KEY = "course-v1:Org+Course+Run"
HASHES = ContentHashes(content_hash="c", tabs_hash="t", projection_hash="p")
SETTINGS: dict[str, Any] = {
    "display_name": "Tides",
    "language": "en",
    "tabs": [{"type": "courseware", "name": "Lessons"}, {"type": "progress", "name": "Progress"}],
}


@pytest.fixture
def pointer(modulestore: InMemoryModulestore) -> PublishedPointer:
    return modulestore.publish(KEY, **SETTINGS)


@pytest.fixture
def modulestore() -> InMemoryModulestore:
    return InMemoryModulestore()


@pytest.fixture
def built(modulestore: InMemoryModulestore, pointer: PublishedPointer) -> BuiltOverview:
    read = modulestore.read_published([pointer])[KEY]
    assert isinstance(read, PublishedCourse)
    return build_overview(read, settings=BuilderSettings())


@pytest.fixture
def stored(built: BuiltOverview, pointer: PublishedPointer) -> StoredOverview:
    return StoredOverview(
        course_key=KEY,
        source_version=pointer.structure_id,
        source_updated_at=pointer.updated_at,
        row=asdict(built.overview),
        tabs=list(built.tabs),
        projection={**asdict(listing_of(built.overview)), **asdict(built.projection)},
        **asdict(HASHES),
    )


@pytest.fixture
def compare(built: BuiltOverview, pointer: PublishedPointer) -> Any:
    def run(stored: StoredOverview, built: BuiltOverview = built, **options: Any) -> list[str]:
        found = partial(differences, pointer=pointer, hashes=HASHES)(
            stored, built, **{"catalog_owns_language": False, **options}
        )
        return [str(each) for each in found]

    return run


def test_what_is_equal_has_no_differences(stored, compare):
    assert compare(stored) == []


def test_values_that_the_database_writes_otherwise_are_equal(stored, built, compare):
    overview = replace(built.overview, lowest_passing_grade=Decimal("0.5"))
    projection = replace(built.projection, textbooks=[("Atlas", "https://example.org")])
    row = {**stored.row, "lowest_passing_grade": Decimal("0.50")}
    listed = {**stored.projection, "textbooks": [["Atlas", "https://example.org"]]}

    assert (
        compare(
            replace(stored, row=row, projection=listed),
            replace(built, overview=overview, projection=projection),
        )
        == []
    )


def test_each_column_that_differs_is_named_with_both_values(stored, compare):
    row = {**stored.row, "display_name": "By\nhand", "self_paced": True}

    assert compare(replace(stored, row=row)) == [
        "display_name 'By\\nhand' → 'Tides'",
        "self_paced True → False",
    ]


def test_the_language_is_left_out_where_the_catalog_owns_it(stored, compare):
    row = {**stored.row, "language": "de"}

    assert compare(replace(stored, row=row), catalog_owns_language=True) == []
    assert compare(replace(stored, row=row)) == ["language 'de' → 'en'"]


def test_tabs_are_compared_in_their_order(stored, compare):
    turned = compare(replace(stored, tabs=list(reversed(stored.tabs))))
    fewer = compare(replace(stored, tabs=stored.tabs[:1]))

    assert "tabs[0].type 'progress' → 'courseware'" in turned
    assert fewer == ["tabs courseware → courseware, progress"]


def test_image_sets_are_compared_where_they_are_switched_on(stored, built, compare):
    images = CourseOverviewImageSetData(small_url="/small.jpg", large_url="")
    with_images = replace(built, image_set=images)

    assert compare(stored, with_images) == ["image_set nothing → an image set"]
    assert compare(replace(stored, image_set=images), with_images) == []
    other = replace(images, large_url="/large.jpg")
    assert compare(replace(stored, image_set=other), with_images) == [
        "image_set.large_url '/large.jpg' → ''"
    ]
    assert compare(replace(stored, image_set=other)) == []


def test_missing_rows_are_one_difference_each(stored, compare):
    assert compare(replace(stored, row=None, projection=None)) == [
        "row nothing → a row",
        "projection nothing → a projection",
    ]


def test_the_state_is_compared_too(stored, compare):
    assert compare(replace(stored, content_hash="x", fault="old")) == [
        "state.content_hash 'x' → 'c'",
        "state.fault 'old' → None",
    ]


def test_an_index_that_moved_without_a_publish_is_no_difference(stored, pointer, compare):
    earlier = pointer.updated_at.replace(year=2020)
    later = pointer.updated_at.replace(year=2040)

    assert compare(replace(stored, source_updated_at=earlier)) == []
    (difference,) = compare(replace(stored, source_updated_at=later))
    assert difference.startswith("state.source_updated_at '2040")
