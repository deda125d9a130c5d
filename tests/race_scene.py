"""A studio that publishes numbered versions, workers that rebuild them, and a reader who watches.

Every version writes its number into the row, the tabs, the image set and the projection, so that a
look at the tables tells which version is visible, whether it is whole, and whether it went backwards.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F
from pymongo import MongoClient
from pymongo.database import Database

from dev.authoring.author import PublishedChange, SplitAuthor
from dev.authoring.index import MongoCourseIndex as AuthoredIndex
from lms_integration.data import CourseOverviewImageSetData
from lms_integration.events import CourseDeleted, CoursePublished
from lms_integration.marks import CourseMark, mark_courses, mark_of
from lms_integration.models import (
    CourseOverview,
    CourseOverviewTab,
    OverviewMark,
    OverviewProjection,
    OverviewState,
    OverviewTombstone,
)
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.documents import BuiltOverview, PublishedCourse
from overview_worker.modulestore.mongo import MongoConf, MongoCourseIndex, MongoModulestore
from overview_worker.ports import Modulestore, OverviewStore
from overview_worker.rebuild import (
    BUILDER_VERSION,
    RebuildReport,
    content_hash_of,
    projection_hash_of,
    rebuild_overviews,
    tabs_hash_of,
)
from overview_worker.store.conf import StoreConf
from overview_worker.store.overview_store import DjangoOverviewStore

#: No wait of a race test is longer, in seconds: what waits longer hangs.
PATIENCE_SECONDS = 20.0


def build_numbered(course: PublishedCourse) -> BuiltOverview:
    """Build as the product does, with the version's number in the image set too."""
    built = build_overview(course, settings=BuilderSettings())
    number = built.overview.display_name or ""
    return replace(built, image_set=CourseOverviewImageSetData(small_url=number, large_url=""))


def real_modulestore(client: MongoClient[dict[str, Any]], database: str) -> MongoModulestore:
    """Return the product's adapter on a test's database."""
    conf = MongoConf(url="", database=database)
    return MongoModulestore(client, conf, index=MongoCourseIndex(client, conf))


def real_store() -> DjangoOverviewStore:
    """Return the product's adapter on the test database."""
    return DjangoOverviewStore(StoreConf(builder_version=BUILDER_VERSION))


@dataclass(frozen=True, kw_only=True)
class Worker:
    """What one worker process has; ``rebuild`` is the product's use case on it."""

    modulestore: Modulestore
    store: OverviewStore

    def rebuild(self, *course_keys: str) -> RebuildReport:
        return rebuild_overviews(
            course_keys, modulestore=self.modulestore, store=self.store, build=build_numbered
        )


def dirty_keys() -> list[str]:
    marks = OverviewMark.objects.filter(wanted__gt=F("done"))
    return list(marks.order_by("course_key").values_list("course_key", flat=True))


def drain(worker: Worker) -> None:
    """Rebuild what is dirty until nothing is, as sweeps would."""
    for _ in range(20):
        keys = dirty_keys()
        if not keys:
            return
        worker.rebuild(*keys)
    raise AssertionError(f"still dirty after 20 sweeps: {dirty_keys()}")


