"""Writing the projection beside each overview row, and removing it."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from django.db import connections

from lms_integration.data import CourseOverviewListingData, CourseOverviewProjectionData
from lms_integration.listing import listing_of
from lms_integration.models import OverviewProjection
from overview_worker.documents import BuiltOverview
from overview_worker.ports import WriteOverview
from overview_worker.store.conf import StoreConf
from overview_worker.store.upserts import Upsert

#: The most HTML that one statement carries, in characters, unless a single course has more: authors
#: put whole images into it, and a server refuses statements beyond its ``max_allowed_packet``.
STATEMENT_HTML_LENGTH = 1_000_000

_LISTING_COLUMNS = tuple(field.name for field in fields(CourseOverviewListingData))
_PROJECTION_COLUMNS = tuple(field.name for field in fields(CourseOverviewProjectionData))
_WRITTEN_COLUMNS = tuple(
    name for name in (*_LISTING_COLUMNS, *_PROJECTION_COLUMNS) if name != "course_key"
)
_listing_values = attrgetter(*_LISTING_COLUMNS)
_projection_values = attrgetter(*_PROJECTION_COLUMNS)


class OverviewProjections:
    """The table of projections, inside the rebuild's transaction."""

    def __init__(self, conf: StoreConf) -> None:
        self._using = conf.using
        self._connection = connections[conf.using]

    def upsert(self, writes: Sequence[WriteOverview]) -> None:
        """Write one row a course, over the one that is there; by primary key only, as all rows are."""
        upsert = Upsert(
            self._connection,
            OverviewProjection,
            columns=(*_LISTING_COLUMNS, *_PROJECTION_COLUMNS),
            updated=_WRITTEN_COLUMNS,
        )
        for group in _in_statements([write.built for write in writes]):
            upsert.run([_values(built) for built in group])

    def remove(self, course_key: str) -> None:
        """Remove the row of a deleted course, if there is one."""
        self._projections().filter(course_key=course_key).delete()

    def _projections(self) -> Any:
        return OverviewProjection.objects.using(self._using)


def _values(built: BuiltOverview) -> Sequence[Any]:
    return (*_listing_values(listing_of(built.overview)), *_projection_values(built.projection))


def _in_statements(rows: Sequence[BuiltOverview]) -> Iterator[list[BuiltOverview]]:
    """Yield the rows in as few groups as their HTML allows; nothing when there are none."""
    group: list[BuiltOverview] = []
    length = 0
    for row in rows:
        row_length = len(row.projection.overview_html or "")
        if group and length + row_length > STATEMENT_HTML_LENGTH:
            yield group
            group, length = [], 0
        group.append(row)
        length += row_length
    if group:
        yield group
