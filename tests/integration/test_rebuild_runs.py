"""Rebuild runs on real databases, worked on in this process; with either course index."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pymongo import MongoClient
from pymongo.database import Database

from dev.authoring.new_course import NewCourse
from lms_integration.course_keys import parse_course_key
from lms_integration.events import CourseDeleted
from lms_integration.marks import CourseMark, mark_courses, mark_of
from lms_integration.models import (
    CourseOverview,
    OverviewMark,
    OverviewProjection,
    OverviewRebuildLane,
    OverviewRebuildRun,
    OverviewRunFailure,
    OverviewState,
    OverviewTombstone,
    RunDepth,
    RunOrigin,
    RunScope,
    RunState,
)
from lms_integration.rebuild_desk import (
    RunRefused,
    RunRequest,
    ask_for_run,
    cancel_run,
    done_count,
    progress_of,
)
from overview_worker.rebuild import RebuildReport
from overview_worker.run_steps import STEP_LENGTH, StepSize
from tests.inspection_scene import Site, made_site
from tests.race_scene import PATIENCE_SECONDS, Crew

pytestmark = pytest.mark.django_db(transaction=True)

Counts = dict[str, int]


@pytest.fixture(params=["mongodb", "mysql"])
def site(
    request: pytest.FixtureRequest,
    mongo_client: MongoClient[dict[str, Any]],
    mongo_database: Database[dict[str, Any]],
) -> Iterator[Site]:
    with made_site(request.param, mongo_client, mongo_database) as made:
        yield made


def key(number: int, *, org: str = "RunX") -> str:
    return f"course-v1:{org}+C{number:03}+R1"


def asked(scope: RunScope = RunScope.ALL, depth: RunDepth = RunDepth.STALE, **values: Any) -> int:
    request = RunRequest(scope=scope, depth=depth, asked_from=RunOrigin.COMMAND, **values)
    return int(ask_for_run(request).pk)


def run(site: Site, *args: Any, **values: Any) -> Counts:
    """Run a run to its end and return its counts, those that are 0 left out."""
    run_id = asked(*args, **values)
    site.adapters.runs.run_here(run_id)
    assert progress_of(run_id).run.state == "done"
    return counts(run_id)


def counts(run_id: int) -> Counts:
    row = OverviewRebuildRun.objects.get(pk=run_id)
    names = ("total", "unchanged", "written", "tombstoned", "failed", "busy")
    found = {name: getattr(row, f"{name}_count") for name in names}
    return {name: count for name, count in found.items() if count}


def test_the_first_fill_writes_every_course(site: Site):
    site.publish(*[key(number) for number in range(30)])

    assert run(site) == {"total": 30, "written": 30}

    assert CourseOverview.objects.count() == OverviewProjection.objects.count() == 30


def test_a_run_for_stale_courses_rebuilds_those_that_differ_alone(site: Site):
    site.create(*[key(number) for number in range(10)])
    site.author.edit_settings(key(3), {"display_name": "Renamed"})
    CourseOverview.objects.filter(id=key(5)).delete()

    assert run(site) == {"total": 10, "unchanged": 8, "written": 2}

    assert CourseOverview.objects.get(id=key(3)).display_name == "Renamed"
    assert CourseOverview.objects.filter(id=key(5)).exists()


def test_a_run_that_builds_writes_what_has_changed(site: Site):
    site.create(*[key(number) for number in range(10)])
    site.author.edit_settings(key(3), {"display_name": "Renamed"})

    assert run(site, depth=RunDepth.BUILD) == {"total": 10, "unchanged": 9, "written": 1}


def test_a_run_that_rewrites_mends_rows_that_were_changed_by_hand(site: Site):
    site.create(*[key(number) for number in range(10)])
    CourseOverview.objects.filter(id=key(4)).update(display_name="By hand")

    assert run(site, depth=RunDepth.REWRITE) == {"total": 10, "written": 10}

    assert CourseOverview.objects.get(id=key(4)).display_name == key(4)


def test_a_run_that_rewrites_removes_stray_tombstones(site: Site):
    site.create(key(1), key(2))
    OverviewTombstone.objects.create(course_key=key(1), deleted_at="2026-01-01T00:00:00Z")

    assert run(site, depth=RunDepth.REWRITE) == {"total": 2, "written": 2}

    assert not OverviewTombstone.objects.exists()


def test_a_run_for_stale_courses_removes_stray_tombstones(site: Site):
    site.create(key(1), key(2))
    OverviewTombstone.objects.create(course_key=key(1), deleted_at="2026-01-01T00:00:00Z")

    assert run(site) == {"total": 2, "unchanged": 1, "written": 1}

    assert not OverviewTombstone.objects.exists()


def test_a_run_for_old_rows_rewrites_those_of_an_older_schema(site: Site):
    site.create(*[key(number) for number in range(6)])
    CourseOverview.objects.filter(id__in=[key(1), key(4)]).update(version=3)

    found = run(site, depth=RunDepth.OLD, version_below=5)

    assert found == {"total": 6, "unchanged": 4, "written": 2}
    assert not CourseOverview.objects.filter(version=3).exists()


def test_a_run_for_old_rows_takes_those_that_the_platform_has_made(site: Site):
    site.create(*[key(number) for number in range(3)])
    OverviewState.objects.filter(course_key=key(1)).delete()
    CourseOverview.objects.filter(id=key(1)).update(version=3)

    found = run(site, depth=RunDepth.OLD, version_below=5)

    assert found == {"total": 3, "unchanged": 2, "written": 1}


def test_a_run_of_an_organisation_takes_its_courses_alone_however_its_name_is_written(site: Site):
    site.publish(key(1), key(2), key(1, org="runx"), key(1, org="Other"), key(1, org="Run_"))

    assert run(site, RunScope.ORG, org="RUNX") == {"total": 3, "written": 3}

    assert sorted(CourseOverview.objects.values_list("id", flat=True)) == [
        key(1),
        key(2),
        key(1, org="runx"),
    ]


def test_a_name_of_an_organisation_is_no_pattern(site: Site):
    site.create(key(1), key(1, org="Run_"), key(1, org="Stays"))
    for course_key in (key(1), key(1, org="Run_")):
        site.author.delete_course(course_key)
    # Else two of three courses would have vanished, which the brake holds.
    mark_courses([mark_of(CourseDeleted(course_key=key(1)))])

    assert run(site, RunScope.ORG, org="Run_") == {"total": 1, "tombstoned": 1}


def test_a_run_of_named_courses_takes_those_alone(site: Site):
    site.publish(*[key(number) for number in range(5)])

    assert run(site, RunScope.COURSES, course_keys=[key(3), key(1)]) == {"total": 2, "written": 2}

    assert CourseOverview.objects.count() == 2


def test_a_run_buries_courses_that_are_gone_from_the_index(site: Site):
    site.create(*[key(number) for number in range(25)])
    site.author.delete_course(key(7))

    assert run(site) == {"total": 25, "unchanged": 24, "tombstoned": 1}

    assert OverviewTombstone.objects.filter(course_key=key(7)).exists()
    assert run(site, depth=RunDepth.BUILD) == {"total": 24, "unchanged": 24}


def test_a_run_removes_rows_and_projections_that_no_state_stands_for(site: Site):
    site.create(*[key(number) for number in range(40)])
    for number in (5, 6):
        site.author.delete_course(key(number))
        OverviewState.objects.filter(course_key=key(number)).delete()
    CourseOverview.objects.filter(id=key(6)).delete()

    assert run(site) == {"total": 40, "unchanged": 39, "tombstoned": 1}

    assert not CourseOverview.objects.filter(id=key(5)).exists()
    assert not OverviewProjection.objects.filter(course_key__in=[key(5), key(6)]).exists()


def test_a_mass_delete_is_held_and_listed(site: Site):
    site.create(*[key(number) for number in range(30)])
    for number in range(10):
        site.author.delete_course(key(number))

    assert run(site) == {"total": 30, "unchanged": 20, "failed": 10}

    assert CourseOverview.objects.count() == 30
    failures = OverviewRunFailure.objects.all()
    assert {failure.outcome for failure in failures} == {"held"}
    assert "vanished from the index" in failures[0].reason


def test_a_course_that_cannot_be_read_is_listed_and_stops_nothing(site: Site):
    site.create(*[key(number) for number in range(5)])
    site.author.edit_settings(key(2), {"enrollment_start": "not a date"})

    found = run(site, depth=RunDepth.REWRITE)

    assert found == {"total": 5, "written": 4, "failed": 1}
    failure = OverviewRunFailure.objects.get()
    assert (failure.course_key, failure.outcome) == (key(2), "faulty")
    assert "enrollment_start" in failure.reason


def test_a_task_that_celery_stops_for_its_time_leaves_its_courses_to_the_next(site: Site):
    site.create(*[key(number) for number in range(5)])
    run_id = asked(depth=RunDepth.REWRITE)
    frozen = [True]

    def rebuild(*args: Any) -> RebuildReport:
        if frozen:
            frozen.clear()
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                raise SoftTimeLimitExceeded
        return site.adapters.runs.rebuild(*args)

    goes_on = replace(site.adapters.runs, rebuild=rebuild).work(run_id, 0, seconds=5)
    crash_counts = set(OverviewRebuildLane.objects.values_list("crash_count", flat=True))
    replace(site.adapters.runs, rebuild=rebuild).run_here(run_id)

    assert (goes_on, crash_counts) == (True, {0})
    assert counts(run_id) == {"total": 5, "written": 5}


def test_a_second_run_of_all_courses_is_refused_until_the_first_is_over(site: Site):
    first = asked()

    with pytest.raises(RunRefused, match=f"run {first} of all courses is planned"):
        asked(depth=RunDepth.REWRITE)

    site.adapters.runs.run_here(first)
    assert run(site) == {}


@pytest.mark.skipif(
    connection.vendor != "mysql", reason="SQLite in memory: threads refuse each other's locks"
)
def test_workers_that_share_a_run_with_publishes_beside_it_leave_the_newest_versions(site: Site):
    keys = [key(number) for number in range(120)]
    site.create(*keys)
    run_id = asked(depth=RunDepth.REWRITE)
    names: dict[str, str] = {}

    def publish() -> None:
        for number, course_key in enumerate(keys[::4]):
            names[course_key] = f"Edition {number}"
            site.author.edit_settings(course_key, {"display_name": names[course_key]})
            mark_courses([CourseMark(course_key=course_key)])
            site.rebuild(course_key)

    with Crew() as crew:
        crew.start(publish)
        for lane in range(3):
            crew.start(site.adapters.runs.work, run_id, lane, seconds=PATIENCE_SECONDS / 2)
    site.adapters.runs.run_here(run_id)
    site.drain_after_a_minute()

    row = progress_of(run_id).run
    assert (row.state, done_count(row), row.failed_count) == ("done", 120, 0)
    stored = dict(CourseOverview.objects.filter(id__in=names).values_list("id", "display_name"))
    assert stored == names
    assert not any(check.differences for check in site.check(*keys))


@pytest.mark.skipif(
    connection.vendor != "mysql", reason="SQLite in memory: threads refuse each other's locks"
)
def test_a_run_that_comes_to_large_courses_after_small_ones_is_cancelled_within_two_seconds(
    mongo_client: MongoClient[dict[str, Any]], mongo_database: Database[dict[str, Any]]
):
    small = [key(number) for number in range(STEP_LENGTH)]
    large = [key(number, org="RunXLarge") for number in range(20)]
    with made_site("mongodb", mongo_client, mongo_database) as site:
        site.publish(*small)
        publish_large(site, mongo_database, large)
        run_id = asked(depth=RunDepth.REWRITE)
        steps: list[list[str]] = []
        has_large_ones, is_cancelled = threading.Event(), threading.Event()

        def rebuild(keys: Any, depth: Any, cause: Any) -> Any:
            steps.append(list(keys))
            if large[0] in keys:
                has_large_ones.set()
                assert is_cancelled.wait(PATIENCE_SECONDS)
            return site.adapters.runs.rebuild(keys, depth, cause)

        # As if small courses had shown how many fit into a step.
        runs = replace(site.adapters.runs, rebuild=rebuild, step_size=StepSize(length=STEP_LENGTH))
        with Crew() as crew:
            crew.start(runs.work, run_id, 0, seconds=PATIENCE_SECONDS)
            assert has_large_ones.wait(PATIENCE_SECONDS)
            cancel_run(run_id)
            is_cancelled.set()
            began = time.monotonic()
        stopped_after = time.monotonic() - began

    assert stopped_after < 2.0
    assert steps[0] == small
    assert steps[1] == large[:1]
    assert len(steps) == 2
    assert progress_of(run_id).run.state == RunState.CANCELLED


def publish_large(site: Site, database: Database[dict[str, Any]], keys: list[str]) -> None:
    """Publish courses of 20,000 blocks, each with a structure of its own."""
    site.author.create_courses([NewCourse(course_key=keys[0], block_count=20_000)])
    structures = database["modulestore.structures"]
    first = site.adapters.modulestore.find_published(keys[:1])[keys[0]].structure_id
    for each in keys[1:]:
        copy = ObjectId()
        into = {"$merge": {"into": "modulestore.structures"}}
        structures.aggregate([{"$match": {"_id": ObjectId(first)}}, {"$set": {"_id": copy}}, into])
        site.author.rerun(keys[0], each)
        parts = parse_course_key(each)
        database["modulestore.active_versions"].update_one(
            {"org": parts.org, "course": parts.course, "run": parts.run},
            {"$set": {"versions.published-branch": copy}},
        )


def test_a_run_adds_no_marks_to_courses_that_nobody_publishes(site: Site):
    site.create(key(1), key(2))
    before = list(OverviewMark.objects.order_by("course_key").values())

    run(site, depth=RunDepth.REWRITE)

    assert list(OverviewMark.objects.order_by("course_key").values()) == before


def test_the_statements_of_a_run_do_not_grow_with_its_courses(site: Site):
    site.create(*[key(number) for number in range(20)])
    # Steps are as long as they may be where they take no time.
    runs = replace(site.adapters.runs, now=lambda: 0.0, step_size=StepSize(length=STEP_LENGTH))

    def statements() -> int:
        run_id = asked(depth=RunDepth.REWRITE)
        with CaptureQueriesContext(connection) as queries:
            runs.run_here(run_id)
        return len(queries)

    statements()  # asks the server for what it remembers then
    few = statements()
    site.create(*[key(number) for number in range(20, 24)])

    assert statements() <= few + 1
