"""One rebuild's transaction: the locks it holds and the changes it writes."""

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from django.db import DatabaseError, OperationalError, connections
from django.db.models import F

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import OverviewState
from overview_worker.dead_letters import fingerprint_of, record_dead_letter
from overview_worker.documents import DeadLetterEntry, DeadLetterSource
from overview_worker.errors import RowRefused
from overview_worker.ports import (
    Change,
    HoldRemoval,
    LeaveRow,
    LockedCourse,
    NothingToBuild,
    PostponeRebuild,
    RecordFault,
    RemovalCensus,
    RemoveOverview,
    WriteOverview,
    leaves_record,
)
from overview_worker.store.changes import OverviewChanges
from overview_worker.store.conf import StoreConf
from overview_worker.store.failures import (
    errors_translated,
    is_refused_value,
    is_taken_lock,
    short,
)
from overview_worker.store.locking import CourseLocks
from overview_worker.store.mark_statements import (
    Statement,
    end_with,
    hold_back,
    mark_done,
    postpone,
    storable,
)
from overview_worker.store.platform_history import PlatformHistory
from overview_worker.store.projections import OverviewProjections
from overview_worker.store.records import RebuildRecords
from overview_worker.store.removals import RemovalRegister
from overview_worker.store.rows import OverviewRows
from overview_worker.store.served import ServedPublishes
from overview_worker.store.states import OverviewStates
from overview_worker.store.thumbnails import ThumbnailWishes

logger = logging.getLogger(__name__)


