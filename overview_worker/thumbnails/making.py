"""The use case: make the thumbnails that rebuilds want, one course at a time, and mark the course.

It writes no overview: the course is marked, and the ordinary rebuild writes the addresses. What it is
about is in the register (``overview_thumbnails``), so that a task that is lost, killed or cannot reach
a server costs time only.
"""

import hashlib
import logging
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from enum import Enum

from overview_worker.builder.images import DEFAULT_IMAGE, thumbnail_names
from overview_worker.documents import Size, WantedThumbnails
from overview_worker.errors import RetryableError
from overview_worker.thumbnail_ports import (
    Contentstore,
    ImageAbsent,
    ImageRefused,
    KnownThumbnails,
    StoredName,
    ThumbnailFile,
    ThumbnailRegister,
    ThumbnailStore,
)
from overview_worker.thumbnails.scaling import is_svg, refuse_broken_svg, scaled_jpegs

logger = logging.getLogger(__name__)

#: Raise it when the same image gives other thumbnails: then all are made anew, little by little.
MAKER_VERSION = 1
#: The largest file that is read, in bytes.
MAX_BYTES = 20 * 1024 * 1024
#: The largest drawing that is copied, twice for each course, in bytes.
MAX_SVG_BYTES = 2 * 1024 * 1024
#: Courses that one look enqueues: a new catalogue must not fill the queue before the rebuilds. Whoever
#: looks does so again behind them, as long as a look finds so many.
TEND_LIMIT = 50
#: Settled thumbnails whose image is looked at in one check, in shared round trips.
CHECK_LIMIT = 500
#: An image whose making has so often come to no end, not even to an error, is refused.
MAX_CRASHES = 3

_JPEG, _SVG = "image/jpeg", "image/svg+xml"


class ThumbnailOutcome(Enum):
    """How the thumbnails of one course fared."""

    MADE = "made"
    REFUSED = "refused"  #: with a reason, until the image or the sizes change or a person asks
    ABSENT = "absent"  #: the course has no image of its own
    POSTPONED = "postponed"  #: a server did not answer; it is tried again
    OUTDATED = "outdated"  #: another image was wanted meanwhile
    NOT_WANTED = "not wanted"
    SWITCHED_OFF = "switched off"


