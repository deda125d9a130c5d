"""Comparing what is stored of a course with what the builder makes of it, column by column. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lms_integration.listing import listing_of
from lms_integration.log_lines import one_line
from overview_worker.documents import BuiltOverview, PublishedPointer
from overview_worker.errors import shown_value
from overview_worker.inspection_ports import StoredOverview

_NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnDifference:
    """One column that is not what it should be; both values are shown, cut short."""

    column: str
    stored: str
    expected: str

    def __str__(self) -> str:
        return f"{self.column} {self.stored} → {self.expected}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ContentHashes:
    """What the state of an overview is to remember of it."""

    content_hash: str
    tabs_hash: str
    projection_hash: str


def differences(
    stored: StoredOverview,
    built: BuiltOverview,
    *,
    pointer: PublishedPointer,
    hashes: ContentHashes,
    catalog_owns_language: bool,
) -> list[ColumnDifference]:
    """Return every column of row, tabs, image set, projection and state that differs.

    Columns that the catalog owns are left out; so are those that no rebuild writes.
    """
    return [
        *overview_differences(stored, built, catalog_owns_language=catalog_owns_language),
        *_projection_differences(stored.projection, built),
        *_state_differences(stored, built, pointer, hashes),
    ]


def overview_differences(
    stored: StoredOverview, built: BuiltOverview, *, catalog_owns_language: bool
) -> list[ColumnDifference]:
    """Return every column of Open edX's own tables that differs: row, tabs and image set."""
    return [
        *_row_differences(stored.row, built, catalog_owns_language=catalog_owns_language),
        *_tab_differences(stored, built),
        *_image_differences(stored, built),
    ]


def _row_differences(
    row: Mapping[str, Any] | None, built: BuiltOverview, *, catalog_owns_language: bool
) -> Iterator[ColumnDifference]:
    if row is None:
        yield ColumnDifference(column="row", stored=_NOTHING, expected="a row")
        return
    expected = asdict(built.overview)
    if catalog_owns_language:
        del expected["language"]
    yield from _unequal("", row, expected)


def _tab_differences(stored: StoredOverview, built: BuiltOverview) -> Iterator[ColumnDifference]:
    if len(stored.tabs) != len(built.tabs):
        yield ColumnDifference(
            column="tabs",
            stored=_names([tab.tab_id for tab in stored.tabs]),
            expected=_names([tab.tab_id for tab in built.tabs]),
        )
        return
    for number, (old, new) in enumerate(zip(stored.tabs, built.tabs, strict=True)):
        yield from _unequal(f"tabs[{number}].", asdict(old), asdict(new))


def _image_differences(stored: StoredOverview, built: BuiltOverview) -> Iterator[ColumnDifference]:
    if built.image_set is None:  # switched off, or kept as it is
        return
    if stored.image_set is None:
        yield ColumnDifference(column="image_set", stored=_NOTHING, expected="an image set")
        return
    yield from _unequal("image_set.", asdict(stored.image_set), asdict(built.image_set))


def _projection_differences(
    projection: Mapping[str, Any] | None, built: BuiltOverview
) -> Iterator[ColumnDifference]:
    if projection is None:
        yield ColumnDifference(column="projection", stored=_NOTHING, expected="a projection")
        return
    expected = {**asdict(listing_of(built.overview)), **asdict(built.projection)}
    yield from _unequal("projection.", projection, expected)


def _state_differences(
    stored: StoredOverview, built: BuiltOverview, pointer: PublishedPointer, hashes: ContentHashes
) -> Iterator[ColumnDifference]:
    degradations = [asdict(each) for each in built.degradations]
    yield from _unequal(
        "state.",
        {
            "source_version": stored.source_version,
            "content_hash": stored.content_hash,
            "tabs_hash": stored.tabs_hash,
            "projection_hash": stored.projection_hash,
            "degradations": list(stored.degradations),
            "deleted": stored.deleted,
            "fault": stored.fault,
        },
        {
            **asdict(hashes),
            "source_version": pointer.structure_id,
            "degradations": degradations,
            "deleted": False,
            "fault": None,
        },
    )
    # Later than the index says is wrong; earlier is not: a draft that is saved moves the index's time.
    known, source = stored.source_updated_at, pointer.updated_at
    if known is not None and source is not None and known > source:
        yield ColumnDifference(
            column="state.source_updated_at",
            stored=shown_value(known.isoformat()),
            expected=shown_value(source.isoformat()),
        )


def _unequal(
    prefix: str, stored: Mapping[str, Any], expected: Mapping[str, Any]
) -> Iterator[ColumnDifference]:
    for name, value in expected.items():
        if not _is_equal(stored[name], value):
            yield ColumnDifference(
                column=prefix + name, stored=_shown(stored[name]), expected=_shown(value)
            )


def _is_equal(stored: Any, expected: Any) -> bool:
    if isinstance(expected, list | tuple | dict):
        return _as_json(stored) == _as_json(expected)
    return bool(stored == expected)


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _shown(value: Any) -> str:
    return one_line(shown_value(value))


def _names(values: Sequence[str]) -> str:
    return one_line(", ".join(values)) or "none"
