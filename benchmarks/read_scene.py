"""What the read path is measured on: courses with their rows, learners of them, and how they ask."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pymongo import MongoClient

from dev.authoring.author import SplitAuthor
from dev.authoring.index import MongoCourseIndex
from dev.authoring.new_course import NewCourse
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.platform_tables.models import (
    BlockCompletion,
    CourseEnrollment,
    CourseMode,
    GeneratedCertificate,
    StudentModule,
)
from overview_worker.bootstrap import Dependencies, builder_settings, make_dependencies
from overview_worker.modulestore.mongo import MongoConf
from overview_worker.rebuild import rebuild_overviews

DEMO_BLOCKS = 413
#: Enrolments of the learner whom the targets speak of.
TARGET = 20
#: In so many of the courses the learner has worked, and left so many rows in each.
ACTIVE_COURSES, COMPLETIONS, MODULES = 5, 200, 30
#: Each list, by the product's URL and by that of the lazy way.
LISTS = {
    "mobile list": ("/api/mobile/v1/users/{username}/course_enrollments/", "/lazy/mobile"),
    "enrolment list": ("/api/enrollment/v1/enrollment", "/lazy/enrollment"),
    "dashboard": ("/dashboard", "/lazy/dashboard"),
}
_CHUNK = 100
#: So that the courses are listed and can be opened.
_OPEN: Mapping[str, Any] = {"mobile_available": True, "start": "2020-01-01T00:00:00Z"}


class Site:
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

    def one_to_copy(self) -> list[str]:
        """Return the key of one small course, in a list, that others can be made like."""
        return self._courses("Copied", 1, block_count=5)

    def _courses(self, name: str, count: int, *, block_count: int) -> list[str]:
        keys = [f"course-v1:Read{name}+C{number:06}+R1" for number in range(count)]
        missing = [key for key in keys if key not in self.known]
        if missing:
            self._report(f"writing {len(missing)} {name.lower()} courses")
        for start in range(0, len(missing), _CHUNK):
            chunk = missing[start : start + _CHUNK]
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
            make_modes(chunk)
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


def make_modes(keys: Sequence[str]) -> None:
    """Offer courses in the audit and the verified mode."""
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


def learner(keys: Sequence[str]) -> User:
    """Return a learner of all these courses, with a certificate of every third, at work in a few."""
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
    for key in keys[:ACTIVE_COURSES]:
        _work_in(key, user)
    return user


def _work_in(course_id: str, user: User) -> None:
    """Leave what a learner leaves who has gone through half of a course."""
    BlockCompletion.objects.bulk_create(
        [
            BlockCompletion(
                user_id=user.pk,
                course_key=course_id,
                block_key=f"{course_id}+type@html+block@{number}",
                block_type="html",
                completion=1.0,
            )
            for number in range(COMPLETIONS)
        ],
        ignore_conflicts=True,
    )
    StudentModule.objects.bulk_create(
        [
            StudentModule(
                student_id=user.pk,
                course_id=course_id,
                module_id=f"{course_id}+type@problem+block@{number}",
            )
            for number in range(MODULES)
        ],
        ignore_conflicts=True,
    )


class Reader:
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

    def listed_count(self) -> int:
        """Return how many courses the site lists for the learner."""
        answer = self._client.get("/api/courses/v1/courses/?page_size=1").json()
        count: int = answer["pagination"]["count"]
        return count
