"""The contentstore: the files of courses, in the GridFS of the modulestore's MongoDB.

Ids, names and metadata are those that Open edX writes (``xmodule/contentstore``), so that the platform
serves what is kept here.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from bson.binary import Binary
from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from lms_integration.course_keys import parse_course_key
from overview_worker.modulestore.mongo import MongoConf, mongo_errors_translated
from overview_worker.modulestore.queries import stored_file_id
from overview_worker.thumbnail_ports import ImageAbsent, ImageRefused, StoredName, ThumbnailFile

#: GridFS's own size of a chunk, in bytes.
CHUNK_BYTES = 255 * 1024
_WRITE_TIMEOUT_MS = 10_000
_IDENTITY_FIELDS = {"length": 1, "uploadDate": 1, "md5": 1, "custom_md5": 1}


class MongoContentstore:
    """``thumbnail_ports.Contentstore``, and ``ThumbnailStore`` as Open edX has it."""

    is_contentstore = True
    place = "contentstore"

    def __init__(self, client: MongoClient[dict[str, Any]], conf: MongoConf) -> None:
        self._client = client
        self._conf = conf
        database: Database[dict[str, Any]] = client.get_database(
            conf.database,
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("majority"),
        )
        self._files: Collection[dict[str, Any]] = database["fs.files"]
        self._chunks: Collection[dict[str, Any]] = database["fs.chunks"]

    def identities(self, files: Sequence[StoredName]) -> Mapping[StoredName, str]:
        """Return those of ``files`` that are there; another content has another identity."""
        names = {_id_of(file): file for file in files}
        if not names:
            return {}
        with mongo_errors_translated():
            found = self._files.find(
                {"_id": {"$in": sorted(names)}},
                _IDENTITY_FIELDS,
                max_time_ms=self._conf.max_time_ms,
                batch_size=1000,
            )
            return {names[document["_id"]]: _identity(document) for document in found}

    def read(self, file: StoredName, *, max_bytes: int) -> bytes:
        """Return a file, of which no more is read than ``max_bytes``."""
        file_id = _id_of(file)
        with mongo_errors_translated():
            document = self._files.find_one({"_id": file_id}, max_time_ms=self._conf.max_time_ms)
            if document is None:
                raise ImageAbsent(f"the contentstore has no file {file.name}")
            length = document.get("length")
            if not isinstance(length, int):
                raise ImageRefused("the contentstore does not say how long the file is")
            if length > max_bytes:
                raise ImageRefused(f"{length:,} bytes: more than the {max_bytes:,} that are taken")
            content = self._read_chunks(file_id, max_bytes=max_bytes)
        if len(content) != length:
            raise ImageRefused(f"the contentstore has {len(content):,} of its {length:,} bytes")
        return content

    def keep(self, course_key: str, files: Sequence[ThumbnailFile]) -> Mapping[str, str]:
        """Keep thumbnails over those of the same names, all or none; what is equal is not written."""
        names = [StoredName(course_key, "thumbnail", file.name) for file in files]
        replaced = [StoredName(course_key, "thumbnail", file.replaces) for file in files]
        there = self.identities([*names, *replaced])
        new = [
            file
            for name, file in zip(names, files, strict=True)
            if there.get(name) != _content_identity(file.content)
        ]
        gone = [_id_of(name) for name in replaced if name in there]
        if new or gone:
            with self._transaction() as session:
                ids = [_id_of(StoredName(course_key, "thumbnail", file.name)) for file in new]
                self._files.delete_many({"_id": {"$in": [*ids, *gone]}}, session=session)
                self._chunks.delete_many({"files_id": {"$in": [*ids, *gone]}}, session=session)
                for file in new:
                    chunks = list(_chunks(course_key, file))
                    self._chunks.insert_many(chunks, session=session)
                    self._files.insert_one(_document(course_key, file), session=session)
        return {}

    def _read_chunks(self, file_id: str, *, max_bytes: int) -> bytes:
        content = bytearray()
        chunks = self._chunks.find(
            {"files_id": file_id}, {"data": 1}, max_time_ms=self._conf.max_time_ms, batch_size=8
        )
        for chunk in chunks.sort("n", 1):
            data = chunk.get("data")
            if not isinstance(data, bytes):
                raise ImageRefused("the contentstore has something else than bytes in it")
            content += data
            if len(content) > max_bytes:
                raise ImageRefused(f"more bytes than the {max_bytes:,} that are taken")
        return bytes(content)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """All or nothing: nobody finds half a file, and no name is missing for a moment."""
        with (
            mongo_errors_translated(),
            self._client.start_session() as session,
            session.start_transaction(
                read_concern=ReadConcern("snapshot"),
                write_concern=WriteConcern("majority", wtimeout=_WRITE_TIMEOUT_MS),
                read_preference=ReadPreference.PRIMARY,
                max_commit_time_ms=_WRITE_TIMEOUT_MS,
            ),
        ):
            yield session


def _id_of(file: StoredName) -> str:
    return stored_file_id(file.course_key, file.kind, file.name)


def _identity(document: Mapping[str, Any]) -> str:
    """Return what differs when a file is replaced: its MD5, or when it came where nobody kept that."""
    md5 = document.get("custom_md5") or document.get("md5")
    if isinstance(md5, str):
        return f"{document.get('length')} {md5}"
    return f"{document.get('length')} {document.get('uploadDate')}"


def _content_identity(content: bytes) -> str:
    return f"{len(content)} {_md5(content)}"


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _document(course_key: str, file: ThumbnailFile) -> dict[str, Any]:
    """Return the entry of a thumbnail in ``fs.files``, field for field as Open edX writes it."""
    key = parse_course_key(course_key)
    file_id = stored_file_id(course_key, "thumbnail", file.name)
    return {
        "_id": file_id,
        "filename": file_id,
        "displayname": file.name,
        "content_son": {
            "category": "thumbnail",
            "name": file.name,
            "course": key.course,
            "tag": "c4x",
            "org": key.org,
            "revision": None,
            "run": key.run,
        },
        "thumbnail_location": None,
        "import_path": None,
        "locked": False,
        "contentType": file.content_type,
        "chunkSize": CHUNK_BYTES,
        "custom_md5": _md5(file.content),
        "length": len(file.content),
        "uploadDate": datetime.now(UTC),
    }


def _chunks(course_key: str, file: ThumbnailFile) -> Iterator[dict[str, Any]]:
    file_id = stored_file_id(course_key, "thumbnail", file.name)
    for number, start in enumerate(range(0, len(file.content), CHUNK_BYTES)):
        data = Binary(file.content[start : start + CHUNK_BYTES])
        yield {"_id": ObjectId(), "files_id": file_id, "n": number, "data": data}
