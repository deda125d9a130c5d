"""A person's way through a rebuild run in the admin, at the width of a phone and of a desk."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from lms_integration.models import OverviewRebuildRun, OverviewRunFailure, RunState
from tests.browser.browsing import DESKTOP, PHONE, Visit, barriers, fits, visit
from tests.browser.scene import ALGEBRA, course, learner

pytestmark = [pytest.mark.service]

RUNS = "/admin/lms_integration/overviewrebuildrun/"
COURSES = "/admin/lms_integration/courseoverview/"
SCHEDULE = "/admin/django_celery_beat/periodictask/"


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def visitor(request: pytest.FixtureRequest, browser: Browser, fresh_site: str) -> Iterator[Visit]:
    """A window of each width on a web process of the test's own."""
    with visit(browser, fresh_site, request.param) as found:
        yield found
        found.assert_is_clean()


def signed_in(visitor: Visit, *, then: str = RUNS) -> None:
    """Write an administrator and some courses, and sign in."""
    user = learner("root", is_staff=True, is_superuser=True)
    course(ALGEBRA, "Linear Algebra <b>bold</b>")
    course("course-v1:Reef+CORAL+2026", "Corals", org="Reef")
    visitor.sign_in(user.username, then=then)


def test_a_run_is_asked_for_followed_and_cancelled(visitor: Visit):
    signed_in(visitor)
    page = visitor.page

    page.get_by_role("link", name="Rebuild all courses").click()
    page.get_by_label("Why").fill("the new theme")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Rebuild all courses?")
    expect(page.get_by_text("2 courses, about")).to_be_visible()
    assert not OverviewRebuildRun.objects.exists()
    page.get_by_role("button", name="Begin").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text(": all courses")
    (run,) = OverviewRebuildRun.objects.all()
    expect(page.get_by_role("status")).to_contain_text("planned")
    OverviewRebuildRun.objects.filter(pk=run.pk).update(
        state=RunState.RUNNING, total_count=4, written_count=1, running_seconds=1.0
    )
    expect(page.get_by_role("status")).to_have_text("running")
    expect(page.locator("progress")).to_have_attribute("value", "0.2500")

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Cancel run {run.pk}?")
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.get_by_role("status")).to_have_text("cancelled")

    page.get_by_role("link", name="Who did what").click()
    expect(page.get_by_role("row").filter(has_text="Cancelled.")).to_contain_text("root")


def test_the_page_keeps_up_by_itself_and_what_has_the_focus_keeps_it(visitor: Visit):
    signed_in(visitor)
    run = OverviewRebuildRun.objects.create(
        scope="all",
        depth="stale",
        asked_from="command",
        state=RunState.RUNNING,
        total_count=1000,
        created_at="2026-01-01T00:00Z",
    )
    page = visitor.page
    visitor.open(f"{RUNS}{run.pk}/change/")
    page.get_by_role("button", name="Pause").focus()

    OverviewRebuildRun.objects.filter(pk=run.pk).update(written_count=500)

    expect(page.get_by_text("50 %, 500 of 1,000")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_be_focused()

    OverviewRebuildRun.objects.filter(pk=run.pk).update(state=RunState.DONE)

    expect(page.get_by_role("status")).to_have_text("done")
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)


def test_selected_courses_are_rebuilt(visitor: Visit):
    signed_in(visitor, then=COURSES)
    page = visitor.page

    page.get_by_role("row").filter(has_text="CORAL").get_by_role("checkbox").check()
    page.locator("select[name=action]").select_option(label="Rebuild selected courses")
    page.get_by_role("button", name="Go", exact=False).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Rebuild 1 named course?")
    page.get_by_role("button", name="Begin").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("1 named course")
    assert OverviewRebuildRun.objects.get().course_keys == ["course-v1:Reef+CORAL+2026"]


def test_all_of_it_works_without_scripts(browser: Browser, fresh_site: str):
    site = fresh_site
    learner("root", is_staff=True, is_superuser=True)
    context = browser.new_context(java_script_enabled=False)
    with visit(browser, site, DESKTOP) as visitor:
        visitor.sign_in("root", then=RUNS)
        context.add_cookies(visitor.page.context.cookies())  # type: ignore[arg-type]  # the same keys
    page = context.new_page()

    page.goto(f"{site}{RUNS}")
    page.get_by_role("link", name="Rebuild all courses").click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("link", name="Look again").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the run").click()

    expect(page.get_by_role("status")).to_have_text("cancelled")
    assert OverviewRebuildRun.objects.get().state == RunState.CANCELLED
    context.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_no_page_of_a_run_has_a_barrier_that_axe_finds(
    browser: Browser, site: str, transactional_db: None, size: tuple[int, int], dark: bool
):
    with visit(browser, site, size, dark=dark) as visitor:
        signed_in(visitor)
        run = OverviewRebuildRun.objects.create(
            scope="org",
            org="Reef" * 20,
            depth="stale",
            asked_from="command",
            reason="a reason that is rather long " * 5,
            state=RunState.RUNNING,
            total_count=1000,
            written_count=250,
            running_seconds=5.0,
            created_at="2026-01-01T00:00Z",
        )
        OverviewRunFailure.objects.create(
            run=run,
            course_key=ALGEBRA,
            outcome="faulty",
            reason="x" * 300,
            failed_at="2026-01-01T00:00Z",
        )
        page, problems = visitor.page, []
        for path in (RUNS, f"{RUNS}{run.pk}/change/", f"{RUNS}ask/?scope=org"):
            visitor.open(path)
            problems += barriers(visitor, within="#content")
            assert fits(visitor), path
        page.get_by_label("Organisation", exact=True).select_option("Reef")
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("button", name="Begin")).to_be_visible()
        problems += barriers(visitor, within="#content")
        assert fits(visitor), "confirm"
        visitor.open(f"{RUNS}{run.pk}/change/")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("button", name="Cancel the run")).to_be_visible()
        problems += barriers(visitor, within="#content")
        assert fits(visitor), "cancel"

    assert problems == []
