"""Opens pages in Chromium and notes everything that a learner's browser should not do."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import connections
from playwright.sync_api import Browser, Page, Route, sync_playwright

from dev.machine import find_browser
from tests.browser.scene import PASSWORD, USERNAME

PHONE, DESKTOP = (390, 844), (1280, 900)
IMAGE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 9"><rect width="16" height="9"/></svg>'
)
PATIENCE_MS = 15_000


@dataclass(kw_only=True)
class Visit:
    """A browser's window on the site, with what it logged and where it went."""

    page: Page
    site: str  #: URL of the web process, without a slash at its end
    console: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Go to a path of the site."""
        self.page.goto(self.site + path)

    def sign_in(self, username: str = USERNAME, *, then: str = "/dashboard") -> None:
        """Sign in as a person does."""
        self.open(f"/login?next={then}")
        self.page.get_by_label("Username").fill(username)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(self.site + then)

    def cards(self) -> list[str]:
        """Return the names on the cards, in their order."""
        return self.page.locator("article h2").all_inner_texts()

    def assert_is_clean(self) -> None:
        """Assert that nothing was logged and no request left the host."""
        assert self.console == []
        assert self.elsewhere == []


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the machine's Chromium; without one that can be driven, skip here and fail in CI.

    While it runs, its event loop runs in this thread; Django is told not to mind. It has connections of
    its own there, which must not outlive a restart of the database between two modules.
    """
    program = find_browser()
    if program is None:
        message = "needs Chromium: apt-get install chromium"
        pytest.fail(message, pytrace=False) if os.environ.get("CI") else pytest.skip(message)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--headless"]
        )
        yield browser
        connections.close_all()
        browser.close()


@contextmanager
def visit(
    browser: Browser, site: str, size: tuple[int, int], *, dark: bool = False
) -> Iterator[Visit]:
    """Open an empty window on the site; images of courses are served as the LMS would."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    found = Visit(page=page, site=site)
    page.on("console", lambda message: found.console.append(message.text))
    page.on("pageerror", lambda error: found.console.append(str(error)))
    page.route("**/*", lambda route: _answer(route, found))
    yield found
    context.close()


def barriers(visitor: Visit, *, within: str = "html") -> list[str]:
    """Return what axe has against the page that is open, or against a part of it."""
    found = Axe().run(visitor.page, context=within).response["violations"]
    return [
        f"{visitor.page.url}: {each['id']}: {node['html'][:200]} {node['failureSummary']}"
        for each in found
        for node in each["nodes"]
    ]


def fits(visitor: Visit) -> bool:
    """Return whether nothing is wider than the window."""
    return bool(
        visitor.page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
    )


def _answer(route: Route, found: Visit) -> None:
    """Let requests through to the site alone, and serve the images that the LMS has."""
    url = route.request.url
    if "/asset-v1:" in url:
        route.fulfill(body=IMAGE, content_type="image/svg+xml")
    elif urlsplit(url).netloc == urlsplit(found.site).netloc:
        route.continue_()
    else:
        found.elsewhere.append(url)
        route.abort()


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
