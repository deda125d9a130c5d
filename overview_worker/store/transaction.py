"""One rebuild's transaction: the locks it holds and the changes it writes."""

import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from django.db import DatabaseError, connections
from django.db.models import F

from lms_integration.data import COURSE_OVERVIEW_VERSION
from lms_integration.database_clock import DatabaseNow
from lms_integration.models import OverviewState
from overview_worker.dead_letters import fingerprint_of, record_dead_letter
from overview_worker.documents import DeadLetterEntry, DeadLetterSource
from overview_worker.errors import RowRefused
from overview_worker.ports import (
    Change,
    HoldRemoval,
    LockedCourse,
    NothingToBuild,
    PostponeRebuild,
    RecordFault,
    RemovalCensus,
    RemoveOverview,
    WriteOverview,
    leaves_record,
)
from overview_worker.store.conf import StoreConf
from overview_worker.store.failures import errors_translated, is_refused_value, short
from overview_worker.store.locking import CourseLocks
from overview_worker.store.mark_statements import hold_back, mark_done, postpone, storable
from overview_worker.store.projections import OverviewProjections
from overview_worker.store.records import RebuildRecords
from overview_worker.store.removals import RemovalRegister
from overview_worker.store.rows import OverviewRows
from overview_worker.store.served import ServedPublishes


class DjangoRebuildTransaction:
    """``ports.RebuildTransaction``: lives inside the ``atomic`` block that the store opened."""

    def __init__(self, conf: StoreConf, course_keys: Sequence[str]) -> None:
        self._conf = conf
        self._keys = course_keys
        self._connection = connections[conf.using]
        self._rows = OverviewRows(conf)
        self._projections = OverviewProjections(conf)
        self._records = RebuildRecords(conf)
        self._removals = RemovalRegister(conf)
        self._served = ServedPublishes(conf)
        self._locked_at = 0.0
        self._locked: Mapping[str, LockedCourse] = {}

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

    def apply(self, changes: Sequence[Change]) -> None:
        """Write ``changes`` with their rebuild records; the marks' ``done`` comes last."""
        started = time.perf_counter()
        try:
            self._write([change for change in changes if isinstance(change, WriteOverview)])
            for change in changes:
                if isinstance(change, RemoveOverview):
                    self._remove(change)
            self._hold([change for change in changes if isinstance(change, HoldRemoval)])
            self._clear_absent([change for change in changes if isinstance(change, NothingToBuild)])
            self._record_faults([change for change in changes if isinstance(change, RecordFault)])
            self._records.upsert(
                [change for change in changes if leaves_record(change)],
                locked=self._locked,
                write_ms=(time.perf_counter() - started) * 1000,
            )
            elapsed_seconds = time.perf_counter() - self._locked_at
            self._served.insert(changes, elapsed_seconds=elapsed_seconds)
            self._update_marks(changes)
        except (DatabaseError, UnicodeEncodeError) as error:
            if not is_refused_value(error):
                raise
            keys = ", ".join(change.course.course_key for change in changes[:3])
            raise RowRefused(keys, f"refused by the database: {short(error)}") from error

    def _write(self, writes: Sequence[WriteOverview]) -> None:
        if not writes:
            return
        self._rows.upsert([write for write in writes if write.row_changed])
        self._rows.replace_tabs([write for write in writes if write.tabs_changed])
        self._projections.upsert([write for write in writes if write.projection_changed])
        for write in writes:
            if write.course.state.deleted or write.course.rewrite:
                self._rows.remove_tombstone(write.course.course_key)
            self._update_state_of(write)

    def _update_state_of(self, write: WriteOverview) -> None:
        self._states([write.course.course_key]).update(
            source_version=write.pointer.structure_id,
            source_updated_at=write.pointer.updated_at,
            builder_version=self._conf.builder_version,
            schema_version=COURSE_OVERVIEW_VERSION,
            content_hash=write.content_hash,
            tabs_hash=write.tabs_hash,
            projection_hash=write.projection_hash,
            column_digests=write.column_digests,
            deleted=False,
            row_seq=write.course.state.row_seq + write.anything_changed,
            record_seq=write.course.state.record_seq + write.is_news,
            verified_at=DatabaseNow(),
            degradations=[
                {"field": d.field, "value": d.value, "reason": d.reason}
                for d in write.built.degradations
            ],
            fault=None,
            **({"built_at": DatabaseNow()} if write.anything_changed else {}),
        )

    def _remove(self, removal: RemoveOverview) -> None:
        course = removal.course
        self._removals.note_removed(course.course_key, counts=removal.counts)
        # Without a row of its own, the row that the table finds is another course's.
        self._rows.bury(course.course_key, with_row=course.state.has_row)
        self._projections.remove(course.course_key)
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

    def _update_marks(self, changes: Sequence[Change]) -> None:
        """Lock the marks in the order of their keys, as those do who mark several courses."""
        ordered = sorted(changes, key=lambda change: change.course.course_key)
        for is_finished, group in groupby(ordered, key=_is_finished):
            if is_finished:
                mark_done(self._connection, [change.course for change in group])
                continue
            for change in group:
                self._leave_dirty(change)

    def _leave_dirty(self, change: Change) -> None:
        match change:
            case PostponeRebuild():
                postpone(self._connection, [change.course.course_key], change.reason)
            case RecordFault():
                hold_back(self._connection, change.course, str(change.error))
            case HoldRemoval():
                hold_back(self._connection, change.course, change.reason)

    def _states(self, keys: Sequence[str]) -> Any:
        return OverviewState.objects.using(self._conf.using).filter(course_key__in=keys)


def _is_finished(change: Change) -> bool:
    if isinstance(change, HoldRemoval):
        return change.refused
    return isinstance(change, WriteOverview | RemoveOverview | NothingToBuild)
