"""What a learner waits for: our lists beside the lazy way, in turns, in one process, on the same rows.

Requests go through the whole stack (middleware, session, view, JSON or template) of one process,
without a network. *cold* is the lazy way without rows: each course is fetched whole from MongoDB,
built and saved in the request. *warm* is the lazy way with rows, read one course after another.
*bare* are the statements of our answer, session and account among them, with the same values, one after
another through mysqlclient, all rows fetched.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

from django.conf import settings
from django.db import connection
from django.test.utils import override_settings
from pymongo import MongoClient

from benchmarks import beside_publishes, course_growth, lazy_views
from benchmarks.clock import Durations, summarise
from benchmarks.read_scene import LISTS, TARGET, Reader, Site, learner
from lms_integration import urls as product_urls
from lms_integration.models import CourseOverview, CourseOverviewImageSet, CourseOverviewTab

GROWTH = (5, 20, 50, 100, 200, 500)
QUICK_GROWTH = (5, 20, 50)
ROUNDS, QUICK_ROUNDS, FEW_ROUNDS = 40, 15, 5


@dataclass(frozen=True, kw_only=True, slots=True)
class ListFigures:
    """One list of one learner; ratios are medians over the rounds, those at p95 of the two p95."""

    name: str
    enrollments: int
    query_count: int
    ours: Durations
    warm: Durations
    cold: Durations | None
    bare_sql_ms: float  #: the same statements through mysqlclient, median
    times_faster_than_warm: float
    times_faster_than_cold: float | None
    times_faster_than_warm_at_p95: float
    times_faster_than_cold_at_p95: float | None
    times_bare_sql: float


def measure(
    *,
    log_folder: Path,
    quick: bool,
    report: Callable[[str], None],
    save: Callable[[Mapping[str, Any]], object],
) -> dict[str, Any]:
    """Run all measurements and return what goes into the JSON file.

    ``save`` is given what there is after each step, so that a run that is interrupted leaves that.
    """
    found: dict[str, Any] = {}
    client: MongoClient[dict[str, Any]] = MongoClient(settings.OVERVIEW_MONGODB_URL)
    site = Site(client, report)
    with (
        _serving(lazy_views.urls(product_urls)),
        lazy_views.filling_from(client),
        override_settings(ALLOWED_HOSTS=["testserver"], EDX_API_KEY=None),
        _no_throttles(),
    ):
        for step in _steps(site, log_folder=log_folder, quick=quick, report=report):
            found |= step
            save({"read_path": found})
    client.close()
    return {"read_path": found}


def _steps(
    site: Site, *, log_folder: Path, quick: bool, report: Callable[[str], None]
) -> Iterator[Mapping[str, Any]]:
    lists: list[dict[str, Any]] = []
    for figures in _lists(site, quick=quick, report=report):
        lists.append(asdict(figures))
        yield {"lists": lists}
    keys = site.demo_courses(TARGET)
    reader = Reader(learner(keys))
    yield from beside_publishes.measure(
        site, reader, keys, log_folder=log_folder, quick=quick, report=report
    )
    for growth in course_growth.measure(site, quick=quick, report=report):
        yield {"course_growth": growth}


@contextmanager
def _serving(urlpatterns: list[Any]) -> Iterator[None]:
    module = ModuleType("benchmarks.read_path_urls")
    module.urlpatterns = urlpatterns  # type: ignore[attr-defined]
    with override_settings(ROOT_URLCONF=module):
        yield


@contextmanager
def _no_throttles() -> Iterator[None]:
    # The histories of throttles grow with the number of requests, which no learner sends at such a pace.
    with override_settings(
        CACHES={"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    ):
        yield


# --- the lists, for more and more enrolments


def _lists(site: Site, *, quick: bool, report: Callable[[str], None]) -> Iterator[ListFigures]:
    growth = QUICK_GROWTH if quick else GROWTH
    keys = site.demo_courses(max(growth))
    for count in growth:
        for name in LISTS:
            report(f"{name}, {count} enrolments")
            rounds = _rounds(count, quick=quick)
            figures = _measure_list(name, keys[:count], rounds=rounds)
            report(_in_words(figures))
            yield figures


def _rounds(count: int, *, quick: bool) -> int:
    """Return how often a list of so many enrolments is asked for; long lists tell enough soon."""
    if count > 100:
        return FEW_ROUNDS
    return QUICK_ROUNDS if quick or count > TARGET else ROUNDS


def _in_words(found: ListFigures) -> str:
    ours, warm, cold = found.ours, found.warm, ""
    if found.cold is not None:
        cold = (
            f", cold {found.cold.p50_ms} / {found.cold.p95_ms} ms "
            f"({found.times_faster_than_cold} / {found.times_faster_than_cold_at_p95} times)"
        )
    return (
        f"  {found.query_count} queries, bare SQL {found.bare_sql_ms} ms; p50 / p95: "
        f"{ours.p50_ms} / {ours.p95_ms} ms, warm {warm.p50_ms} / {warm.p95_ms} ms "
        f"({found.times_faster_than_warm} / {found.times_faster_than_warm_at_p95} times){cold}"
    )


def _measure_list(name: str, keys: Sequence[str], *, rounds: int) -> ListFigures:
    ours_url, lazy_url = LISTS[name]
    reader = Reader(learner(keys))
    statements = reader.statements(ours_url)
    times: dict[str, list[float]] = {"ours": [], "warm": [], "cold": [], "bare": []}
    with_cold = len(keys) <= TARGET
    for number in range(rounds + 2):
        taken = {
            "ours": reader.ask(ours_url),
            "warm": reader.ask(lazy_url),
            "bare": _run_bare(statements),
        }
        if with_cold:
            _remove_rows(keys)
            taken["cold"] = reader.ask(lazy_url)
        if number >= 2:  # the first rounds warm everything up
            for kind, seconds in taken.items():
                times[kind].append(seconds)
    return _figures(name, len(keys), len(statements), times)


def _figures(
    name: str, enrollments: int, query_count: int, times: Mapping[str, Sequence[float]]
) -> ListFigures:
    def ratio(slow: str, fast: str) -> float:
        pairs = zip(times[slow], times[fast], strict=True)
        return round(median(a / b for a, b in pairs), 1)

    ours, warm = summarise(times["ours"]), summarise(times["warm"])
    cold = summarise(times["cold"]) if times["cold"] else None
    return ListFigures(
        name=name,
        enrollments=enrollments,
        query_count=query_count,
        ours=ours,
        warm=warm,
        cold=cold,
        bare_sql_ms=summarise(times["bare"]).p50_ms,
        times_faster_than_warm=ratio("warm", "ours"),
        times_faster_than_cold=ratio("cold", "ours") if times["cold"] else None,
        times_faster_than_warm_at_p95=round(warm.p95_ms / ours.p95_ms, 1),
        times_faster_than_cold_at_p95=None if cold is None else round(cold.p95_ms / ours.p95_ms, 1),
        times_bare_sql=ratio("ours", "bare"),
    )


def _run_bare(statements: Sequence[str]) -> float:
    """Return the seconds that the statements take through mysqlclient, all rows fetched."""
    connection.ensure_connection()
    started = time.perf_counter()
    for statement in statements:
        cursor = connection.connection.cursor()
        cursor.execute(statement)
        cursor.fetchall()
        cursor.close()
    return time.perf_counter() - started


def _remove_rows(keys: Sequence[str]) -> None:
    CourseOverviewTab.objects.filter(course_overview_id__in=keys).delete()
    CourseOverviewImageSet.objects.filter(course_overview_id__in=keys).delete()
    CourseOverview.objects.filter(id__in=keys).delete()
