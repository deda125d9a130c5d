"""The inspector against sabotage: a thousand corruptions, each found, named and put right."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from django.db import models
from django.db.models import F

from lms_integration.data import (
    CourseOverviewData,
    CourseOverviewImageSetData,
    CourseOverviewListingData,
    CourseOverviewProjectionData,
    CourseOverviewTabData,
)
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    OverviewMark,
    OverviewProjection,
    OverviewState,
    OverviewTombstone,
)
from tests.inspection_scene import Site, made_site

pytestmark = [pytest.mark.service, pytest.mark.django_db(transaction=True)]

CORRUPTION_COUNT = 1000
MARK_CORRUPTION_COUNT = 100
UNTOUCHED_COUNT = 60
SEED = 20_26
LATER = datetime(2040, 1, 1, tzinfo=UTC)
FAR = datetime(9000, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
TABS = [
    {"type": "courseware", "name": "Lessons"},
    {"type": "progress", "name": "Progress"},
    {"type": "static_tab", "name": "Syllabus", "url_slug": "syllabus"},
]


@pytest.fixture(params=["mongodb", "mysql"])
def site(request, mongo_client, mongo_database) -> Iterator[Site]:
    with made_site(request.param, mongo_client, mongo_database) as site:
        yield site


@dataclass(frozen=True)
class Saboteur:
    """Breaks one course at a time, in a way that one look at versions and presence shows, or not."""

    site: Site
    chance: random.Random

    # What the pointers show: the kind that the inspector is to call it

    def forget_the_version(self, key: str) -> str:
        OverviewState.objects.filter(course_key=key).update(source_version="f" * 24)
        return "stale"

    def lose_an_event(self, key: str) -> str:
        self.site.author.edit_settings(key, {"display_name": f"Lost {self.chance.random()}"})
        return "stale"

    def remove_the_state(self, key: str) -> str:
        OverviewState.objects.filter(course_key=key).delete()
        return "missing"

    def remove_the_row(self, key: str) -> str:
        CourseOverview.objects.filter(id=key).delete()
        return "row missing"

    def remove_the_projection(self, key: str) -> str:
        OverviewProjection.objects.filter(course_key=key).delete()
        return "projection missing"

    def say_deleted(self, key: str) -> str:
        OverviewState.objects.filter(course_key=key).update(deleted=True)
        return "wrongly deleted"

    def age_the_builder(self, key: str) -> str:
        OverviewState.objects.filter(course_key=key).update(builder_version=1)
        return "old schema"

    def age_the_schema(self, key: str) -> str:
        OverviewState.objects.filter(course_key=key).update(schema_version=3)
        return "old schema"

    def bury_alive(self, key: str) -> str:
        OverviewTombstone.objects.create(course_key=key, deleted_at=LATER)
        return "stray tombstone"

    # What only a comparison of all columns shows: the column that is to be named

    def change_the_row(self, key: str) -> str:
        name = self.chance.choice([f.name for f in fields(CourseOverviewData) if f.name != "id"])
        self._change(CourseOverview, {"id": key}, name)
        return name

    def change_the_projection(self, key: str) -> str:
        names = [
            field.name
            for data in (CourseOverviewListingData, CourseOverviewProjectionData)
            for field in fields(data)
            if field.name != "course_key"
        ]
        name = self.chance.choice(names)
        self._change(OverviewProjection, {"course_key": key}, name)
        return f"projection.{name}"

    def change_the_images(self, key: str) -> str:
        name = self.chance.choice([f.name for f in fields(CourseOverviewImageSetData)])
        self._change(CourseOverviewImageSet, {"course_overview_id": key}, name)
        return f"image_set.{name}"

    def remove_the_images(self, key: str) -> str:
        CourseOverviewImageSet.objects.filter(course_overview_id=key).delete()
        return "image_set"

    def change_a_tab(self, key: str) -> str:
        number = self.chance.randrange(len(self._tab_ids(key)))
        name = self.chance.choice([f.name for f in fields(CourseOverviewTabData)])
        self._change(CourseOverviewTab, {"id": self._tab_ids(key)[number]}, name)
        return f"tabs[{number}].{name}"

    def remove_a_tab(self, key: str) -> str:
        CourseOverviewTab.objects.filter(id=self.chance.choice(self._tab_ids(key))).delete()
        return "tabs"

    def add_a_tab(self, key: str) -> str:
        CourseOverviewTab.objects.create(course_overview_id=key, tab_id="added")
        return "tabs"

    def swap_two_tabs(self, key: str) -> str:
        first, second = CourseOverviewTab.objects.filter(course_overview_id=key).order_by("id")[:2]
        first.id, second.id = second.id, first.id
        first.save()
        second.save()
        return "tabs[0].tab_id"

    def change_the_state(self, key: str) -> str:
        name, value = self.chance.choice(
            [
                ("content_hash", "0" * 64),
                ("tabs_hash", "0" * 64),
                ("projection_hash", ""),
                ("degradations", [{"field": "start", "value": "x", "reason": "invented"}]),
                ("fault", "invented"),
                ("source_updated_at", LATER),
            ]
        )
        OverviewState.objects.filter(course_key=key).update(**{name: value})
        return f"state.{name}"

    # What marks cannot be: the sweeper, or the rebuild, would pass over the course for ever

    def swallow_publishes(self, key: str) -> None:
        OverviewMark.objects.filter(course_key=key).update(done=F("wanted") + 7)
        self._publish(key)

    def forget_since_when(self, key: str) -> None:
        self._publish(key)
        OverviewMark.objects.filter(course_key=key).update(dirty_since=None)

    def hold_back_for_ever(self, key: str) -> None:
        self._publish(key)
        OverviewMark.objects.filter(course_key=key).update(next_attempt_at=FAR, last_error="x")

    def be_dirty_since_the_future(self, key: str) -> None:
        self._publish(key)
        OverviewMark.objects.filter(course_key=key).update(dirty_since=FAR)

    def call_a_clean_course_dirty(self, key: str) -> None:
        OverviewMark.objects.filter(course_key=key).update(dirty_since=LONG_AGO)

    def _publish(self, key: str) -> None:
        self.site.author.edit_settings(key, {"display_name": f"Published {self.chance.random()}"})
        OverviewMark.objects.filter(course_key=key).update(
            wanted=F("wanted") + 1, dirty_since=LONG_AGO
        )

    def _tab_ids(self, key: str) -> list[int]:
        tabs = CourseOverviewTab.objects.filter(course_overview_id=key).order_by("id")
        return list(tabs.values_list("id", flat=True))

    def _change(self, model: type[models.Model], where: dict[str, Any], name: str) -> None:
        rows = model._default_manager.filter(**where)
        old = rows.values_list(name, flat=True).get()
        rows.update(**{name: other_value(model._meta.get_field(name), old, self.chance)})


POINTER_SABOTAGE = (
    Saboteur.forget_the_version,
    Saboteur.lose_an_event,
    Saboteur.remove_the_state,
    Saboteur.remove_the_row,
    Saboteur.remove_the_projection,
    Saboteur.say_deleted,
    Saboteur.age_the_builder,
    Saboteur.age_the_schema,
    Saboteur.bury_alive,
)
COLUMN_SABOTAGE = (
    *[Saboteur.change_the_row] * 4,
    *[Saboteur.change_the_projection] * 2,
    Saboteur.change_the_images,
    Saboteur.remove_the_images,
    *[Saboteur.change_a_tab] * 2,
    Saboteur.remove_a_tab,
    Saboteur.add_a_tab,
    Saboteur.swap_two_tabs,
    *[Saboteur.change_the_state] * 2,
)

MARK_SABOTAGE = (
    Saboteur.swallow_publishes,
    Saboteur.forget_since_when,
    Saboteur.hold_back_for_ever,
    Saboteur.be_dirty_since_the_future,
    Saboteur.call_a_clean_course_dirty,
)


def other_value(field: Any, old: Any, chance: random.Random) -> Any:
    """Return a value that the column takes and that it does not have."""
    match field:
        case models.BooleanField():
            return not old
        case models.DateTimeField():
            return LATER if old is None else old + timedelta(microseconds=1 + chance.randrange(9))
        case models.DecimalField():
            return Decimal("0.01") if old is None else old + Decimal("0.01")
        case models.FloatField():
            return (old or 0.0) + 0.5
        case models.IntegerField():
            return (old or 0) + 1
        case models.JSONField():
            return [*(old or []), ["Invented", "https://example.org/"]]
        case _:
            return f"sabotaged {chance.randrange(10**6)}"[: field.max_length or 100]


def test_every_corruption_is_found_named_and_put_right_and_nothing_else_is(site: Site):
    chance = random.Random(SEED)  # noqa: S311 - the same every time, that is the point
    keys = [
        f"course-v1:Org{number % 7}+Sabotage{number}+R1"
        for number in range(CORRUPTION_COUNT + MARK_CORRUPTION_COUNT + UNTOUCHED_COUNT)
    ]
    site.create(*keys, tabs=TABS)
    assert site.inspect(check_count=len(keys)).findings == {}
    chosen = chance.sample(keys, CORRUPTION_COUNT + MARK_CORRUPTION_COUNT)
    by_mark, chosen = chosen[:MARK_CORRUPTION_COUNT], chosen[MARK_CORRUPTION_COUNT:]
    by_pointer, by_column = chosen[: CORRUPTION_COUNT // 2], chosen[CORRUPTION_COUNT // 2 :]
    kinds = sabotage(site, by_pointer, POINTER_SABOTAGE, chance)
    columns = sabotage(site, by_column, COLUMN_SABOTAGE, chance)
    sabotage(site, by_mark, MARK_SABOTAGE, chance)
    CourseOverview.objects.filter(id__in=keys[:50]).update(marketing_url="https://example.org")

    seen = site.inspect()
    found = site.inspect()
    site.drain_after_a_minute()
    cycle = site.inspect(check_count=len(keys))
    site.drain()

    assert seen.findings == {"corrupt mark": len(by_mark)}
    assert (seen.suspected_count, seen.marked_count) == (len(by_pointer), 0)
    assert found.findings == dict(Counter(kinds.values()))
    assert found.marked_count == len(by_pointer)
    assert cycle.findings == {"drifted": len(by_column)}
    assert set(cycle.drifted_columns) == set(columns.values())
    assert Counter(columns.values()) <= Counter(cycle.drifted_columns)
    after = site.inspect_twice(check_count=len(keys))
    assert (after.findings, after.suspected_count) == ({}, 0)
    assert after.checked_count == len(keys)


Said = TypeVar("Said")


def sabotage(
    site: Site,
    keys: Sequence[str],
    ways: Sequence[Callable[[Saboteur, str], Said]],
    chance: random.Random,
) -> dict[str, Said]:
    """Break each course in one way; return what is to be said of it."""
    saboteur = Saboteur(site, chance)
    return {key: ways[number % len(ways)](saboteur, key) for number, key in enumerate(keys)}