def discrepancies(worker: Worker, course_key: str) -> list[str]:
    """Return in what the tables differ from what the builder makes of the published course."""
    pointer = worker.modulestore.find_published([course_key]).get(course_key)
    state = OverviewState.objects.filter(course_key=course_key).first()
    row = CourseOverview.objects.select_related("projection").filter(id=course_key).first()
    if pointer is None:
        return _discrepancies_of_absent(course_key, state, row)
    if row is None or state is None:
        return [f"the course is published, but row = {row}, state = {state}"]
    read = worker.modulestore.read_published([pointer])[course_key]
    assert not isinstance(read, Exception), read
    built = build_numbered(read)  # type: ignore[arg-type]  # nothing lags here
    tabs = CourseOverviewTab.objects.filter(course_overview_id=course_key).order_by("id")
    expected = {
        "source_version": pointer.structure_id,
        "source_updated_at": pointer.updated_at,
        "content_hash": content_hash_of(built),
        "tabs_hash": tabs_hash_of(built),
        "projection_hash": projection_hash_of(built),
        "deleted": False,
        "fault": None,
        "tabs": [tab.name for tab in built.tabs],
        "display_name": built.overview.display_name,
        "start": built.overview.start,
        "image": built.image_set.small_url if built.image_set else "",
        "projection": (built.overview.start, built.projection.course_visibility),
        "tombstone": False,
    }
    actual = {
        "source_version": state.source_version,
        "source_updated_at": state.source_updated_at,
        "content_hash": state.content_hash,
        "tabs_hash": state.tabs_hash,
        "projection_hash": state.projection_hash,
        "deleted": state.deleted,
        "fault": state.fault,
        "tabs": [tab.name for tab in tabs],
        "display_name": row.display_name,
        "start": row.start,
        "image": row.image_set.small_url,
        "projection": row.projection and (row.projection.start, row.course_visibility),
        "tombstone": OverviewTombstone.objects.filter(course_key=course_key).exists(),
    }
    return [
        f"{name} is {actual[name]!r} instead of {expected[name]!r}"
        for name in expected
        if actual[name] != expected[name]
    ]


def _discrepancies_of_absent(
    course_key: str, state: OverviewState | None, row: CourseOverview | None
) -> list[str]:
    problems = []
    if row is not None:
        problems.append("the course is deleted, but its row is there")
    if state is not None and state.row_seq and not state.deleted:
        problems.append("the course is deleted, but its state does not say so")
    if CourseOverviewTab.objects.filter(course_overview_id=course_key).exists():
        problems.append("the course is deleted, but its tabs are there")
    if OverviewProjection.objects.filter(course_key=course_key).exists():
        problems.append("the course is deleted, but its projection is there")
    was_built = state is not None and state.row_seq
    if was_built and not OverviewTombstone.objects.filter(course_key=course_key).exists():
        problems.append("the course is deleted, but there is no tombstone")
    return problems


class Studio:
    """Publishes numbered versions: writes the course, then marks it. Any thread may use it.

    ``says_version``: whether announcements name the version and its time, as ours do, or say only
    that something happened, as Open edX's do.
    """

    def __init__(self, database: Database[dict[str, Any]], *, says_version: bool) -> None:
        self._database = database
        self._says_version = says_version
        self._threads = threading.local()
        self._saving: dict[str, threading.Lock] = {}
        self._numbers = count(1)
        #: ``{structure id: number}`` of everything that was ever published.
        self.number_of: dict[str, int] = {}
        AuthoredIndex(database).create_index()

    def publish(self, course_key: str, *, marks: bool = True, **settings: Any) -> int:
        """Publish the next version, creating the course if it is not there; return its number."""
        with self._saving.setdefault(course_key, threading.Lock()):
            number = next(self._numbers)
            values = {**_numbered_settings(number), **settings}
            if self._exists(course_key):
                change = self.author.edit_settings(course_key, values)
            else:
                change = self.author.create_course(course_key, settings=values)
            self.number_of[str(change.published_version)] = number
        if marks:
            self._mark_published(change)
        return number

    def delete(self, course_key: str, *, marks: bool = True) -> None:
        """Delete the course if it is there."""
        with self._saving.setdefault(course_key, threading.Lock()):
            if not self._exists(course_key):
                return
            change = self.author.delete_course(course_key)
        if marks:
            deleted_at = change.updated_at if self._says_version else None
            event = CourseDeleted(course_key=course_key, deleted_at=deleted_at)
            mark_courses([mark_of(event)])

    def announce_again(self, *course_keys: str) -> None:
        """Mark courses that have not changed."""
        mark_courses([CourseMark(course_key=course_key) for course_key in course_keys])

    @property
    def author(self) -> SplitAuthor:
        if not hasattr(self._threads, "author"):
            index = AuthoredIndex(self._database)
            self._threads.author = SplitAuthor(self._database, index=index)
        author: SplitAuthor = self._threads.author
        return author

    def _exists(self, course_key: str) -> bool:
        return AuthoredIndex(self._database).find(course_key) is not None

    def _mark_published(self, change: PublishedChange) -> None:
        version, at = change.published_version, change.updated_at
        event = CoursePublished(
            course_key=change.course_key,
            published_version=version if self._says_version else None,
            published_at=at if self._says_version else None,
        )
        mark_courses([mark_of(event)])


