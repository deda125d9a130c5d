"""Writing overview rows with their tabs and image sets, and removing them."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from django.db import connections
from django.db.models import Model
from django.utils import timezone

from lms_integration.data import (
    CourseOverviewData,
    CourseOverviewImageSetData,
)
from lms_integration.database_clock import DatabaseNow
from lms_integration.models import (
    CourseOverview,
    CourseOverviewImageSet,
    CourseOverviewTab,
    OverviewTombstone,
)
from overview_worker.column_changes import TAB_COLUMNS, loses_image_set
from overview_worker.errors import RowRefused
from overview_worker.ports import WriteOverview
from overview_worker.store.conf import StoreConf
from overview_worker.store.stored_tabs import StoredTabs
from overview_worker.store.upserts import Upsert

_OVERVIEW_COLUMNS = tuple(field.name for field in fields(CourseOverviewData))
#: Columns that a rebuild overwrites; the catalog's own are not among them.
_UPDATED_COLUMNS = ("modified", *(name for name in _OVERVIEW_COLUMNS if name != "id"))
_overview_values, _tab_values = attrgetter(*_OVERVIEW_COLUMNS), attrgetter(*TAB_COLUMNS)
_NO_TABS = StoredTabs(ids=[], rows=[])
#: What a new row has in the columns that no rebuild writes.
_FIRST_VALUES = {
    field.name: field.get_default()
    for field in CourseOverview._meta.concrete_fields
    if field.name not in {*_OVERVIEW_COLUMNS, "created", "modified"}
}
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
        now = timezone.now()
        self._upsert(
            CourseOverview,
            columns=(*_OVERVIEW_COLUMNS, *_FIRST_VALUES, "created", "modified"),
            updated=[name for name in _UPDATED_COLUMNS if name not in kept],
        ).run(
            [
                (*_overview_values(write.built.overview), *_FIRST_VALUES.values(), now, now)
                for write in writes
            ]
        )
        self._refuse_look_alikes(
            [w.course.course_key for w in writes if not w.course.state.has_row]
        )
        self._upsert_image_sets(
            {
                write.course.course_key: write.built.image_set
                for write in writes
                if write.built.image_set is not None
            }
        )
        self._remove_image_sets(
            [write.course.course_key for write in writes if loses_image_set(write)]
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

    def _upsert_image_sets(self, image_sets: Mapping[str, CourseOverviewImageSetData]) -> None:
        """Write image sets, over those that are there by their ids.

        By the course, whose index is not the primary one, an upsert locks the gap before its entry
        too, and rebuilds of neighbouring courses wait.
        """
        if not image_sets:
            return
        stored = CourseOverviewImageSet.objects.using(self._using)
        ids = dict(
            stored.filter(course_overview_id__in=list(image_sets)).values_list(
                "course_overview_id", "id"
            )
        )
        now = timezone.now()
        self._upsert(
            CourseOverviewImageSet,
            columns=("id", "course_overview", "small_url", "large_url", "created", "modified"),
            updated=("modified", "small_url", "large_url"),
        ).run(
            [
                (ids.get(key), key, each.small_url, each.large_url, now, now)
                for key, each in image_sets.items()
            ]
        )

    def _remove_image_sets(self, keys: Sequence[str]) -> None:
        """Remove the image sets of courses, by their ids, as tabs are."""
        if not keys:
            return
        stored = CourseOverviewImageSet.objects.using(self._using)
        for number in list(stored.filter(course_overview_id__in=keys).values_list("id", flat=True)):
            stored.filter(id=number).delete()

    def _upsert(
        self, model: type[Model], *, columns: Sequence[str], updated: Sequence[str]
    ) -> Upsert:
        return Upsert(self._connection, model, columns=columns, updated=updated)

    def replace_tabs(
        self, writes: Sequence[WriteOverview], *, stored: Mapping[str, StoredTabs]
    ) -> None:
        """Write over the tabs that are there, add those that lack, delete what is too many.

        ``stored`` are those of the courses that have a row, as they are under its lock; where they are
        the same already, nothing is written. Only by id: for a DELETE by course the server may choose to
        scan the table, where it waits for tabs that other rebuilds hold, and two chunks deadlock.
        """
        old_rows: list[Sequence[Any]] = []
        new_rows: list[Sequence[Any]] = []
        for write in writes:
            key = write.course.course_key
            there = stored.get(key, _NO_TABS)
            tabs = [_tab_values(tab) for tab in write.built.tabs]
            if tabs == there.rows:
                continue
            for number, tab in enumerate(tabs):
                is_there = number < len(there.ids)
                row = (there.ids[number] if is_there else None, key, *tab)
                (old_rows if is_there else new_rows).append(row)
            self._delete_tabs(there.ids[len(tabs) :])
        upsert = self._upsert(
            CourseOverviewTab,
            columns=("id", "course_overview", *TAB_COLUMNS),
            updated=TAB_COLUMNS,
        )
        upsert.run(old_rows)
        upsert.run(new_rows)

    def _delete_tabs(self, ids: Sequence[int]) -> None:
        for tab_id in ids:
            self._tabs().filter(id=tab_id).delete()

    def bury(self, course_key: str, *, with_row: bool) -> None:
        """Leave a tombstone of what the row says, and remove the row with its tabs and images."""
        if with_row:
            self._write_tombstone(course_key)
            tabs = self._tabs().filter(course_overview_id=course_key).order_by("id")
            self._delete_tabs(list(tabs.values_list("id", flat=True)))
            CourseOverviewImageSet.objects.using(self._using).filter(
                course_overview_id=course_key
            ).delete()
            # Not through the model: Django would delete the tabs by course once more.
            with self._connection.cursor() as cursor:
                cursor.execute(_DELETE_ROW, [course_key])
        self._tombstones().filter(course_key=course_key).update(deleted_at=DatabaseNow())

    def remove_tombstones(self, course_keys: Sequence[str]) -> None:
        """Forget that courses were deleted: they are back."""
        if not course_keys:
            return
        # One by one, by primary key: of a small table the server reads, and locks, all of it.
        found = self._tombstones().filter(course_key__in=course_keys)
        for key in sorted(found.values_list("course_key", flat=True)):
            self._tombstones().filter(course_key=key).delete()

    def _write_tombstone(self, course_key: str) -> None:
        has_targets = self._connection.features.supports_update_conflicts_with_target
        self._tombstones().bulk_create(
            [_tombstone(row) for row in self._overviews().filter(id=course_key)],
            update_conflicts=True,
            update_fields=[name for name in _TOMBSTONE_COLUMNS if name != "course_key"],
            unique_fields=["course_key"] if has_targets else None,
        )

    def _tabs(self) -> Any:
        return CourseOverviewTab.objects.using(self._using)

    def _tombstones(self) -> Any:
        return OverviewTombstone.objects.using(self._using)

    def _overviews(self) -> Any:
        return CourseOverview.objects.using(self._using)


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
