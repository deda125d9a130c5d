"""One process that rebuilds courses, beside a lazy baseline, in turns in one run.

The baseline does what a request that finds no row has to do: fetch the index entry, the whole
structure and the definitions that it needs, build, and save one row, one course at a time. Both use
the same builder and start from no rows.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from django.conf import settings
from pymongo import MongoClient
from pymongo.database import Database

from benchmarks.lazy_course import fill_lazily
from dev.authoring.author import SplitAuthor
from dev.authoring.index import MongoCourseIndex
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    CourseOverview,
    CourseOverviewTab,
    OverviewMark,
    OverviewProjection,
    OverviewState,
)
from overview_worker.bootstrap import Dependencies, builder_settings, make_dependencies
from overview_worker.modulestore.mongo import MongoConf
from overview_worker.rebuild import RebuildOutcome, rebuild_overviews

#: Blocks of a course and how many courses are rebuilt in a round.
SIZES = {"small": (5, 200), "demo": (413, 60), "5,000 blocks": (5_000, 20)}
QUICK_SIZES = {"small": (5, 60), "demo": (413, 20), "5,000 blocks": (5_000, 5)}
ROUNDS = 5
QUICK_ROUNDS = 3
CHUNK = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopFigures:
    """Courses per second of both, medians over the rounds; the ratio is taken round by round."""

    size: str
    rebuilds_per_second: float
    lazy_per_second: float
    ratio: float


def measure(*, quick: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """Measure all sizes; return what goes into the JSON file."""
    client: MongoClient[dict[str, Any]] = MongoClient(settings.OVERVIEW_MONGODB_URL)
    conf = MongoConf(url=settings.OVERVIEW_MONGODB_URL, database=settings.OVERVIEW_MONGODB_DATABASE)
    adapters = make_dependencies(client, conf, builder_settings())
    database = client[conf.database]
    author = SplitAuthor(database, index=MongoCourseIndex(database))
    figures = []
    for size, (block_count, course_count) in (QUICK_SIZES if quick else SIZES).items():
        report(f"rebuild loop, {size}")
        keys = _write_courses(author, block_count, course_count)
        figures.append(
            _measure_size(size, keys, adapters, database, QUICK_ROUNDS if quick else ROUNDS)
        )
    client.close()
    return {"rebuild_loop": [asdict(each) for each in figures]}


def _write_courses(author: SplitAuthor, block_count: int, course_count: int) -> list[str]:
    keys = [f"course-v1:Loop+{block_count}b{number:03}+R1" for number in range(course_count)]
    known = author.course_keys()
    for key in keys:
        if key not in known:
            author.create_course(key, settings={"display_name": key}, block_count=block_count)
    return keys


def _measure_size(
    size: str,
    keys: Sequence[str],
    adapters: Dependencies,
    database: Database[dict[str, Any]],
    rounds: int,
) -> LoopFigures:
    ours, lazy = [], []
    for number in range(rounds + 1):
        our_seconds = _timed(lambda: _rebuild_all(keys, adapters), keys)
        lazy_seconds = _timed(lambda: _fill_lazily(keys, database), keys)
        if number:  # the first round warms both up
            ours.append(len(keys) / our_seconds)
            lazy.append(len(keys) / lazy_seconds)
    return LoopFigures(
        size=size,
        rebuilds_per_second=round(median(ours), 1),
        lazy_per_second=round(median(lazy), 1),
        ratio=round(median(a / b for a, b in zip(ours, lazy, strict=True)), 1),
    )


def _timed(work: Callable[[], None], keys: Sequence[str]) -> float:
    for model, name in (
        (CourseOverviewTab, "course_overview_id"),
        (CourseOverview, "id"),
        (OverviewProjection, "course_key"),
        (OverviewMark, "course_key"),
        (OverviewState, "course_key"),
    ):
        model.objects.filter(**{f"{name}__in": keys}).delete()
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    if CourseOverview.objects.filter(id__in=keys).count() != len(keys):
        raise RuntimeError("not all rows were written: the figures would mean nothing")
    return seconds


def _rebuild_all(keys: Sequence[str], adapters: Dependencies) -> None:
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        mark_courses([CourseMark(course_key=key) for key in chunk])
        report = rebuild_overviews(
            chunk,
            modulestore=adapters.modulestore,
            store=adapters.store,
            build=adapters.build,
        )
        if set(report.outcomes.values()) != {RebuildOutcome.WRITTEN}:
            raise RuntimeError(f"unexpected outcomes: {set(report.outcomes.values())}")


def _fill_lazily(keys: Sequence[str], database: Database[dict[str, Any]]) -> None:
    for key in keys:
        fill_lazily(key, database)
