"""The pipeline's processes on a test's own databases, run as operators run them."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from dev.authoring.author import PublishedChange
from dev.procfile import PROJECT, ProcfileProcesses
from lms_integration.models import CourseOverview, OverviewMark, OverviewState
from tests.sql_accounts import PROCESS_PREFIX, account_url

PATIENCE_SECONDS = 120


#: The accounts that processes have, as ``overview grants`` makes them.
ROLES = ("worker", "reader")


class Pipeline(ProcfileProcesses):
    """The processes of one test, and the command that talks to them.

    ``passwords`` are those of the accounts of ``ROLES``: the web process may read, all others are workers.
    """

    def __init__(
        self,
        *,
        sql_database: str,
        mongo_database: str,
        log_folder: Path,
        passwords: Mapping[str, str],
        port: int = 0,
    ) -> None:
        worker, reader = (
            account_url(role, passwords[role], prefix=PROCESS_PREFIX) for role in ROLES
        )
        super().__init__(
            log_folder,
            environment={
                **web_environment(sql_database=sql_database, port=port),
                "OVERVIEW_DATABASE_URL": worker,
                "OVERVIEW_MONGODB_DATABASE": mongo_database,
            },
            own_variables={"web": {"OVERVIEW_DATABASE_URL": reader}},
        )

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``overview`` as an operator does."""
        return subprocess.run(
            ["overview", *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


def web_environment(*, sql_database: str, port: int) -> Mapping[str, str]:
    """Return the environment of processes on a test's SQL database; ``port`` is the web process's."""
    base, _, query = os.environ["OVERVIEW_DATABASE_URL"].partition("?")
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "lms_integration.settings",
        "OVERVIEW_DATABASE_URL": f"{base.rpartition('/')[0]}/{sql_database}?{query}",
        "OVERVIEW_SECRET_KEY": "of the tests alone",
        "OVERVIEW_IMAGE_BASE_URL": "",
        "PORT": str(port),
    }


def wait_for(condition: Callable[[], bool], *, what: str) -> None:
    """Wait until ``condition`` holds; fails with ``what`` was awaited."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"gave up waiting for {what}")
        time.sleep(0.02)


def wait_until_clean() -> None:
    """Wait until no course is dirty."""
    wait_for(
        lambda: not OverviewMark.objects.filter(dirty_since__isnull=False).exists(),
        what="all courses to be clean",
    )


def wait_for_row(change: PublishedChange) -> CourseOverview:
    """Wait until a course's row is from the version that ``change`` published."""
    wait_for(
        lambda: OverviewState.objects.filter(
            course_key=change.course_key, source_version=change.published_version
        ).exists(),
        what=f"the row of {change.course_key}",
    )
    return CourseOverview.objects.get(id=change.course_key)
