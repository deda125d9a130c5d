"""Typed views of what the rebuild passes around: source documents in, built overviews out.

Does no I/O and knows no framework. ``Any`` stands for BSON values as pymongo decodes them
(``str``, ``int``, ``float``, ``bool``, ``None``, aware ``datetime``, ``list``, ``dict``, ``ObjectId``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from lms_integration.data import (
    CourseOverviewData,
    CourseOverviewImageSetData,
    CourseOverviewProjectionData,
    CourseOverviewTabData,
)

#: Whom Open edX names where no user was there (``ModuleStoreEnum.UserID``); what is below is for tests.
_MANAGEMENT_COMMAND = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedPointer:
    """One entry of the course index: which structure a course's published branch points at."""

    course_key: str
    structure_id: str  #: ObjectId of the published structure, 24 hex digits
    updated_at: datetime | None  #: ``last_update`` of the index entry, aware UTC


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One block of a published structure with the content of its definition.

    A field is *explicit* when its name is a key of ``fields`` or ``definition_fields``, whatever the
    value; a definition's field hides the structure's field of the same name; then come ``defaults``.
    """

    block_type: str
    block_id: str
    fields: Mapping[str, Any]
    defaults: Mapping[str, Any]
    definition_fields: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedCourse:
    """What an overview needs of one published course.

    ``blocks`` holds the root course block, the chapters and the ``about`` blocks that feed columns.
    Of a chapter only ``highlights`` and ``hide_from_toc`` are read.
    """

    course_key: str
    org: str
    course: str
    run: str
    source_version: str  #: ObjectId of the structure that was read, 24 hex digits
    source_updated_at: datetime | None
    root: tuple[str, str]  #: (block type, block id)
    blocks: tuple[Block, ...]
    #: Names of the thumbnails that the contentstore holds of this course, such as
    #: ``card-png-375x200.jpg``. None: not read, because image sets were switched off.
    thumbnail_names: frozenset[str] | None = frozenset()
    #: Addresses of those that are kept elsewhere, by their names.
    thumbnail_urls: Mapping[str, str] = field(default_factory=dict)
    #: Who published the structure: the number of a Studio user, -1 for a management command.
    edited_by: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseLagging:
    """The source is not (yet) complete for the version that the index points at."""

    course_key: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Degradation:
    """A stored value that could not be read, so that its field took the default."""

    field: str
    value: str  #: ``repr`` of the stored value, cut to a readable length
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """A width and a height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedThumbnails:
    """Which thumbnails a course is to have, made by a step of its own after the rebuild."""

    image_name: str  #: in the contentstore; '' where the course has no image
    sizes: tuple[Size, ...]  #: small, large

    @property
    def sizes_text(self) -> str:
        """The sizes as they are stored: ``375x200 750x400``."""
        return " ".join(str(size) for size in self.sizes)


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltOverview:
    """Everything that one rebuild writes for one course."""

    overview: CourseOverviewData
    tabs: tuple[CourseOverviewTabData, ...]
    image_set: (
        CourseOverviewImageSetData | None
    )  #: None: image sets are switched off, or kept as is
    projection: CourseOverviewProjectionData  #: the listing beside it follows from ``overview``
    thumbnails: WantedThumbnails | None = None  #: None: image sets are switched off
    degradations: tuple[Degradation, ...] = ()
    edited_by: int | None = None  #: of the course that it was built from

    @property
    def published_by(self) -> str:
        """Who published what it was built from, in words; '' where the modulestore does not say."""
        if self.edited_by is None or self.edited_by < _MANAGEMENT_COMMAND:
            return ""
        if self.edited_by == _MANAGEMENT_COMMAND:
            return "a management command of Studio"
        return f"Studio user {self.edited_by}"


class DeadLetterSource(Enum):
    """Where a message or a course went wrong; the values are those of the dead-letter table."""

    INTAKE = "intake"  #: an event that could not be read
    REBUILD = "rebuild"  #: a course that cannot become an overview
    TASK = "task"  #: a rebuild that crashed or ran out of time, again and again
    BROKER = "broker"  #: a message that was delivered too often, or that a worker refused


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterEntry:
    """What is known of one dead letter; ``course_key`` is '' when it names no course."""

    source: DeadLetterSource
    reason: str
    course_key: str = ""
    body: bytes = b""
    content_type: str = ""
