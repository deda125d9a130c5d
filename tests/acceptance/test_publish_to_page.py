"""A publish in Studio shows on a learner's open dashboard: every process and every server real."""

from collections.abc import Iterator
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
from tests.browser.browsing import DESKTOP, Visit, chromium, free_port, visit
from tests.browser.scene import enrolled, learner

KEY = "course-v1:TestX+Shown+R1"


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture
def visitor(
    transactional_db: None,
    mongo_database: Database[dict[str, Any]],
    broker_url: str,
    browser: Browser,
    tmp_path: Path,
) -> Iterator[Visit]:
    """A window on the web process, which runs beside intake, worker and beat."""
    port = free_port()
    with Pipeline(
        sql_database=str(connection.settings_dict["NAME"]),
        mongo_database=mongo_database.name,
        log_folder=tmp_path / "logs",
        port=port,
    ) as pipeline:
        pipeline.start("intake", "live", "beat", "web")
        with visit(browser, f"http://127.0.0.1:{port}", DESKTOP) as found:
            yield found
            found.assert_is_clean()


def test_an_edit_shows_on_the_open_dashboard_when_it_is_reloaded(
    visitor: Visit, author: SplitAuthor
):
    studio = Studio(author)
    enrolled(learner(), KEY)
    visitor.sign_in()
    expect(visitor.page.locator("article")).to_contain_text("This course is being prepared.")

    wait_for_row(studio.save(author.create_course, KEY, settings={"display_name": "As created"}))
    visitor.page.reload()
    assert visitor.cards() == ["As created"]

    wait_for_row(studio.save(author.edit_settings, KEY, {"display_name": "As renamed"}))
    visitor.page.reload()
    assert visitor.cards() == ["As renamed"]

    studio.delete_course(KEY)
    wait_for(
        lambda: OverviewTombstone.objects.filter(course_key=KEY).exists(), what="the tombstone"
    )
    visitor.page.reload()
    assert visitor.cards() == ["As renamed"]
    expect(visitor.page.locator("article")).to_contain_text("This course is no longer offered.")
