"""The MongoDB commands of a rebuild, as plain values.

Split stores a course as ``active_versions`` (the index) → ``structures`` (one document a version,
all blocks) → ``definitions`` (the content of a block). Only course, chapter and a few about blocks
feed an overview, so structures are filtered on the server: of a 7 MB structure of 20,000 blocks
262 ms become 7 ms.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from bson import ObjectId

from overview_worker.documents import PublishedPointer

#: Organisation, course and run of a key.
Parts = tuple[str, str, str]
_PARTS = ("org", "course", "run")

PUBLISHED_BRANCH = "published-branch"
DRAFT_BRANCH = "draft-branch"
#: The about blocks that feed columns (``CourseDetails.fetch_about_attribute`` and ``fetch_video_url``).
ABOUT_BLOCK_IDS = ("overview", "short_description", "effort", "video")
#: All that an overview needs of a chapter.
CHAPTER_FIELDS = ("highlights", "hide_from_toc")

INDEX_PROJECTION = {"org": 1, "course": 1, "run": 1, "versions": 1, "last_update": 1}


def index_filter(parts: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """Return the filter for index entries by (org, course, run), exact and served by edX's index."""
    return {"$or": [{"org": org, "course": course, "run": run} for org, course, run in parts]}


def all_courses_filter() -> dict[str, Any]:
    """Return the filter for every entry with a published branch, which libraries do not have."""
    return {f"versions.{PUBLISHED_BRANCH}": {"$exists": True}}


def range_filter(
    *, org: str, after: Parts | None = None, until: Parts | None = None
) -> dict[str, Any]:
    """Return the filter for entries with a published branch, of an organisation and between two keys.

    ``after`` is not among them, ``until`` is. Each branch is a range of edX's index.
    """
    conditions: list[dict[str, Any]] = [all_courses_filter()]
    if org:
        conditions.append({"org": {"$regex": f"^{re.escape(org)}$", "$options": "i"}})
    if after is not None:
        conditions.append({"$or": _beyond(after, "$gt")})
    if until is not None:
        exactly = dict(zip(_PARTS, until, strict=True))
        conditions.append({"$or": [*_beyond(until, "$lt"), exactly]})
    return {"$and": conditions}


def _beyond(parts: Parts, operator: str) -> list[dict[str, Any]]:
    """Return the alternatives in which (org, course, run) is beyond ``parts``, in their order."""
    return [
        {**dict(zip(_PARTS[:place], parts, strict=False)), _PARTS[place]: {operator: parts[place]}}
        for place in range(len(_PARTS))
    ]


def structures_pipeline(structure_ids: Sequence[ObjectId]) -> list[dict[str, Any]]:
    """Return the aggregation that reads structures, cut down to what an overview needs."""
    blocks = {
        "$map": {
            "input": {"$filter": {"input": "$blocks", "as": "block", "cond": _is_needed()}},
            "as": "block",
            "in": {
                "$cond": [
                    {"$eq": ["$$block.block_type", "chapter"]},
                    _chapter_projection(),
                    _block_projection(),
                ]
            },
        }
    }
    return [
        {"$match": {"_id": {"$in": list(structure_ids)}}},
        # $filter fails on anything but an array, and with it the whole batch.
        {
            "$project": {
                "root": 1,
                "edited_by": 1,
                "blocks": {"$cond": [{"$isArray": "$blocks"}, blocks, None]},
            }
        },
    ]


def sizes_pipeline(structure_ids: Sequence[ObjectId]) -> list[dict[str, Any]]:
    """Return the aggregation that gives the size of structures in bytes."""
    return [
        {"$match": {"_id": {"$in": list(structure_ids)}}},
        {"$project": {"size": {"$bsonSize": "$$ROOT"}}},
    ]


def thumbnails_filter(pointers: Iterable[PublishedPointer]) -> dict[str, Any]:
    """Return the filter for the contentstore's thumbnails of some courses, served by ``_id``."""
    ranges = []
    for pointer in pointers:
        prefix = thumbnail_prefix(pointer.course_key)
        ranges.append({"_id": {"$gte": prefix, "$lt": prefix + "\U0010ffff"}})
    return {"$or": ranges}


def thumbnail_prefix(course_key: str) -> str:
    """Return what the ``_id`` of each thumbnail of a course begins with."""
    return stored_file_id(course_key, "thumbnail", "")


def stored_file_id(course_key: str, kind: str, name: str) -> str:
    """Return the ``_id`` of a file of the contentstore; ``kind`` is ``asset`` or ``thumbnail``."""
    prefix = course_key.replace("course-v1:", "asset-v1:", 1)
    return f"{prefix}+type@{kind}+block@{name}"


def _is_needed() -> dict[str, Any]:
    return {
        "$or": [
            {"$in": ["$$block.block_type", ["course", "chapter"]]},
            {
                "$and": [
                    {"$eq": ["$$block.block_type", "about"]},
                    {"$in": ["$$block.block_id", list(ABOUT_BLOCK_IDS)]},
                ]
            },
        ]
    }


def _block_projection() -> dict[str, Any]:
    names = ("block_type", "block_id", "definition", "fields", "defaults")
    return {name: f"$$block.{name}" for name in names}


def _chapter_projection() -> dict[str, Any]:
    return {
        "block_type": "$$block.block_type",
        "block_id": "$$block.block_id",
        **{
            scope: {name: f"$$block.{scope}.{name}" for name in CHAPTER_FIELDS}
            for scope in ("fields", "defaults")
        },
    }
