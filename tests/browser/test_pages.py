"""A learner's way through the pages, at the width of a phone and of a desk, and without a mouse."""

import pytest
from playwright.sync_api import Browser, expect

from lms_integration.models import CourseOverview
from lms_integration.platform_tables.models import CourseEnrollment
from tests.browser.browsing import DESKTOP, PHONE, Visit, barriers, fits, visit
from tests.browser.scene import (
    ALGEBRA,
    DELETED,
    HIDDEN,
    OPEN,
    UNBUILT,
    course,
    learner,
    many_courses,
    whole_scene,
)

pytestmark = [pytest.mark.service]

ALGEBRA_NAME = "Linear Algebra: Foundations and Frontiers"


def test_a_learner_signs_in_sees_all_courses_and_signs_out(visitor: Visit):
    whole_scene()
    page = visitor.page

    visitor.open("/")
    expect(page).to_have_title("Sign in · Open edX")
    visitor.sign_in()

    expect(page.get_by_role("heading", level=1)).to_have_text("My courses")
    expect(page.locator("article")).to_have_count(8)
    assert visitor.cards()[0] == ALGEBRA_NAME
    expect(page.locator(f"[data-course='{UNBUILT}']")).to_contain_text("is being prepared")
    expect(page.locator(f"[data-course='{DELETED}']")).to_contain_text("is no longer offered")
    assert fits(visitor)

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_have_text("You are signed out.")
    visitor.open("/dashboard")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_wrong_password_is_told_and_the_name_is_kept(visitor: Visit):
    learner()
    page = visitor.page
    visitor.open("/login")

    page.get_by_label("Username").fill("ada.lovelace")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")

    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    expect(page.get_by_label("Username")).to_have_value("ada.lovelace")
    expect(page).to_have_title("Error: Sign in · Open edX")


def test_courses_are_chosen_and_ordered_with_the_keyboard_alone(visitor: Visit):
    whole_scene()
    visitor.sign_in()
    page = visitor.page

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()

    _tab_to(visitor, "Upcoming 3 courses")
    page.keyboard.press("Enter")
    expect(page.locator("article")).to_have_count(3)

    _tab_to(visitor, "All 8 courses")
    page.keyboard.press("Enter")
    expect(page.locator("article")).to_have_count(8)
    page.get_by_label("Sort by").focus()
    page.keyboard.type("Course name")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard?**sort=name*")
    assert visitor.cards()[0] == "Abstract Algebra"

    page.get_by_role("searchbox").focus()
    page.keyboard.type("algebra")
    page.keyboard.press("Enter")
    expect(page.locator("article")).to_have_count(2)
    expect(page.get_by_label("Sort by")).to_have_value("name")

    page.get_by_role("searchbox").fill("nothing like it")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("No course matches.")
    page.get_by_role("link", name="Show all courses").click()
    expect(page.locator("article")).to_have_count(8)


def _tab_to(visitor: Visit, name: str) -> None:
    """Press Tab until the link has the focus, and see that the focus can be seen."""
    link = visitor.page.get_by_role("link", name=name)
    for _ in range(20):
        visitor.page.keyboard.press("Tab")
        if link.evaluate("element => element === document.activeElement"):
            assert link.evaluate("element => getComputedStyle(element).outlineWidth") == "3px"
            return
    raise AssertionError(f"{name} is out of reach")


