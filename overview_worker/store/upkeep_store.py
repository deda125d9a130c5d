"""``upkeep.UpkeepStore`` on a Django connection: the target, the settings seen, the rows affected."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import reduce
from operator import or_
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count, Q

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import (
    CourseOverview,
    OverviewDependency,
    OverviewRebuildRun,
    OverviewRemoval,
    OverviewState,
    OverviewTarget,
    RemovalStatus,
    RunDepth,
    RunOrigin,
    RunScope,
    RunState,
)
from lms_integration.models.versions import TARGET_ID
from lms_integration.rebuild_desk import (
    ACTIVE_STATES,
    MAX_NAMED_COURSES,
    RunRefused,
    RunRequest,
    ask_for_run,
    cancel_run,
)
from overview_worker.errors import COLLISION_WORDS
from overview_worker.store.conf import StoreConf
from overview_worker.store.failures import errors_translated
from overview_worker.store.jobs import take_slot
from overview_worker.upkeep_ports import (
    AffectedRows,
    AskedRun,
    BlockedKind,
    BlockedRow,
    BlockedRows,
    UpgradeAttempt,
    UpgradeStanding,
    Value,
    WatchedSetting,
)
from overview_worker.versions import RowVersions, Target

#: A release that is rolled out or back is noticed so late; what is built meanwhile is put right.
REMEMBER_SECONDS = 5.0


_STANDINGS = {
    RunState.DONE.value: UpgradeStanding.DONE,
    RunState.CANCELLED.value: UpgradeStanding.CANCELLED,
    RunState.FAILED.value: UpgradeStanding.FAILED,
}


class DjangoUpkeepStore:
    """``upkeep.UpkeepStore``; one instance a process, any thread."""

    def __init__(self, conf: StoreConf) -> None:
        self._conf = conf

    def take_slot(self, job: str, *, period_seconds: int) -> bool:
        """Return whether ``job`` is to run now: nobody has begun it within the period."""
        self._connection.close_if_unusable_or_obsolete()
        with errors_translated(self._connection):
            return take_slot(self._conf.using, job, period_seconds=period_seconds)

    def target(self) -> Target | None:
        """Return what rows are to be of; None where nobody has said."""
        with errors_translated(self._connection):
            row = self._rows(OverviewTarget).filter(pk=TARGET_ID).first()
        if row is None:
            return None
        versions = RowVersions(builder=row.builder_version, schema=row.schema_version)
        return Target(versions=versions, is_pinned=row.is_pinned)

    def set_target(self, target: Target, *, set_by: str) -> None:
        """Write down what rows are to be of."""
        with errors_translated(self._connection):
            self._rows(OverviewTarget).update_or_create(
                pk=TARGET_ID,
                defaults={
                    "builder_version": target.versions.builder,
                    "schema_version": target.versions.schema,
                    "is_pinned": target.is_pinned,
                    "set_by": set_by,
                    "set_at": DatabaseNow(),
                },
            )

    def row_counts(self) -> Mapping[RowVersions, int]:
        """Return how many live rows there are of each version."""
        with errors_translated(self._connection):
            groups = (
                self._live_rows()
                .values_list("builder_version", "schema_version")
                .annotate(Count("pk"))
            )
            return {
                RowVersions(builder=builder, schema=schema): count
                for builder, schema, count in groups.order_by()
            }

    def blocked_rows(self, versions: RowVersions, *, named: int) -> BlockedRows:
        """Return the live rows of other versions that cannot be built, up to ``named`` of each kind."""
        with errors_translated(self._connection):
            kinds = self._blocked_by_kind(versions)
            counts = {kind: rows.count() for kind, rows in kinds.items()}
            return BlockedRows(
                counts={kind: count for kind, count in counts.items() if count},
                named=[
                    BlockedRow(course_key=key, kind=kind, reason=fault or "")
                    for kind, rows in kinds.items()
                    if counts[kind]
                    for key, fault in rows.order_by("course_key").values_list("pk", "fault")[:named]
                ],
            )

    def last_upgrade(self) -> UpgradeAttempt:
        """Return how the upgrade to the target stands: the runs since it was set."""
        with errors_translated(self._connection):
            target = self._rows(OverviewTarget).filter(pk=TARGET_ID).first()
            if target is None:
                return UpgradeAttempt()
            runs = self._rows(OverviewRebuildRun).filter(
                asked_from=RunOrigin.UPGRADE,
                created_at__gte=target.set_at,
                builder_version=target.builder_version,
                schema_version=target.schema_version,
            )
            last = runs.annotate(database_now=DatabaseNow()).order_by("-pk").first()
            if last is None:
                return UpgradeAttempt()
            ended = last.finished_at or last.database_now
            return UpgradeAttempt(
                standing=_STANDINGS.get(last.state, UpgradeStanding.UNDER_WAY),
                number=last.pk,
                failure_count=runs.filter(state=RunState.FAILED).count(),
                ended_seconds=max(0.0, (last.database_now - ended).total_seconds()),
                error=last.error,
            )

    def ask_for_upgrade(
        self, versions: RowVersions, *, reason: str, asked_by: str = "", rate: float | None = None
    ) -> int | None:
        """Ask for a run over all courses that rebuilds those of other versions; return its number."""
        with errors_translated(self._connection):
            self._give_up_other_upgrades(versions)
        return self._ask(
            RunRequest(
                scope=RunScope.ALL,
                depth=RunDepth.STALE,
                asked_from=RunOrigin.UPGRADE,
                asked_by=asked_by,
                reason=reason,
                rate=rate,
                versions=(versions.builder, versions.schema),
            )
        ).number

    def ask_for_build(self, affected: AffectedRows, *, reason: str) -> AskedRun:
        """Ask for a run that builds the affected courses anew and writes what has changed."""
        keys = [] if affected.everything else self._find_affected(affected)
        everything = affected.everything or len(keys) > MAX_NAMED_COURSES
        if not everything and not keys:
            return AskedRun()
        return self._ask(
            RunRequest(
                scope=RunScope.ALL if everything else RunScope.COURSES,
                depth=RunDepth.BUILD,
                course_keys=[] if everything else keys,
                asked_from=RunOrigin.SETTINGS,
                reason=reason,
            )
        )

    def settings_seen(
        self, settings: Sequence[WatchedSetting]
    ) -> Mapping[str, tuple[Value, float]]:
        """Note what settings are now; return those that have settled at another value than before.

        ``{name: (the value before, seconds for which the new one has been seen)}``. A setting that
        nobody has noted yet is noted, and has not changed.
        """
        changed: dict[str, tuple[Value, float]] = {}
        with errors_translated(self._connection):
            rows = self._rows(OverviewDependency).annotate(database_now=DatabaseNow())
            known = {row.name: row for row in rows}
            for setting in settings:
                row = known.get(setting.name)
                if row is None:
                    self._rows(OverviewDependency).get_or_create(
                        name=setting.name,
                        defaults={"value": dict(setting.value), "changed_at": DatabaseNow()},
                    )
                elif row.value == setting.value:
                    if row.seen_at is not None:
                        self._note_seen(setting.name, {}, seen_at=None)
                elif row.seen_value == setting.value and row.seen_at is not None:
                    age = (row.database_now - row.seen_at).total_seconds()
                    changed[setting.name] = (row.value, age)
                else:
                    self._note_seen(setting.name, setting.value, seen_at=DatabaseNow())
        return changed

    def settle(self, setting: WatchedSetting) -> None:
        """Note that rows are built with the value from now on."""
        with errors_translated(self._connection):
            self._rows(OverviewDependency).filter(name=setting.name).update(
                value=dict(setting.value), seen_value={}, seen_at=None, changed_at=DatabaseNow()
            )

    def _live_rows(self) -> Any:
        return self._rows(OverviewState).filter(deleted=False).exclude(source_version="")

    def _blocked_by_kind(self, versions: RowVersions) -> Mapping[BlockedKind, Any]:
        other = self._live_rows().exclude(
            builder_version=versions.builder, schema_version=versions.schema
        )
        removals = self._rows(OverviewRemoval)
        held, refused = (
            removals.filter(status=status).values("course_key")
            for status in (RemovalStatus.HELD, RemovalStatus.REFUSED)
        )
        is_gone = Q(course_key__in=held) | Q(course_key__in=refused)
        faulty = other.filter(fault__isnull=False).exclude(is_gone)
        return {
            BlockedKind.FAULTY: faulty.exclude(fault__contains=COLLISION_WORDS),
            BlockedKind.COLLIDING: faulty.filter(fault__contains=COLLISION_WORDS),
            BlockedKind.HELD: other.filter(course_key__in=held),
            BlockedKind.REFUSED: other.filter(course_key__in=refused),
        }

    def _give_up_other_upgrades(self, versions: RowVersions) -> None:
        """Cancel them: nobody may be left to work on them, and they are in the way."""
        runs = self._rows(OverviewRebuildRun).filter(
            asked_from=RunOrigin.UPGRADE, state__in=ACTIVE_STATES
        )
        for run in runs:
            if (run.builder_version, run.schema_version) != (versions.builder, versions.schema):
                with suppress(RunRefused):  # it is done meanwhile
                    cancel_run(run.pk, using=self._conf.using)

    def _ask(self, request: RunRequest) -> AskedRun:
        with errors_translated(self._connection):
            try:
                return AskedRun(number=ask_for_run(request, using=self._conf.using).pk)
            except RunRefused:
                return AskedRun(is_refused=True)

    def _find_affected(self, affected: AffectedRows) -> list[str]:
        """Return the courses whose rows are affected, at most one more than a run can name."""
        conditions = [
            Q(**{f"{column}__in": list(values)})
            for column, values in (affected.equal or {}).items()
        ] + [
            Q(**{f"{column}__startswith": start})
            for column, start in (affected.starts_with or {}).items()
        ]
        if not conditions:
            return []
        with errors_translated(self._connection):
            rows = self._rows(CourseOverview).filter(reduce(or_, conditions)).order_by("id")
            return list(rows.values_list("id", flat=True)[: MAX_NAMED_COURSES + 1])

    def _note_seen(self, name: str, value: Value, *, seen_at: DatabaseNow | None) -> None:
        self._rows(OverviewDependency).filter(name=name).update(
            seen_value=dict(value), seen_at=seen_at
        )

    def _rows(self, model: Any) -> Any:
        return model.objects.using(self._conf.using)

    @property
    def _connection(self) -> BaseDatabaseWrapper:
        # Looked up each time: Django's connections belong to threads.
        return connections[self._conf.using]


class RememberedTarget:
    """What rows are to be of, asked of the database every few seconds at most; for one process."""

    def __init__(self, store: DjangoUpkeepStore) -> None:
        self._store = store
        self._asked_at: float | None = None
        self._versions: RowVersions | None = None

    def __call__(self) -> RowVersions | None:
        """Return it as it was some ``REMEMBER_SECONDS`` ago at most; None where nobody has said.

        Raises:
            StoreUnavailable: the database did not answer.
        """
        if self._asked_at is None or time.monotonic() - self._asked_at > REMEMBER_SECONDS:
            return self.asked_anew()
        return self._versions

    def asked_anew(self) -> RowVersions | None:
        """Return it as it is now, and remember that.

        Raises:
            StoreUnavailable: the database did not answer.
        """
        asked_at = time.monotonic()
        target = self._store.target()
        self._versions = None if target is None else target.versions
        self._asked_at = asked_at
        return self._versions
