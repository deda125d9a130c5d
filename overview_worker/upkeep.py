"""Keeping rows at the target version and the present settings: by asking for rebuild runs.

A release that is newer than the target makes itself the target; readers go on with the old rows
meanwhile. A setting that rows depend on has the rows built again that it affects, and no others.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from overview_worker.upkeep_ports import (
    BlockedRows,
    UpgradeAttempt,
    UpgradeStanding,
    UpkeepStore,
    Value,
    WatchedSetting,
)
from overview_worker.versions import RowVersions, Target, is_to_be_raised
from overview_worker.watched_settings import affected_rows

logger = logging.getLogger(__name__)

UPKEEP_JOB = "upkeep"
#: How often it is looked, however many beats ask.
PERIOD_SECONDS = 20
#: A change has to be seen unchanged for so long, so that a deployment whose processes are restarted one
#: after the other does not ask for a run each time that an old one looks.
SETTLED_SECONDS = 60
#: After a run of an upgrade has failed, the next is asked for so much later: doubled from the first to
#: the last with each failure.
RETRY_SECONDS = (60, 3600)
#: Rows that cannot be built are named one by one up to so many of a kind; the rest is counted.
NAMED_ROWS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class UpgradeProgress:
    """How many rows are at the target."""

    own: RowVersions
    target: Target | None
    counts: Mapping[RowVersions, int]  #: live rows by version
    #: Of those that are not at the target, the rows that cannot be built.
    blocked: BlockedRows = field(default_factory=BlockedRows)
    attempt: UpgradeAttempt = field(default_factory=UpgradeAttempt)

    @property
    def wanted(self) -> RowVersions:
        """The target; this release's own versions where there is none."""
        return self.own if self.target is None else self.target.versions

    @property
    def total_count(self) -> int:
        """Live rows in all."""
        return sum(self.counts.values())

    @property
    def current_count(self) -> int:
        """Live rows of the target version; of this release's own where there is no target."""
        return self.counts.get(self.wanted, 0)

    @property
    def buildable_count(self) -> int:
        """Live rows that are at the target or can be built."""
        return max(self.current_count, self.total_count - self.blocked.count)

    @property
    def share(self) -> float:
        """Of the rows that can be built, from 0 to 1; 1 where there are none."""
        return self.current_count / self.buildable_count if self.buildable_count else 1.0

    @property
    def is_complete(self) -> bool:
        """Whether every row that can be built is at the target.

        What could not be built before is not given up while a run is about to try it.
        """
        is_tried = self.blocked.count and self.attempt.standing is UpgradeStanding.UNDER_WAY
        return self.current_count == self.buildable_count and not is_tried

    @property
    def retry_in_seconds(self) -> float | None:
        """When a run is asked for in place of one that failed; None where none failed last."""
        if self.attempt.standing is not UpgradeStanding.FAILED:
            return None
        return max(0.0, retry_seconds(self.attempt) - self.attempt.ended_seconds)


def upgrade_progress(store: UpkeepStore, own: RowVersions) -> UpgradeProgress:
    """Return how far rows are at the target."""
    target = store.target()
    return UpgradeProgress(
        own=own,
        target=target,
        counts=store.row_counts(),
        blocked=store.blocked_rows(own if target is None else target.versions, named=NAMED_ROWS),
        attempt=store.last_upgrade(),
    )


def retry_seconds(attempt: UpgradeAttempt) -> float:
    """Return how long after a failed run the next one is asked for."""
    first, last = RETRY_SECONDS
    return float(min(last, first * 2 ** min(attempt.failure_count - 1, 20)))


def make_target(
    store: UpkeepStore, own: RowVersions, *, pinned: bool, set_by: str, rate: float | None = None
) -> int | None:
    """Make a release the target and ask for the run that brings every row to it.

    ``pinned`` keeps newer releases that still run from raising it again: a roll-back. Returns the run's
    number; None where no row has to be rebuilt, or while another full run is in its way: then upkeep
    asks again.
    """
    store.set_target(Target(versions=own, is_pinned=pinned), set_by=set_by)
    return _ask_for_upgrade(store, own, asked_by=set_by, rate=rate)


def keep_up(
    store: UpkeepStore,
    *,
    own: RowVersions,
    settings: Sequence[WatchedSetting],
    raises_target: bool = True,
) -> list[int]:
    """Look once; return the numbers of the runs that were asked for. Safe to repeat at any time."""
    runs: list[int] = []
    target = store.target()
    if raises_target and is_to_be_raised(target, own=own):
        logger.info("rows are to be of %s from now on", own)
        target = Target(versions=own)
        store.set_target(target, set_by="upkeep")
    if target is not None and target.versions == own and _is_to_be_asked(store.last_upgrade()):
        run = _ask_for_upgrade(store, own, asked_by="", rate=None)
        runs += [] if run is None else [run]
    changed = store.settings_seen(settings)
    for setting in settings:
        if setting.name in changed:
            old, seconds = changed[setting.name]
            if seconds >= SETTLED_SECONDS:
                run = _apply_change(store, setting, old)
                runs += [] if run is None else [run]
    return runs


def _is_to_be_asked(attempt: UpgradeAttempt) -> bool:
    """Whether upkeep asks for a run: never in place of one that a person has cancelled."""
    match attempt.standing:
        case UpgradeStanding.NOT_ASKED:
            return True
        case UpgradeStanding.FAILED:
            return attempt.ended_seconds >= retry_seconds(attempt)
    return False


def _ask_for_upgrade(
    store: UpkeepStore, own: RowVersions, *, asked_by: str, rate: float | None
) -> int | None:
    if all(versions == own for versions in store.row_counts()):
        return None
    return store.ask_for_upgrade(
        own, reason=f"rows are to be of {own}", asked_by=asked_by, rate=rate
    )


def _apply_change(store: UpkeepStore, setting: WatchedSetting, old: Value) -> int | None:
    """Ask for the run that a change needs; nothing is settled while it cannot be asked for."""
    reason = f"{setting.name} is {setting.text} now"
    affected = affected_rows(setting.name, old=old, new=setting.value)
    asked = store.ask_for_build(affected, reason=reason)
    if asked.is_refused:
        logger.info("%s: waits for the run of all courses that is not over", reason)
        return None
    logger.info("%s: %s", reason, f"run {asked.number}" if asked.number else "no row is affected")
    store.settle(setting)
    return asked.number
