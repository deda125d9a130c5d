"""Upgrades on real databases: two releases side by side, the run of an upgrade, and a roll-back."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from django.test import override_settings

from lms_integration.database_clock import DatabaseNow
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    CourseOverview,
    OverviewDependency,
    OverviewMark,
    OverviewRebuildRun,
    OverviewRemoval,
    OverviewState,
    OverviewTarget,
    RemovalStatus,
    RunDepth,
    RunOrigin,
    RunScope,
    RunState,
)
from lms_integration.rebuild_desk import RunRequest, ask_for_run, cancel_run
from overview_worker.bootstrap import close_dependencies
from overview_worker.builder.overview import build_overview
from overview_worker.documents import BuiltOverview, PublishedCourse
from overview_worker.inspection_ports import CurrentVersions
from overview_worker.ports import RebuildCause
from overview_worker.rebuild import (
    OWN_VERSIONS,
    RebuildDepth,
    RebuildOutcome,
    RebuildReport,
    rebuild_overviews,
)
from overview_worker.runs import RebuildRuns
from overview_worker.store.conf import StoreConf
from overview_worker.store.overview_store import DjangoOverviewStore
from overview_worker.store.upkeep_store import DjangoUpkeepStore, RememberedTarget
from overview_worker.upkeep import RETRY_SECONDS, keep_up, make_target, upgrade_progress
from overview_worker.upkeep_ports import UpgradeStanding
from overview_worker.versions import RowVersions, Target, rebuilds_other_versions
from overview_worker.watched_settings import watched_settings
from tests.inspection_scene import BUILDER, Site, made_site
from tests.race_scene import PATIENCE_SECONDS, Crew

pytestmark = [pytest.mark.service, pytest.mark.django_db(transaction=True)]

KEY = "course-v1:Org+Upgraded+R1"
OTHER = "course-v1:Org+Upgraded+R2"
NEWER = replace(OWN_VERSIONS, builder=OWN_VERSIONS.builder + 1)
SUFFIX = " (as the newer release builds it)"


@pytest.fixture
def site(mongo_client, mongo_database) -> Iterator[Site]:
    with made_site("mongodb", mongo_client, mongo_database) as site:
        yield site


@pytest.fixture
def upkeep() -> DjangoUpkeepStore:
    return DjangoUpkeepStore(StoreConf(builder_version=OWN_VERSIONS.builder))


def build_as_newer(course: PublishedCourse) -> BuiltOverview:
    built = build_overview(course, settings=BUILDER)
    name = f"{built.overview.display_name}{SUFFIX}"
    return replace(built, overview=replace(built.overview, display_name=name))


def rebuild_as(site: Site, own: RowVersions, *keys: str) -> dict[str, RebuildOutcome]:
    """Rebuild as a worker of a release does, with the target that is written down."""
    conf = StoreConf(builder_version=own.builder)
    target = DjangoUpkeepStore(conf).target()
    is_newer = own == NEWER
    report = rebuild_overviews(
        keys,
        modulestore=site.adapters.modulestore,
        store=DjangoOverviewStore(conf),
        build=build_as_newer if is_newer else partial(build_overview, settings=BUILDER),
        target=None if target is None else target.versions,
        own=own,
    )
    return dict(report.outcomes)


def marked(*keys: str) -> None:
    mark_courses([CourseMark(course_key=key) for key in keys])


def name_of(key: str) -> str | None:
    return CourseOverview.objects.get(id=key).display_name


def builder_of(key: str) -> int:
    return OverviewState.objects.get(course_key=key).builder_version


def is_dirty(key: str) -> bool:
    return OverviewMark.objects.filter(course_key=key, wanted__gt=F("done")).exists()


# Two releases side by side


def test_a_duplicate_event_in_an_older_worker_leaves_the_newer_release_s_row(site, upkeep):
    site.create(KEY)
    make_target(upkeep, NEWER, pinned=False, set_by="")
    marked(KEY)
    rebuild_as(site, NEWER, KEY)

    marked(KEY)
    outcomes = rebuild_as(site, OWN_VERSIONS, KEY)

    assert outcomes == {KEY: RebuildOutcome.UNCHANGED}
    assert name_of(KEY) == f"{KEY}{SUFFIX}"
    assert builder_of(KEY) == NEWER.builder
    assert not is_dirty(KEY)


def test_a_publish_in_an_older_worker_is_built_and_the_newer_one_builds_it_again(site, upkeep):
    site.create(KEY)
    make_target(upkeep, NEWER, pinned=False, set_by="")
    marked(KEY)
    rebuild_as(site, NEWER, KEY)

    site.author.edit_settings(KEY, {"display_name": "Edited"})
    marked(KEY)
    rebuild_as(site, OWN_VERSIONS, KEY)
    assert name_of(KEY) == "Edited"

    marked(KEY)
    rebuild_as(site, NEWER, KEY)
    assert name_of(KEY) == f"Edited{SUFFIX}"


def test_after_a_roll_back_the_older_release_writes_over_and_the_newer_one_leaves_alone(
    site, upkeep
):
    site.create(KEY)
    make_target(upkeep, NEWER, pinned=False, set_by="")
    marked(KEY)
    rebuild_as(site, NEWER, KEY)
    for run in OverviewRebuildRun.objects.all():
        cancel_run(run.pk)

    make_target(upkeep, OWN_VERSIONS, pinned=True, set_by="ann")
    marked(KEY)
    rebuild_as(site, OWN_VERSIONS, KEY)
    assert name_of(KEY) == KEY

    marked(KEY)
    rebuild_as(site, NEWER, KEY)
    assert name_of(KEY) == KEY


def test_the_inspector_of_a_release_that_is_not_the_target_finds_no_fault_with_versions(
    site, upkeep
):
    site.create(KEY)
    make_target(upkeep, NEWER, pinned=False, set_by="")
    marked(KEY)
    rebuild_as(site, NEWER, KEY)

    report = site.inspect_twice(check_count=10)

    assert report.findings == {}
    assert report.drifted_columns == {}


def test_the_inspector_leaves_old_rows_to_the_run_of_the_upgrade(site, upkeep):
    site.create(KEY, OTHER)
    OverviewState.objects.update(builder_version=F("builder_version") - 1)
    run = make_target(upkeep, OWN_VERSIONS, pinned=False, set_by="ann")
    assert run is not None

    assert site.inspect_twice().findings == {}

    finish_by_hand(run, RunState.DONE)
    assert site.inspect_twice().findings == {"old schema": 2}


@pytest.mark.parametrize("stopped", [RunState.PAUSED, RunState.CANCELLED, RunState.FAILED])
def test_the_inspector_does_not_carry_out_an_upgrade_that_is_stopped(site, upkeep, stopped):
    site.create(KEY, OTHER)
    OverviewState.objects.update(builder_version=F("builder_version") - 1)
    run = make_target(upkeep, OWN_VERSIONS, pinned=False, set_by="ann")
    assert run is not None
    finish_by_hand(run, stopped)

    assert site.inspect_twice().findings == {}


def finish_by_hand(run: int, state: RunState) -> None:
    slot = 1 if state == RunState.PAUSED else None
    OverviewRebuildRun.objects.filter(pk=run).update(
        state=state, full_slot=slot, finished_at=None if slot else DatabaseNow()
    )


# Two releases in one run


KEYS = [f"course-v1:Org+Run{number:02}+R1" for number in range(30)]


def worker_of(site: Site, own: RowVersions) -> RebuildRuns:
    """Return what a bulk worker of a release has; this release's own is the site's."""
    if own == OWN_VERSIONS:
        return site.adapters.runs
    conf = StoreConf(builder_version=own.builder)
    target = RememberedTarget(DjangoUpkeepStore(conf))

    def rebuild(keys: Sequence[str], depth: RebuildDepth, cause: RebuildCause) -> RebuildReport:
        return rebuild_overviews(
            keys,
            modulestore=site.adapters.modulestore,
            store=DjangoOverviewStore(conf),
            build=build_as_newer,
            depth=depth,
            cause=cause,
            target=target(),
            own=own,
        )

    def versions() -> CurrentVersions:
        return CurrentVersions(
            builder=own.builder,
            schema=own.schema,
            are_enforced=rebuilds_other_versions(own=own, target=target.asked_anew()),
        )

    return replace(
        site.adapters.runs, rebuild=rebuild, versions=versions, worker="the newer one", own=own
    )


def asked_upgrade(upkeep: DjangoUpkeepStore, own: RowVersions, *, pinned: bool = False) -> int:
    run = make_target(upkeep, own, pinned=pinned, set_by="ann")
    assert run is not None
    return run


def run_row(run: int) -> OverviewRebuildRun:
    return OverviewRebuildRun.objects.get(pk=run)


def test_an_upgrade_is_left_to_the_workers_of_its_release(site, upkeep):
    site.create(*KEYS)
    run = asked_upgrade(upkeep, NEWER)

    goes_on = worker_of(site, OWN_VERSIONS).work(run, 0, seconds=5)

    row = run_row(run)
    assert (goes_on, row.state, row.after_key, row.is_claimed_out) == (False, "planned", "", False)
    assert row.waiting_for == f"workers of {NEWER}; these are of {OWN_VERSIONS}"

    worker_of(site, NEWER).run_here(run)

    row = run_row(run)
    assert (row.state, row.written_count, row.unchanged_count) == ("done", len(KEYS), 0)
    assert row.waiting_for == ""
    assert upgrade_progress(upkeep, NEWER).is_complete


def test_a_worker_that_still_remembers_the_old_target_skips_nothing_of_a_roll_back(site, upkeep):
    site.create(*KEYS)
    upgrade = asked_upgrade(upkeep, NEWER)
    assert site.adapters.target() == NEWER
    worker_of(site, NEWER).run_here(upgrade)

    run = asked_upgrade(upkeep, OWN_VERSIONS, pinned=True)
    assert worker_of(site, NEWER).work(run, 0, seconds=5) is False
    worker_of(site, OWN_VERSIONS).run_here(run)

    assert (run_row(run).state, run_row(run).written_count) == ("done", len(KEYS))
    assert upgrade_progress(upkeep, OWN_VERSIONS).is_complete
    assert {name_of(key) for key in KEYS} == set(KEYS)


@pytest.mark.parametrize("target", [NEWER, OWN_VERSIONS])
def test_workers_of_two_releases_in_one_run_leave_every_row_to_the_target(site, upkeep, target):
    site.create(*KEYS)
    if target == OWN_VERSIONS:
        worker_of(site, NEWER).run_here(asked_upgrade(upkeep, NEWER))
    run = asked_upgrade(upkeep, target, pinned=target == OWN_VERSIONS)
    deadline = time.monotonic() + PATIENCE_SECONDS
    is_over = threading.Event()

    def work(own: RowVersions, lane: int) -> None:
        worker = worker_of(site, own)
        while run_row(run).state in ("planned", "running") and time.monotonic() < deadline:
            if not worker.work(run, lane, seconds=1.0):
                is_over.wait(0.05)  # as long as a message takes, or so
        is_over.set()

    with Crew() as crew:
        for own in (OWN_VERSIONS, NEWER):
            for lane in (0, 1):
                crew.start(partial(work, own, lane))

    assert (run_row(run).state, run_row(run).written_count) == ("done", len(KEYS))
    assert upgrade_progress(upkeep, target).is_complete


def test_a_run_that_rewrites_is_for_the_release_that_rows_are_to_be_of(site, upkeep):
    site.create(KEY)
    upkeep.set_target(Target(versions=NEWER), set_by="")
    request = RunRequest(
        scope=RunScope.COURSES,
        depth=RunDepth.REWRITE,
        course_keys=[KEY],
        asked_from=RunOrigin.COMMAND,
    )
    run = int(ask_for_run(request).pk)

    assert worker_of(site, OWN_VERSIONS).work(run, 0, seconds=5) is False
    worker_of(site, NEWER).run_here(run)

    assert (run_row(run).state, run_row(run).written_count) == ("done", 1)
    assert name_of(KEY) == f"{KEY}{SUFFIX}"


def test_a_newer_target_gives_up_the_upgrade_to_the_one_before(site, upkeep):
    site.create(KEY)
    OverviewState.objects.update(builder_version=1)
    before = asked_upgrade(upkeep, OWN_VERSIONS)

    after = asked_upgrade(upkeep, NEWER)

    assert (run_row(before).state, run_row(after).state) == ("cancelled", "planned")
    assert (run_row(after).builder_version, run_row(after).schema_version) == (
        NEWER.builder,
        NEWER.schema,
    )


# What upkeep asks for


def look(upkeep: DjangoUpkeepStore, settings: Any = BUILDER) -> list[int]:
    return keep_up(upkeep, own=OWN_VERSIONS, settings=watched_settings(settings))


def test_a_new_release_asks_for_one_run_of_what_is_older(site, upkeep):
    site.create(KEY)
    OverviewState.objects.update(builder_version=OWN_VERSIONS.builder - 1)

    (number,) = look(upkeep)
    assert look(upkeep) == []

    run = OverviewRebuildRun.objects.get(pk=number)
    assert (run.scope, run.depth, run.asked_from) == (
        RunScope.ALL,
        RunDepth.STALE,
        RunOrigin.UPGRADE,
    )


def test_a_cancelled_upgrade_is_not_asked_for_again(site, upkeep):
    site.create(KEY)
    OverviewState.objects.update(builder_version=1)
    (number,) = look(upkeep)

    cancel_run(number)

    assert look(upkeep) == []
    assert upkeep.last_upgrade().standing is UpgradeStanding.CANCELLED
    assert asked_upgrade(upkeep, OWN_VERSIONS) > number


def test_a_failed_upgrade_is_asked_for_again_after_a_while(site, upkeep):
    site.create(KEY)
    OverviewState.objects.update(builder_version=1)
    (number,) = look(upkeep)
    finish_by_hand(number, RunState.FAILED)

    assert look(upkeep) == []
    OverviewRebuildRun.objects.update(finished_at=DatabaseNow(offset_seconds=-RETRY_SECONDS[0]))

    (again,) = look(upkeep)
    finish_by_hand(again, RunState.FAILED)
    assert upkeep.last_upgrade().failure_count == 2
    OverviewRebuildRun.objects.update(finished_at=DatabaseNow(offset_seconds=-RETRY_SECONDS[0]))
    assert look(upkeep) == []


def test_a_changed_default_image_asks_for_the_courses_that_show_it_and_no_others(site, upkeep):
    site.create(KEY, course_image="own.png", banner_image="own.png")
    site.create(OTHER, course_image="")
    look(upkeep)
    changed = replace(BUILDER, default_course_about_image_url="images/other.png")

    assert look(upkeep, changed) == []
    settle()
    (number,) = look(upkeep, changed)

    run = OverviewRebuildRun.objects.get(pk=number)
    assert (run.scope, run.depth, run.course_keys) == (RunScope.COURSES, RunDepth.BUILD, [OTHER])
    assert run.asked_from == RunOrigin.SETTINGS
    assert look(upkeep, changed) == []


def settle() -> None:
    """Make what was seen last have stood for long, as the database's clock cannot be set."""
    for row in OverviewDependency.objects.filter(seen_at__isnull=False):
        assert row.seen_at is not None
        OverviewDependency.objects.filter(pk=row.pk).update(
            seen_at=row.seen_at.replace(year=row.seen_at.year - 1)
        )


