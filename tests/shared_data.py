"""Loads the shared reference data: a real modulestore dump and the overviews Open edX made of it.

The data lies beside the project, in ``../shared/modulestore``; without it, tests that carry
``needs_shared_data`` are skipped.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast

import bson
import pytest
from bson.codec_options import CodecOptions
from bson.objectid import ObjectId

from overview_worker.documents import Block, PublishedCourse

SHARED_MODULESTORE = Path(__file__).resolve().parents[2] / "shared" / "modulestore"
SHARED_HTTP = SHARED_MODULESTORE.parent / "http"

needs_shared_data = pytest.mark.skipif(
    not SHARED_MODULESTORE.is_dir(), reason=f"no reference data in {SHARED_MODULESTORE}"
)

#: The about blocks that feed columns.
ABOUT_BLOCKS = ("overview", "short_description", "effort", "video")
#: The fields of a chapter that are read.
CHAPTER_FIELDS = ("highlights", "hide_from_toc")

_CODEC_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


@cache
def golden_overviews() -> Mapping[str, dict[str, Any]]:
    """Return ``{course key: what Open edX did}``; empty when the data is not there."""
    path = SHARED_MODULESTORE / "overviews.jsonl.gz"
    if not path.is_file():
        return {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return {record["key"]: record for record in records}


@cache
def recorded_overviews() -> Mapping[str, dict[str, Any]]:
    """Return ``{course key: row, tabs and image set}`` behind the recorded HTTP exchanges."""
    return {record["row"]["id"]: record for record in _http_records("overview_rows")}


def recorded_exchanges(family: str) -> list[dict[str, Any]]:
    """Return the successful exchanges of one family of Open edX's endpoints, such as ``courses_list``."""
    return [exchange for exchange in _http_records(family) if exchange["status"] == 200]


@cache
def recorded_about_pages() -> Mapping[str, str | None]:
    """Return ``{course key: the HTML that Open edX's course detail gave as its ``overview``}``."""
    return {
        exchange["response"]["id"]: exchange["response"]["overview"]
        for exchange in recorded_exchanges("courses_detail")
    }


def _http_records(name: str) -> list[dict[str, Any]]:
    path = SHARED_HTTP / f"{name}.json.gz"
    if not path.is_file():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        records: list[dict[str, Any]] = json.load(file)
    return records


@cache
def settings_document() -> dict[str, Any]:
    """Return the platform settings, field defaults and tab types behind the overviews."""
    path = SHARED_MODULESTORE / "settings.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


@cache
def published_courses() -> Mapping[str, PublishedCourse]:
    """Return ``{course key: course}`` of every index entry that has a published branch."""
    structures = {entry["_id"]: entry for entry in bson_documents("modulestore.structures")}
    definitions = {entry["_id"]: entry for entry in bson_documents("modulestore.definitions")}
    thumbnails = _thumbnail_names()
    courses = {}
    for index in bson_documents("modulestore.active_versions"):
        version = index["versions"].get("published-branch")
        if version is not None:
            course = _course(index, structures[version], definitions, thumbnails)
            courses[course.course_key] = course
    return courses


def bson_documents(collection: str) -> Iterator[dict[str, Any]]:
    """Yield the documents of one dumped collection; nothing when the data is not there."""
    path = SHARED_MODULESTORE / "core" / f"{collection}.bson.gz"
    if path.is_file():
        with gzip.open(path, "rb") as dump:
            yield from bson.decode_file_iter(cast(BinaryIO, dump), _CODEC_OPTIONS)


def _course(
    index: dict[str, Any],
    structure: dict[str, Any],
    definitions: Mapping[ObjectId, dict[str, Any]],
    thumbnails: Mapping[str, frozenset[str]],
) -> PublishedCourse:
    key = f"course-v1:{index['org']}+{index['course']}+{index['run']}"
    root = tuple(structure["root"])
    blocks = (_block(block, root, definitions) for block in structure["blocks"])
    return PublishedCourse(
        course_key=key,
        org=index["org"],
        course=index["course"],
        run=index["run"],
        source_version=str(structure["_id"]),
        source_updated_at=index.get("last_update"),
        root=(root[0], root[1]),
        blocks=tuple(block for block in blocks if block is not None),
        thumbnail_names=thumbnails.get(key, frozenset()),
    )


def _block(
    block: dict[str, Any], root: tuple[Any, ...], definitions: Mapping[ObjectId, dict[str, Any]]
) -> Block | None:
    """Return a block as a reader of the modulestore would hand it over, None for one it leaves out."""
    block_type, block_id, fields = block["block_type"], block["block_id"], block["fields"]
    if block_type == "chapter":
        fields = {name: fields[name] for name in CHAPTER_FIELDS if name in fields}
    elif (block_type, block_id) != root and (block_type != "about" or block_id not in ABOUT_BLOCKS):
        return None
    content = {} if block_type == "chapter" else definitions[block["definition"]]["fields"]
    return Block(
        block_type=block_type,
        block_id=block_id,
        fields=fields,
        defaults=block.get("defaults", {}),
        definition_fields=content,
    )


def _thumbnail_names() -> dict[str, frozenset[str]]:
    names: dict[str, set[str]] = {}
    for file in bson_documents("fs.files"):
        location, found, name = str(file["filename"]).partition("+type@thumbnail+block@")
        if found:
            course_key = location.replace("asset-v1:", "course-v1:", 1)
            names.setdefault(course_key, set()).add(name)
    return {key: frozenset(found) for key, found in names.items()}
