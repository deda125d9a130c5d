"""The web process of the ``Procfile`` on the test's database, with the account of production, and a browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection
from playwright.sync_api import Browser

from dev.procfile import ProcfileProcesses
from tests.acceptance.processes import web_environment
from tests.browser.browsing import DESKTOP, PHONE, Visit, chromium, free_port, visit
from tests.sql_accounts import account_url, printed_accounts


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, once for all tests of a module."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def site(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of gunicorn with our pages, on the database of the tests."""
    with _web_process(logs=tmp_path_factory.mktemp("web")) as url:
        yield url


@pytest.fixture
def fresh_site(transactional_db: None, tmp_path: Path) -> Iterator[str]:
    """The same for one test alone: the admin's log needs the content types that the process remembers,
    and emptying the database between tests makes new ones."""
    with _web_process(logs=tmp_path / "web") as url:
        yield url


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def visitor(
    request: pytest.FixtureRequest, transactional_db: None, browser: Browser, site: str
) -> Iterator[Visit]:
    """A window of each width, on an empty database; at its end nothing may have gone wrong in it."""
    with visit(browser, site, request.param) as found:
        yield found
        found.assert_is_clean()


@contextmanager
def _web_process(*, logs: Path) -> Iterator[str]:
    port = free_port()
    # Several may run at once, and each drops its account in the end.
    prefix = f"site_{port}_"
    with printed_accounts("admin", prefix=prefix) as passwords:
        name = str(connection.settings_dict["NAME"])
        environment = {
            **web_environment(sql_database=name, port=port),
            "OVERVIEW_DATABASE_URL": account_url("admin", passwords["admin"], prefix=prefix),
        }
        one_visitor = {"web": "--workers 1"}
        with ProcfileProcesses(
            logs, environment=environment, more_arguments=one_visitor
        ) as processes:
            processes.start("web")
            yield f"http://127.0.0.1:{port}"