@dataclass(frozen=True, kw_only=True, slots=True)
class ThumbnailMaker:
    """Makes thumbnails, with what it works on; one instance a process."""

    contentstore: Contentstore
    store: ThumbnailStore
    register: ThumbnailRegister
    is_on: Callable[[], bool]  #: whether image sets are switched on

    def tend(
        self,
        *,
        enqueue: Callable[[Sequence[str]], object],
        look_again: Callable[[], object] = lambda: None,
        publishes_wait: Callable[[], bool] = lambda: False,
    ) -> int:
        """Enqueue what is wanted and due, and want anew what was made of another image; return how many.

        Safe to run any number of times at once. Where there may be more, ``look_again`` is called after
        ``enqueue``: it enqueues the next look behind it. While a publish waits, that is left to beat.

        Raises:
            StoreUnavailable: the database did not answer.
        """
        if not self.is_on():
            return 0
        if self.register.take_check_slot():
            self._check()
        due = self.register.take_due(limit=TEND_LIMIT)
        if due:
            enqueue(due)
        if len(due) >= TEND_LIMIT and not publishes_wait():
            look_again()
        return len(due)

    def make(self, course_key: str) -> ThumbnailOutcome:
        """Make what is wanted of one course.

        Raises:
            StoreUnavailable: the database did not answer; it is tried again when its lease is over.
        """
        if not self.is_on():
            return ThumbnailOutcome.SWITCHED_OFF
        begun = self.register.begin(course_key)
        if begun is None:
            return ThumbnailOutcome.NOT_WANTED
        wanted, crashes = begun
        try:
            outcome = self._make(course_key, wanted, crashes)
        except RetryableError as error:
            self.register.postpone(course_key, error)
            logger.warning("%s thumbnails postponed: %s", course_key, error, extra=_of(course_key))
            return ThumbnailOutcome.POSTPONED
        logger.info("%s thumbnails %s", course_key, outcome.value, extra=_of(course_key))
        return outcome

    def _make(self, course_key: str, wanted: WantedThumbnails, crashes: int) -> ThumbnailOutcome:
        image = _image_of(course_key, wanted)
        # Looked up before it is read: if it is replaced in between, the check finds that out.
        identity = self.contentstore.identities([image]).get(image)
        fingerprint = self._fingerprint(wanted, identity)
        try:
            if crashes >= MAX_CRASHES:
                raise ImageRefused(
                    f"scaling it has crashed or outrun its worker {crashes} times; {MAX_CRASHES} is the most"
                )
            content = self.contentstore.read(image, max_bytes=MAX_BYTES)
            files = self._files(content, wanted)
        except ImageAbsent as error:
            is_own = wanted.image_name != DEFAULT_IMAGE
            reason = str(error) if is_own else ""
            self.register.refuse(course_key, wanted, fingerprint=fingerprint, reason=reason)
            return ThumbnailOutcome.REFUSED if is_own else ThumbnailOutcome.ABSENT
        except ImageRefused as error:
            logger.warning("%s thumbnails refused: %s", course_key, error, extra=_of(course_key))
            self.register.refuse(course_key, wanted, fingerprint=fingerprint, reason=str(error))
            return ThumbnailOutcome.REFUSED
        urls = self.store.keep(course_key, files)
        is_done = self.register.finish(course_key, wanted, fingerprint=fingerprint, urls=urls)
        return ThumbnailOutcome.MADE if is_done else ThumbnailOutcome.OUTDATED

    def _files(self, content: bytes, wanted: WantedThumbnails) -> list[ThumbnailFile]:
        if not is_svg(content):
            jpegs = scaled_jpegs(content, wanted.sizes)
            return [
                _file(wanted, size, _JPEG, jpeg)
                for size, jpeg in zip(wanted.sizes, jpegs, strict=True)
            ]
        if not self.store.is_contentstore:
            raise ImageRefused("an SVG: only the contentstore takes its copies, not a storage")
        if len(content) > MAX_SVG_BYTES:
            raise ImageRefused(
                f"an SVG of {len(content):,} bytes: more than the {MAX_SVG_BYTES:,} that are copied"
            )
        refuse_broken_svg(content)
        return [_file(wanted, size, _SVG, content) for size in wanted.sizes]

    def _check(self) -> None:
        """Look whether images are still those that thumbnails were made of, and thumbnails still there."""
        known = self.register.next_to_check(limit=CHECK_LIMIT)
        files = [_image_of(each.course_key, each.wanted) for each in known]
        if self.store.is_contentstore:
            files += [file for each in known for pair in _thumbnails_of(each) for file in pair]
        try:
            identities = self.contentstore.identities(files)
        except RetryableError as error:
            logger.warning("thumbnails not checked: %s", error)
            return
        outdated = [
            each
            for each in known
            if each.fingerprint
            != self._fingerprint(
                each.wanted, identities.get(_image_of(each.course_key, each.wanted))
            )
            or (self.store.is_contentstore and each.are_made and _is_lost(each, identities))
        ]
        if outdated:
            self.register.want_again(outdated)
            logger.info("%d courses have another image than their thumbnails", len(outdated))

    def _fingerprint(self, wanted: WantedThumbnails, identity: str | None) -> str:
        """Return what thumbnails are made of, as 64 hex digits; ``identity`` is None without a file."""
        parts = [MAKER_VERSION, self.store.place, wanted.image_name, wanted.sizes_text, identity]
        return hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()


def _image_of(course_key: str, wanted: WantedThumbnails) -> StoredName:
    return StoredName(course_key, "asset", wanted.image_name)


def _thumbnails_of(known: KnownThumbnails) -> list[tuple[StoredName, StoredName]]:
    """Return under which two names each thumbnail may be."""
    names = [_names(known.wanted, size) for size in known.wanted.sizes]
    return [
        (
            StoredName(known.course_key, "thumbnail", one),
            StoredName(known.course_key, "thumbnail", other),
        )
        for one, other in names
    ]


def _is_lost(known: KnownThumbnails, identities: Container[StoredName]) -> bool:
    return any(
        one not in identities and other not in identities for one, other in _thumbnails_of(known)
    )


def _names(wanted: WantedThumbnails, size: Size) -> tuple[str, str]:
    return thumbnail_names(wanted.image_name, width=size.width, height=size.height)


def _file(wanted: WantedThumbnails, size: Size, content_type: str, content: bytes) -> ThumbnailFile:
    suffix = ".svg" if content_type == _SVG else ".jpg"
    one, other = _names(wanted, size)
    name, replaces = (one, other) if one.endswith(suffix) else (other, one)
    return ThumbnailFile(name=name, content_type=content_type, content=content, replaces=replaces)


def _of(course_key: str) -> dict[str, str]:
    return {"course_key": course_key}
