"""From documents as MongoDB holds them to typed views: pure, and strict about the skeleton only.

Values of fields are passed on as they are, whatever their type: judging them is the builder's work.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from lms_integration.course_keys import parse_course_key
from overview_worker.documents import Block, CourseLagging, PublishedCourse, PublishedPointer
from overview_worker.errors import MalformedCourse
from overview_worker.modulestore.queries import PUBLISHED_BRANCH

#: A structure with its blocks' definition ids, before the definitions are there.
Structure = Mapping[str, Any]


def pointer_of(
    course_key: str, entry: Mapping[str, Any], *, branch: str = PUBLISHED_BRANCH
) -> PublishedPointer | None:
    """Return where an ``active_versions`` entry points; None without that branch."""
    versions = entry.get("versions")
    structure_id = versions.get(branch) if isinstance(versions, Mapping) else None
    if not isinstance(structure_id, ObjectId):
        return None
    updated_at = entry.get("last_update")
    return PublishedPointer(
        course_key=course_key,
        structure_id=str(structure_id),
        updated_at=updated_at if isinstance(updated_at, datetime) else None,
    )


def definition_ids_of(structure: Structure) -> list[ObjectId]:
    """Return the definitions that a structure's course and about blocks name."""
    return [
        block["definition"]
        for block in _blocks(structure)
        if isinstance(block.get("definition"), ObjectId)
    ]


def course_of(
    pointer: PublishedPointer,
    structure: Structure | None,
    definitions: Mapping[ObjectId, Mapping[str, Any]],
    *,
    thumbnail_names: frozenset[str] | None,
    thumbnail_urls: Mapping[str, str],
) -> PublishedCourse | CourseLagging | MalformedCourse:
    """Return the typed view of one published course, or why there is none.

    A structure or definition that is missing may still be on its way: MongoDB's writes are not
    transactional, and a definition may appear after the structure that names it.
    """
    key = pointer.course_key
    if structure is None:
        reason = f"published structure {pointer.structure_id} is not in MongoDB"
        return CourseLagging(course_key=key, reason=reason)
    missing = [each for each in definition_ids_of(structure) if each not in definitions]
    if missing:
        reason = f"definition {missing[0]} is not in MongoDB"
        return CourseLagging(course_key=key, reason=reason)
    root = structure.get("root")
    if not (isinstance(root, list) and len(root) == 2 and all(isinstance(p, str) for p in root)):
        return _malformed(pointer, "root", root, "expected [block type, block id]")
    if not isinstance(structure.get("blocks"), list):
        return _malformed(pointer, "blocks", structure.get("blocks"), "expected a list of blocks")
    parts = parse_course_key(key)
    return PublishedCourse(
        course_key=key,
        org=parts.org,
        course=parts.course,
        run=parts.run,
        source_version=pointer.structure_id,
        source_updated_at=pointer.updated_at,
        root=(root[0], root[1]),
        blocks=tuple(_block(block, definitions) for block in _blocks(structure)),
        thumbnail_names=thumbnail_names,
        thumbnail_urls=thumbnail_urls,
        edited_by=_user_of(structure.get("edited_by")),
    )


def _blocks(structure: Structure) -> list[Mapping[str, Any]]:
    blocks = structure.get("blocks")
    if not isinstance(blocks, list):
        return []
    return [block for block in blocks if isinstance(block, Mapping)]


def _block(block: Mapping[str, Any], definitions: Mapping[ObjectId, Mapping[str, Any]]) -> Block:
    definition_id = block.get("definition")
    definition = definitions.get(definition_id, {}) if isinstance(definition_id, ObjectId) else {}
    return Block(
        block_type=str(block.get("block_type")),
        block_id=str(block.get("block_id")),
        fields=block.get("fields", {}),
        defaults=_mapping(block.get("defaults")),
        definition_fields=_mapping(definition.get("fields")),
    )


def _user_of(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _malformed(
    pointer: PublishedPointer, field: str, value: object, reason: str
) -> MalformedCourse:
    return MalformedCourse(
        pointer.course_key, field=f"structure.{field}", value=value, reason=reason
    )
