"""What a learner waits for: our lists beside the lazy way, in turns, in one process, on the same rows.

Requests go through the whole stack (middleware, session, view, JSON or template) of one process,
without a network. *cold* is the lazy way without rows: each course is fetched whole from MongoDB,
built and saved in the request. *warm* is the lazy way with rows, read one course after another.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from pymongo import MongoClient

from benchmarks import lazy_views
from benchmarks.clock import Durations, summarise
from benchmarks.publisher_process import publish_without_end
from benchmarks.publishing import publish
from dev.authoring.author import SplitAuthor
from dev.authoring.index import MongoCourseIndex
from dev.authoring.new_course import NewCourse
from dev.procfile import ProcfileProcesses
from lms_integration import urls as product_urls
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    OverviewState,
)
from lms_integration.platform_tables.models import (
    CourseEnrollment,
    CourseMode,
    GeneratedCertificate,
)
from overview_worker.bootstrap import Dependencies, builder_settings, make_dependencies
from overview_worker.modulestore.mongo import MongoConf
from overview_worker.rebuild import rebuild_overviews

DEMO_BLOCKS = 413
#: Enrolments of the learner whom the targets speak of.
TARGET = 20
GROWTH = (5, 20, 50, 100, 200, 500)
QUICK_GROWTH = (5, 20, 50)
COURSE_COUNTS = (1_000, 10_000, 100_000)
QUICK_COURSE_COUNTS = (1_000,)
ROUNDS, QUICK_ROUNDS, FEW_ROUNDS = 40, 15, 5
PUBLISHES_PER_SECOND = 50
CHUNK = 100
_PATIENCE_SECONDS = 60.0

#: So that the courses are listed and can be opened.
_OPEN: Mapping[str, Any] = {"mobile_available": True, "start": "2020-01-01T00:00:00Z"}

#: Each list, by the product's URL and by that of the lazy way.
LISTS = {
    "mobile list": ("/api/mobile/v1/users/{username}/course_enrollments/", "/lazy/mobile"),
    "enrolment list": ("/api/enrollment/v1/enrollment", "/lazy/enrollment"),
    "dashboard": ("/dashboard", "/lazy/dashboard"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ListFigures:
    """One list of one learner; ratios are medians over the rounds."""

    name: str
    enrollments: int
    query_count: int
    ours: Durations
    warm: Durations
    cold: Durations | None
    bare_sql_ms: float  #: the same statements through mysqlclient, median
    times_faster_than_warm: float
    times_faster_than_cold: float | None
    times_bare_sql: float


def measure(*, log_folder: Path, quick: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """Run all measurements; return what goes into the JSON file."""
    client: MongoClient[dict[str, Any]] = MongoClient(settings.OVERVIEW_MONGODB_URL)
    site = _Site(client, report)
    with (
        _serving(lazy_views.urls(product_urls)),
        lazy_views.filling_from(client),
        override_settings(ALLOWED_HOSTS=["testserver"], EDX_API_KEY=None),
        _no_throttles(),
    ):
        figures = _lists(site, quick=quick, report=report)
        figures |= _beside_publishes(site, log_folder=log_folder, quick=quick, report=report)
        figures |= _course_growth(site, quick=quick, report=report)
    client.close()
    return {"read_path": figures}


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


class _Site:
    """Courses in MongoDB with their rows, and learners of the first so many of them."""

    def __init__(
        self, client: "MongoClient[dict[str, Any]]", report: Callable[[str], None]
    ) -> None:
        conf = MongoConf(
            url=settings.OVERVIEW_MONGODB_URL, database=settings.OVERVIEW_MONGODB_DATABASE
        )
        self._report = report
        self.adapters: Dependencies = make_dependencies(client, conf, builder_settings())
        database = client[conf.database]
        self.author = SplitAuthor(database, index=MongoCourseIndex(database))
        self.known = set(self.author.course_keys())

    def demo_courses(self, count: int) -> list[str]:
        """Return the keys of so many courses of the demo course's size, with rows and modes."""
        return self._courses("Demo", count, block_count=DEMO_BLOCKS)

    def small_courses(self, count: int) -> list[str]:
        """Return the keys of so many small courses, with rows and modes."""
        return self._courses("Small", count, block_count=5)

    def _courses(self, name: str, count: int, *, block_count: int) -> list[str]:
        keys = [f"course-v1:Read{name}+C{number:06}+R1" for number in range(count)]
        missing = [key for key in keys if key not in self.known]
        if missing:
            self._report(f"writing {len(missing)} {name.lower()} courses")
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            self.author.create_courses(
                [
                    NewCourse(
                        course_key=key,
                        settings={"display_name": key, **_OPEN},
                        block_count=block_count,
                    )
                    for key in chunk
                ]
            )
            self.rebuild(chunk)
            _make_modes(chunk)
        self.known.update(missing)
        return keys

    def rebuild(self, keys: Sequence[str]) -> None:
        """Build the rows of courses in this process."""
        mark_courses([CourseMark(course_key=key) for key in keys])
        rebuild_overviews(
            keys,
            modulestore=self.adapters.modulestore,
            store=self.adapters.store,
            build=self.adapters.build,
        )


