"""The inspector's rules, on the in-memory twins."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from lms_integration.lateness import LateReason
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.documents import PublishedPointer
from overview_worker.errors import ModulestoreUnavailable
from overview_worker.inspection_ports import (
    CurrentVersions,
    FindingKind,
    InspectedCourse,
    InspectionReport,
    Sight,
)
from overview_worker.inspection_testing import CURRENT, InMemoryInspectionStore
from overview_worker.inspector import (
    CHECK_CHUNK,
    CHECK_SECONDS,
    GRACE_SECONDS,
    PERIOD_SECONDS,
    Inspector,
    MergingSurveyor,
    finding_of,
    fingerprint_of,
    lost_seconds,
    merged,
)
from overview_worker.rebuild import RebuildOutcome, rebuild_overviews
from overview_worker.testing import InMemoryModulestore, InMemoryOverviewStore

KEY = "course-v1:Org+Course+Run"
OTHER = "course-v1:Org+Course+Run2"
VERSION = "a" * 24
OTHER_VERSION = "b" * 24
T0 = datetime(2026, 1, 1, tzinfo=UTC)
VERSIONS = CurrentVersions(builder=2, schema=19)

build = partial(build_overview, settings=BuilderSettings())


class Site:
    """The twins, wired as one worker has them."""

    def __init__(self) -> None:
        self.modulestore = InMemoryModulestore()
        self.store = InMemoryOverviewStore()
        self.inspection = InMemoryInspectionStore(self.store)
        self.enqueued: list[list[str]] = []
        self.inspector = Inspector(
            modulestore=self.modulestore,
            store=self.inspection,
            surveyor=MergingSurveyor(modulestore=self.modulestore, store=self.inspection),
            build=build,
            current=CURRENT,
        )

    def create(self, *keys: str, **settings: Any) -> None:
        for key in keys:
            self.modulestore.publish(key, **settings)
            self.store.mark(key)
            self.rebuild(key)

    def rebuild(self, *keys: str) -> dict[str, RebuildOutcome]:
        report = rebuild_overviews(
            keys, modulestore=self.modulestore, store=self.store, build=build
        )
        return dict(report.outcomes)

    def inspect(self, *, check_count: int = 0) -> InspectionReport:
        self.store.pass_time(PERIOD_SECONDS)
        report = self.inspector.inspect(enqueue=self.enqueue, check_count=check_count)
        assert report is not None
        return report

    def enqueue(self, keys: Any) -> None:
        self.enqueued.append(list(keys))


@pytest.fixture
def site() -> Site:
    return Site()


def pointer(key: str = KEY, version: str = VERSION) -> PublishedPointer:
    return PublishedPointer(course_key=key, structure_id=version, updated_at=T0)


def stored(key: str = KEY, **changes: Any) -> InspectedCourse:
    whole = InspectedCourse(
        course_key=key,
        source_version=VERSION,
        builder_version=VERSIONS.builder,
        schema_version=VERSIONS.schema,
        has_row=True,
        has_projection=True,
    )
    return replace(whole, **changes)


# Two streams side by side


def test_two_streams_are_merged_by_their_keys():
    keys = [f"course-v1:O+C{letter}+R" for letter in "abcdef"]
    left = [pointer(keys[number]) for number in (0, 1, 3, 5)]
    right = [stored(keys[number]) for number in (1, 2, 3, 4)]

    sights = [
        (each.course_key, each.pointer is not None, each.stored is not None)
        for each in merged(left, right)
    ]

    assert sights == [
        (keys[0], True, False),
        (keys[1], True, True),
        (keys[2], False, True),
        (keys[3], True, True),
        (keys[4], False, True),
        (keys[5], True, False),
    ]


def test_empty_streams_are_merged_too():
    assert list(merged([], [])) == []
    assert len(list(merged([pointer()], []))) == 1
    assert len(list(merged([], [stored()]))) == 1


# What differs


@pytest.mark.parametrize(
    ("course", "kind"),
    [
        (stored(), None),
        (None, FindingKind.MISSING),
        (stored(source_version="", has_row=False), FindingKind.MISSING),
        (stored(has_state=False, source_version=""), FindingKind.MISSING),
        (stored(source_version=OTHER_VERSION), FindingKind.STALE),
        (stored(deleted=True), FindingKind.WRONGLY_DELETED),
        (stored(has_row=False), FindingKind.ROW_MISSING),
        (stored(builder_version=1), FindingKind.OLD_SCHEMA),
        (stored(schema_version=18), FindingKind.OLD_SCHEMA),
        (stored(has_projection=False), FindingKind.PROJECTION_MISSING),
        (stored(has_tombstone=True), FindingKind.STRAY_TOMBSTONE),
        (stored(has_row=False, collides_with=KEY.upper()), FindingKind.COLLIDING),
    ],
)
def test_a_published_course_differs_in_one_way(course, kind):
    sight = Sight(course_key=KEY, pointer=pointer(), stored=course)

    assert finding_of(sight, VERSIONS) is kind


@pytest.mark.parametrize(
    ("course", "kind"),
    [
        (stored(deleted=True, has_row=False, has_projection=False), None),
        (stored(deleted=True, has_row=False, has_projection=False, has_tombstone=True), None),
        (stored(source_version="", has_row=False, has_projection=False), None),
        (stored(), FindingKind.ORPHANED),
        (stored(has_row=False, has_projection=False), FindingKind.ORPHANED),
        (stored(deleted=True, has_projection=False), FindingKind.ORPHANED),
        (stored(deleted=True, has_row=False), FindingKind.ORPHANED),
    ],
)
def test_an_unpublished_course_is_an_orphan_or_gone(course, kind):
    assert finding_of(Sight(course_key=KEY, pointer=None, stored=course), VERSIONS) is kind


def test_a_mark_or_another_version_makes_a_difference_another_one():
    sight = Sight(course_key=KEY, pointer=pointer(), stored=stored(wanted=3))
    later = [
        replace(sight, pointer=pointer(version=OTHER_VERSION)),
        replace(sight, stored=stored(wanted=4)),
        replace(sight, stored=stored(wanted=3, source_version=OTHER_VERSION)),
    ]

    fingerprints = [fingerprint_of(each, FindingKind.STALE) for each in [sight, *later]]

    assert len(set(fingerprints)) == 4
    assert max(map(len, fingerprints)) < 200


# Grace


def test_a_difference_counts_when_it_has_stood_for_the_grace(site):
    site.create(KEY)
    site.modulestore.publish(KEY, display_name="Lost")

    first = site.inspect()
    second = site.inspect()

    assert (first.findings, first.suspected_count) == ({}, 1)
    assert (second.findings, second.marked_count) == ({"stale": 1}, 1)
    assert site.enqueued == [[KEY]]


def test_a_publish_on_its_way_is_never_an_alarm(site):
    site.create(KEY)
    for number in range(10):
        site.modulestore.publish(KEY, display_name=f"#{number}")
        assert site.inspect().findings == {}  # the index has moved, the mark has not come yet
        site.store.mark(KEY)
        assert site.inspect().findings == {}  # marked, and not rebuilt yet
        site.rebuild(KEY)
        assert site.inspect().suspected_count == 0


def test_the_next_pass_sees_a_difference_as_old_enough_though_beats_are_not_exact():
    assert PERIOD_SECONDS - 5 <= GRACE_SECONDS < PERIOD_SECONDS


def test_a_second_pass_within_the_period_does_not_begin(site):
    site.inspect()

    assert site.inspector.inspect(enqueue=site.enqueue, check_count=0) is None


def test_no_more_are_marked_in_a_pass_than_its_budget_allows(site, monkeypatch):
    monkeypatch.setattr("overview_worker.inspector.MARK_LIMIT", 3)
    keys = [f"{KEY}{number}" for number in range(8)]
    site.create(*keys)
    for key in keys:
        site.modulestore.publish(key)
    site.inspect()

    passes = []
    for _ in range(3):
        report = site.inspect()
        passes.append((report.findings["stale"], report.marked_count))
        site.rebuild(*(key for key in keys if site.store.course(key).is_dirty))

    assert passes == [(8, 3), (5, 3), (2, 2)]
    assert site.inspect().findings == {}


def test_an_outage_of_the_index_concludes_nothing(site):
    site.create(KEY)
    site.modulestore.outage = ModulestoreUnavailable("gone")

    with pytest.raises(ModulestoreUnavailable):
        site.inspect()

    assert site.inspection.failures == ["gone"]
    assert not site.store.course(KEY).is_dirty


def test_the_found_publish_is_late_because_it_was_lost(site):
    site.create(KEY)
    site.store.pass_time((T0 - site.inspection.now()).total_seconds())
    site.modulestore.publish(KEY, display_name="Lost")
    site.inspect()
    site.inspect()

    site.rebuild(KEY)

    ((seconds, reason),) = site.store.course(KEY).served
    assert reason == LateReason.LOST
    assert seconds == 2 * PERIOD_SECONDS


@pytest.mark.parametrize(
    ("moved", "passes", "lost_for"),
    [
        pytest.param(90, (60, 120, 180), 120, id="between two passes: since the one before"),
        pytest.param(5000, (60, 7200), 5000, id="while nobody looked: since the entry moved"),
        pytest.param(5000, (60, 120), None, id="long before the last look: none that was lost"),
        pytest.param(3000, (60, 120), 120, id="a clock that is wrong: since the last look at most"),
        pytest.param(-300, (60, 7200), 120, id="a clock that is ahead: one period at least"),
        pytest.param(900, (60,), 900, id="before the first look"),
    ],
)
def test_a_lost_publish_waits_since_its_entry_moved_between_two_looks(moved, passes, lost_for):
    now = T0 + timedelta(seconds=moved)

    assert lost_seconds(pointer(), age=60, now=now, passes=passes) == lost_for


def test_a_publish_that_was_lost_while_the_inspector_was_down_has_waited_since_then(site):
    site.create(KEY)
    site.inspect()
    for number in range(2 * PERIOD_SECONDS):  # the index's clock goes on by a second with each
        site.modulestore.publish(KEY, display_name=f"Lost {number}")
    site.store.pass_time(7200)
    site.inspect()
    site.inspect()

    site.rebuild(KEY)

    ((seconds, reason),) = site.store.course(KEY).served
    assert reason == LateReason.LOST
    assert 7200 <= seconds <= 7200 + 2 * PERIOD_SECONDS


def test_a_publish_of_long_ago_is_not_counted_as_lost(site):
    site.create(KEY)
    site.store.pass_time(7 * 86_400)
    site.modulestore.publish(KEY, display_name="From a backup")
    site.inspect()
    site.inspect()

    site.rebuild(KEY)

    assert site.store.course(KEY).served == []


# One bad course


def broken_builder(*broken_keys: str) -> Any:
    def build_or_fail(course: Any) -> Any:
        if course.course_key in broken_keys:
            raise KeyError("a bug")
        return build(course)

    return build_or_fail


def test_a_course_that_the_builder_fails_on_hides_no_other(site, caplog):
    site.create(KEY, OTHER)
    by_hand(site, OTHER)
    site.inspector = replace(site.inspector, build=broken_builder(KEY))

    report = site.inspect(check_count=10)

    assert report.findings == {"unreadable": 1, "drifted": 1}
    assert site.enqueued == [[OTHER]]
    assert "builder failed: KeyError('a bug')" in caplog.text


def test_what_the_survey_found_is_marked_though_the_deep_check_breaks_off(site, monkeypatch):
    site.create(KEY, OTHER)
    site.modulestore.publish(OTHER, display_name="Lost")
    site.inspect()
    monkeypatch.setattr(site.modulestore, "read_published", lambda pointers: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        site.inspect(check_count=10)

    assert site.enqueued == [[OTHER]]
    assert site.store.course(OTHER).is_dirty
    assert site.inspection.failures == ["ZeroDivisionError('division by zero')"]


def test_the_deep_check_begins_no_chunk_when_its_time_is_over(site):
    site.create(*[f"{KEY}{number:03}" for number in range(3 * CHECK_CHUNK)])
    times = iter([0.0, 0.0, 1.0, CHECK_SECONDS + 1])
    site.inspector = replace(site.inspector, stopwatch=lambda: next(times))

    assert site.inspect(check_count=3 * CHECK_CHUNK).checked_count == CHECK_CHUNK
    site.inspector = replace(site.inspector, stopwatch=lambda: 0.0)
    assert site.inspect(check_count=2 * CHECK_CHUNK).checked_count == 2 * CHECK_CHUNK
    assert len(site.inspection.verified) == 3 * CHECK_CHUNK


def test_a_step_that_fails_keeps_no_other_from_being_taken(site, monkeypatch):
    site.create(KEY, OTHER)
    site.modulestore.publish(OTHER, display_name="Lost")
    site.inspect()
    by_hand(site)
    for broken in ("count_served", "mend_marks"):
        monkeypatch.setattr(site.inspection, broken, lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        site.inspect(check_count=10)

    assert site.enqueued == [[OTHER], [KEY]]


def test_no_course_is_checked_twice_in_one_pass(site):
    site.create(KEY, OTHER)
    site.inspect(check_count=1)

    assert site.inspect(check_count=10).checked_count == 2


# Repairs


def test_orphans_are_enqueued_by_themselves(site):
    site.create(KEY, OTHER)
    site.modulestore.publish(KEY)
    site.modulestore.delete(OTHER)
    site.inspect()
    site.inspect()

    assert site.enqueued == [[OTHER], [KEY]]


def test_while_a_question_is_open_no_more_orphans_are_marked(site):
    site.create(KEY, OTHER)
    site.store.course(OTHER).removal = {"held": 0.0}
    site.modulestore.delete(OTHER)
    site.modulestore.delete(KEY)
    site.inspect()

    report = site.inspect()

    assert report.findings == {"orphaned": 1}
    assert report.marked_count == 0


def test_what_is_held_and_back_in_the_index_is_let_go_of(site):
    site.create(KEY)
    site.store.course(KEY).removal = {"held": 0.0}

    site.inspect()

    assert site.store.course(KEY).removal == {}
    assert site.store.course(KEY).is_dirty


def test_a_row_that_was_dropped_is_written_again_and_everything_with_it(site):
    site.create(KEY, display_name="Tides")
    site.store.course(KEY).has_tombstone = True
    site.inspect()
    assert site.inspect().findings == {"stray tombstone": 1}

    assert site.rebuild(KEY) == {KEY: RebuildOutcome.WRITTEN}
    course = site.store.course(KEY)
    assert (course.write_count, course.tabs_write_count, course.has_tombstone) == (2, 2, False)
    assert not course.rewrite


# The deep check


def by_hand(site: Site, key: str = KEY) -> None:
    course = site.store.course(key)
    assert course.row is not None
    overview = replace(course.row.overview, display_name="By hand", effort="x" * 2000)
    course.row = replace(course.row, overview=overview)


def test_drift_is_named_marked_and_written_over(site, caplog):
    site.create(KEY, OTHER, display_name="Tides")
    by_hand(site)

    with caplog.at_level(logging.WARNING):
        report = site.inspect(check_count=10)

    assert report.checked_count == 2
    assert set(report.drifted_columns) == {"display_name", "effort", "projection.search_text"}
    assert site.inspection.verified == {OTHER}
    line = next(each.message for each in caplog.records if "drifted" in each.message)
    assert line.startswith(f"{KEY} drifted: display_name 'By hand' → 'Tides'; effort 'xxx")
    assert len(line) < 1200
    site.rebuild(KEY)
    row = site.store.course(KEY).row
    assert row is not None
    assert row.overview.display_name == "Tides"


def test_a_course_that_is_rebuilt_between_two_looks_has_not_drifted(site, monkeypatch):
    site.create(KEY, display_name="Tides")
    by_hand(site)
    read_stored = site.inspection.read_stored

    def read_and_rebuild(course_keys: Any) -> Any:
        found = read_stored(course_keys)
        site.store.mark(KEY, rewrite=True)
        site.rebuild(KEY)
        return found

    monkeypatch.setattr(site.inspection, "read_stored", read_and_rebuild)

    assert site.inspect(check_count=10).drifted_columns == {}


def test_a_course_whose_version_has_moved_or_that_waits_is_not_compared(site):
    site.create(KEY, OTHER)
    by_hand(site)
    site.modulestore.publish(KEY)
    by_hand(site, OTHER)
    site.store.mark(OTHER)

    report = site.inspect(check_count=10)

    assert (report.checked_count, report.drifted_columns) == (0, {})


def test_a_course_that_is_marked_while_it_is_noted_as_verified_is_enqueued(site, monkeypatch):
    site.create(KEY)
    monkeypatch.setattr(
        site.inspection, "note_verified", lambda keys: [site.store.mark(key) for key in keys]
    )

    site.inspect(check_count=10)

    assert site.enqueued == [[KEY]]


def test_the_deep_check_goes_on_where_it_was(site):
    keys = [f"{KEY}{number}" for number in range(5)]
    site.create(*keys)

    checked = []
    for _ in range(3):
        site.inspection.verified.clear()
        site.inspect(check_count=2)
        checked.append(sorted(site.inspection.verified))

    assert checked == [keys[:2], keys[2:4], [keys[0], keys[4]]]
