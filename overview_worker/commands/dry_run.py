"""``overview reindex --dry-run``: what a run would change, built in memory and compared."""

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.console import Console

from lms_integration.rebuild_desk import RunRequest
from overview_worker.bootstrap import dependencies
from overview_worker.commands.own_rows import OwnRows
from overview_worker.commands.reporting import ReportFiles, header_of, print_report
from overview_worker.commands.verify import read_only
from overview_worker.inspection_ports import Sight
from overview_worker.inspector import finding_of
from overview_worker.reports import CourseComparison
from overview_worker.run_ports import RunDepth, RunOrder, RunPages, RunScope, RunStage
from overview_worker.runs import PAGE_LENGTH, depth_of


def report_dry_run(request: RunRequest, *, files: ReportFiles, console: Console) -> int:
    """Compare the courses that the run would rebuild, print what it would change, write nothing.

    Returns the exit code: 0 if the run would change nothing, 1 if it would, or could not be told.

    Raises:
        OverviewError: a server did not answer before the first course.
    """
    order = _order_of(request)
    with read_only():
        header = header_of(
            "What a rebuild run would change",
            mode="reindex --dry-run",
            started_at=datetime.now(UTC),
            scope=_words(order),
            not_compared={},
        )
        return print_report(_comparisons(order), header=header, files=files, console=console)


def _comparisons(order: RunOrder) -> Iterator[CourseComparison]:
    """Yield each course that the run would rebuild, compared with what it would write."""
    inspector = dependencies().inspector
    versions = inspector.versions()
    for sights in _pages(order, dependencies().runs.pages):
        wanted = [each for each in sights if depth_of(each, order, versions) is not None]
        findings = {each.course_key: finding_of(each, versions) for each in wanted}
        rows = OwnRows(
            inspector=inspector,
            findings={key: kind for key, kind in findings.items() if kind is not None},
        )
        yield from rows.compare(findings, unknown=())


def _pages(order: RunOrder, pages: RunPages) -> Iterator[list[Sight]]:
    stages = [RunStage.COURSES] if order.scope is RunScope.COURSES else list(RunStage)
    for stage in stages:
        after_key, is_last = "", False
        while not is_last:
            page = pages.read(
                order,
                stage=stage,
                after_key=after_key,
                until_key="",
                limit=PAGE_LENGTH[order.depth],
            )
            yield list(page.sights)
            after_key, is_last = page.last_key, page.is_last


def _order_of(request: RunRequest) -> RunOrder:
    return RunOrder(
        run_id=0,
        scope=RunScope(request.scope),
        depth=RunDepth(request.depth),
        org=request.org,
        course_keys=tuple(sorted(request.course_keys)),
        version_below=request.version_below,
    )


def _words(order: RunOrder) -> str:
    which = {
        RunScope.ALL: "all courses",
        RunScope.ORG: f"organisation {order.org}",
        RunScope.COURSES: f"{len(order.course_keys)} named",
    }[order.scope]
    below = "" if order.version_below is None else f" below {order.version_below}"
    return f"{which}, depth {order.depth}{below}"