def test_a_learner_enrolls_on_the_course_page_and_leaves_again(visitor: Visit):
    user = whole_scene()
    page = visitor.page

    visitor.open(f"/courses/{OPEN}/about")
    page.get_by_role("link", name="Sign in to enroll").click()
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password").fill("notes on the engine")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Enroll in this course").click()
    expect(page.get_by_role("status")).to_have_text("You are enrolled in “The World Since 1945”.")
    assert CourseEnrollment.objects.get(user=user, course_id=OPEN).is_active

    page.get_by_role("link", name="My courses").first.click()
    assert visitor.cards()[0] == "The World Since 1945"
    card = page.locator("article").filter(has_text="The World Since 1945")
    card.get_by_role("link", name="Unenroll").click()
    page.get_by_role("link", name="Stay enrolled").click()
    expect(page.locator("article")).to_have_count(9)
    card.get_by_role("link", name="Unenroll").click()
    page.get_by_role("button", name="Yes, unenroll me").click()

    expect(page.get_by_role("status").first).to_contain_text("You are no longer enrolled in")
    expect(page.locator("article")).to_have_count(8)
    assert not CourseEnrollment.objects.get(user=user, course_id=OPEN).is_active


def test_a_course_page_shows_what_the_author_wrote_and_runs_none_of_it(visitor: Visit):
    whole_scene()
    page = visitor.page

    visitor.open(f"/courses/{ALGEBRA}/about")

    expect(page.get_by_role("heading", level=1)).to_have_text(ALGEBRA_NAME)
    expect(page.get_by_role("heading", name="Course Staff")).to_be_visible()
    expect(page).to_have_title(f"{ALGEBRA_NAME} · Open edX")
    assert page.locator("main script, main style, main iframe, main [onerror]").count() == 0
    assert fits(visitor)


def test_a_course_that_one_may_not_see_is_not_there(visitor: Visit):
    whole_scene()
    visitor.sign_in()

    visitor.open(f"/courses/{HIDDEN}/about")

    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Page not found")
    assert "Not for you" not in visitor.page.content()
    visitor.console.clear()  # browsers log every 404


def test_long_lists_are_paged(visitor: Visit):
    many_courses(learner(), 54)
    visitor.sign_in()
    page = visitor.page

    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("status")).to_contain_text("Courses 25\u201348 of 54")
    page.get_by_role("link", name="Page 3").click()
    expect(page.locator("article")).to_have_count(6)
    assert fits(visitor)


def test_pages_work_without_scripts(browser: Browser, site: str, transactional_db: None):
    whole_scene()
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.route("**/asset-v1:*", lambda route: route.abort())

    page.goto(f"{site}/login")
    page.get_by_label("Username").fill("ada.lovelace")
    page.get_by_label("Password").fill("notes on the engine")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Sort by").select_option("name")
    page.get_by_role("button", name="Apply").click()

    assert page.locator("article h2").first.inner_text() == "Abstract Algebra"
    context.close()


def test_a_rename_shows_on_reload(visitor: Visit):
    whole_scene()
    visitor.sign_in()

    CourseOverview.objects.filter(id=ALGEBRA).update(display_name="Renamed")
    visitor.page.reload()

    assert visitor.cards()[0] == "Renamed"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_no_page_has_a_barrier_that_axe_finds(
    browser: Browser, site: str, transactional_db: None, size: tuple[int, int], dark: bool
):
    whole_scene()
    learner("newcomer")
    course("course-v1:Northgate+BARE+1", "No words", catalog_visibility="both")
    with visit(browser, site, size, dark=dark) as visitor:
        visitor.open("/login")
        problems = barriers(visitor)
        visitor.sign_in()
        for path in (
            "/dashboard",
            "/dashboard?status=ended&q=nothing",
            "/courses",
            "/courses?q=nothing",
            f"/courses/{ALGEBRA}/about",
            f"/courses/{OPEN}/about",
            "/courses/course-v1:Northgate+BARE+1/about",
            f"/courses/{ALGEBRA}/unenroll",
            "/courses/course-v1:Northgate+PHYS310+2024/unenroll",
            "/nowhere",
        ):
            visitor.open(path)
            problems += barriers(visitor)
            assert fits(visitor), path
        visitor.page.get_by_role("link", name="My courses").first.click()
        visitor.page.get_by_role("button", name="Sign out").click()
        visitor.sign_in("newcomer")
        problems += barriers(visitor)

    assert problems == []