class DjangoRebuildTransaction:
    """``ports.RebuildTransaction``: lives inside the ``atomic`` block that the store opened."""

    def __init__(self, conf: StoreConf, course_keys: Sequence[str]) -> None:
        self._conf = conf
        self._keys = course_keys
        self._connection = connections[conf.using]
        self._rows = OverviewRows(conf)
        self._projections = OverviewProjections(conf)
        self._records = RebuildRecords(conf)
        self._changes = OverviewChanges(conf)
        self._platform_history = PlatformHistory(conf)
        self._removals = RemovalRegister(conf)
        self._served = ServedPublishes(conf)
        self._built = OverviewStates(conf)
        self._thumbnails = ThumbnailWishes(conf)
        self._locked_at = 0.0
        self._locked: Mapping[str, LockedCourse] = {}
        self._last: list[Statement] = []

    @property
    def locked(self) -> Mapping[str, LockedCourse]:
        """The courses that are locked, by key."""
        return self._locked

    def lock(self) -> list[str]:
        """Lock the states and read the marks; return the keys that have no state row yet."""
        self._locked, missing = CourseLocks(self._conf.using, self._keys).take()
        self._locked_at = time.perf_counter()
        return missing

    def removal_census(self, course_keys: Sequence[str]) -> RemovalCensus:
        """Count for the brake on mass deletes; others who ask wait for this transaction's end."""
        with errors_translated(self._connection):
            return self._removals.census(course_keys)

    def count_vanished(self, published: Collection[str], *, limit: int) -> int:
        """Return how many live courses are gone from the index, and nobody has said anything of them."""
        with errors_translated(self._connection):
            return self._removals.count_vanished(published, limit=limit)

    def apply(self, changes: Sequence[Change]) -> None:
        """Write ``changes`` with their records and history; their marks move on in ``finish``."""
        started = time.perf_counter()
        try:
            told = self._changes.tell(changes)
            self._platform_history.copy_deleted(told)
            self._write([change for change in changes if isinstance(change, WriteOverview)])
            for change in changes:
                if isinstance(change, RemoveOverview):
                    self._remove(change)
            self._hold([change for change in changes if isinstance(change, HoldRemoval)])
            self._clear_absent([change for change in changes if isinstance(change, NothingToBuild)])
            self._record_faults([change for change in changes if isinstance(change, RecordFault)])
            self._platform_history.copy_written(told)
            self._changes.insert(told)
            self._records.upsert(
                [change for change in changes if leaves_record(change)],
                locked=self._locked,
                write_ms=(time.perf_counter() - started) * 1000,
            )
            elapsed_seconds = time.perf_counter() - self._locked_at
            self._served.insert(changes, elapsed_seconds=elapsed_seconds)
            self._last += self._mark_statements(changes)
        except (DatabaseError, UnicodeEncodeError) as error:
            if not is_refused_value(error):
                raise
            keys = ", ".join(change.course.course_key for change in changes[:3])
            raise RowRefused(keys, f"refused by the database: {short(error)}") from error

    def finish(self) -> None:
        """Move the marks on: the last statement, which is committed with the transaction.

        Where a publisher keeps a mark for longer, all but that is committed: its course stays dirty,
        and is rebuilt once more when the publisher has ended.
        """
        try:
            end_with(self._connection, self._last)
        except OperationalError as error:
            if not is_taken_lock(error):
                raise
            logger.info("written, but still dirty: its mark is taken", extra={"keys": self._keys})

    def _write(self, writes: Sequence[WriteOverview]) -> None:
        if not writes:
            return
        self._rows.upsert([write for write in writes if write.row_changed])
        self._rows.replace_tabs(
            [write for write in writes if write.tabs_changed], stored=self._changes.stored_tabs
        )
        self._projections.upsert([write for write in writes if write.projection_changed])
        self._thumbnails.want(writes)
        self._rows.remove_tombstones(
            [
                write.course.course_key
                for write in writes
                if write.course.state.deleted or write.rewrites
            ]
        )
        self._built.write(writes)

    def _remove(self, removal: RemoveOverview) -> None:
        course = removal.course
        self._removals.note_removed(course.course_key, counts=removal.counts)
        # Without a row of its own, the row that the table finds is another course's.
        self._rows.bury(course.course_key, with_row=course.state.has_row)
        self._projections.remove(course.course_key)
        self._thumbnails.forget(course.course_key)
        self._states([course.course_key]).update(
            deleted=True,
            content_hash="",
            tabs_hash="",
            projection_hash="",
            column_digests="",
            row_seq=F("row_seq") + 1,
            record_seq=F("record_seq") + 1,
            built_at=DatabaseNow(),
            verified_at=DatabaseNow(),
            degradations=[],
            fault=None,
        )

    def _hold(self, holds: Sequence[HoldRemoval]) -> None:
        undecided = [hold for hold in holds if not hold.refused]
        if undecided:
            self._removals.hold(undecided)

    def _clear_absent(self, absent: Sequence[NothingToBuild]) -> None:
        for change in absent:
            key = change.course.course_key
            self._projections.remove(key)  # that somebody has left there
            self._states([key]).filter(fault__isnull=False).update(fault=None)

    def _record_faults(self, faults: Sequence[RecordFault]) -> None:
        letters = [
            DeadLetterEntry(
                source=DeadLetterSource.REBUILD,
                course_key=fault.course.course_key,
                reason=storable(str(fault.error)),
            )
            for fault in faults
        ]
        # In the order of the unique index: an upsert locks the gap before its entry, too.
        for letter in sorted(letters, key=fingerprint_of):
            self._states([letter.course_key]).update(
                fault=letter.reason, record_seq=F("record_seq") + 1
            )
            record_dead_letter(letter, using=self._conf.using)

    def _mark_statements(self, changes: Sequence[Change]) -> Iterator[Statement]:
        """Lock the marks in the order of their keys, as those do who mark several courses.

        Of several, those that are taken are passed by: whoever waits keeps others waiting.
        """
        waits = len(self._keys) == 1
        vendor = self._connection.vendor
        ordered = sorted(changes, key=lambda change: change.course.course_key)
        for is_finished, group in groupby(ordered, key=_is_finished):
            if is_finished:
                # A clean course has no mark to answer; one that came since is for who looks again.
                dirty = [change.course for change in group if change.course.is_dirty]
                if dirty:
                    yield mark_done(vendor, dirty, waits=waits)
                continue
            for change in group:
                match change:
                    case PostponeRebuild():
                        keys = [change.course.course_key]
                        yield postpone(vendor, keys, change.reason, has_looked=True)
                    case RecordFault():
                        yield hold_back(vendor, change.course, str(change.error))
                    case HoldRemoval():
                        yield hold_back(vendor, change.course, change.reason)

    def _states(self, keys: Sequence[str]) -> Any:
        return OverviewState.objects.using(self._conf.using).filter(course_key__in=keys)


def _is_finished(change: Change) -> bool:
    if isinstance(change, HoldRemoval):
        return change.refused
    return isinstance(change, WriteOverview | RemoveOverview | LeaveRow | NothingToBuild)
