"""Upkeep: a new release and changed settings have rows rebuilt, once, and no more than they must."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from overview_worker.builder.settings import BuilderSettings, ImageSetSettings
from overview_worker.upkeep import (
    RETRY_SECONDS,
    SETTLED_SECONDS,
    keep_up,
    make_target,
    retry_seconds,
    upgrade_progress,
)
from overview_worker.upkeep_ports import (
    AffectedRows,
    AskedRun,
    BlockedKind,
    BlockedRows,
    UpgradeAttempt,
    UpgradeStanding,
    Value,
    WatchedSetting,
)
from overview_worker.versions import RowVersions, Target
from overview_worker.watched_settings import (
    EVERYBODY,
    NOBODY,
    affected_rows,
    watched_settings,
)

OLD = RowVersions(builder=1, schema=19)
OWN = RowVersions(builder=2, schema=19)
NEW = RowVersions(builder=3, schema=19)
SETTINGS = BuilderSettings()


@dataclass
class InMemoryUpkeepStore:
    """``UpkeepStore`` in memory, with a clock that the test moves."""

    rows: dict[RowVersions, int] = field(default_factory=dict)
    the_target: Target | None = None
    set_by: str = ""
    attempt: UpgradeAttempt = field(default_factory=UpgradeAttempt)
    blocked: BlockedRows = field(default_factory=BlockedRows)
    full_run_in_the_way: bool = False
    seconds: float = 0.0
    affects_rows: bool = True
    upgrades: list[str] = field(default_factory=list)
    builds: list[tuple[AffectedRows, str]] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    seen: dict[str, tuple[Value, float]] = field(default_factory=dict)

    def take_slot(self, job: str, *, period_seconds: int) -> bool:
        raise AssertionError("the task takes the slot")

    def target(self) -> Target | None:
        return self.the_target

    def set_target(self, target: Target, *, set_by: str) -> None:
        self.the_target, self.set_by, self.attempt = target, set_by, UpgradeAttempt()

    def row_counts(self) -> Mapping[RowVersions, int]:
        return self.rows

    def blocked_rows(self, versions: RowVersions, *, named: int) -> BlockedRows:
        return self.blocked

    def last_upgrade(self) -> UpgradeAttempt:
        return self.attempt

    def ask_for_upgrade(
        self, versions: RowVersions, *, reason: str, asked_by: str = "", rate: float | None = None
    ) -> int | None:
        if self.full_run_in_the_way:
            return None
        self.upgrades.append(reason)
        self.attempt = UpgradeAttempt(standing=UpgradeStanding.UNDER_WAY, number=len(self.upgrades))
        return len(self.upgrades)

    def ask_for_build(self, affected: AffectedRows, *, reason: str) -> AskedRun:
        if self.full_run_in_the_way and affected.everything:
            return AskedRun(is_refused=True)
        if affected == NOBODY or not self.affects_rows:
            return AskedRun()
        self.builds.append((affected, reason))
        return AskedRun(number=100 + len(self.builds))

    def settings_seen(
        self, settings: Sequence[WatchedSetting]
    ) -> Mapping[str, tuple[Value, float]]:
        changed: dict[str, tuple[Value, float]] = {}
        for setting in settings:
            value, seen = setting.value, self.seen.get(setting.name)
            if self.values.setdefault(setting.name, value) == value:
                self.seen.pop(setting.name, None)
            elif seen is not None and seen[0] == value:
                changed[setting.name] = (self.values[setting.name], self.seconds - seen[1])
            else:
                self.seen[setting.name] = (value, self.seconds)
        return changed

    def settle(self, setting: WatchedSetting) -> None:
        self.values[setting.name] = setting.value
        self.seen.pop(setting.name, None)


@pytest.fixture
def store() -> InMemoryUpkeepStore:
    return InMemoryUpkeepStore()


def look(
    store: InMemoryUpkeepStore,
    settings: BuilderSettings = SETTINGS,
    *,
    own: RowVersions = OWN,
    raises_target: bool = True,
) -> list[int]:
    return keep_up(store, own=own, settings=watched_settings(settings), raises_target=raises_target)


def settle(store: InMemoryUpkeepStore, settings: BuilderSettings) -> list[int]:
    """Look at the new settings, and once more when they have stood."""
    first = look(store, settings)
    store.seconds += SETTLED_SECONDS
    return [*first, *look(store, settings)]


# A new release


def test_the_first_release_becomes_the_target_and_has_nothing_to_rebuild(store):
    assert look(store) == []
    assert store.the_target == Target(versions=OWN)


def test_a_newer_release_makes_itself_the_target_and_asks_for_one_run(store):
    store.the_target, store.rows = Target(versions=OLD), {OLD: 5}

    assert look(store) == [1]
    assert look(store) == []
    assert store.the_target == Target(versions=OWN)
    assert store.upgrades == ["rows are to be of builder 2, schema 19"]


def test_rows_from_before_there_was_a_target_are_rebuilt_too(store):
    store.rows = {OLD: 5}

    assert look(store) == [1]


def test_an_older_release_asks_for_nothing(store):
    store.the_target, store.rows = Target(versions=NEW), {OLD: 5, OWN: 1}

    assert look(store) == []
    assert store.the_target == Target(versions=NEW)


def test_while_another_full_run_is_in_the_way_it_is_asked_again(store):
    store.the_target, store.rows = Target(versions=OLD), {OLD: 5}
    store.full_run_in_the_way = True
    assert look(store) == []

    store.full_run_in_the_way = False

    assert look(store) == [1]


def test_a_roll_back_is_pinned_and_newer_workers_leave_it_so(store):
    store.the_target, store.rows = Target(versions=NEW), {NEW: 5}

    make_target(store, OWN, pinned=True, set_by="ann")
    assert look(store, own=NEW) == []

    assert store.the_target == Target(versions=OWN, is_pinned=True)
    assert store.set_by == "ann"
    assert len(store.upgrades) == 1


def test_an_upgrade_can_be_left_to_a_person(store):
    store.the_target, store.rows = Target(versions=OLD), {OLD: 5}

    assert look(store, raises_target=False) == []
    assert store.the_target == Target(versions=OLD)


def test_progress_is_complete_with_the_last_row(store):
    store.the_target, store.rows = Target(versions=OWN), {OLD: 1, OWN: 3}
    assert upgrade_progress(store, OWN).share == 0.75
    assert not upgrade_progress(store, OWN).is_complete

    store.rows = {OWN: 4}

    assert upgrade_progress(store, OWN).is_complete


def test_rows_that_cannot_be_built_do_not_keep_it_from_being_complete(store):
    store.the_target, store.rows = Target(versions=OWN), {OLD: 3, OWN: 7}
    store.blocked = BlockedRows(counts={BlockedKind.FAULTY: 2, BlockedKind.HELD: 1})

    progress = upgrade_progress(store, OWN)

    assert (progress.buildable_count, progress.share, progress.is_complete) == (7, 1.0, True)


def test_what_could_not_be_built_before_is_not_given_up_while_a_run_may_try_it(store):
    store.the_target, store.rows = Target(versions=OWN), {OLD: 1, OWN: 7}
    store.blocked = BlockedRows(counts={BlockedKind.FAULTY: 1})
    store.attempt = UpgradeAttempt(standing=UpgradeStanding.UNDER_WAY)

    assert not upgrade_progress(store, OWN).is_complete


@pytest.mark.parametrize("raises_target", [True, False])
def test_a_cancelled_upgrade_stays_so_until_somebody_starts_it(store, raises_target):
    store.the_target, store.rows = Target(versions=OWN), {OLD: 5}
    store.attempt = UpgradeAttempt(standing=UpgradeStanding.CANCELLED, ended_seconds=1e6)

    assert look(store, raises_target=raises_target) == []

    assert make_target(store, OWN, pinned=False, set_by="ann") == 1


def test_a_failing_upgrade_is_asked_for_later_each_time(store):
    first, last = RETRY_SECONDS
    store.the_target, store.rows = Target(versions=OWN), {OLD: 5}
    waits = []
    for failures in (1, 2, 3, 500):
        attempt = UpgradeAttempt(standing=UpgradeStanding.FAILED, failure_count=failures)
        waits.append(retry_seconds(attempt))
        store.attempt = replace(attempt, ended_seconds=waits[-1] - 1)
        assert look(store) == []
        assert upgrade_progress(store, OWN).retry_in_seconds == 1
        store.attempt = replace(attempt, ended_seconds=waits[-1])
        assert len(look(store)) == 1

    assert waits == [first, 2 * first, 4 * first, last]


def test_without_rows_there_is_nothing_to_upgrade(store):
    assert upgrade_progress(store, OWN).share == 1.0


# Changed settings


def test_settings_that_are_seen_for_the_first_time_have_not_changed(store):
    assert settle(store, SETTINGS) == []
    assert store.builds == []


def test_a_changed_setting_has_the_rows_built_that_it_affects_once(store):
    look(store)

    assert settle(store, replace(SETTINGS, default_catalog_visibility="none")) == [101]
    assert settle(store, replace(SETTINGS, default_catalog_visibility="none")) == []

    ((affected, reason),) = store.builds
    assert affected == AffectedRows(equal={"catalog_visibility": ["both"]})
    assert reason == 'default catalog visibility is {"visibility": "none"} now'


def test_processes_that_disagree_while_they_are_restarted_ask_for_nothing(store):
    look(store)
    changed = replace(SETTINGS, default_mobile_available=True)

    for _ in range(5):
        look(store, changed)
        store.seconds += SETTLED_SECONDS
        look(store, SETTINGS)

    assert store.builds == []


def test_a_change_that_is_taken_back_in_time_asks_for_nothing(store):
    look(store)
    look(store, replace(SETTINGS, static_url="/elsewhere/"))

    assert settle(store, SETTINGS) == []


def test_a_change_whose_run_is_refused_is_asked_for_again(store):
    look(store)
    enabled = replace(SETTINGS, proctored_exams_enabled=True)
    store.full_run_in_the_way = True
    assert settle(store, enabled) == []

    store.full_run_in_the_way = False

    assert look(store, enabled) == [101]


def test_a_change_that_affects_no_row_is_settled_without_a_run(store):
    look(store)
    store.affects_rows = False
    changed = replace(SETTINGS, default_mobile_available=True)

    assert settle(store, changed) == []
    assert store.values["default mobile availability"] == {"available": True}


SIZES = {"small_width": 375, "small_height": 200, "large_width": 750, "large_height": 400}


@pytest.mark.parametrize(
    ("name", "old", "new", "affected"),
    [
        (
            "default image",
            {"url": "/static/a.png"},
            {"url": "/static/b.png"},
            AffectedRows(
                equal={
                    "course_image_url": ["/static/a.png"],
                    "banner_image_url": ["/static/a.png"],
                }
            ),
        ),
        (
            "proctoring",
            {"enabled": True, "provider": "a"},
            {"enabled": True, "provider": "b"},
            AffectedRows(equal={"proctoring_provider": ["a"]}),
        ),
        (
            "proctoring",
            {"enabled": False, "provider": "a"},
            {"enabled": True, "provider": "a"},
            EVERYBODY,
        ),
        ("owner of the language", {"catalog": False}, {"catalog": True}, NOBODY),
        ("owner of the language", {"catalog": True}, {"catalog": False}, EVERYBODY),
        ("thumbnails", {"sizes": SIZES}, {"sizes": None}, EVERYBODY),
        ("thumbnails", {"sizes": None}, {"sizes": SIZES}, EVERYBODY),
        (
            "thumbnails",
            {"sizes": SIZES},
            {"sizes": {**SIZES, "small_width": 100}},
            AffectedRows(starts_with={"course_image_url": "/asset-v1:"}),
        ),
        ("default enrolment start", {"set": False}, {"set": True}, EVERYBODY),
    ],
)
def test_each_setting_affects_the_rows_that_were_built_with_it(name, old, new, affected):
    assert affected_rows(name, old=old, new=new) == affected


def test_every_setting_of_the_builder_is_watched():
    """Each field, changed, changes something that is watched; tab types change with the code only."""
    changed = BuilderSettings(
        static_url="/other/",
        default_course_about_image_url="other.png",
        default_mobile_available=True,
        default_catalog_visibility="about",
        proctored_exams_enabled=True,
        default_proctoring_provider="other",
        default_enrollment_start=True,
        catalog_owns_language=True,
        image_set=ImageSetSettings(),
    )
    fields = set(BuilderSettings.__dataclass_fields__) - {"tab_types"}

    for name in fields:
        one = replace(SETTINGS, **{name: getattr(changed, name)})
        assert watched_settings(one) != watched_settings(SETTINGS), name
