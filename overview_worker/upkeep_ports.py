"""What upkeep needs of the outside: a memory between two looks, and somebody to ask for runs.

Adapter: ``store.upkeep_store``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from overview_worker.versions import RowVersions, Target

Value = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedSetting:
    """One setting, or some that only mean something together, as this process has it."""

    name: str
    value: Value

    @property
    def text(self) -> str:
        """The value as JSON."""
        return json.dumps(self.value, sort_keys=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class AffectedRows:
    """Which rows a change affects: those with one of these values, by column; or every one, or none."""

    everything: bool = False
    equal: Mapping[str, Sequence[Any]] | None = None  #: any of the columns has any of its values
    starts_with: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedRun:
    """What came of asking for a run."""

    number: int | None = None
    is_refused: bool = False  #: another run of all courses is in its way: ask again later


class UpkeepStore(Protocol):
    """What is remembered between two looks, and the runs that are asked for."""

    def take_slot(self, job: str, *, period_seconds: int) -> bool:
        """Return whether ``job`` is to run now: nobody has begun it within the period."""
        ...

    def target(self) -> Target | None:
        """Return what rows are to be of; None where nobody has said."""
        ...

    def set_target(self, target: Target, *, set_by: str) -> None:
        """Write down what rows are to be of."""
        ...

    def row_counts(self) -> Mapping[RowVersions, int]:
        """Return how many live rows there are of each version."""
        ...

    def upgrade_is_asked_for(self) -> bool:
        """Whether a run has been asked for since the target was set, and was not cancelled."""
        ...

    def ask_for_upgrade(
        self, *, reason: str, asked_by: str = "", rate: float | None = None
    ) -> int | None:
        """Ask for a run over all courses that rebuilds those of another version; return its number.

        None while another run of all courses is in its way.
        """
        ...

    def ask_for_build(self, affected: AffectedRows, *, reason: str) -> AskedRun:
        """Ask for a run that builds the affected courses anew and writes what has changed."""
        ...

    def settings_seen(
        self, settings: Sequence[WatchedSetting]
    ) -> Mapping[str, tuple[Value, float]]:
        """Note what settings are now; return those that are seen at another value than before.

        ``{name: (the value before, seconds for which the new one has been seen)}``.
        """
        ...

    def settle(self, setting: WatchedSetting) -> None:
        """Note that rows are built with the value from now on."""
        ...
