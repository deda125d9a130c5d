"""The tabs of a course as the table holds them: read once under its lock, for the history and the write."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTabs:
    """The tabs that the table holds of one course, in the order of their ids."""

    ids: list[int]
    rows: list[tuple[Any, ...]]  #: each the values of ``TAB_COLUMNS``
