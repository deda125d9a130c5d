"""A site of courses that are published and built, on real databases, for tests of the inspector."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import F
from django.test import override_settings
from pymongo import MongoClient
from pymongo.database import Database

from dev.authoring.author import SplitAuthor
from dev.authoring.index import MongoCourseIndex, SqlCourseIndex
from dev.authoring.index_table import TABLE
from dev.authoring.new_course import NewCourse
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    OverviewJob,
    OverviewMark,
    OverviewSuspect,
)
from overview_worker.bootstrap import Dependencies, make_dependencies
from overview_worker.builder.settings import BuilderSettings, ImageSetSettings
from overview_worker.inspection_ports import InspectionReport
from overview_worker.inspector import PERIOD_SECONDS, CourseCheck
from overview_worker.modulestore.mongo import MongoConf
from overview_worker.rebuild import (
    DISBELIEVE_AFTER_LOOKS,
    DISBELIEVE_AFTER_SECONDS,
    RebuildOutcome,
    rebuild_overviews,
)

CHUNK = 100
BUILDER = BuilderSettings(
    image_set=ImageSetSettings(small_width=375, small_height=200, large_width=750, large_height=400)
)


@dataclass(frozen=True, kw_only=True)
class Site:
    """Courses, and what one worker has."""

    author: SplitAuthor
    adapters: Dependencies

    def create(self, *course_keys: str, **settings: Any) -> None:
        """Publish new courses and build them."""
        self.publish(*course_keys, **settings)
        for start in range(0, len(course_keys), CHUNK):
            mark_courses([CourseMark(course_key=key) for key in course_keys[start : start + CHUNK]])
        self.drain()

    def publish(self, *course_keys: str, **settings: Any) -> None:
        """Publish new courses; nobody hears of it."""
        self.author.create_courses(
            [
                NewCourse(course_key=key, settings={"display_name": key, **settings})
                for key in course_keys
            ]
        )

    def drain(self) -> dict[str, RebuildOutcome]:
        """Rebuild what is dirty and not held back, as sweeps would; return the outcomes."""
        outcomes: dict[str, RebuildOutcome] = {}
        for _ in range(20):
            keys = due_keys()
            if not keys:
                return outcomes
            for start in range(0, len(keys), CHUNK):
                outcomes |= self.rebuild(*keys[start : start + CHUNK])
        raise AssertionError(f"still dirty: {due_keys()[:5]}")

    def drain_after_a_minute(self) -> None:
        """Rebuild what is dirty, also what waited for an index that seemed to be behind."""
        self.drain()
        shift = timedelta(seconds=DISBELIEVE_AFTER_SECONDS)
        waiting = OverviewMark.objects.filter(wanted__gt=F("done"), attempts__gt=0)
        keys = sorted(mark.course_key for mark in waiting)
        for mark in waiting:
            OverviewMark.objects.filter(pk=mark.pk).update(
                dirty_since=mark.dirty_since and mark.dirty_since - shift,
                looks=DISBELIEVE_AFTER_LOOKS,
            )
        for start in range(0, len(keys), CHUNK):
            self.rebuild(*keys[start : start + CHUNK])
        self.drain()

    def rebuild(self, *course_keys: str) -> dict[str, RebuildOutcome]:
        """Rebuild courses as one task."""
        report = rebuild_overviews(
            course_keys,
            modulestore=self.adapters.modulestore,
            store=self.adapters.store,
            build=self.adapters.build,
        )
        return dict(report.outcomes)

    def inspect(self, *, check_count: int = 0) -> InspectionReport:
        """Run the next pass, a period after the last one; it takes the time that it takes."""
        pass_period()
        inspector = replace(self.adapters.inspector, stopwatch=lambda: 0.0)
        report = inspector.inspect(enqueue=lambda keys: None, check_count=check_count)
        assert report is not None
        return report

    def inspect_twice(self, *, check_count: int = 0) -> InspectionReport:
        """Run two passes: what the first has seen has stood for the grace in the second."""
        self.inspect()
        return self.inspect(check_count=check_count)

    def check(self, *course_keys: str) -> Sequence[CourseCheck]:
        """Compare courses column by column."""
        checks = []
        for start in range(0, len(course_keys), CHUNK):
            checks += self.adapters.inspector.check(course_keys[start : start + CHUNK])
        return checks


def due_keys() -> list[str]:
    """Return the dirty courses that are not held back."""
    marks = OverviewMark.objects.filter(wanted__gt=F("done")).exclude(attempts__gt=0)
    return list(marks.order_by("course_key").values_list("course_key", flat=True))


def pass_period() -> None:
    """Make a period pass for the inspector, as the database's clock cannot be set."""
    shift = timedelta(seconds=PERIOD_SECONDS)
    for suspect in OverviewSuspect.objects.all().iterator():
        OverviewSuspect.objects.filter(pk=suspect.pk).update(seen_at=suspect.seen_at - shift)
    for job in OverviewJob.objects.filter(started_at__isnull=False):
        if job.started_at is not None:
            OverviewJob.objects.filter(pk=job.pk).update(started_at=job.started_at - shift)


@contextmanager
def made_site(
    kind: str, client: MongoClient[dict[str, Any]], database: Database[dict[str, Any]]
) -> Iterator[Site]:
    """Give an empty site whose course index is in ``mongodb`` or in ``mysql``."""
    conf = MongoConf(url="", database=database.name)
    with override_settings(OVERVIEW_COURSE_INDEX=kind):
        adapters = make_dependencies(client, conf, BUILDER)
    if kind == "mongodb":
        yield Site(
            author=SplitAuthor(database, index=MongoCourseIndex(database)), adapters=adapters
        )
        return
    index = SqlCourseIndex(database)
    index.create_table()
    try:
        yield Site(author=SplitAuthor(database, index=index), adapters=adapters)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")
