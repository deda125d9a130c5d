"""Thumbnails in a storage of Django's: a folder, or an object store behind ``STORAGES``."""

import hashlib
import posixpath
from collections.abc import Mapping, Sequence

from django.core.files.base import ContentFile
from django.core.files.storage import Storage

from overview_worker.thumbnail_ports import ThumbnailFile, ThumbnailStoreUnavailable

FOLDER = "course-thumbnails"


class StorageThumbnails:
    """``thumbnail_ports.ThumbnailStore`` on a storage.

    A file's name tells its content, so that a new picture has a new address that no cache knows yet;
    files of earlier pictures stay.
    """

    is_contentstore = False

    def __init__(self, storage: Storage, *, alias: str) -> None:
        self._storage = storage
        self.place = f"storage {alias}"

    def keep(self, course_key: str, files: Sequence[ThumbnailFile]) -> Mapping[str, str]:
        """Keep thumbnails; return ``{name: address}``."""
        folder = hashlib.sha256(course_key.encode()).hexdigest()[:32]
        urls = {}
        for file in files:
            digest = hashlib.sha256(file.content).hexdigest()[:16]
            suffix = posixpath.splitext(file.name)[1]
            path = posixpath.join(FOLDER, folder, f"{digest}{suffix}")
            try:
                urls[file.name] = self._storage.url(self._saved(path, file.content))
            except Exception as error:
                # Every kind of storage has errors of its own kind.
                raise ThumbnailStoreUnavailable(
                    f"the {self.place} did not take a thumbnail: {type(error).__name__}: {error}"
                ) from error
        return urls

    def _saved(self, path: str, content: bytes) -> str:
        if self._storage.exists(path):
            if self._storage.size(path) == len(content):
                return path
            self._storage.delete(path)  # that somebody did not write to its end
        return str(self._storage.save(path, ContentFile(content)))
