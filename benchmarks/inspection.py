"""What a pass of the inspector costs over 100,000 courses, with either course index.

The courses are written straight into the tables and the index: only what a pass looks at is real.
"""

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from bson import ObjectId
from django.conf import settings
from django.db import connection
from django.db.models import Model
from pymongo import MongoClient
from pymongo.database import Database

from dev.authoring.author import SplitAuthor
from dev.authoring.index import MongoCourseIndex as AuthoredIndex
from dev.authoring.index import SqlCourseIndex as AuthoredSqlIndex
from dev.authoring.index_table import COLUMNS, TABLE
from dev.authoring.new_course import NewCourse
from lms_integration.data import COURSE_OVERVIEW_VERSION
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    OverviewMark,
    OverviewProjection,
    OverviewState,
)
from overview_worker.bootstrap import builder_settings, make_dependencies
from overview_worker.inspection_ports import CurrentVersions, Surveyor
from overview_worker.inspector import MergingSurveyor
from overview_worker.modulestore.mongo import MongoConf
from overview_worker.rebuild import BUILDER_VERSION, RebuildDepth, rebuild_overviews
from overview_worker.store.conf import StoreConf
from overview_worker.store.inspection_store import DjangoInspectionStore
from overview_worker.store.sql_survey import SqlSurveyor

COURSE_COUNT = 100_000
QUICK_COURSE_COUNT = 5_000
ROUNDS = 5
#: Of so many courses each differs from the index in the second figure.
DIFFERING_SHARE = 100
DEEP_CHECK_COUNT = 500
_AT_ONCE = 2_000
_CURRENT = CurrentVersions(builder=BUILDER_VERSION, schema=COURSE_OVERVIEW_VERSION)
_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_TEXT = "What the course covers, and whom it is for. " * 20


@dataclass(frozen=True, kw_only=True, slots=True)
class SurveyFigures:
    """Seconds of one look at all courses, medians over the rounds."""

    course_index: str
    course_count: int
    equal_seconds: float  #: nothing differs
    differing_seconds: float  #: one course of a hundred differs
    differing_count: int
    peak_megabytes: float  #: of the process, all told