def _make_modes(keys: Sequence[str]) -> None:
    CourseMode.objects.bulk_create(
        [
            CourseMode(
                course_id=key, mode_slug=slug, mode_display_name=slug.title(), min_price=price
            )
            for key in keys
            for slug, price in (("audit", 0), ("verified", 49))
        ],
        ignore_conflicts=True,
    )


def _learner(keys: Sequence[str]) -> User:
    user, _ = User.objects.get_or_create(username=f"reader_{len(keys)}")
    CourseEnrollment.objects.bulk_create(
        [CourseEnrollment(user_id=user.pk, course_id=key, mode="verified") for key in keys],
        ignore_conflicts=True,
    )
    GeneratedCertificate.objects.bulk_create(
        [
            GeneratedCertificate(
                user_id=user.pk, course_id=key, status="downloadable", name="", mode="verified"
            )
            for key in keys[::3]
        ],
        ignore_conflicts=True,
    )
    return user


class _Reader:
    """A learner who is signed in and asks again and again."""

    def __init__(self, user: User) -> None:
        self._client = Client()
        self._client.force_login(user)
        self._username = user.username

    def ask(self, url: str) -> float:
        """Return the seconds that one answer took.

        Raises RuntimeError for any answer but 200: its figure would mean nothing.
        """
        path = url.format(username=self._username)
        started = time.perf_counter()
        response = self._client.get(path)
        seconds = time.perf_counter() - started
        if response.status_code != 200:
            raise RuntimeError(
                f"{path} answered {response.status_code}: {response.content[:300]!r}"
            )
        return seconds

    def statements(self, url: str) -> list[str]:
        """Return the SQL statements of one answer."""
        with CaptureQueriesContext(connection) as captured:
            self.ask(url)
        return [query["sql"] for query in captured.captured_queries]


# --- the lists, for more and more enrolments


def _lists(site: _Site, *, quick: bool, report: Callable[[str], None]) -> dict[str, Any]:
    growth = QUICK_GROWTH if quick else GROWTH
    keys = site.demo_courses(max(growth))
    figures = []
    for count in growth:
        for name in LISTS:
            report(f"{name}, {count} enrolments")
            rounds = _rounds(count, quick=quick)
            found = _measure_list(name, keys[:count], rounds=rounds)
            report(_in_words(found))
            figures.append(found)
    return {"lists": [asdict(each) for each in figures]}


def _rounds(count: int, *, quick: bool) -> int:
    """Return how often a list of so many enrolments is asked for; long lists tell enough soon."""
    if count > 100:
        return FEW_ROUNDS
    return QUICK_ROUNDS if quick or count > TARGET else ROUNDS


def _in_words(found: ListFigures) -> str:
    cold = "" if found.cold is None else f", cold {found.cold.p50_ms} ms"
    return (
        f"  {found.query_count} queries, p50 {found.ours.p50_ms} ms, "
        f"bare SQL {found.bare_sql_ms} ms, warm {found.warm.p50_ms} ms{cold}"
    )


