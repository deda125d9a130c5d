"""Courses with images in a real contentstore, and a worker that makes their thumbnails."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import gridfs
from django.db.models import F
from pymongo.database import Database

from dev.authoring.author import SplitAuthor
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    CourseOverviewImageSet,
    OverviewJob,
    OverviewMark,
    OverviewThumbnails,
)
from overview_worker.bootstrap import Dependencies
from overview_worker.rebuild import RebuildOutcome, rebuild_overviews
from overview_worker.thumbnails.making import ThumbnailOutcome

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """What Studio does with images, and what the workers make of them."""

    author: SplitAuthor
    database: Database[dict[str, Any]]
    adapters: Dependencies

    def upload(
        self, course_key: str, name: str, content: bytes, *, content_type: str = "image/png"
    ) -> None:
        """Keep a file as Studio does, over the one of that name."""
        files = gridfs.GridFS(self.database)
        file_id = address(course_key, "asset", name)
        files.delete(file_id)
        files.put(
            content,
            _id=file_id,
            filename=file_id,
            content_type=content_type,
            custom_md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        )

    def remove(self, course_key: str, kind: str, name: str) -> None:
        """Remove a file of the contentstore."""
        gridfs.GridFS(self.database).delete(address(course_key, kind, name))

    def thumbnail(self, course_key: str, name: str) -> bytes:
        """Return a thumbnail as Open edX would read it."""
        found = gridfs.GridFS(self.database).get(address(course_key, "thumbnail", name))
        return bytes(found.read())

    def thumbnail_names(self, course_key: str) -> set[str]:
        """Return the names of the thumbnails that the contentstore has of a course."""
        prefix = address(course_key, "thumbnail", "")
        return {
            str(file["_id"]).removeprefix(prefix)
            for file in self.database["fs.files"].find()
            if str(file["_id"]).startswith(prefix)
        }

    def create(self, course_key: str, image: str | None = "card.png", **settings: Any) -> None:
        """Publish a new course and build it."""
        fields = {"display_name": course_key, **settings}
        if image is not None:
            fields["course_image"] = image
        self.author.create_course(course_key, settings=fields)
        self.rebuild(course_key)

    def edit(self, course_key: str, **settings: Any) -> None:
        """Publish a change and build it."""
        self.author.edit_settings(course_key, settings)
        self.rebuild(course_key)

    def rebuild(self, *course_keys: str) -> dict[str, RebuildOutcome]:
        """Mark courses and rebuild them."""
        mark_courses([CourseMark(course_key=key) for key in course_keys])
        return self.drain()

    def drain(self) -> dict[str, RebuildOutcome]:
        """Rebuild what is marked, as the tasks do that come with the marks."""
        dirty = OverviewMark.objects.filter(wanted__gt=F("done"), attempts=0)
        report = rebuild_overviews(
            sorted(dirty.values_list("course_key", flat=True)),
            modulestore=self.adapters.modulestore,
            store=self.adapters.store,
            build=self.adapters.build,
        )
        return dict(report.outcomes)

    def tend(self) -> list[str]:
        """Return the courses that one look of beat enqueues."""
        enqueued: list[str] = []
        self.adapters.thumbnails.tend(enqueue=enqueued.extend)
        return enqueued

    def make(self) -> dict[str, ThumbnailOutcome]:
        """Make what is due, and rebuild what that marks."""
        outcomes: dict[str, ThumbnailOutcome] = {}
        while keys := self.tend():
            outcomes |= {key: self.adapters.thumbnails.make(key) for key in keys}
        self.drain()
        return outcomes


def address(course_key: str, kind: str, name: str) -> str:
    """Return under which id Open edX keeps a file."""
    return f"{course_key.replace('course-v1:', 'asset-v1:')}+type@{kind}+block@{name}"


def urls(course_key: str) -> tuple[str, str]:
    """Return the addresses in a course's image set."""
    image_set = CourseOverviewImageSet.objects.get(course_overview_id=course_key)
    return image_set.small_url, image_set.large_url


def known(course_key: str) -> OverviewThumbnails:
    """Return what is known of a course's thumbnails."""
    return OverviewThumbnails.objects.get(course_key=course_key)


def pass_check_period() -> None:
    """Make a period pass for the check of settled thumbnails."""
    OverviewJob.objects.filter(name="thumbnail_check").update(started_at=LONG_AGO)


def pass_wait(course_keys: Sequence[str]) -> None:
    """Make the time pass until courses are due again."""
    OverviewThumbnails.objects.filter(course_key__in=course_keys).update(next_attempt_at=LONG_AGO)
