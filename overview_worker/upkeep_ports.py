"""What upkeep needs of the outside: a memory between two looks, and somebody to ask for runs.

Adapter: ``store.upkeep_store``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
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


class UpgradeStanding(StrEnum):
    """How the last run of an upgrade stands."""

    NOT_ASKED = "not asked for"
    UNDER_WAY = "under way"  #: planned, running or paused
    DONE = "done"
    CANCELLED = "cancelled"  #: that stands until somebody starts the upgrade again
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class UpgradeAttempt:
    """The last run that was asked for since the target was set, and what became of those before."""

    standing: UpgradeStanding = UpgradeStanding.NOT_ASKED
    number: int | None = None
    failure_count: int = 0  #: runs that failed since the target was set
    ended_seconds: float = 0.0  #: since it was over
    error: str = ""  #: why it failed


class BlockedKind(StrEnum):
    """Why a row stays as it is, whichever release tries to build it."""

    FAULTY = "faulty"  #: what is published cannot be built
    COLLIDING = "colliding"  #: the overview table takes its key for another course's
    HELD = "held"  #: gone from the index, with too many others: waits for a person's word
    REFUSED = "refused"  #: gone from the index, and a person has said that its row stays


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockedRow:
    """One course whose row cannot be built."""

    course_key: str
    kind: BlockedKind
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockedRows:
    """The rows of other versions that cannot be built."""

    counts: Mapping[BlockedKind, int] = field(
        default_factory=dict
    )  #: kinds of which there are some
    named: Sequence[BlockedRow] = ()  #: the first of each kind

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self.counts.values())


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

    def blocked_rows(self, versions: RowVersions, *, named: int) -> BlockedRows:
        """Return the live rows of other versions that cannot be built, up to ``named`` of each kind."""
        ...

    def last_upgrade(self) -> UpgradeAttempt:
        """Return how the upgrade to the target stands: the runs since it was set."""
        ...

    def ask_for_upgrade(
        self, versions: RowVersions, *, reason: str, asked_by: str = "", rate: float | None = None
    ) -> int | None:
        """Ask for a run over all courses that rebuilds those of other versions; return its number.

        Only workers of the release of ``versions`` may have a part in it. An upgrade to others that is
        under way is given up. None while another run of all courses is in its way.
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
