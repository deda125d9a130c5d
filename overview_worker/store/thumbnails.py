"""Wanting thumbnails, inside the rebuild's transaction: one look, and a statement where it has to be."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections

from lms_integration.database_clock import DatabaseNow
from lms_integration.models import OverviewThumbnails, ThumbnailState
from overview_worker.documents import WantedThumbnails
from overview_worker.ports import WriteOverview
from overview_worker.store.conf import StoreConf

_WRITTEN_COLUMNS = tuple(
    field.name for field in OverviewThumbnails._meta.concrete_fields if not field.primary_key
)


class ThumbnailWishes:
    """The table of thumbnails, as a rebuild writes it."""

    def __init__(self, conf: StoreConf) -> None:
        self._using = conf.using
        supported = connections[conf.using].features.supports_update_conflicts_with_target
        self._conflict_target = ["course_key"] if supported else None

    def want(self, writes: Sequence[WriteOverview]) -> None:
        """Want thumbnails of those images, in those sizes, that are not known yet; else write nothing."""
        wanted = {
            write.course.course_key: write.built.thumbnails
            for write in writes
            if write.built.thumbnails is not None
        }
        if not wanted:
            return
        known = {
            key: (image_name, sizes)
            for key, image_name, sizes in self._rows()
            .filter(course_key__in=sorted(wanted))
            .values_list("course_key", "image_name", "sizes")
        }
        rows = [
            _row(key, thumbnails)
            for key, thumbnails in sorted(wanted.items())
            if known.get(key) != (thumbnails.image_name, thumbnails.sizes_text)
        ]
        if rows:
            self._rows().bulk_create(
                rows,
                update_conflicts=True,
                update_fields=_WRITTEN_COLUMNS,
                unique_fields=self._conflict_target,
            )

    def forget(self, course_key: str) -> None:
        """Forget the thumbnails of a deleted course."""
        self._rows().filter(course_key=course_key).delete()

    def _rows(self) -> Any:
        return OverviewThumbnails.objects.using(self._using)


def thumbnail_urls(course_keys: Sequence[str], *, using: str) -> Mapping[str, Mapping[str, str]]:
    """Return ``{course key: {name: address}}`` of the thumbnails that a storage holds."""
    rows = OverviewThumbnails.objects.using(using).filter(course_key__in=course_keys)
    return dict(rows.values_list("course_key", "urls"))


def _row(course_key: str, wanted: WantedThumbnails) -> OverviewThumbnails:
    return OverviewThumbnails(
        course_key=course_key,
        state=ThumbnailState.WANTED if wanted.image_name else ThumbnailState.NONE,
        image_name=wanted.image_name,
        sizes=wanted.sizes_text,
        changed_at=DatabaseNow(),
    )
