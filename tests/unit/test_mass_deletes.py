"""The brake on mass deletes: its rule, and the rebuild that asks it."""

from functools import partial
from typing import Any

import pytest

from lms_integration.events import CourseDeleted, CoursePublished
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.errors import ModulestoreUnavailable
from overview_worker.ports import RemovalCensus
from overview_worker.rebuild import RebuildOutcome, rebuild_overviews
from overview_worker.removal_brake import RECENT_SECONDS, held_removals, removal_limit
from overview_worker.testing import InMemoryModulestore, InMemoryOverviewStore

KEYS = [f"course-v1:Org+Course{number:03}+Run" for number in range(100)]
DELETED = CourseDeleted.type_name

build = partial(build_overview, settings=BuilderSettings())


# The rule


@pytest.mark.parametrize(
    ("live", "limit"), [(1, 1), (10, 1), (39, 1), (40, 2), (100, 5), (400, 20), (100_000, 20)]
)
def test_no_more_than_5_percent_and_no_more_than_20_may_vanish(live, limit):
    assert removal_limit(live) == limit


def census(**values: Any) -> RemovalCensus:
    return RemovalCensus(**{"live_count": 100, "recent_count": 0, "held_count": 0, **values})


@pytest.mark.parametrize(
    ("count", "values", "index_is_empty", "is_held"),
    [
        pytest.param(5, {}, False, False, id="within the limit"),
        pytest.param(6, {}, False, True, id="beyond the limit"),
        pytest.param(1, {"recent_count": 4}, False, False, id="within it, with recent ones"),
        pytest.param(1, {"recent_count": 5}, False, True, id="beyond it, with recent ones"),
        pytest.param(1, {"held_count": 1}, False, True, id="while others are held"),
        pytest.param(1, {}, True, True, id="the index is empty"),
        pytest.param(1, {"live_count": 1}, True, False, id="the only course there was"),
        pytest.param(1, {"live_count": 1, "recent_count": 1}, True, True, id="the last of two"),
    ],
)
def test_removals_are_held_together_or_not_at_all(count, values, index_is_empty, is_held):
    keys = KEYS[:count]

    held = held_removals(keys, census(**values), index_is_empty=index_is_empty)

    assert set(held) == (set(keys) if is_held else set())
    assert all("overview deletes list" in reason for reason in held.values())


def test_what_is_announced_allowed_or_refused_needs_no_word():
    told = census(
        announced=frozenset({KEYS[0]}),
        allowed=frozenset({KEYS[1]}),
        refused=frozenset({KEYS[2]}),
        held_count=50,
    )

    assert held_removals(KEYS[:3], told, index_is_empty=True) == {}
    assert set(held_removals(KEYS[:4], told, index_is_empty=True)) == {KEYS[3]}


# The rebuild


@pytest.fixture
def modulestore() -> InMemoryModulestore:
    return InMemoryModulestore()


@pytest.fixture
def store(modulestore: InMemoryModulestore) -> InMemoryOverviewStore:
    store = InMemoryOverviewStore()
    for key in KEYS:
        modulestore.publish(key)
        store.mark(key)
    rebuild_overviews(KEYS, modulestore=modulestore, store=store, build=build)
    return store


def vanish(modulestore, store, keys, *, event_type: str = "", one_by_one: bool = False):
    """Take courses out of the index, mark and rebuild them; return the outcomes."""
    outcomes: dict[str, RebuildOutcome] = {}
    for chunk in [[key] for key in keys] if one_by_one else [keys]:
        for key in chunk:
            modulestore.delete(key)
            store.mark(key, event_type=event_type)
        outcomes |= rebuild_overviews(
            chunk, modulestore=modulestore, store=store, build=build
        ).outcomes
    return [outcomes[key] for key in keys]


def row_count(store: InMemoryOverviewStore) -> int:
    return sum(course.row is not None for course in store.courses.values())


def test_few_that_vanish_are_removed(modulestore, store):
    assert vanish(modulestore, store, KEYS[:5]) == [RebuildOutcome.DELETED] * 5


def test_an_event_from_before_the_delete_that_comes_late_takes_nothing_back(modulestore, store):
    for key in KEYS[:6]:
        modulestore.delete(key)
        store.mark(key, event_type=DELETED)
        store.mark(key, event_type=CoursePublished.type_name)

    report = rebuild_overviews(KEYS[:6], modulestore=modulestore, store=store, build=build)

    assert set(report.outcomes.values()) == {RebuildOutcome.DELETED}


def test_many_that_vanish_are_held_with_the_reason_on_their_marks(modulestore, store, caplog):
    outcomes = vanish(modulestore, store, KEYS[:6])

    assert outcomes == [RebuildOutcome.HELD] * 6
    assert row_count(store) == 100
    course = store.course(KEYS[0])
    assert "6 of 100 courses vanished" in course.last_error
    assert course.is_dirty
    assert store.take_due(limit=500) == []
    assert "not removed" in caplog.text


def test_a_trickle_is_held_when_it_has_become_a_flood(modulestore, store):
    outcomes = vanish(modulestore, store, KEYS[:8], one_by_one=True)

    assert outcomes == [RebuildOutcome.DELETED] * 5 + [RebuildOutcome.HELD] * 3


def test_a_flood_is_held_from_its_first_course_on_though_it_comes_in_tasks_of_one(
    modulestore, store
):
    for key in KEYS[8:50]:
        modulestore.delete(key)

    outcomes = vanish(modulestore, store, KEYS[:8], one_by_one=True)

    assert outcomes == [RebuildOutcome.HELD] * 8
    assert row_count(store) == 100


