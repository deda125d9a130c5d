"""``shadow_ports.ShadowStore`` on a Django connection: Open edX's three tables, and SELECT alone."""

from collections.abc import Iterator, Mapping, Sequence

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from lms_integration.models import CourseOverview
from overview_worker.inspection_ports import StoredOverview
from overview_worker.shadow_ports import PlatformOverview
from overview_worker.store.conf import StoreConf
from overview_worker.store.failures import errors_translated
from overview_worker.store.stored_overviews import ROW_COLUMNS, image_sets_of, tabs_of

_PAGE_SIZE = 1000


class DjangoShadowStore:
    """``shadow_ports.ShadowStore``; one instance a process, any thread."""

    def __init__(self, conf: StoreConf) -> None:
        self._using = conf.using

    def read_overviews(self, course_keys: Sequence[str]) -> Mapping[str, PlatformOverview]:
        """Return what is stored of each course, also of those without a row."""
        keys = list(course_keys)
        with errors_translated(self._connection):
            objects = CourseOverview.objects.using(self._using)
            found = objects.filter(id__in=keys).values(*ROW_COLUMNS, "modified")
            rows = {row["id"]: row for row in found}
            tabs = tabs_of(self._using, keys)
            image_sets = image_sets_of(self._using, keys)
            collisions = self._collisions([key for key in keys if key not in rows])
        return {
            key: PlatformOverview(
                stored=StoredOverview(
                    course_key=key,
                    row=rows.get(key),
                    tabs=tabs.get(key, ()),
                    image_set=image_sets.get(key),
                ),
                modified=rows[key]["modified"] if key in rows else None,
                collides_with=collisions.get(key),
            )
            for key in keys
        }

    def iter_row_keys(self) -> Iterator[str]:
        """Yield the key of every row, in pages and in the table's own order."""
        after = ""
        while True:
            with errors_translated(self._connection):
                later = CourseOverview.objects.using(self._using).filter(id__gt=after)
                page = list(later.order_by("id").values_list("id", flat=True)[:_PAGE_SIZE])
            yield from page
            if len(page) < _PAGE_SIZE:
                return
            after = page[-1]

    def foreign_columns(self) -> Sequence[str]:
        """Return the columns of the overview table that this release does not know."""
        known = {field.column for field in CourseOverview._meta.concrete_fields}
        with errors_translated(self._connection), self._connection.cursor() as cursor:
            described = self._connection.introspection.get_table_description(
                cursor, CourseOverview._meta.db_table
            )
        return [column.name for column in described if column.name not in known]

    def _collisions(self, missing: Sequence[str]) -> dict[str, str]:
        """Return ``{key: the key that the table takes it for}`` of keys without a row of their own."""
        rows = CourseOverview.objects.using(self._using)
        if not missing or not rows.filter(id__in=missing).exists():
            return {}
        found = {key: rows.filter(id=key).values_list("id", flat=True).first() for key in missing}
        return {key: other for key, other in found.items() if other is not None}

    @property
    def _connection(self) -> BaseDatabaseWrapper:
        # Looked up each time: Django's connections belong to threads.
        return connections[self._using]