# The command


@pytest.fixture
def command(mongo_database) -> Iterator[None]:
    with override_settings(OVERVIEW_MONGODB_DATABASE=mongo_database.name):
        close_dependencies()
        yield
        close_dependencies()


def overview(*arguments: str) -> tuple[int, str]:
    output = StringIO()
    try:
        call_command("overview", *arguments, stdout=output)
    except SystemExit as left:
        return int(left.code or 0), output.getvalue()
    return 0, output.getvalue()


def test_the_command_shows_what_share_of_the_rows_is_of_the_target(site, upkeep, command):
    site.create(KEY, OTHER)
    make_target(upkeep, OWN_VERSIONS, pinned=False, set_by="")
    OverviewState.objects.filter(course_key=OTHER).update(builder_version=1)

    code, text = overview("upgrade")

    assert code == 1
    assert "50.0 % of the rows are of it: 1 of 2" in text
    assert "overview upgrade --start" in text


def test_at_100_per_cent_the_command_is_content(site, upkeep, command):
    site.create(KEY)
    make_target(upkeep, OWN_VERSIONS, pinned=False, set_by="")

    code, text = overview("upgrade", "--json")

    assert code == 0
    shown = json.loads(text)
    assert (shown["is_complete"], shown["total_count"], shown["share"]) == (True, 1, 1.0)


