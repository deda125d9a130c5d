"""Reading published courses from MongoDB: primary, majority, and shared round trips.

Three commands for any number of courses that fit one reply each: index, structures, definitions.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from bson import ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from pymongo import MongoClient, ReadPreference
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from lms_integration.course_keys import is_course_key, parse_course_key
from overview_worker.documents import PublishedPointer
from overview_worker.errors import ModulestoreUnavailable
from overview_worker.modulestore.parsing import Structure, course_of, definition_ids_of, pointer_of
from overview_worker.modulestore.queries import (
    DRAFT_BRANCH,
    INDEX_PROJECTION,
    PUBLISHED_BRANCH,
    all_courses_filter,
    index_filter,
    range_filter,
    sizes_pipeline,
    structures_pipeline,
    thumbnail_prefix,
    thumbnails_filter,
)
from overview_worker.ports import ReadResult

Document = Mapping[str, Any]

#: A date that Python cannot hold, or text that is not UTF-8, must cost one field, not a whole batch.
_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="surrogateescape",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MongoConf:
    """Where the modulestore is, and how long to wait for it."""

    url: str
    database: str
    #: Longest a command may run on the server, in milliseconds.
    max_time_ms: int = 10_000
    #: Longest to look for a primary, in milliseconds: a rebuild holds its course's lock meanwhile.
    server_selection_timeout_ms: int = 2_000


#: The addresses of the thumbnails of courses that are kept elsewhere: ``{course key: {name: address}}``.
ThumbnailUrls = Callable[[Sequence[str]], Mapping[str, Mapping[str, str]]]


class CourseIndex(Protocol):
    """Which structure each course's published branch points at."""

    def find(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        """Return the entries of those of ``course_keys`` that have a published branch.

        Raises:
            ModulestoreUnavailable: the index did not answer.
        """
        ...

    def find_drafts(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        """Return where the draft branches of those of ``course_keys`` point that have one.

        Raises:
            ModulestoreUnavailable: the index did not answer.
        """
        ...

    def iterate(self) -> Iterator[PublishedPointer]:
        """Yield all entries of courses with a published branch, in the order of their keys' bytes.

        Raises:
            ModulestoreUnavailable: the index did not answer.
        """
        ...

    def page(
        self, *, after_key: str, until_key: str, org: str, limit: int
    ) -> Sequence[PublishedPointer]:
        """Return the next of these entries after ``after_key``, up to ``until_key`` unless that is ''.

        Unless it is '', only those of the organisation ``org``, without case.

        Raises:
            ModulestoreUnavailable: the index did not answer.
        """
        ...

    def count(self, *, org: str) -> int:
        """Return how many of these entries there are.

        Raises:
            ModulestoreUnavailable: the index did not answer.
        """
        ...


def connect(conf: MongoConf) -> MongoClient[dict[str, Any]]:
    """Return a client; it connects on first use. Make it after a fork, never before."""
    return MongoClient(
        conf.url,
        serverSelectionTimeoutMS=conf.server_selection_timeout_ms,
        connectTimeoutMS=conf.server_selection_timeout_ms,
        socketTimeoutMS=conf.max_time_ms + 2_000,
        appname="overview-pipeline",
    )


class MongoCourseIndex:
    """The index as MongoDB has it: ``modulestore.active_versions``."""

    def __init__(self, client: MongoClient[dict[str, Any]], conf: MongoConf) -> None:
        self._entries = _collection(client, conf, "modulestore.active_versions")
        self._conf = conf

    def find(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        """Return the entries of those of ``course_keys`` that have a published branch."""
        return self._find(course_keys, branch=PUBLISHED_BRANCH)

    def find_drafts(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        """Return where the draft branches of those of ``course_keys`` point that have one."""
        return self._find(course_keys, branch=DRAFT_BRANCH)

    def _find(self, course_keys: Sequence[str], *, branch: str) -> Mapping[str, PublishedPointer]:
        keys = {_parts(course_key): course_key for course_key in course_keys}
        if not keys:
            return {}
        found: dict[str, PublishedPointer] = {}
        with mongo_errors_translated():
            for entry in self._entries.find(
                index_filter(keys), INDEX_PROJECTION, max_time_ms=self._conf.max_time_ms
            ):
                key = keys.get((entry["org"], entry["course"], entry["run"]))
                pointer = None if key is None else pointer_of(key, entry, branch=branch)
                if pointer is not None:
                    found[pointer.course_key] = pointer
        return found

    def iterate(self) -> Iterator[PublishedPointer]:
        """Yield all entries of courses with a published branch, in the order of their keys.

        The order of (org, course, run) is that of the keys: no character of a part sorts before
        their ``+``.
        """
        yield from self._entries_of(all_courses_filter(), batch_size=1000)

    def page(
        self, *, after_key: str, until_key: str, org: str, limit: int
    ) -> Sequence[PublishedPointer]:
        """Return the next entries of courses with a published branch."""
        chosen = range_filter(
            org=org,
            after=_parts(after_key) if after_key else None,
            until=_parts(until_key) if until_key else None,
        )
        return list(islice(self._entries_of(chosen, batch_size=limit), limit))

    def count(self, *, org: str) -> int:
        """Return how many entries of courses with a published branch there are."""
        with mongo_errors_translated():
            return self._entries.count_documents(
                range_filter(org=org), maxTimeMS=self._conf.max_time_ms
            )

    def _entries_of(
        self, chosen: Mapping[str, Any], *, batch_size: int
    ) -> Iterator[PublishedPointer]:
        with mongo_errors_translated():
            found = self._entries.find(chosen, INDEX_PROJECTION, batch_size=batch_size)
            with found.sort([("org", 1), ("course", 1), ("run", 1)]) as entries:
                for entry in entries:
                    key = f"course-v1:{entry.get('org')}+{entry.get('course')}+{entry.get('run')}"
                    pointer = pointer_of(key, entry)
                    if pointer is not None and is_course_key(key):
                        yield pointer


class MongoModulestore:
    """``ports.Modulestore`` on MongoDB, with whichever course index is the truth."""

    def __init__(
        self,
        client: MongoClient[dict[str, Any]],
        conf: MongoConf,
        *,
        index: CourseIndex,
        with_thumbnails: Callable[[], bool] = lambda: False,
        thumbnail_urls: ThumbnailUrls | None = None,
    ) -> None:
        """``with_thumbnails``: whether image sets are on, so that thumbnails have to be looked for.

        ``thumbnail_urls`` knows the addresses of thumbnails that are not in the contentstore.
        """
        self._structures = _collection(client, conf, "modulestore.structures")
        self._definitions = _collection(client, conf, "modulestore.definitions")
        self._files = _collection(client, conf, "fs.files")
        self._index = index
        self._conf = conf
        self._with_thumbnails = with_thumbnails
        self._thumbnail_urls = thumbnail_urls

    def find_published(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        """Return the index entries of those of ``course_keys`` that have a published branch."""
        return self._index.find(course_keys)

    def find_drafts(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        """Return where the draft branches of those of ``course_keys`` point that have one."""
        return self._index.find_drafts(course_keys)

    def iter_published(self) -> Iterator[PublishedPointer]:
        """Yield the index entry of every course with a published branch."""
        return self._index.iterate()

    def page_published(
        self, *, after_key: str, until_key: str, org: str, limit: int
    ) -> Sequence[PublishedPointer]:
        """Return the next index entries, in the order of the keys' bytes."""
        return self._index.page(after_key=after_key, until_key=until_key, org=org, limit=limit)

    def count_published(self, *, org: str) -> int:
        """Return how many courses with a published branch there are."""
        return self._index.count(org=org)

    def structure_bytes(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, int]:
        """Return how large the structures are that the pointers name, by course key."""
        ids = _structure_ids(pointers)
        with mongo_errors_translated():
            cursor = self._structures.aggregate(
                sizes_pipeline(ids), maxTimeMS=self._conf.max_time_ms
            )
            sizes = {str(structure["_id"]): int(structure["size"]) for structure in cursor}
        return {
            pointer.course_key: sizes[pointer.structure_id]
            for pointer in pointers
            if pointer.structure_id in sizes
        }

    def read_published(self, pointers: Sequence[PublishedPointer]) -> Mapping[str, ReadResult]:
        """Return what each pointer's structure holds, by course key."""
        if not pointers:
            return {}
        with mongo_errors_translated():
            structures = self._read_structures(pointers)
            definitions = self._read_definitions(structures.values())
            with_thumbnails = self._with_thumbnails()
            names = self._read_thumbnails(pointers) if with_thumbnails else {}
        urls: Mapping[str, Mapping[str, str]] = {}
        if with_thumbnails and self._thumbnail_urls is not None:
            urls = self._thumbnail_urls([pointer.course_key for pointer in pointers])
        return {
            pointer.course_key: course_of(
                pointer,
                structures.get(pointer.structure_id),
                definitions,
                thumbnail_names=names.get(pointer.course_key, frozenset())
                if with_thumbnails
                else None,
                thumbnail_urls=urls.get(pointer.course_key, {}),
            )
            for pointer in pointers
        }

    def _read_structures(self, pointers: Sequence[PublishedPointer]) -> dict[str, Structure]:
        cursor = self._structures.aggregate(
            structures_pipeline(_structure_ids(pointers)),
            maxTimeMS=self._conf.max_time_ms,
            batchSize=1000,
        )
        return {str(structure["_id"]): structure for structure in cursor}

    def _read_definitions(self, structures: Iterable[Structure]) -> dict[ObjectId, Document]:
        ids = sorted({each for structure in structures for each in definition_ids_of(structure)})
        if not ids:
            return {}
        cursor = self._definitions.find(
            {"_id": {"$in": ids}},
            {"fields": 1},
            max_time_ms=self._conf.max_time_ms,
            batch_size=1000,
        )
        return {definition["_id"]: definition for definition in cursor}

    def _read_thumbnails(self, pointers: Sequence[PublishedPointer]) -> dict[str, frozenset[str]]:
        if self._thumbnail_urls is not None:
            return {}
        cursor = self._files.find(
            thumbnails_filter(pointers),
            {"_id": 1},
            max_time_ms=self._conf.max_time_ms,
            batch_size=1000,
        )
        ids = [file["_id"] for file in cursor]
        return {
            pointer.course_key: frozenset(
                each.removeprefix(prefix) for each in ids if each.startswith(prefix)
            )
            for pointer in pointers
            for prefix in (thumbnail_prefix(pointer.course_key),)
        }


@contextmanager
def mongo_errors_translated() -> Iterator[None]:
    """Raise ``ModulestoreUnavailable`` for whatever pymongo raises."""
    try:
        yield
    except (PyMongoError, BSONError) as error:
        raise ModulestoreUnavailable(f"MongoDB did not answer: {short(error)}") from error


def short(error: Exception) -> str:
    """Return an error of pymongo as one readable line, without its lists of timeouts and servers."""
    text = str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0]
    return f"{type(error).__name__}: {text}"[:300]


def _structure_ids(pointers: Sequence[PublishedPointer]) -> list[ObjectId]:
    """Return each structure once: a fresh re-run shows its source's."""
    ids = {ObjectId(p.structure_id) for p in pointers if ObjectId.is_valid(p.structure_id)}
    return sorted(ids)


def _collection(
    client: MongoClient[dict[str, Any]], conf: MongoConf, name: str
) -> Collection[dict[str, Any]]:
    database: Database[dict[str, Any]] = client.get_database(
        conf.database,
        codec_options=_CODEC,
        read_preference=ReadPreference.PRIMARY,
        read_concern=ReadConcern("majority"),
    )
    return database.get_collection(name)


def _parts(course_key: str) -> tuple[str, str, str]:
    key = parse_course_key(course_key)
    return key.org, key.course, key.run
