"""In-memory twin of ``shadow_ports.ShadowStore``: tables that a test, as Open edX, has written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from overview_worker.documents import BuiltOverview
from overview_worker.inspection_ports import StoredOverview
from overview_worker.shadow_ports import PlatformOverview

_LONG_AFTER = datetime(2030, 1, 1, tzinfo=UTC)


class InMemoryShadowStore:
    """``shadow_ports.ShadowStore`` on a dictionary; keys that differ by case share one row."""

    def __init__(self) -> None:
        self._overviews: dict[str, PlatformOverview] = {}
        self.columns: tuple[str, ...] = ()  #: that this release does not know

    def save(self, built: BuiltOverview, *, at: datetime = _LONG_AFTER) -> None:
        """Save the row, tabs and image set of a course."""
        key = built.overview.id
        stored = StoredOverview(
            course_key=key,
            row=asdict(built.overview),
            tabs=built.tabs,
            image_set=built.image_set,
        )
        self._overviews[key] = PlatformOverview(stored=stored, modified=at)

    def change(self, course_key: str, **columns: Any) -> None:
        """Change columns of a row by hand."""
        platform = self._overviews[course_key]
        row = {**(platform.stored.row or {}), **columns}
        stored = replace(platform.stored, row=row)
        self._overviews[course_key] = replace(platform, stored=stored)

    def read_overviews(self, course_keys: Sequence[str]) -> Mapping[str, PlatformOverview]:
        """Return what is stored of each course, also of those without a row."""
        return {key: self._overviews.get(key) or self._without_row(key) for key in course_keys}

    def iter_row_keys(self) -> Iterator[str]:
        """Yield the key of every row."""
        yield from sorted(self._overviews)

    def foreign_columns(self) -> Sequence[str]:
        """Return the columns that this release does not know."""
        return self.columns

    def _without_row(self, course_key: str) -> PlatformOverview:
        same = (key for key in self._overviews if key.casefold() == course_key.casefold())
        return PlatformOverview(
            stored=StoredOverview(course_key=course_key), collides_with=next(same, None)
        )
