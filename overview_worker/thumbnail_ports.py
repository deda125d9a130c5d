"""What making thumbnails needs of the outside, and what it passes around.

Adapters: ``modulestore.contentstore``, ``store.thumbnail_register``, ``thumbnails.storage``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from overview_worker.documents import WantedThumbnails
from overview_worker.errors import PermanentError, RetryableError


class ImageRefused(PermanentError):
    """No thumbnails can be made of an image; the message says why and names the limit."""


class ImageAbsent(PermanentError):
    """The contentstore has no file of the image's name."""


class ThumbnailStoreUnavailable(RetryableError):
    """The place where thumbnails are kept did not take them."""


class StoredName(NamedTuple):
    """Under which name the contentstore keeps one file of a course."""

    course_key: str
    kind: str  #: ``asset`` or ``thumbnail``
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ThumbnailFile:
    """One thumbnail to be kept."""

    name: str
    content_type: str
    content: bytes
    #: The name of the same thumbnail of another kind of picture, which would hide the new one.
    replaces: str


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownThumbnails:
    """What the register says of thumbnails that are made or refused."""

    course_key: str
    wanted: WantedThumbnails
    are_made: bool
    fingerprint: str  #: of what was looked at last


class Contentstore(Protocol):
    """The files of courses."""

    def identities(self, files: Sequence[StoredName]) -> Mapping[StoredName, str]:
        """Return those of ``files`` that are there; another content has another identity.

        Raises:
            ModulestoreUnavailable: MongoDB did not answer.
        """
        ...

    def read(self, file: StoredName, *, max_bytes: int) -> bytes:
        """Return a file.

        Raises:
            ImageAbsent: it is not there.
            ImageRefused: it has more than ``max_bytes``, or a part of it is missing.
            ModulestoreUnavailable: MongoDB did not answer.
        """
        ...


class ThumbnailStore(Protocol):
    """Where thumbnails are kept, and under which addresses learners find them."""

    @property
    def place(self) -> str:
        """Names the place: what was made for another one is made again."""
        ...

    @property
    def is_contentstore(self) -> bool:
        """Whether they are in the contentstore, where the builder knows their addresses."""
        ...

    def keep(self, course_key: str, files: Sequence[ThumbnailFile]) -> Mapping[str, str]:
        """Keep thumbnails; return ``{name: address}``, nothing where the builder knows it.

        Raises:
            ThumbnailStoreUnavailable: they are not all kept.
            ModulestoreUnavailable: MongoDB did not answer.
        """
        ...


class ThumbnailRegister(Protocol):
    """Which thumbnails are wanted, made or refused. All raise ``StoreUnavailable``."""

    def take_due(self, *, limit: int) -> Sequence[str]:
        """Return courses whose thumbnails are wanted and due, and keep them for a while."""
        ...

    def begin(self, course_key: str) -> tuple[WantedThumbnails, int] | None:
        """Note that somebody begins; return what is wanted, and how often that came to no end.

        None where nothing is wanted (any more).
        """
        ...

    def finish(
        self,
        course_key: str,
        wanted: WantedThumbnails,
        *,
        fingerprint: str,
        urls: Mapping[str, str],
    ) -> bool:
        """Note that they are made and mark the course; False if others are wanted meanwhile."""
        ...

    def refuse(
        self, course_key: str, wanted: WantedThumbnails, *, fingerprint: str, reason: str
    ) -> None:
        """Note why there will be none; no reason says that the course has no image of its own."""
        ...

    def postpone(self, course_key: str, error: RetryableError) -> None:
        """Note that a server was away, and when to try again."""
        ...

    def take_check_slot(self) -> bool:
        """Return whether settled thumbnails are to be checked now: nobody has within the period."""
        ...

    def next_to_check(self, *, limit: int) -> Sequence[KnownThumbnails]:
        """Return the next courses whose thumbnails are settled, round and round."""
        ...

    def want_again(self, courses: Sequence[KnownThumbnails]) -> None:
        """Want thumbnails anew, where they are still what they were when they were read."""
        ...
