"""What every ``shadow_ports.ShadowStore`` promises: the twin, and the real tables."""

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lms_integration.data import CourseOverviewImageSetData
from lms_integration.models import CourseOverview, CourseOverviewImageSet, CourseOverviewTab
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.documents import BuiltOverview, PublishedCourse
from overview_worker.shadow_testing import InMemoryShadowStore
from overview_worker.store import shadow_store
from overview_worker.store.conf import StoreConf
from overview_worker.store.shadow_store import DjangoShadowStore
from overview_worker.testing import InMemoryModulestore

KEY = "course-v1:Org+Course+Run"
OTHER = "course-v1:Org+Course+Run2"
SAVED_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
IMAGES = CourseOverviewImageSetData(small_url="/small.jpg", large_url="")


class InMemory:
    def __init__(self) -> None:
        self.store = InMemoryShadowStore()

    def save(self, built: BuiltOverview) -> None:
        self.store.save(built, at=SAVED_AT)


class InTables:
    def __init__(self) -> None:
        self.store = DjangoShadowStore(StoreConf(builder_version=1))

    def save(self, built: BuiltOverview) -> None:
        overview = CourseOverview.objects.create(**asdict(built.overview))
        CourseOverview.objects.filter(id=overview.id).update(modified=SAVED_AT)
        for tab in built.tabs:
            CourseOverviewTab.objects.create(course_overview=overview, **asdict(tab))
        if built.image_set is not None:
            CourseOverviewImageSet.objects.create(
                course_overview=overview, **asdict(built.image_set)
            )


@pytest.fixture(
    params=[
        pytest.param(InMemory, id="in memory"),
        pytest.param(InTables, id="tables", marks=[pytest.mark.service, pytest.mark.django_db]),
    ]
)
def tables(request: pytest.FixtureRequest) -> Any:
    if request.param is InTables:
        request.getfixturevalue("db")
    return request.param()


def built_course(course_key: str) -> BuiltOverview:
    modulestore = InMemoryModulestore()
    pointer = modulestore.publish(course_key, display_name="Tides", start=SAVED_AT)
    read = modulestore.read_published([pointer])[course_key]
    assert isinstance(read, PublishedCourse)
    return build_overview(read, settings=BuilderSettings())


def test_a_course_is_read_with_row_tabs_image_set_and_the_time_it_was_saved(tables):
    built = built_course(KEY)
    tables.save(replace(built, image_set=IMAGES))

    found = tables.store.read_overviews([KEY])[KEY]

    expected = asdict(built.overview)
    assert {name: found.stored.row[name] for name in expected} == expected
    assert list(found.stored.tabs) == list(built.tabs)
    assert found.stored.image_set == IMAGES
    assert found.modified == SAVED_AT
    assert found.collides_with is None


def test_a_course_without_a_row_is_there_without_one(tables):
    tables.save(built_course(KEY))

    found = tables.store.read_overviews([OTHER, KEY])

    assert set(found) == {OTHER, KEY}
    assert (found[OTHER].stored.row, list(found[OTHER].stored.tabs)) == (None, [])
    assert found[OTHER].modified is None
    assert tables.store.read_overviews([]) == {}


def test_every_row_is_listed_once_in_pages(tables, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shadow_store, "_PAGE_SIZE", 2)
    keys = [f"course-v1:Org+Course+R{number}" for number in range(5)]
    for key in keys:
        tables.save(built_course(key))

    assert sorted(tables.store.iter_row_keys()) == keys


def test_tables_of_this_release_have_no_column_that_it_does_not_know(tables):
    assert list(tables.store.foreign_columns()) == []
