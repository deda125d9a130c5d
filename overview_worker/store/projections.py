"""Writing the projection beside each overview row, and removing it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from django.db import connections

from lms_integration.listing import listing_of
from lms_integration.models import OverviewProjection
from overview_worker.documents import BuiltOverview
from overview_worker.ports import WriteOverview
from overview_worker.store.conf import StoreConf

#: The most HTML that one statement carries, in characters, unless a single course has more: authors
#: put whole images into it, and a server refuses statements beyond its ``max_allowed_packet``.
STATEMENT_HTML_LENGTH = 1_000_000

_WRITTEN_COLUMNS = tuple(
    field.name for field in OverviewProjection._meta.concrete_fields if not field.primary_key
)


class OverviewProjections:
    """The table of projections, inside the rebuild's transaction."""

    def __init__(self, conf: StoreConf) -> None:
        self._using = conf.using
        supported = connections[conf.using].features.supports_update_conflicts_with_target
        self._conflict_target = ["course_key"] if supported else None

    def upsert(self, writes: Sequence[WriteOverview]) -> None:
        """Write one row a course, over the one that is there; by primary key only, as all rows are."""
        for rows in _in_statements([_row(write.built) for write in writes]):
            self._projections().bulk_create(
                rows,
                update_conflicts=True,
                update_fields=_WRITTEN_COLUMNS,
                unique_fields=self._conflict_target,
            )

    def remove(self, course_key: str) -> None:
        """Remove the row of a deleted course, if there is one."""
        self._projections().filter(course_key=course_key).delete()

    def _projections(self) -> Any:
        return OverviewProjection.objects.using(self._using)


def _row(built: BuiltOverview) -> OverviewProjection:
    return OverviewProjection(**asdict(listing_of(built.overview)), **asdict(built.projection))


def _in_statements(rows: Sequence[OverviewProjection]) -> Iterator[list[OverviewProjection]]:
    """Yield the rows in as few groups as their HTML allows; nothing when there are none."""
    group: list[OverviewProjection] = []
    length = 0
    for row in rows:
        row_length = len(row.overview_html or "")
        if group and length + row_length > STATEMENT_HTML_LENGTH:
            yield group
            group, length = [], 0
        group.append(row)
        length += row_length
    if group:
        yield group