def test_courses_about_which_something_was_said_do_not_count_as_vanished(modulestore, store):
    for key in KEYS[:58]:
        modulestore.delete(key)
    for key in KEYS[:30]:
        store.mark(key, event_type=DELETED)
    for key in KEYS[30:58]:
        store.course(key).removal = {"allowed" if key < KEYS[40] else "refused": 0.0}

    assert vanish(modulestore, store, KEYS[58:60]) == [RebuildOutcome.DELETED] * 2


def test_all_courses_are_counted_only_where_one_is_about_to_be_removed():
    asked: list[int] = []

    def count_vanished(limit: int) -> int:
        asked.append(limit)
        return 0

    for values in ({"recent_count": 5}, {"held_count": 1}, {"announced": frozenset(KEYS)}):
        held_removals(
            KEYS[:1], census(**values), index_is_empty=False, count_vanished=count_vanished
        )
    assert asked == []

    held_removals(KEYS[:1], census(), index_is_empty=False, count_vanished=count_vanished)
    assert asked == [5]


def test_a_slow_trickle_is_let_through(modulestore, store):
    for start in range(0, 15, 4):
        outcomes = vanish(modulestore, store, KEYS[start : start + 4])
        assert outcomes == [RebuildOutcome.DELETED] * 4
        store.pass_time(RECENT_SECONDS + 1)


@pytest.mark.parametrize("one_by_one", [True, False])
def test_announced_deletes_are_removed_however_many(modulestore, store, one_by_one):
    outcomes = vanish(modulestore, store, KEYS, event_type=DELETED, one_by_one=one_by_one)

    assert outcomes == [RebuildOutcome.DELETED] * 100


def test_announced_deletes_do_not_count_for_others(modulestore, store):
    vanish(modulestore, store, KEYS[:50], event_type=DELETED)

    assert vanish(modulestore, store, KEYS[50:52]) == [RebuildOutcome.DELETED] * 2


def test_an_announcement_stands_when_the_course_is_marked_once_more(modulestore, store):
    for key in KEYS[:10]:
        store.mark(key, event_type=DELETED)

    assert vanish(modulestore, store, KEYS[:10]) == [RebuildOutcome.DELETED] * 10


def test_while_one_is_held_all_are_but_announced_ones(modulestore, store):
    vanish(modulestore, store, KEYS[:6])
    store.pass_time(RECENT_SECONDS + 1)

    assert vanish(modulestore, store, [KEYS[10]]) == [RebuildOutcome.HELD]
    assert vanish(modulestore, store, [KEYS[11]], event_type=DELETED) == [RebuildOutcome.DELETED]


def test_what_is_held_and_allowed_is_removed_and_does_not_count(modulestore, store):
    vanish(modulestore, store, KEYS[:6])
    for key in KEYS[:6]:
        store.course(key).removal = {"allowed": 0.0}
        store.mark(key)

    report = rebuild_overviews(KEYS[:6], modulestore=modulestore, store=store, build=build)

    assert set(report.outcomes.values()) == {RebuildOutcome.DELETED}
    assert vanish(modulestore, store, [KEYS[10]]) == [RebuildOutcome.DELETED]


def test_what_is_refused_is_kept_clean_until_its_delete_is_announced(modulestore, store):
    vanish(modulestore, store, KEYS[:6])
    store.course(KEYS[0]).removal = {"refused": 0.0}
    store.mark(KEYS[0])

    kept = rebuild_overviews([KEYS[0]], modulestore=modulestore, store=store, build=build)
    assert kept.outcomes == {KEYS[0]: RebuildOutcome.REFUSED}
    assert not store.course(KEYS[0]).is_dirty
    assert store.course(KEYS[0]).row is not None

    store.mark(KEYS[0], event_type=DELETED)
    gone = rebuild_overviews([KEYS[0]], modulestore=modulestore, store=store, build=build)
    assert gone.outcomes == {KEYS[0]: RebuildOutcome.DELETED}


def test_what_is_held_and_comes_back_is_built(modulestore, store):
    vanish(modulestore, store, KEYS[:6])
    modulestore.publish(KEYS[0], display_name="Back")
    store.mark(KEYS[0])

    report = rebuild_overviews([KEYS[0]], modulestore=modulestore, store=store, build=build)

    assert report.outcomes == {KEYS[0]: RebuildOutcome.WRITTEN}


def test_an_empty_index_removes_nothing(modulestore, store):
    for key in KEYS[:99]:
        modulestore.delete(key)

    assert vanish(modulestore, store, [KEYS[99]]) == [RebuildOutcome.HELD]


def test_an_index_that_does_not_answer_removes_nothing(modulestore, store):
    modulestore.outage = ModulestoreUnavailable("gone")
    store.mark(KEYS[0])

    report = rebuild_overviews([KEYS[0]], modulestore=modulestore, store=store, build=build)

    assert report.outcomes == {KEYS[0]: RebuildOutcome.UNAVAILABLE}
    assert row_count(store) == 100


def test_without_removals_nothing_is_counted(modulestore, store, monkeypatch):
    def count(course_keys):
        raise AssertionError("counted")

    monkeypatch.setattr(store, "_removal_census", count)
    modulestore.publish(KEYS[0], display_name="Newer")
    store.mark(KEYS[0])
    modulestore.delete(KEYS[1])
    store.mark(KEYS[1], event_type=DELETED)

    report = rebuild_overviews(KEYS[:2], modulestore=modulestore, store=store, build=build)

    assert set(report.outcomes.values()) == {RebuildOutcome.WRITTEN, RebuildOutcome.DELETED}
