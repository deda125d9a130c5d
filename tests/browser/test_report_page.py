"""The report of a comparison in a real browser: without a barrier, and without asking for anything."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.browsing import DESKTOP, PHONE
from tests.unit.test_reports import COMPARISONS, HOSTILE, course, difference, page_of, reported

HOSTILE_COURSE = course(9, difference("display_name"), notes=(HOSTILE, "x" * 300))


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    found: tuple[int, int] = request.param
    return found


@pytest.fixture(params=["light", "dark"])
def page(
    request: pytest.FixtureRequest, browser: Browser, size: tuple[int, int], tmp_path: Path
) -> Iterator[Page]:
    comparisons = (*COMPARISONS, HOSTILE_COURSE)
    path = tmp_path / "report.html"
    path.write_text(page_of(reported(*comparisons), comparisons), encoding="utf-8")
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=request.param, offline=True
    )
    opened = context.new_page()
    opened.goto(path.as_uri())
    yield opened
    context.close()


def test_the_report_has_no_barrier_that_axe_finds(page: Page):
    for summary in page.locator("summary").all():
        summary.click()

    found = Axe().run(page).response

    assert found["passes"]
    violations = [
        (each["id"], node["html"]) for each in found["violations"] for node in each["nodes"]
    ]
    assert violations == []


def test_the_report_fits_the_window_and_unfolds_without_a_script(page: Page):
    last = page.locator("details").last

    assert not last.get_by_role("table").is_visible()
    last.locator("summary").click()

    assert last.get_by_role("table").is_visible()
    assert page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
