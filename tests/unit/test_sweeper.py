"""What is swept, and what a worker that is behind takes along."""

from collections.abc import Sequence
from functools import partial

import pytest

from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.errors import ModulestoreUnavailable
from overview_worker.rebuild import RebuildReport, rebuild_overviews
from overview_worker.sweeper import BEHIND_SECONDS, CATCH_UP_LIMIT, SWEEP_LIMIT, catch_up, sweep
from overview_worker.testing import InMemoryModulestore, InMemoryOverviewStore

KEYS = [f"course-v1:TestX+Behind+R{number:02}" for number in range(CATCH_UP_LIMIT + 5)]
build = partial(build_overview, settings=BuilderSettings())


@pytest.fixture
def modulestore() -> InMemoryModulestore:
    modulestore = InMemoryModulestore()
    for key in KEYS:
        modulestore.publish(key)
    return modulestore


@pytest.fixture
def store() -> InMemoryOverviewStore:
    return InMemoryOverviewStore()


@pytest.fixture
def rebuild(modulestore, store):
    def _rebuild(course_keys: Sequence[str]) -> RebuildReport:
        return rebuild_overviews(course_keys, modulestore=modulestore, store=store, build=build)

    return _rebuild


def dirty(store: InMemoryOverviewStore) -> list[str]:
    return [key for key in KEYS if store.course(key).is_dirty]


def test_what_failed_before_is_swept_into_tasks_of_its_own(store):
    for key in KEYS[:3]:
        store.mark(key)
    store.postpone(KEYS[1:2], ModulestoreUnavailable("gone"))
    store.pass_time(100)
    alone: list[str] = []
    together: list[str] = []

    assert sweep(store=store, enqueue=alone.extend, enqueue_together=together.extend) == 3
    assert (alone, together) == ([KEYS[1]], [KEYS[0], KEYS[2]])
    assert sweep(store=store, enqueue=alone.extend, enqueue_together=together.extend) == 0


def test_more_than_one_sweep_takes_are_left_to_the_next_and_not_enqueued_one_by_one(store):
    keys = [f"course-v1:TestX+Many+R{number}" for number in range(SWEEP_LIMIT + 1)]
    for key in keys:
        store.mark(key)
    store.pass_time(100)
    alone: list[str] = []
    together: list[str] = []

    assert sweep(store=store, enqueue=alone.extend, enqueue_together=together.extend) == SWEEP_LIMIT
    assert (alone, len(together)) == ([], SWEEP_LIMIT)


def test_a_rebuild_says_how_long_its_course_had_waited(store, rebuild):
    store.mark(KEYS[0])
    store.pass_time(4)
    store.mark(KEYS[1])
    store.pass_time(3)

    assert rebuild(KEYS[:2]).longest_wait_seconds == 7
    assert rebuild(KEYS[:2]).longest_wait_seconds == 0  # clean by now


def test_what_has_waited_longest_is_taken_along(store, rebuild):
    for key in KEYS:
        store.mark(key)
        store.pass_time(1)
    store.pass_time(5)

    count = catch_up(waited_seconds=BEHIND_SECONDS, store=store, rebuild=rebuild)

    assert count == CATCH_UP_LIMIT
    assert dirty(store) == KEYS[CATCH_UP_LIMIT:]


def test_a_worker_that_is_not_behind_does_its_own_work_alone(store, rebuild):
    store.mark(*KEYS[:1])
    store.pass_time(100)

    assert catch_up(waited_seconds=BEHIND_SECONDS - 0.1, store=store, rebuild=rebuild) == 0
    assert dirty(store) == KEYS[:1]


def test_what_failed_before_and_what_has_only_just_been_published_are_left_to_their_own_tasks(
    store, rebuild
):
    store.mark(KEYS[0])
    store.postpone(KEYS[:1], ModulestoreUnavailable("gone"))
    store.pass_time(100)
    store.mark(KEYS[1])

    assert catch_up(waited_seconds=100, store=store, rebuild=rebuild) == 0
    assert dirty(store) == KEYS[:2]