def test_start_sets_the_target_and_asks_for_the_run(site, command):
    site.create(KEY)
    OverviewState.objects.update(builder_version=1)

    code, _ = overview("upgrade", "--start", "--no-wait")

    assert code == 0
    assert OverviewTarget.objects.get().builder_version == OWN_VERSIONS.builder
    assert OverviewRebuildRun.objects.get().asked_from == RunOrigin.UPGRADE


def test_start_ends_with_what_became_of_the_rows_not_of_the_run(site, upkeep, command):
    site.create(KEY, OTHER)
    OverviewState.objects.update(builder_version=1)
    spoil(site, OTHER)

    code, text = overview_with_a_worker(site, "upgrade", "--start", "--json")

    shown = json.loads(text)
    assert (code, shown["is_complete"], shown["current_count"]) == (0, True, 1)
    assert shown["blocked"] == {"faulty": 1}
    assert shown["blocked_rows"][0]["course_key"] == OTHER


def test_start_that_does_not_bring_all_rows_to_the_target_is_a_failure(site, upkeep, command):
    site.create(KEY, OTHER)
    OverviewState.objects.update(builder_version=1)

    # A worker of the release before skims over a row, as one could before runs were of a release.
    def skim(run: int) -> None:
        site.adapters.runs.run_here(run)
        OverviewState.objects.filter(course_key=OTHER).update(builder_version=1)

    code, text = overview_with_a_worker(site, "upgrade", "--start", work=skim)

    assert run_row(OverviewRebuildRun.objects.latest("pk").pk).state == "done"
    assert code == 1
    assert "50.0 % of the rows are of it: 1 of 2" in text


