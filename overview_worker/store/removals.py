"""The register of courses that vanished unannounced: what the brake on mass deletes counts."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from django.db import connections

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import (
    CourseOverview,
    OverviewMark,
    OverviewRemoval,
    OverviewState,
    RemovalStatus,
)
from overview_worker.ports import HoldRemoval, RemovalCensus
from overview_worker.removal_brake import RECENT_SECONDS
from overview_worker.store.conf import StoreConf
from overview_worker.store.locking import announces_delete
from overview_worker.store.mark_statements import storable

# An upsert, so that it locks the row also when it has to make it.
_LOCK = "INSERT INTO overview_job (name, after_key) VALUES ('removals', '') {nothing_new}"
_NOTHING_NEW = {
    "mysql": "ON DUPLICATE KEY UPDATE name = VALUES(name)",
    "sqlite": "ON CONFLICT (name) DO UPDATE SET name = excluded.name",
}


PAGE_SIZE = 2000


class RemovalRegister:
    """The table of unannounced removals, inside the rebuild's transaction."""

    def __init__(self, conf: StoreConf) -> None:
        self._using = conf.using
        self._connection = connections[conf.using]

    def census(self, course_keys: Sequence[str]) -> RemovalCensus:
        """Count, under a lock that all who remove unannounced courses take first."""
        with self._connection.cursor() as cursor:
            cursor.execute(_LOCK.format(nothing_new=_NOTHING_NEW[self._connection.vendor]))
        decided = dict(
            self._rows()
            .filter(course_key__in=course_keys)
            .filter(status__in=(RemovalStatus.ALLOWED, RemovalStatus.REFUSED))
            .values_list("course_key", "status")
        )
        marks = OverviewMark.objects.using(self._using).filter(course_key__in=course_keys)
        recently = DatabaseNow(offset_seconds=-RECENT_SECONDS)
        return RemovalCensus(
            live_count=CourseOverview.objects.using(self._using).count(),
            recent_count=self._rows()
            .filter(status=RemovalStatus.REMOVED, changed_at__gte=recently)
            .count(),
            held_count=self._rows().filter(status=RemovalStatus.HELD).count(),
            announced=frozenset(mark.course_key for mark in marks if announces_delete(mark)),
            allowed=_with_status(decided.items(), RemovalStatus.ALLOWED),
            refused=_with_status(decided.items(), RemovalStatus.REFUSED),
        )

    def count_vanished(self, published: Collection[str], *, limit: int) -> int:
        """Return how many live courses are not ``published``, and nobody has said anything of them."""
        count = 0
        for keys in self._pages_of_live():
            count += len(self._undecided([key for key in keys if key not in published]))
            if count > limit:
                break
        return count

    def _pages_of_live(self) -> Iterator[Sequence[str]]:
        live = OverviewState.objects.using(self._using).filter(deleted=False)
        keys = live.exclude(source_version="").order_by("course_key")
        after = ""
        while page := list(
            keys.filter(course_key__gt=after).values_list("course_key", flat=True)[:PAGE_SIZE]
        ):
            yield page
            after = page[-1]

    def _undecided(self, course_keys: Sequence[str]) -> Sequence[str]:
        if not course_keys:
            return ()
        marks = OverviewMark.objects.using(self._using).filter(course_key__in=course_keys)
        decided = self._rows().filter(
            course_key__in=course_keys, status__in=(RemovalStatus.ALLOWED, RemovalStatus.REFUSED)
        )
        told = {mark.course_key for mark in marks if announces_delete(mark)}
        told |= set(decided.values_list("course_key", flat=True))
        return [key for key in course_keys if key not in told]

    def hold(self, holds: Sequence[HoldRemoval]) -> None:
        """Note which removals are held, since when and why; a hold that is there stays as it is."""
        self._rows().filter(
            course_key__in=[hold.course.course_key for hold in holds],
            status=RemovalStatus.REMOVED,
        ).delete()
        self._rows().bulk_create(
            [
                OverviewRemoval(
                    course_key=hold.course.course_key,
                    status=RemovalStatus.HELD,
                    changed_at=DatabaseNow(),
                    reason=storable(hold.reason),
                )
                for hold in holds
            ],
            ignore_conflicts=True,
        )

    def note_removed(self, course_key: str, *, counts: bool) -> None:
        """Count a removal that nobody announced; forget what was said of one that was."""
        self._rows().filter(course_key=course_key).delete()
        if counts:
            self._rows().create(
                course_key=course_key, status=RemovalStatus.REMOVED, changed_at=DatabaseNow()
            )

    def _rows(self) -> Any:
        return OverviewRemoval.objects.using(self._using)


def _with_status(decided: Iterable[tuple[str, str]], status: RemovalStatus) -> frozenset[str]:
    return frozenset(key for key, each in decided if each == status)
