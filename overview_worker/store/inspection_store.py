"""``inspection_ports.InspectionStore`` on a Django connection."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from lms_integration.database_clock import DatabaseNow, now_sql
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    OverviewInspection,
    OverviewJob,
    OverviewMark,
    OverviewRebuildRun,
    OverviewRemoval,
    OverviewState,
    OverviewSuspect,
    OverviewTarget,
    RemovalStatus,
    RunOrigin,
    RunState,
)
from lms_integration.models.versions import TARGET_ID
from lms_integration.rebuild_desk import ACTIVE_STATES
from overview_worker.inspection_ports import (
    InspectedCourse,
    InspectionReport,
    Repair,
    StoredOverview,
    Suspect,
)
from overview_worker.lateness import INSPECTOR_EVENT_PREFIX
from overview_worker.store.conf import StoreConf
from overview_worker.store.failures import errors_translated
from overview_worker.store.freshness import count_served
from overview_worker.store.jobs import take_slot
from overview_worker.store.mark_repairs import mend_marks
from overview_worker.store.mark_statements import storable
from overview_worker.store.sql_survey import inspected, pages, rows_of, stateless_courses
from overview_worker.store.stored_overviews import read_stored
from overview_worker.store.survey_statements import SurveyStatements

#: Keys or rows in one statement.
_CHUNK = 1000
_DEEP_CHECK = "deep_check"
_NEEDED = [RemovalStatus.HELD, RemovalStatus.ALLOWED, RemovalStatus.REFUSED]


class DjangoInspectionStore:
    """``inspection_ports.InspectionStore``; one instance a process, any thread."""

    def __init__(self, conf: StoreConf) -> None:
        self._conf = conf

    def take_slot(self, job: str, *, period_seconds: int) -> bool:
        """Return whether ``job`` is to run now: nobody has begun it within the period."""
        self._connection.close_if_unusable_or_obsolete()
        with errors_translated(self._connection):
            return take_slot(self._conf.using, job, period_seconds=period_seconds)

    def now(self) -> datetime:
        """Return the time by the database's clock."""
        with errors_translated(self._connection):
            ((now,),) = rows_of(self._connection, f"SELECT {now_sql(self._connection.vendor)}", ())
        moment = datetime.fromisoformat(now) if isinstance(now, str) else now
        return moment.replace(tzinfo=UTC)

    def iter_stored(self) -> Iterator[InspectedCourse]:
        """Yield every course that has a state, in the order of the keys' bytes."""
        with errors_translated(self._connection):
            statements = SurveyStatements(self._connection)
            for row in pages(self._connection, statements.states, []):
                yield inspected(row[0], row[1:])

    def find_stateless(self) -> Sequence[InspectedCourse]:
        """Return the courses that have a row or a projection, but no state."""
        with errors_translated(self._connection):
            return stateless_courses(self._connection)

    def suspects(self) -> Mapping[str, Suspect]:
        """Return the differences that earlier passes have seen, by course key."""
        with errors_translated(self._connection):
            rows = self._suspects().annotate(database_now=DatabaseNow())
            return {
                row.course_key: Suspect(
                    fingerprint=row.fingerprint,
                    age_seconds=(row.database_now - row.seen_at).total_seconds(),
                )
                for row in rows
            }

    def pass_ages(self, *, limit: int) -> Sequence[float]:
        """Return how long ago the last passes began that ended, in seconds, the newest first."""
        with errors_translated(self._connection):
            ended = self._inspections().filter(finished_at__isnull=False).order_by("-pk")
            passes = ended.annotate(database_now=DatabaseNow())[:limit]
            return [(each.database_now - each.started_at).total_seconds() for each in passes]

    def keep_suspects(self, fingerprints: Mapping[str, str]) -> None:
        """Remember these differences and forget all others; known ones keep their age."""
        with errors_translated(self._connection), transaction.atomic(using=self._conf.using):
            # Seen before the clock was set back: it would not grow old enough until the clock is there again.
            self._suspects().filter(seen_at__gt=DatabaseNow()).delete()
            known = dict(self._suspects().values_list("course_key", "fingerprint"))
            gone = [key for key, text in known.items() if fingerprints.get(key) != text]
            for keys in _chunks(gone):
                self._suspects().filter(course_key__in=keys).delete()
            new = [key for key in sorted(fingerprints) if known.get(key) != fingerprints[key]]
            for keys in _chunks(new):
                self._suspects().bulk_create(
                    [
                        OverviewSuspect(
                            course_key=key, fingerprint=fingerprints[key], seen_at=DatabaseNow()
                        )
                        for key in keys
                    ]
                )

    def find_dirty(self, course_keys: Sequence[str]) -> set[str]:
        """Return those of ``course_keys`` that wait for a rebuild."""
        with errors_translated(self._connection):
            marks = OverviewMark.objects.using(self._conf.using).filter(wanted__gt=F("done"))
            return {
                key
                for keys in _chunks(course_keys)
                for key in marks.filter(course_key__in=keys).values_list("course_key", flat=True)
            }

    def is_rebuilding_all(self) -> bool:
        """Return whether rows of other versions are left to a run, or to who stopped it."""
        with errors_translated(self._connection):
            runs = OverviewRebuildRun.objects.using(self._conf.using)
            if runs.filter(full_slot=1, state__in=ACTIVE_STATES).exists():
                return True
            targets = OverviewTarget.objects.using(self._conf.using)
            target = targets.filter(pk=TARGET_ID).first()
            if target is None:
                return False
            upgrades = runs.filter(
                asked_from=RunOrigin.UPGRADE,
                created_at__gte=target.set_at,
                builder_version=target.builder_version,
                schema_version=target.schema_version,
            )
            last = upgrades.order_by("-pk").values_list("state", flat=True).first()
            return last in (RunState.CANCELLED, RunState.FAILED)

    def find_held(self) -> Mapping[str, bool]:
        """Return the courses whose removal was held, and whether it still waits for a word."""
        with errors_translated(self._connection):
            rows = self._removals().filter(status__in=_NEEDED)
            return {
                key: status == RemovalStatus.HELD
                for key, status in rows.values_list("course_key", "status")
            }

    def release_held(self, course_keys: Sequence[str]) -> None:
        """Forget what was said of courses that are back in the index, and mark them."""
        with errors_translated(self._connection):
            for keys in _chunks(course_keys):
                with transaction.atomic(using=self._conf.using):
                    self._removals().filter(course_key__in=keys, status__in=_NEEDED).delete()
                    marks = [CourseMark(course_key=key, event_type=_BACK) for key in keys]
                    mark_courses(marks, commits=True, using=self._conf.using)

    def mend_marks(self) -> Mapping[str, str]:
        """Mend marks that contradict themselves; return what was wrong, by course key."""
        with errors_translated(self._connection):
            return mend_marks(self._conf.using)

    def mark(self, repairs: Sequence[Repair], *, lease_seconds: int) -> None:
        """Mark courses; the sweeper leaves them alone for so long."""
        with errors_translated(self._connection):
            for chunk in _chunks(repairs):
                self._mark([_mark_of(repair) for repair in chunk], lease_seconds=lease_seconds)

    def deep_check_keys(self, *, limit: int) -> Sequence[str]:
        """Return the next live courses to be compared in full, and remember how far that got."""
        with errors_translated(self._connection):
            jobs = OverviewJob.objects.using(self._conf.using)
            job, _ = jobs.get_or_create(name=_DEEP_CHECK)
            live = OverviewState.objects.using(self._conf.using).filter(deleted=False)
            keys = live.order_by("course_key").values_list("course_key", flat=True)
            found = list(keys.filter(course_key__gt=job.after_key)[:limit])
            if len(found) < limit:  # the end of the list: begin again
                found += list(keys.filter(course_key__lte=job.after_key)[: limit - len(found)])
            if found:
                jobs.filter(name=_DEEP_CHECK).update(after_key=found[-1])
        return found

    def read_stored(self, course_keys: Sequence[str]) -> Mapping[str, StoredOverview]:
        """Return everything that is stored of courses, their states read first."""
        with errors_translated(self._connection):
            return read_stored(self._conf.using, course_keys)

    def note_verified(self, course_keys: Sequence[str]) -> None:
        """Note on the states when these courses were found equal.

        States that a rebuild holds are left out: it verifies them itself.
        """
        if not course_keys:
            return
        states = OverviewState.objects.using(self._conf.using)
        with errors_translated(self._connection), transaction.atomic(using=self._conf.using):
            rows = states.filter(course_key__in=course_keys)
            if self._connection.features.has_select_for_update:
                rows = rows.select_for_update(skip_locked=True)
            free = list(rows.order_by("course_key").values_list("course_key", flat=True))
            states.filter(course_key__in=free).update(verified_at=DatabaseNow())

    def begin(self) -> int:
        """Open the record of a pass and return its number."""
        with errors_translated(self._connection):
            return int(self._inspections().create(started_at=DatabaseNow()).pk)

    def finish(self, number: int, report: InspectionReport) -> None:
        """Complete the record of a pass."""
        with errors_translated(self._connection):
            self._inspections().filter(pk=number).update(
                finished_at=DatabaseNow(), **_figures_of(report)
            )

    def fail(self, number: int, report: InspectionReport, reason: str) -> None:
        """Note why a pass broke off, and what it had found by then."""
        self._connection.close_if_unusable_or_obsolete()
        with errors_translated(self._connection):
            self._inspections().filter(pk=number).update(
                error=storable(reason), **_figures_of(report)
            )

    def count_served(self) -> int:
        """Count the publishes that became visible into their hours; return how many."""
        with errors_translated(self._connection):
            return count_served(self._conf.using)

    def _mark(self, marks: Sequence[CourseMark], *, lease_seconds: int | None = None) -> None:
        mark_courses(marks, not_before_seconds=lease_seconds, using=self._conf.using)

    def _suspects(self) -> Any:
        return OverviewSuspect.objects.using(self._conf.using)

    def _removals(self) -> Any:
        return OverviewRemoval.objects.using(self._conf.using)

    def _inspections(self) -> Any:
        return OverviewInspection.objects.using(self._conf.using)

    @property
    def _connection(self) -> BaseDatabaseWrapper:
        # Looked up each time: Django's connections belong to threads.
        return connections[self._conf.using]


_BACK = f"{INSPECTOR_EVENT_PREFIX}back in the index"


def _mark_of(repair: Repair) -> CourseMark:
    return CourseMark(
        course_key=repair.course_key,
        event_type=f"{INSPECTOR_EVENT_PREFIX}{repair.kind.value}",
        rewrite=repair.rewrite,
        lost_for_seconds=repair.lost_for_seconds,
    )


def _figures_of(report: InspectionReport) -> dict[str, Any]:
    return {
        "course_count": report.course_count,
        "findings": report.findings,
        "suspected_count": report.suspected_count,
        "marked_count": report.marked_count,
        "checked_count": report.checked_count,
        "drifted_columns": report.drifted_columns,
    }


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
