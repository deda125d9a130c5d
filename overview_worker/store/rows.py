"""Writing overview rows with their tabs and image sets, and removing them."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from django.db import connections

from lms_integration.data import CourseOverviewData, CourseOverviewTabData
from lms_integration.database_clock import DatabaseNow
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    OverviewTombstone,
)
from overview_worker.errors import RowRefused
from overview_worker.ports import WriteOverview
from overview_worker.store.conf import StoreConf

_OVERVIEW_COLUMNS = tuple(field.name for field in fields(CourseOverviewData))
#: Columns that a rebuild overwrites; the catalog's own are not among them.
_UPDATED_COLUMNS = ("modified", *(name for name in _OVERVIEW_COLUMNS if name != "id"))
_TAB_COLUMNS = tuple(field.name for field in fields(CourseOverviewTabData))
_DELETE_ROW = f"DELETE FROM {CourseOverview._meta.db_table} WHERE id = %s"  # noqa: S608
_TOMBSTONE_COLUMNS = (
    "course_key",
    "display_name",
    "display_org_with_default",
    "display_number_with_default",
    "course_image_url",
    "start",
    "end",
    "deleted_at",
)


class OverviewRows:
    """The three overview tables and the tombstones, inside the rebuild's transaction."""

    def __init__(self, conf: StoreConf) -> None:
        self._using = conf.using
        self._catalog_owns_language = conf.catalog_owns_language
        self._connection = connections[conf.using]

    def upsert(self, writes: Sequence[WriteOverview]) -> None:
        """Write rows and image sets, all columns that a rebuild owns; nothing of the catalog's.

        Raises:
            RowRefused: the table took two courses' keys for one.
        """
        if not writes:
            return
        kept = {"language"} if self._catalog_owns_language else set()
        self._overviews().bulk_create(
            [_overview_row(write.built.overview) for write in writes],
            update_conflicts=True,
            update_fields=[name for name in _UPDATED_COLUMNS if name not in kept],
            unique_fields=self._conflict_target("id"),
        )
        self._refuse_look_alikes(
            [w.course.course_key for w in writes if not w.course.state.has_row]
        )
        self._upsert_image_sets(
            [
                CourseOverviewImageSet(
                    course_overview_id=write.course.course_key,
                    small_url=write.built.image_set.small_url,
                    large_url=write.built.image_set.large_url,
                )
                for write in writes
                if write.built.image_set is not None
            ]
        )

    def _refuse_look_alikes(self, new_keys: Sequence[str]) -> None:
        """Refuse a chunk two of whose new rows the table took for one; one by one, one is kept."""
        if len(new_keys) < 2:
            return
        lost = sorted(
            set(new_keys)
            - set(self._overviews().filter(id__in=new_keys).values_list("id", flat=True))
        )
        if lost:
            raise RowRefused(lost[0], "the table cannot tell its key from another course's")

    def _upsert_image_sets(self, image_sets: Sequence[CourseOverviewImageSet]) -> None:
        """Write image sets, over those that are there by their ids.

        By the course, whose index is not the primary one, an upsert locks the gap before its entry
        too, and rebuilds of neighbouring courses wait.
        """
        if not image_sets:
            return
        stored = CourseOverviewImageSet.objects.using(self._using)
        keys = [image_set.course_overview_id for image_set in image_sets]
        ids = dict(
            stored.filter(course_overview_id__in=keys).values_list("course_overview_id", "id")
        )
        for image_set in image_sets:
            image_set.id = ids.get(image_set.course_overview_id)
        stored.bulk_create(
            image_sets,
            update_conflicts=True,
            update_fields=["modified", "small_url", "large_url"],
            unique_fields=self._conflict_target("id"),
        )

    def _conflict_target(self, name: str) -> list[str] | None:
        supported = self._connection.features.supports_update_conflicts_with_target
        return [name] if supported else None

    def replace_tabs(self, writes: Sequence[WriteOverview]) -> None:
        """Write over the tabs that are there, add those that lack, delete what is too many.

        Only by id: for a DELETE by course the server may choose to scan the table, where it waits
        for tabs that other rebuilds hold, and two chunks deadlock.
        """
        if not writes:
            return
        old_ids = self._tab_ids([w.course.course_key for w in writes if w.course.state.has_row])
        rows: list[CourseOverviewTab] = []
        for write in writes:
            key = write.course.course_key
            ids = old_ids.pop(key, [])
            for tab in write.built.tabs:
                rows.append(_tab_row(tab, course_key=key, row_id=ids.pop(0) if ids else None))
            self._delete_tabs(ids)
        self._tabs().bulk_create(
            rows,
            update_conflicts=True,
            update_fields=_TAB_COLUMNS,
            unique_fields=self._conflict_target("id"),
        )

    def _tab_ids(self, keys: Sequence[str]) -> dict[str, list[int]]:
        """Return ``{course key: ids of its tabs, in their order}``."""
        if not keys:
            return {}
        found: dict[str, list[int]] = {}
        ids = self._tabs().filter(course_overview_id__in=keys).order_by("id")
        for key, tab_id in ids.values_list("course_overview_id", "id"):
            found.setdefault(key, []).append(tab_id)
        return found

    def _delete_tabs(self, ids: Sequence[int]) -> None:
        for tab_id in ids:
            self._tabs().filter(id=tab_id).delete()

    def bury(self, course_key: str, *, with_row: bool) -> None:
        """Leave a tombstone of what the row says, and remove the row with its tabs and images."""
        if with_row:
            self._write_tombstone(course_key)
            for ids in self._tab_ids([course_key]).values():
                self._delete_tabs(ids)
            CourseOverviewImageSet.objects.using(self._using).filter(
                course_overview_id=course_key
            ).delete()
            # Not through the model: Django would delete the tabs by course once more.
            with self._connection.cursor() as cursor:
                cursor.execute(_DELETE_ROW, [course_key])
        self._tombstones().filter(course_key=course_key).update(deleted_at=DatabaseNow())

    def remove_tombstone(self, course_key: str) -> None:
        """Forget that a course was deleted: it is back."""
        self._tombstones().filter(course_key=course_key).delete()

    def _write_tombstone(self, course_key: str) -> None:
        self._tombstones().bulk_create(
            [_tombstone(row) for row in self._overviews().filter(id=course_key)],
            update_conflicts=True,
            update_fields=[name for name in _TOMBSTONE_COLUMNS if name != "course_key"],
            unique_fields=self._conflict_target("course_key"),
        )

    def _tabs(self) -> Any:
        return CourseOverviewTab.objects.using(self._using)

    def _tombstones(self) -> Any:
        return OverviewTombstone.objects.using(self._using)

    def _overviews(self) -> Any:
        return CourseOverview.objects.using(self._using)


def _overview_row(overview: CourseOverviewData) -> CourseOverview:
    return CourseOverview(**{name: getattr(overview, name) for name in _OVERVIEW_COLUMNS})


def _tab_row(
    tab: CourseOverviewTabData, *, course_key: str, row_id: int | None
) -> CourseOverviewTab:
    values = {name: getattr(tab, name) for name in _TAB_COLUMNS}
    return CourseOverviewTab(id=row_id, course_overview_id=course_key, **values)


def _tombstone(row: CourseOverview) -> OverviewTombstone:
    return OverviewTombstone(
        course_key=row.id,
        display_name=row.display_name,
        display_org_with_default=row.display_org_with_default,
        display_number_with_default=row.display_number_with_default,
        course_image_url=row.course_image_url,
        start=row.start,
        end=row.end,
        deleted_at=row.modified,  # set to the database's time right after
    )