def test_rows_that_cannot_be_built_are_named_with_what_to_do(site, upkeep, command):
    site.create(KEY, OTHER)
    make_target(upkeep, OWN_VERSIONS, pinned=False, set_by="")
    OverviewState.objects.filter(course_key=OTHER).update(builder_version=1)
    OverviewRemoval.objects.create(
        course_key=OTHER, status=RemovalStatus.REFUSED, changed_at=DatabaseNow()
    )

    code, text = overview("upgrade")

    assert code == 0
    assert "100.0 % of the rows that can be built are of it: 1 of 1" in text
    assert "refused rows that stay as they are: 1" in text
    assert OTHER in text


def test_a_failed_and_a_cancelled_upgrade_are_told(site, upkeep, command):
    site.create(KEY)
    OverviewState.objects.update(builder_version=1)
    run = asked_upgrade(upkeep, OWN_VERSIONS)
    OverviewRebuildRun.objects.filter(pk=run).update(error="broke down")
    finish_by_hand(run, RunState.FAILED)

    _, failed = overview("upgrade")
    _, status = overview("status")
    finish_by_hand(run, RunState.CANCELLED)
    _, cancelled = overview("upgrade")

    assert f"run {run} failed" in failed
    assert "broke down" in failed
    assert "upgrade failed" in status
    assert f"run {run} was cancelled; to go on: overview upgrade --start" in cancelled


