"""A publish in Studio shows on a learner's open dashboard: every process and every server real."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from playwright.sync_api import Browser, expect
from pymongo.database import Database

from dev.authoring.author import SplitAuthor
from dev.authoring.studio import Studio
from lms_integration.models import OverviewTombstone
from tests.acceptance.processes import Pipeline, wait_for, wait_for_row
from tests.browser.browsing import DESKTOP, PHONE, Visit, chromium, fits, free_port, visit
from tests.browser.scene import enrolled, learner

KEY = "course-v1:TestX+Shown+R1"


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture
def visitors(
    process_passwords: Mapping[str, str],
    mongo_database: Database[dict[str, Any]],
    broker_url: str,
    browser: Browser,
    tmp_path: Path,
) -> Iterator[Sequence[Visit]]:
    """Windows of a phone and a desktop on one web process, which runs beside intake, worker and beat."""
    port = free_port()
    with (
        Pipeline(
            sql_database=str(connection.settings_dict["NAME"]),
            mongo_database=mongo_database.name,
            log_folder=tmp_path / "logs",
            passwords=process_passwords,
            port=port,
        ) as pipeline,
        ExitStack() as windows,
    ):
        pipeline.start("intake", "live", "beat", "web")
        found = [
            windows.enter_context(visit(browser, f"http://127.0.0.1:{port}", size))
            for size in (PHONE, DESKTOP)
        ]
        yield found
        for visitor in found:
            visitor.assert_is_clean()


def test_an_edit_shows_on_the_open_dashboards_when_they_are_reloaded(
    visitors: Sequence[Visit], author: SplitAuthor
):
    studio = Studio(author)
    enrolled(learner(), KEY)
    for visitor in visitors:
        visitor.sign_in()
        expect(visitor.page.locator("article")).to_contain_text("This course is being prepared.")

    wait_for_row(studio.save(author.create_course, KEY, settings={"display_name": "As created"}))
    assert reloaded(visitors) == [["As created"]] * 2

    wait_for_row(studio.save(author.edit_settings, KEY, {"display_name": "As renamed"}))
    assert reloaded(visitors) == [["As renamed"]] * 2

    studio.delete_course(KEY)
    wait_for(
        lambda: OverviewTombstone.objects.filter(course_key=KEY).exists(), what="the tombstone"
    )
    assert reloaded(visitors) == [["As renamed"]] * 2
    for visitor in visitors:
        expect(visitor.page.locator("article")).to_contain_text("This course is no longer offered.")


def reloaded(visitors: Sequence[Visit]) -> list[list[str]]:
    """Reload the open dashboards and return the names on the cards of each; none is too wide."""
    found = []
    for visitor in visitors:
        visitor.page.reload()
        assert fits(visitor)
        found.append(visitor.cards())
    return found