def measure(*, quick: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """Run the measurements; return what goes into the JSON file."""
    client: MongoClient[dict[str, Any]] = MongoClient(settings.OVERVIEW_MONGODB_URL)
    database = client[f"{settings.OVERVIEW_MONGODB_DATABASE}_inspection"]
    count = QUICK_COURSE_COUNT if quick else COURSE_COUNT
    conf = MongoConf(url=settings.OVERVIEW_MONGODB_URL, database=database.name)
    adapters = make_dependencies(client, conf, builder_settings())
    _clear(client, database)
    try:
        report(f"writing {count} courses")
        keys = _write(database, count)
        store = DjangoInspectionStore(StoreConf(builder_version=BUILDER_VERSION))
        surveyors: dict[str, Surveyor] = {
            "mongodb": MergingSurveyor(modulestore=adapters.modulestore, store=store),
            "mysql": SqlSurveyor(StoreConf(builder_version=BUILDER_VERSION)),
        }
        figures = []
        for name, surveyor in surveyors.items():
            report(f"inspecting {count} courses, index in {name}")
            figures.append(_measure_survey(name, surveyor, keys))
        report(f"comparing {DEEP_CHECK_COUNT} courses column by column")
        deep = _measure_deep_check(client, conf)
    finally:
        _clear(client, database)
        client.close()
    return {"inspection": [asdict(each) for each in figures], "deep_check_per_second": deep}


def _measure_survey(name: str, surveyor: Surveyor, keys: Sequence[str]) -> SurveyFigures:
    surveyor.survey(_CURRENT)  # warms the caches up
    equal = [_timed(surveyor, differing=0) for _ in range(ROUNDS)]
    broken = keys[::DIFFERING_SHARE]
    OverviewState.objects.filter(course_key__in=broken).update(source_version="f" * 24)
    differing = [_timed(surveyor, differing=len(broken)) for _ in range(ROUNDS)]
    for key in broken:
        version = _version(keys.index(key))
        OverviewState.objects.filter(course_key=key).update(source_version=version)
    return SurveyFigures(
        course_index=name,
        course_count=len(keys),
        equal_seconds=round(median(equal), 2),
        differing_seconds=round(median(differing), 2),
        differing_count=len(broken),
        peak_megabytes=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    )


def _timed(surveyor: Surveyor, *, differing: int) -> float:
    started = time.perf_counter()
    survey = surveyor.survey(_CURRENT)
    seconds = time.perf_counter() - started
    if len(survey.differing) != differing:
        raise RuntimeError(f"{len(survey.differing)} courses differ instead of {differing}")
    return seconds


def _measure_deep_check(client: MongoClient[dict[str, Any]], conf: MongoConf) -> float:
    adapters = make_dependencies(client, conf, builder_settings())
    author = SplitAuthor(client[conf.database], index=AuthoredIndex(client[conf.database]))
    keys = [f"course-v1:Deep+Course{number:04}+R1" for number in range(DEEP_CHECK_COUNT)]
    author.create_courses([NewCourse(course_key=key, block_count=50) for key in keys])
    rebuild_overviews(
        keys,
        modulestore=adapters.modulestore,
        store=adapters.store,
        build=adapters.build,
        depth=RebuildDepth.REWRITE,
    )
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for start in range(0, len(keys), 100):
            checks = adapters.inspector.check(keys[start : start + 100])
            if any(check.differences for check in checks):
                raise RuntimeError("courses have drifted: the figures would mean nothing")
        seconds.append(time.perf_counter() - started)
    return round(len(keys) / median(seconds), 1)


def _write(database: Database[dict[str, Any]], count: int) -> list[str]:
    """Write courses of which both sides say the same."""
    index = AuthoredSqlIndex(database)
    index.create_table()
    AuthoredIndex(database).create_index()
    keys = [f"course-v1:Org{number % 50:02}+C{number:06}+2026" for number in range(count)]
    for numbers in _batches(range(count)):
        chosen = [(number, keys[number]) for number in numbers]
        database["modulestore.active_versions"].insert_many(
            [_entry(key, _version(number)) for number, key in chosen]
        )
        _insert_index_rows([_index_row(key, _version(number)) for number, key in chosen])
        CourseOverview.objects.bulk_create([_row(key) for _, key in chosen])
        OverviewProjection.objects.bulk_create([_projection(key) for _, key in chosen])
        OverviewMark.objects.bulk_create(
            [OverviewMark(course_key=key, wanted=3, done=3) for _, key in chosen]
        )
        OverviewState.objects.bulk_create(
            [
                OverviewState(
                    course_key=key,
                    source_version=_version(number),
                    builder_version=BUILDER_VERSION,
                    schema_version=COURSE_OVERVIEW_VERSION,
                    row_seq=1,
                )
                for number, key in chosen
            ]
        )
    return keys


def _version(number: int) -> str:
    return f"{number:024x}"


def _entry(key: str, version: str) -> dict[str, Any]:
    org, course, run = key.removeprefix("course-v1:").split("+")
    return {
        "org": org,
        "course": course,
        "run": run,
        "versions": {"draft-branch": ObjectId(version), "published-branch": ObjectId(version)},
        "last_update": _TIME,
    }


def _index_row(key: str, version: str) -> tuple[Any, ...]:
    moment = _TIME.replace(tzinfo=None)
    org = key.removeprefix("course-v1:").partition("+")[0]
    return (version, key, org, version, version, "", key, "mongodb", moment, moment, None)


def _insert_index_rows(rows: Sequence[tuple[Any, ...]]) -> None:
    places = ", ".join(["%s"] * (len(COLUMNS) - 1))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {TABLE} ({', '.join(COLUMNS[1:])}) VALUES ({places})",  # noqa: S608
            rows,
        )


def _row(key: str) -> CourseOverview:
    return CourseOverview(
        id=key,
        version=COURSE_OVERVIEW_VERSION,
        location=f"block-{key}",
        display_name=f"The course {key}",
        short_description=_TEXT,
        entrance_exam_id="",
    )


def _projection(key: str) -> OverviewProjection:
    return OverviewProjection(course_key=key, sort_key=key, search_text=_TEXT, overview_html=_TEXT)


def _batches(numbers: range) -> Iterator[range]:
    for start in range(0, len(numbers), _AT_ONCE):
        yield numbers[start : start + _AT_ONCE]


def _clear(client: MongoClient[dict[str, Any]], database: Database[dict[str, Any]]) -> None:
    client.drop_database(database.name)
    models: tuple[type[Model], ...] = (
        OverviewMark,
        OverviewState,
        OverviewProjection,
        CourseOverviewTab,
        CourseOverviewImageSet,
        CourseOverview,
    )
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")
        for model in models:
            # Nothing else is in the benchmark's database.
            cursor.execute(f"DELETE FROM {model._meta.db_table}")  # noqa: S608
