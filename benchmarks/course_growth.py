"""Whether lists grow slower with the number of courses on the site.

The courses are copies of one that the pipeline built, written straight into the tables: a request path
looks at nothing else, and to author and build a hundred thousand would take an hour.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from django.db import connection, transaction
from django.db.models import AutoField, Model

from benchmarks.clock import summarise
from benchmarks.read_scene import LISTS, TARGET, Reader, Site, learner
from lms_integration.models import (
    CourseOverview,
    CourseOverviewTab,
    OverviewMark,
    OverviewProjection,
    OverviewState,
)
from lms_integration.platform_tables.models import CourseMode

COURSE_COUNTS = (1_000, 3_000, 10_000, 30_000, 100_000)
QUICK_COURSE_COUNTS = (1_000,)
ROUNDS = 25
_WARM_UP_ROUNDS = 3
#: What differs in the keys of the copies: the number of the course.
_COPIED_NUMBER = "C000000"
_COPIES = "course-v1:ReadCopied+%"
_URLS = {
    "mobile list": LISTS["mobile list"][0],
    "enrolment list": LISTS["enrolment list"][0],
    "dashboard": LISTS["dashboard"][0],
    "courses list": "/api/courses/v1/courses/?page_size=20",
    "courses of an org": "/api/courses/v1/courses/?page_size=20&org=ReadDemo",
    "courses, last page": "/api/courses/v1/courses/?page_size=20&page={page}",
}
#: Tables of a course, and the column of its key; tabs refer to the first.
_TABLES: Sequence[tuple[type[Model], str]] = (
    (CourseOverview, "id"),
    (CourseOverviewTab, "course_overview_id"),
    (OverviewProjection, "course_key"),
    (OverviewState, "course_key"),
    (OverviewMark, "course_key"),
    (CourseMode, "course_id"),
)
_AT_ONCE = 2_000


def measure(
    site: Site, *, quick: bool, report: Callable[[str], None]
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Yield all figures so far, each time the site has more courses."""
    reader = Reader(learner(site.demo_courses(TARGET)))
    found: list[Mapping[str, Any]] = []
    with _copies(site) as copy_up_to:
        for count in QUICK_COURSE_COUNTS if quick else COURSE_COUNTS:
            report(f"{count} courses")
            copy_up_to(count)
            pages = -(-reader.listed_count() // 20)
            for name, url in _URLS.items():
                asked = url.replace("{page}", str(pages))
                times = [reader.ask(asked) for _ in range(ROUNDS)][_WARM_UP_ROUNDS:]
                found.append({"courses": count, "name": name, **asdict(summarise(times))})
            yield found


@contextmanager
def _copies(site: Site) -> Iterator[Callable[[int], None]]:
    """Give what fills the site up to so many courses; at the end they go, for nobody authored them."""
    [original] = site.one_to_copy()
    rows = {table: _rows(table, column, original) for table, column in _TABLES}
    _remove_copies(original)  # of a run that was interrupted
    there = CourseOverview.objects.count()

    def copy_up_to(count: int) -> None:
        nonlocal there
        for start in range(there, count, _AT_ONCE):
            numbers = range(start, min(count, start + _AT_ONCE))
            with transaction.atomic():
                for table, _ in _TABLES:
                    _insert(table, rows[table], numbers)
        there = max(there, count)

    try:
        yield copy_up_to
    finally:
        _remove_copies(original)


def _columns(table: type[Model]) -> list[str]:
    """Return the columns of a table that are no counter of its own, quoted."""
    fields = [each for each in table._meta.concrete_fields if not isinstance(each, AutoField)]
    return [connection.ops.quote_name(each.column) for each in fields if each.column]


def _rows(table: type[Model], key_column: str, key: str) -> Sequence[tuple[Any, ...]]:
    columns, name = ", ".join(_columns(table)), table._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {name} WHERE {key_column} = %s", [key])  # noqa: S608
        return list(cursor.fetchall())


def _insert(
    table: type[Model], rows: Sequence[tuple[Any, ...]], numbers: Sequence[int] | range
) -> None:
    columns = _columns(table)
    places = ", ".join(["%s"] * len(columns))
    statement = f"INSERT INTO {table._meta.db_table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.executemany(statement, [_copy(row, number) for number in numbers for row in rows])


def _copy(row: Sequence[Any], number: int) -> tuple[Any, ...]:
    # From 1: number 0 is the course that is copied.
    name = f"C{number + 1:06}"
    return tuple(
        value.replace(_COPIED_NUMBER, name) if isinstance(value, str) else value for value in row
    )


def _remove_copies(original: str) -> None:
    for table, column in reversed(_TABLES):
        name = table._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {name} WHERE {column} LIKE %s AND {column} <> %s",  # noqa: S608
                [_COPIES, original],
            )
