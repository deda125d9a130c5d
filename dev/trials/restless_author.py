"""An author who edits, publishes, deletes and re-creates courses without a pause, as Studio does.

Every version writes its number into the row, the tabs and the projection, so that an onlooker can
tell which version is visible and whether it is whole. What the pipeline costs each save is measured.
"""

# ruff: noqa: S311 - what is edited next is left to chance, not a secret

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, connection, connections, transaction
from pymongo.database import Database
from pymongo.errors import PyMongoError

from dev.authoring.author import PublishedChange, SplitAuthor
from dev.authoring.documents import course_key_parts
from dev.authoring.index import ACTIVE_VERSIONS, SqlCourseIndex
from lms_integration import signals

#: Shares of what is done to a course that is there; the rest are edits that are published.
DELETE_SHARE = 0.06
DRAFT_SHARE = 0.06
SAME_AGAIN_SHARE = 0.08
#: An absent course is created again as soon as chance comes to it.
_MAX_WAIT_SECONDS = 60.0


@dataclass(kw_only=True, slots=True)
class Saves:
    """What was done so far, and what the pipeline cost it."""

    counts: dict[str, int] = field(default_factory=dict)
    failed_count: int = 0  #: a server of the platform's own was away: nothing was saved
    unmarked_count: int = 0  #: saved, but the mark was refused
    longest_block_seconds: float = 0.0
    #: What failed last, for the reader of a failed trial.
    last_error: str = ""

    @property
    def count(self) -> int:
        """Saves that succeeded."""
        return sum(self.counts.values())


class RestlessAuthor:
    """Saves courses in a thread of its own, at most ``per_second`` of them, until told to stop.

    Errors of the platform's own databases are counted and outlived.
    """

    def __init__(
        self,
        database: Database[dict[str, Any]],
        course_keys: Sequence[str],
        *,
        per_second: float,
        seed: int = 0,
    ) -> None:
        self._database = database
        self._index = SqlCourseIndex(database)
        self._author = SplitAuthor(database, index=self._index)
        self._keys = tuple(course_keys)
        self._pause_seconds = 1 / per_second
        self._random = random.Random(seed)
        self._number = time.time_ns() // 1_000_000
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.saves = Saves()

    def create_all(self) -> None:
        """Create every course that is not there, one save each."""
        for key in self._keys:
            if self._index.find(key) is None:
                self._save("created", key, self._create)

    @contextmanager
    def at_work(self) -> Iterator[Saves]:
        """Save without a pause meanwhile; give the figures, counted anew."""
        self.saves = Saves()
        self._stopping.clear()
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield self.saves
        finally:
            self._stopping.set()
            thread.join(_MAX_WAIT_SECONDS)
            if thread.is_alive():
                raise TimeoutError("the author hangs")

    def save_for(self, seconds: float) -> None:
        """Wait while the author goes on saving."""
        self._stopping.wait(seconds)

    def wait_for_saves(self, count: int) -> None:
        """Wait until so many more saves have succeeded."""
        deadline = time.monotonic() + _MAX_WAIT_SECONDS
        wanted = self.saves.count + count
        while self.saves.count < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing can be saved: {self.saves.last_error}")
            self._stopping.wait(0.02)

    def edit(self, course_key: str, **settings: Any) -> None:
        """Publish an edit of a course now, in the caller's thread."""
        self._save("edited", course_key, lambda key: self._author.edit_settings(key, settings))

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                begun = time.monotonic()
                self._do_something()
                self._stopping.wait(max(0.0, begun + self._pause_seconds - time.monotonic()))
        finally:
            connections.close_all()

    def _do_something(self) -> None:
        key = self._random.choice(self._keys)
        chance = self._random.random()
        try:
            if self._index.find(key) is None:
                self._forget_remains(key)
                self._save("created", key, self._create)
            elif chance < DELETE_SHARE:
                self._save("deleted", key, self._author.delete_course)
            elif chance < DELETE_SHARE + DRAFT_SHARE:
                self._save("drafted", key, self._draft)
            elif chance < DELETE_SHARE + DRAFT_SHARE + SAME_AGAIN_SHARE:
                self._save("saved unchanged", key, self._author.resave)
            else:
                self._save("edited", key, self._edit)
        except (DatabaseError, InterfaceError, PyMongoError) as error:
            self.saves.failed_count += 1
            self.saves.last_error = f"{type(error).__name__}: {error}"
            with suppress(DatabaseError, InterfaceError):
                connection.close()

    def _save(self, what: str, course_key: str, edit: Any) -> None:
        """One request of Studio: the edit, the signal inside the transaction, the commit."""
        begun: float | None = None
        try:
            with transaction.atomic():
                change: PublishedChange = edit(course_key)
                begun = time.monotonic()
                if change.is_publish:
                    self._tell(change)
        finally:
            if begun is not None:
                blocked = time.monotonic() - begun
                saves = self.saves
                saves.longest_block_seconds = max(saves.longest_block_seconds, blocked)
        self.saves.counts[what] = self.saves.counts.get(what, 0) + 1

    def _tell(self, change: PublishedChange) -> None:
        if change.published_version is None:
            answers = signals.course_deleted.send_robust(
                sender=type(self), course_key=change.course_key, deleted_at=change.updated_at
            )
        else:
            answers = signals.course_published.send_robust(
                sender=type(self),
                course_key=change.course_key,
                published_version=change.published_version,
                published_at=change.updated_at,
            )
        for _, answer in answers:
            if isinstance(answer, Exception):
                self.saves.unmarked_count += 1
                self.saves.last_error = f"mark: {answer}"

    def _forget_remains(self, course_key: str) -> None:
        """Clear MongoDB's index of a course whose creation SQL has rolled back."""
        org, course, run = course_key_parts(course_key)
        self._database[ACTIVE_VERSIONS].delete_one({"org": org, "course": course, "run": run})

    def _create(self, course_key: str) -> PublishedChange:
        return self._author.create_course(course_key, settings=self._next_version())

    def _edit(self, course_key: str) -> PublishedChange:
        return self._author.edit_settings(course_key, self._next_version())

    def _draft(self, course_key: str) -> PublishedChange:
        return self._author.edit_draft(course_key, {"advertised_start": "in a draft"})

    def _next_version(self) -> dict[str, Any]:
        self._number += 1
        return numbered_settings(self._number)


def numbered_settings(number: int) -> dict[str, Any]:
    """Return settings that show a version's number in row, tabs and projection."""
    text = str(number)
    return {
        "display_name": text,
        "course_visibility": text,
        "start": datetime(2026, 1, 1, tzinfo=UTC),
        "tabs": [{"type": "courseware", "name": text}, {"type": "progress", "name": text}],
    }
