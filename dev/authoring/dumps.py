"""Recorded data of a real Open edX: a modulestore to load, and the overviews that were made of it."""

import gzip
import json
from collections.abc import Iterable, Iterator
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from dev.authoring.index import MongoCourseIndex, SqlCourseIndex
from dev.authoring.index_table import COLUMNS

COLLECTIONS = (
    "modulestore.active_versions",
    "modulestore.structures",
    "modulestore.definitions",
    "fs.files",
    "fs.chunks",
)
#: Bytes pass through undecoded: what was recorded is what is loaded.
_RAW = CodecOptions(document_class=RawBSONDocument)
_BATCH_COUNT = 500


def dump_folder() -> Path | None:
    """Return where the recorded modulestore lies, ``../shared/modulestore``; None without one."""
    project = Path(__file__).resolve().parents[2]
    folder = project.parent / "shared" / "modulestore"
    return folder if (folder / "core").is_dir() else None


def load_modulestore_dump(
    folder: Path, database: Database[Any], *, index_table: SqlCourseIndex | None = None
) -> dict[str, int]:
    """Make a database hold the recorded modulestore, and the SQL index table too if it is given.

    Collections and rows that are there already are replaced. Returns
    ``{collection name: document count}``.
    """
    counts = {name: _load_collection(folder, database, name) for name in COLLECTIONS}
    MongoCourseIndex(database).create_index()
    database["fs.chunks"].create_index([("files_id", 1), ("n", 1)], unique=True)
    if index_table is not None:
        _load_index_table(folder, index_table)
    return counts


def read_reference_overviews(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what Open edX made of each course: ``key`` with ``row`` and ``tabs``, or ``error``."""
    with gzip.open(folder / "overviews.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _load_collection(folder: Path, database: Database[Any], name: str) -> int:
    database.drop_collection(name)
    collection = database.get_collection(name, codec_options=_RAW)
    document_count = 0
    with BufferedReader(gzip.open(folder / "core" / f"{name}.bson.gz")) as dump:
        documents = _distinct(bson.decode_file_iter(dump, codec_options=_RAW))
        while batch := list(islice(documents, _BATCH_COUNT)):
            collection.insert_many(batch)
            document_count += len(batch)
    return document_count


def _distinct(documents: Iterable[RawBSONDocument]) -> Iterator[RawBSONDocument]:
    # Ten image chunks were recorded twice, byte for byte.
    seen = set()
    for document in documents:
        if document["_id"] not in seen:
            seen.add(document["_id"])
            yield document


def _load_index_table(folder: Path, index_table: SqlCourseIndex) -> None:
    with gzip.open(folder / "mysql_course_index.json.gz", "rt", encoding="utf-8") as dump:
        rows = json.load(dump)
    index_table.create_table()
    index_table.replace_all([row[column] for column in COLUMNS] for row in rows)