def spoil(site: Site, key: str) -> None:
    """Publish what no release can build."""
    site.author.edit_settings(key, {"enrollment_start": "not a date"})


def overview_with_a_worker(
    site: Site, *arguments: str, work: Callable[[int], None] | None = None
) -> tuple[int, str]:
    """Call the command while a worker carries out the run that it asks for."""
    answers: list[tuple[int, str]] = []

    def carry_out() -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            run = OverviewRebuildRun.objects.filter(state="planned").first()
            if run is not None:
                (work or site.adapters.runs.run_here)(run.pk)
                return
            time.sleep(0.01)

    with Crew() as crew:
        crew.start(carry_out)
        answers.append(overview(*arguments))
    return answers[0]


def test_start_of_an_older_release_is_refused_and_names_the_way_back(site, upkeep, command):
    make_target(upkeep, NEWER, pinned=False, set_by="")

    with pytest.raises(CommandError, match="--roll-back"):
        call_command("overview", "upgrade", "--start")


def test_a_roll_back_cancels_the_upgrade_and_pins_the_older_release(site, upkeep, command):
    site.create(KEY)
    upgrade = make_target(upkeep, NEWER, pinned=False, set_by="")
    assert upgrade is not None
    OverviewState.objects.update(builder_version=NEWER.builder)

    code, text = overview("upgrade", "--roll-back", "--no-wait")

    assert code == 0
    assert f"run {upgrade} of an upgrade that is not wanted any more is cancelled" in text
    target = OverviewTarget.objects.get()
    assert (target.builder_version, target.is_pinned) == (OWN_VERSIONS.builder, True)
    newest = OverviewRebuildRun.objects.latest("created_at")
    assert (newest.pk != upgrade, newest.state) == (True, "planned")
    assert not upgrade_progress(upkeep, OWN_VERSIONS).is_complete