def _numbered_settings(number: int) -> dict[str, Any]:
    return {
        "display_name": str(number),
        "course_visibility": str(number),
        "start": datetime(2026, 1, 1, tzinfo=UTC),
        "tabs": [
            {"type": "courseware", "name": str(number)},
            {"type": "progress", "name": str(number)},
        ],
    }


_LOOK = """
SELECT s.source_version, s.deleted, o.display_name, i.small_url, p.course_visibility, t.name
FROM overview_state s
LEFT JOIN course_overviews_courseoverview o ON o.id = s.course_key
LEFT JOIN course_overviews_courseoverviewimageset i ON i.course_overview_id = o.id
LEFT JOIN overview_projection p ON p.course_key = o.id
LEFT JOIN course_overviews_courseoverviewtab t ON t.course_overview_id = o.id
WHERE s.course_key = %s
"""


class Reader:
    """Looks at one course over a connection of its own and notes everything that must not be seen."""

    def __init__(
        self, course_key: str, *, number_of: dict[str, int], connection: BaseDatabaseWrapper
    ) -> None:
        self._course_key = course_key
        self._number_of = number_of
        self._connection = connection
        self._least = 0  #: the smallest number that may still be seen
        self._newest = 0
        self.problems: list[str] = []

    def look(self) -> int | None:
        """Return the number of the visible version, None while there is no row."""
        with self._connection.cursor() as cursor:
            cursor.execute(_LOOK, [self._course_key])
            rows = cursor.fetchall()
        if not rows or rows[0][2] is None:
            # What was seen before has been deleted; it must not come back.
            self._least = max(self._least, self._newest + 1 if self._newest else 0)
            return None
        number = int(rows[0][2])
        self._note_mixed(rows, number)
        if number < self._least:
            self.problems.append(f"version {number} is visible after {self._newest}")
        self._newest = max(self._newest, number)
        self._least = max(self._least, number)
        return number

    def _note_mixed(self, rows: Sequence[tuple[Any, ...]], number: int) -> None:
        for version, deleted, _, image, projection, tab in rows:
            if {image, projection, tab} != {str(number)}:
                self.problems.append(
                    f"version {number} has image {image}, projection {projection}, tab {tab}"
                )
            if deleted or self._number_of.get(version, number) != number:
                self.problems.append(f"version {number} is labelled {version}, deleted={deleted}")
        if len(rows) != 2:
            self.problems.append(f"version {number} has {len(rows)} tabs")


@contextmanager
def own_connection() -> Iterator[BaseDatabaseWrapper]:
    """Give a connection to the test database that any thread may use, one at a time."""
    connection = connections[DEFAULT_DB_ALIAS].copy()
    connection.inc_thread_sharing()
    try:
        yield connection
    finally:
        connection.close()


class Crew:
    """Threads that are awaited, and whose errors are raised, at the end of a ``with`` block."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self.errors: list[Exception] = []

    def start(self, work: Callable[..., object], *arguments: Any, **named: Any) -> threading.Thread:
        """Run ``work`` in a thread whose Django connections are closed when it ends."""
        call = partial(work, *arguments, **named)
        thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def join(self) -> None:
        """Wait for all; raises the first error that any of them met."""
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        hung = [thread for thread in self._threads if thread.is_alive()]
        if self.errors:
            raise self.errors[0]
        if hung:
            raise TimeoutError(f"{len(hung)} threads hang")

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        self.join()

    def _run(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - join() raises it
            self.errors.append(error)
        finally:
            connections.close_all()
