"""The recorded time to visibility is what a client of the read API sees, and lost events are found."""

import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections

from dev.authoring.author import SplitAuthor
from dev.authoring.studio import Studio
from lms_integration.api import get_course_overview
from lms_integration.freshness import freshness, late_publishes
from lms_integration.lateness import LateReason
from lms_integration.models import (
    CourseOverview,
    OverviewInspection,
    OverviewMark,
    OverviewServed,
)
from tests.acceptance.processes import Pipeline, wait_for, wait_for_row, wait_until_clean

KEY = "course-v1:TestX+Freshness+R1"
#: A client that is scheduled late on a busy machine sees a row late, too.
TOLERANCE_SECONDS = 0.5


@pytest.fixture
def studio(author: SplitAuthor) -> Studio:
    return Studio(author)


def rename(studio: Studio, name: str):
    return studio.save(studio.author.edit_settings, KEY, {"display_name": name})


def seen_at(name: str) -> datetime:
    """Poll the read API as a client does; return when it gave the name, by the database's clock."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        overview = get_course_overview(KEY)
        if overview is not None and overview.display_name == name:
            with connection.cursor() as cursor:
                cursor.execute("SELECT UTC_TIMESTAMP(6)")
                moment: datetime = cursor.fetchone()[0]
                return moment.replace(tzinfo=UTC)
    raise AssertionError(f"{name} was never seen")


def test_a_client_sees_the_new_name_no_later_than_was_recorded(pipeline: Pipeline, studio: Studio):
    pipeline.start("intake", "live", "beat")
    wait_for_row(studio.save(studio.author.create_course, KEY, settings={"display_name": "#0"}))
    wait_until_clean()
    OverviewServed.objects.all().delete()
    measured = []

    for number in range(1, 11):
        seen: list[datetime] = []

        def watch(name: str = f"#{number}", seen: list[datetime] = seen) -> None:
            try:
                seen.append(seen_at(name))
            finally:
                connections.close_all()

        client = threading.Thread(target=watch)
        client.start()
        started = time.monotonic()
        rename(studio, f"#{number}")
        client.join()
        wait_until_clean()
        served = OverviewServed.objects.latest("id")
        measured.append((served, seen[0], time.monotonic() - started))

    for served, at, elapsed in measured:
        assert (at - served.served_at).total_seconds() <= TOLERANCE_SECONDS
        assert served.latency_ms / 1000 <= elapsed
        assert served.reason == ""
    assert OverviewServed.objects.count() == 10


def test_publishes_that_found_no_worker_are_late_with_the_reason(
    pipeline: Pipeline, studio: Studio
):
    pipeline.start("intake", "live", "beat")
    wait_for_row(studio.save(studio.author.create_course, KEY, settings={"display_name": "#0"}))
    wait_until_clean()
    pipeline.kill("live")
    change = rename(studio, "While nobody worked")
    before = datetime.now(UTC) - timedelta(seconds=30)
    OverviewMark.objects.filter(course_key=KEY).update(published_since=before)
    assert freshness(hours=1).waiting_count == 1
    assert freshness(hours=1).shares[10].total - freshness(hours=1).shares[10].within == 1

    pipeline.start("live")
    wait_for_row(change)

    (late,) = late_publishes(limit=5)
    assert (late.course_key, late.reason) == (KEY, LateReason.WAITED)
    assert late.seconds >= 30


def test_the_inspector_runs_by_itself_and_its_figures_are_shown(pipeline: Pipeline, studio: Studio):
    pipeline.start("intake", "live", "bulk", "beat")
    wait_for_row(studio.save(studio.author.create_course, KEY, settings={"display_name": "#0"}))
    CourseOverview.objects.filter(id=KEY).update(display_name="By hand")
    wait_until_clean()

    celery_call(pipeline, "overview.inspect")
    wait_for(
        lambda: CourseOverview.objects.get(id=KEY).display_name == "#0",
        what="the drift to be put right",
    )

    inspection = OverviewInspection.objects.get()
    assert inspection.finished_at is not None
    assert inspection.drifted_columns == {"display_name": 1}
    status = pipeline.command("status")
    assert status.returncode == 0
    assert "1 of 1, 0.0 nines" in status.stdout


def celery_call(pipeline: Pipeline, name: str) -> None:
    """Send the task as beat does, without waiting for its minute."""
    subprocess.run(
        ["celery", "-A", "overview_worker", "call", name],
        env=pipeline.environment,
        check=True,
        capture_output=True,
        timeout=60,
    )
