"""The documents of the Split modulestore, made new or as the next version of another.

Key names, key order and types are those that Open edX writes (``xmodule/modulestore/split_mongo``).
Documents are never changed once made: what looks like an edit returns a new one. Does no I/O.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from bson import ObjectId

from lms_integration.course_keys import parse_course_key

Document: TypeAlias = dict[str, Any]
#: Block type and block id, such as ``("about", "overview")``.
BlockId: TypeAlias = tuple[str, str]

ROOT: BlockId = ("course", "course")
OVERVIEW: BlockId = ("about", "overview")
DRAFT_BRANCH = "draft-branch"
PUBLISHED_BRANCH = "published-branch"
SCHEMA_VERSION = 1
#: Who edits: not a user but a command, as in the recorded documents.
EDITED_BY = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class NewBlock:
    """A block that does not exist yet: what goes to its structure and what to its definition."""

    block_id: BlockId
    fields: Mapping[str, Any]  #: settings and ``children``
    definition_fields: Mapping[str, Any]


def course_key_parts(course_key: str) -> tuple[str, str, str]:
    """Return org, course and run.

    Raises:
        InvalidCourseKey: the text names no course of a Split modulestore.
    """
    parse_course_key(course_key)
    org, course, run = course_key.removeprefix("course-v1:").split("+")
    return org, course, run


def block_id_of(block: Mapping[str, Any]) -> BlockId:
    """Return which block of its structure this is."""
    return block["block_type"], block["block_id"]


def with_children(fields: Mapping[str, Any], children: Iterable[Iterable[str]]) -> Document:
    """Return the fields with these children, which the platform writes last."""
    kept = {name: value for name, value in fields.items() if name != "children"}
    return kept | {"children": [list(child) for child in children]}


def changed(
    fields: Mapping[str, Any], assigned: Mapping[str, Any], removed: Iterable[str] = ()
) -> Document:
    """Return the fields with some assigned and some removed."""
    gone = frozenset(removed)
    return {name: value for name, value in {**fields, **assigned}.items() if name not in gone}


def new_definition(block_type: str, fields: Mapping[str, Any], *, edited_on: datetime) -> Document:
    """Return the first definition of a block."""
    definition_id = ObjectId()
    return _definition(
        definition_id,
        block_type=block_type,
        fields=fields,
        edited_on=edited_on,
        previous_version=None,
        original_version=definition_id,
    )


def next_definition(
    definition: Mapping[str, Any], fields: Mapping[str, Any], *, edited_on: datetime
) -> Document:
    """Return the definition that follows another with other content."""
    return _definition(
        ObjectId(),
        block_type=definition["block_type"],
        fields=fields,
        edited_on=edited_on,
        previous_version=definition["_id"],
        original_version=definition["edit_info"]["original_version"],
    )


def new_block(
    block_id: BlockId,
    fields: Mapping[str, Any],
    *,
    definition_id: ObjectId,
    structure_id: ObjectId,
    edited_on: datetime,
) -> Document:
    """Return a block that its structure did not have before."""
    edit_info = _edit_info(structure_id, edited_on=edited_on)
    return _block(block_id, fields, definition_id=definition_id, edit_info=edit_info)


def edited_block(
    block: Mapping[str, Any],
    fields: Mapping[str, Any],
    *,
    definition_id: ObjectId,
    structure_id: ObjectId,
    edited_on: datetime,
) -> Document:
    """Return the next version of a block in the draft branch."""
    previous_version = block["edit_info"]["update_version"]
    edit_info = _edit_info(structure_id, edited_on=edited_on, previous_version=previous_version)
    return _block(block_id_of(block), fields, definition_id=definition_id, edit_info=edit_info)


def published_block(
    draft: Mapping[str, Any],
    children: Iterable[Iterable[str]],
    *,
    before: Mapping[str, Any] | None,
    structure_id: ObjectId,
    edited_on: datetime,
) -> Document:
    """Return a draft block as the published branch holds it; ``before`` is the one it replaces.

    A published block always has ``children``, and its ``source_version`` is the draft it came from.
    """
    edit_info = _edit_info(
        structure_id,
        edited_on=edited_on,
        previous_version=None if before is None else before["edit_info"]["update_version"],
        source_version=draft["edit_info"]["update_version"],
    )
    return _block(
        block_id_of(draft),
        with_children(draft["fields"], children),
        definition_id=draft["definition"],
        edit_info=edit_info,
    )


def structure(
    structure_id: ObjectId,
    blocks: Iterable[Document],
    *,
    previous: Mapping[str, Any] | None,
    edited_on: datetime,
) -> Document:
    """Return a snapshot of one branch, the one after ``previous`` or the first of its chain."""
    return {
        "_id": structure_id,
        "root": list(ROOT) if previous is None else previous["root"],
        "previous_version": None if previous is None else previous["_id"],
        "original_version": structure_id if previous is None else previous["original_version"],
        "edited_by": EDITED_BY,
        "edited_on": edited_on,
        "blocks": list(blocks),
        "schema_version": SCHEMA_VERSION,
    }


def _definition(
    definition_id: ObjectId,
    *,
    block_type: str,
    fields: Mapping[str, Any],
    edited_on: datetime,
    previous_version: ObjectId | None,
    original_version: ObjectId,
) -> Document:
    return {
        "_id": definition_id,
        "block_type": block_type,
        "fields": dict(fields),
        "edit_info": {
            "edited_by": EDITED_BY,
            "edited_on": edited_on,
            "previous_version": previous_version,
            "original_version": original_version,
        },
        "schema_version": SCHEMA_VERSION,
    }


def _block(
    block_id: BlockId, fields: Mapping[str, Any], *, definition_id: ObjectId, edit_info: Document
) -> Document:
    return {
        "fields": dict(fields),
        "block_type": block_id[0],
        "definition": definition_id,
        "defaults": {},
        "asides": {},
        "edit_info": edit_info,
        "block_id": block_id[1],
    }


def _edit_info(
    update_version: ObjectId,
    *,
    edited_on: datetime,
    previous_version: ObjectId | None = None,
    source_version: ObjectId | None = None,
) -> Document:
    return {
        "previous_version": previous_version,
        "update_version": update_version,
        "source_version": source_version,
        "edited_on": edited_on,
        "edited_by": EDITED_BY,
        "original_usage": None,
        "original_usage_version": None,
    }
