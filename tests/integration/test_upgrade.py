"""Upgrades on real databases: two releases side by side, the run of an upgrade, and a roll-back."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from django.test import override_settings

from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    CourseOverview,
    OverviewDependency,
    OverviewMark,
    OverviewRebuildRun,
    OverviewState,
    OverviewTarget,
    RunDepth,
    RunOrigin,
    RunScope,
)
from lms_integration.rebuild_desk import cancel_run
from overview_worker.bootstrap import close_dependencies
from overview_worker.builder.overview import build_overview
from overview_worker.documents import BuiltOverview, PublishedCourse
from overview_worker.rebuild import OWN_VERSIONS, RebuildOutcome, rebuild_overviews
from overview_worker.store.conf import StoreConf
from overview_worker.store.overview_store import DjangoOverviewStore
from overview_worker.store.upkeep_store import DjangoUpkeepStore
from overview_worker.upkeep import keep_up, make_target, upgrade_progress
from overview_worker.versions import RowVersions
from overview_worker.watched_settings import watched_settings
from tests.inspection_scene import BUILDER, Site, made_site

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

    cancel_run(run)
    assert site.inspect_twice().findings == {"old schema": 2}


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