def _measure_list(name: str, keys: Sequence[str], *, rounds: int) -> ListFigures:
    ours_url, lazy_url = LISTS[name]
    reader = _Reader(_learner(keys))
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

    return ListFigures(
        name=name,
        enrollments=enrollments,
        query_count=query_count,
        ours=summarise(times["ours"]),
        warm=summarise(times["warm"]),
        cold=summarise(times["cold"]) if times["cold"] else None,
        bare_sql_ms=summarise(times["bare"]).p50_ms,
        times_faster_than_warm=ratio("warm", "ours"),
        times_faster_than_cold=ratio("cold", "ours") if times["cold"] else None,
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


# --- beside publishes


def _beside_publishes(
    site: _Site, *, log_folder: Path, quick: bool, report: Callable[[str], None]
) -> dict[str, Any]:
    keys = site.demo_courses(TARGET)
    reader = _Reader(_learner(keys))
    rounds = 30 if quick else 150
    found: dict[str, Any] = {}
    # They say that they are ready in lines that are not warnings.
    environment = {**os.environ, "OVERVIEW_LOG_LEVEL": "INFO"}
    with ProcfileProcesses(log_folder, environment=environment) as processes:
        processes.start("intake", "live", "beat")
        report("the first request after a publish")
        found["after_publish"] = _after_publish(
            site, reader, keys, rounds=QUICK_ROUNDS if quick else 40
        )
        report(f"beside {PUBLISHES_PER_SECOND} publishes/s")
        found["beside_publishes"] = _beside(reader, keys, rounds=rounds)
    return found


def _after_publish(
    site: _Site, reader: _Reader, keys: Sequence[str], *, rounds: int
) -> dict[str, Any]:
    """Ask once right after a course of the list has been rebuilt, then again and again."""
    url = LISTS["mobile list"][0]
    first, later = [], []
    for number in range(rounds):
        key = keys[number % len(keys)]
        _publish_and_wait(site.author, key, f"First {time.time_ns()}")
        first.append(reader.ask(url))
        later += [reader.ask(url) for _ in range(3)]
    return {
        "first": asdict(summarise(first)),
        "later": asdict(summarise(later)),
        "ratio": round(median(first) / median(later), 3),
    }


def _publish_and_wait(author: SplitAuthor, key: str, name: str) -> None:
    before = _row_seq(key)
    publish(author, key, name)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while _row_seq(key) == before:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{key} was not rebuilt")
        time.sleep(0.002)


def _row_seq(key: str) -> int:
    return OverviewState.objects.values_list("row_seq", flat=True).get(course_key=key)


def _beside(reader: _Reader, keys: Sequence[str], *, rounds: int) -> dict[str, Any]:
    """Ask in quiet, beside publishes, and in quiet again; the quiet times are taken together."""
    url = LISTS["mobile list"][0]
    quiet = [reader.ask(url) for _ in range(rounds)]
    connection.close()  # not to be shared with the process that is forked
    publisher = multiprocessing.get_context("spawn").Process(
        target=publish_without_end,
        args=(list(keys), PUBLISHES_PER_SECOND),
        daemon=True,
    )
    publisher.start()
    try:
        _wait_until_publishing(keys)
        busy = []
        for _ in range(rounds):
            busy.append(reader.ask(url))
            time.sleep(0.02)  # as a learner's app would, so that the processor is not ours alone
    finally:
        publisher.terminate()
        publisher.join()
    time.sleep(1.0)
    quiet += [reader.ask(url) for _ in range(rounds)]
    return {
        "quiet": asdict(summarise(quiet)),
        "busy": asdict(summarise(busy)),
        "ratio": round(median(busy) / median(quiet), 3),
    }


def _wait_until_publishing(keys: Sequence[str]) -> None:
    before = sum(_row_seq(key) for key in keys)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while sum(_row_seq(key) for key in keys) < before + PUBLISHES_PER_SECOND:
        if time.monotonic() > deadline:
            raise TimeoutError("nothing was published")
        time.sleep(0.1)


# --- more and more courses


def _course_growth(site: _Site, *, quick: bool, report: Callable[[str], None]) -> dict[str, Any]:
    reader = _Reader(_learner(site.demo_courses(TARGET)))
    urls = {
        "mobile list": LISTS["mobile list"][0],
        "dashboard": LISTS["dashboard"][0],
        "courses list": "/api/courses/v1/courses/?page_size=20",
        "courses of an org": "/api/courses/v1/courses/?page_size=20&org=ReadDemo",
        "courses, last page": "/api/courses/v1/courses/?page_size=20&page={page}",
    }
    found = []
    for count in QUICK_COURSE_COUNTS if quick else COURSE_COUNTS:
        site.small_courses(count)
        report(f"{count} courses")
        pages = -(-_listed_count(reader) // 20)
        for name, url in urls.items():
            asked = url.replace("{page}", str(pages))
            times = [reader.ask(asked) for _ in range(QUICK_ROUNDS)][2:]
            found.append({"courses": count, "name": name, **asdict(summarise(times))})
    return {"course_growth": found}


def _listed_count(reader: _Reader) -> int:
    answer = reader._client.get("/api/courses/v1/courses/?page_size=1").json()
    count: int = answer["pagination"]["count"]
    return count
