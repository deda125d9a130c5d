"""``upkeep.UpkeepStore`` on a Django connection: the target, the settings seen, the rows affected."""

import time
from collections.abc import Mapping, Sequence
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
    OverviewState,
    OverviewTarget,
    RunDepth,
    RunOrigin,
    RunScope,
    RunState,
)
from lms_integration.rebuild_desk import MAX_NAMED_COURSES, RunRefused, RunRequest, ask_for_run
from overview_worker.store.conf import StoreConf
from overview_worker.store.failures import errors_translated
from overview_worker.store.jobs import take_slot
from overview_worker.upkeep_ports import AffectedRows, AskedRun, Value, WatchedSetting
from overview_worker.versions import RowVersions, Target

_TARGET_ID = 1
#: A release that is rolled out or back is noticed so late; what is built meanwhile is put right.
REMEMBER_SECONDS = 5.0


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
            row = self._rows(OverviewTarget).filter(pk=_TARGET_ID).first()
        if row is None:
            return None
        versions = RowVersions(builder=row.builder_version, schema=row.schema_version)
        return Target(versions=versions, is_pinned=row.is_pinned)

    def set_target(self, target: Target, *, set_by: str) -> None:
        """Write down what rows are to be of."""
        with errors_translated(self._connection):
            self._rows(OverviewTarget).update_or_create(
                pk=_TARGET_ID,
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
            live = self._rows(OverviewState).filter(deleted=False).exclude(source_version="")
            groups = live.values_list("builder_version", "schema_version").annotate(Count("pk"))
            return {
                RowVersions(builder=builder, schema=schema): count
                for builder, schema, count in groups.order_by()
            }

    def upgrade_is_asked_for(self) -> bool:
        """Whether a run has been asked for since the target was set, and was not cancelled."""
        with errors_translated(self._connection):
            target = self._rows(OverviewTarget).filter(pk=_TARGET_ID).first()
            if target is None:
                return False
            runs = self._rows(OverviewRebuildRun).filter(asked_from=RunOrigin.UPGRADE)
            return bool(
                runs.filter(created_at__gte=target.set_at)
                .exclude(state__in=(RunState.FAILED, RunState.CANCELLED))
                .exists()
            )

    def ask_for_upgrade(
        self, *, reason: str, asked_by: str = "", rate: float | None = None
    ) -> int | None:
        """Ask for a run over all courses that rebuilds those of another version; return its number."""
        return self._ask(
            RunRequest(
                scope=RunScope.ALL,
                depth=RunDepth.STALE,
                asked_from=RunOrigin.UPGRADE,
                asked_by=asked_by,
                reason=reason,
                rate=rate,
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
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at > REMEMBER_SECONDS:
            target = self._store.target()
            self._versions = None if target is None else target.versions
            self._asked_at = now
        return self._versions
