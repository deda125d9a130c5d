"""What the shadow comparison needs of the outside: Open edX's own tables, and the draft branches.

Nothing here knows a table of ours: they need not be there. Adapters: ``store.shadow_store``,
``modulestore.mongo``; in-memory twin: ``shadow_testing``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from overview_worker.documents import PublishedPointer
from overview_worker.inspection_ports import StoredOverview


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformOverview:
    """What Open edX's three tables hold of one course."""

    stored: StoredOverview  #: row, tabs and image set; the rest is as of a course without a state
    modified: datetime | None = None  #: when the row was saved last
    #: Another course that has the row, in a table whose collation cannot tell the two keys apart.
    collides_with: str | None = None


class ShadowStore(Protocol):
    """Open edX's overview tables, read only."""

    def read_overviews(self, course_keys: Sequence[str]) -> Mapping[str, PlatformOverview]:
        """Return what is stored of each course, also of those without a row.

        Raises:
            StoreUnavailable: the database did not answer.
        """
        ...

    def iter_row_keys(self) -> Iterator[str]:
        """Yield the key of every row, in pages and in the table's own order.

        Raises:
            StoreUnavailable: the database did not answer.
        """
        ...

    def foreign_columns(self) -> Sequence[str]:
        """Return the columns of the overview table that this release does not know."""
        ...


class Drafts(Protocol):
    """Where Studio looks: the draft branch of a course."""

    def find_drafts(self, course_keys: Sequence[str]) -> Mapping[str, PublishedPointer]:
        """Return where the draft branches of those of ``course_keys`` point that have one.

        Raises:
            ModulestoreUnavailable: the index did not answer.
        """
        ...
