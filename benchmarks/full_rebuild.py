"""Rebuild runs: how fast, how large, and does a publish notice? Beside the lazy baseline in one run.

The runs are real: asked for in SQL, worked on by the ``bulk`` processes of the ``Procfile`` (two, on two
cores with everything else). *forced* reads, builds and writes every course; *unchanged* finds that there
is nothing to do. The baseline fills rows as a request that finds none does, one course at a time, as
Open edX's shell command goes through them.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from django.conf import settings
from pymongo import MongoClient
from pymongo.database import Database

from benchmarks.clock import Durations, summarise
from benchmarks.lazy_course import fill_lazily
from benchmarks.publishing import Names, publish_and_expect
from benchmarks.resources import sampled
from benchmarks.watcher import Watcher, watching
from dev.authoring.author import SplitAuthor
from dev.authoring.index import MongoCourseIndex
from dev.authoring.new_course import NewCourse
from dev.procfile import ProcfileProcesses
from lms_integration.models import RunDepth, RunOrigin, RunScope, RunState
from lms_integration.rebuild_desk import (
    ACTIVE_STATES,
    RunProgress,
    RunRequest,
    ask_for_run,
    progress_of,
)

#: Blocks of a course, how many courses there are, and how many of them the baseline fills in a round.
SIZES = {
    "small (10,000)": (5, 10_000, 300),
    "demo": (413, 1_000, 60),
    "5,000 blocks": (5_000, 150, 20),
    "20,000 blocks": (20_000, 50, 6),
}
QUICK_SIZES = {
    "small (1,000)": (5, 1_000, 100),
    "demo": (413, 200, 20),
    "5,000 blocks": (5_000, 40, 8),
    "20,000 blocks": (20_000, 12, 4),
}
MANY = 100_000
QUICK_MANY = 3_000
ROUNDS = 3
#: Publishes beside the run of the many courses, a second.
LIVE_PER_SECOND = 20
LIVE_COURSES = 40
PROCESSES = ("intake", "live", "bulk", "beat")
LIVE_SECONDS_BEFORE = 10.0
#: Courses of the many that the baseline fills.
LAZY_OF_MANY = 300
#: Blocks in one write of new courses.
BLOCKS_AT_ONCE = 20_000
PATIENCE_SECONDS = 1800.0
_NAMES = Names()


@dataclass(frozen=True, kw_only=True, slots=True)
class RebuildFigures:
    """Runs over all courses of one size, in courses a second; medians over the rounds."""

    size: str
    course_count: int
    forced_per_second: float
    unchanged_per_second: float
    lazy_per_second: float
    ratio: float  #: forced to lazy, taken round by round
    bulk_mib: float  #: the most memory that one bulk process had


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveFigures:
    """Publishes while a run over many courses is under way, and before it."""

    course_count: int
    forced_per_second: float  #: with the publishes beside
    publish_count: int
    visible: Durations
    visible_before: Durations
    bulk_mib: float


def measure(
    *, log_folder: Path, quick: bool, many: int | None = None, report: Callable[[str], None]
) -> dict[str, Any]:
    """Run all measurements; return what goes into the JSON file. ``many``: courses of the largest run."""
    client: MongoClient[dict[str, Any]] = MongoClient(settings.OVERVIEW_MONGODB_URL)
    database = client[settings.OVERVIEW_MONGODB_DATABASE]
    author = SplitAuthor(database, index=MongoCourseIndex(database))
    environment = {**os.environ, "OVERVIEW_LOG_LEVEL": "INFO"}  # else nobody says when it is ready
    with ProcfileProcesses(log_folder / "full_rebuild", environment=environment) as processes:
        processes.start(*PROCESSES)
        many = many or (QUICK_MANY if quick else MANY)
        figures: list[RebuildFigures] = []

        def rebuild(size: str, org: str, block_count: int, count: int, lazy_count: int) -> None:
            report(f"writing {count} courses: {size}")
            keys = _write(author, org, block_count, count)
            report(f"rebuilding {count} courses: {size}")
            rounds = 1 if count >= MANY else ROUNDS
            figures.append(
                _measure_size(size, org, keys, lazy_count, database, processes, rounds=rounds)
            )
            report(str(figures[-1]))  # a run that is broken off has told what it had

        rebuild("small", "Many", 5, many, LAZY_OF_MANY)
        report(f"again, beside {LIVE_PER_SECOND} publishes/s")
        live = _measure_live(author, many, processes)
        report(str(live))
        for size, (blocks, count, lazy_count) in (QUICK_SIZES if quick else SIZES).items():
            rebuild(size, "Full" + "".join(filter(str.isalnum, size)), blocks, count, lazy_count)
    client.close()
    return {"full_rebuild": [asdict(each) for each in figures], "live_beside": asdict(live)}


def _write(author: SplitAuthor, org: str, block_count: int, count: int) -> list[str]:
    """Publish so many courses of an organisation; those that are there already stay."""
    keys = [f"course-v1:{org}+C{number:06}+R1" for number in range(count)]
    known = author.course_keys()
    missing = [key for key in keys if key not in known]
    at_once = max(1, BLOCKS_AT_ONCE // block_count)
    for start in range(0, len(missing), at_once):
        author.create_courses(
            [
                NewCourse(course_key=key, settings={"display_name": key}, block_count=block_count)
                for key in missing[start : start + at_once]
            ]
        )
    return keys


def _measure_size(
    size: str,
    org: str,
    keys: Sequence[str],
    lazy_count: int,
    database: Database[dict[str, Any]],
    processes: ProcfileProcesses,
    *,
    rounds: int,
) -> RebuildFigures:
    some = keys[:: max(1, len(keys) // lazy_count)]
    forced, unchanged, lazy = [], [], []
    _rate_of(org, RunDepth.STALE)  # makes the rows that lack, and warms up
    _lazy_rate(some[:10], database)
    with sampled(processes, ["bulk"]) as samples:
        for _ in range(rounds):
            lazy.append(_lazy_rate(some, database))
            forced.append(_rate_of(org, RunDepth.REWRITE))
            unchanged.append(_rate_of(org, RunDepth.STALE))
    return RebuildFigures(
        size=size,
        course_count=len(keys),
        forced_per_second=round(median(forced), 1),
        unchanged_per_second=round(median(unchanged), 1),
        lazy_per_second=round(median(lazy), 1),
        ratio=round(median(a / b for a, b in zip(forced, lazy, strict=True)), 1),
        bulk_mib=samples.largest_mib().get("bulk", 0.0),
    )


def _rate_of(org: str, depth: RunDepth) -> float:
    """Run over all courses of an organisation and return courses a second, by the database's clock."""
    run = _ended(_ask(org, depth)).run
    if run.failed_count or run.busy_count:
        raise RuntimeError(f"{run.failed_count} failed, {run.busy_count} busy: {run}")
    if depth is RunDepth.REWRITE and run.written_count != run.total_count:
        raise RuntimeError(f"only {run.written_count} of {run.total_count} were written")
    if run.started_at is None or run.finished_at is None or not run.total_count:
        raise RuntimeError(f"the run did nothing: {run}")
    return run.total_count / (run.finished_at - run.started_at).total_seconds()


def _ask(org: str, depth: RunDepth) -> int:
    request = RunRequest(
        scope=RunScope.ORG, org=org, depth=depth, asked_from=RunOrigin.COMMAND, reason="benchmark"
    )
    return int(ask_for_run(request).pk)


def _ended(number: int) -> RunProgress:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (progress := progress_of(number)).run.state in ACTIVE_STATES:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not over: {progress}")
        time.sleep(0.05)
    if progress.run.state != RunState.DONE:
        raise RuntimeError(f"{progress.run}: {progress.run.error}")
    return progress


def _lazy_rate(keys: Sequence[str], database: Database[dict[str, Any]]) -> float:
    started = time.perf_counter()
    for key in keys:
        fill_lazily(key, database)
    return len(keys) / (time.perf_counter() - started)


# Publishes beside


def _measure_live(author: SplitAuthor, many: int, processes: ProcfileProcesses) -> LiveFigures:
    keys = _write(author, "Beside", 5, LIVE_COURSES)
    with watching() as watcher:
        for key in keys:
            publish_and_expect(author, key, _NAMES.next(), watcher)
        watcher.collect(len(keys), timeout_seconds=PATIENCE_SECONDS)
        before = _publish_while(author, keys, watcher, seconds=LIVE_SECONDS_BEFORE)
        with sampled(processes, ["bulk"]) as samples:
            number = _ask("Many", RunDepth.REWRITE)
            during = _publish_while(author, keys, watcher, until_over=number)
            run = _ended(number).run
    if run.started_at is None or run.finished_at is None or not run.total_count:
        raise RuntimeError(f"the run did nothing: {run}")
    return LiveFigures(
        course_count=many,
        forced_per_second=round(
            run.total_count / (run.finished_at - run.started_at).total_seconds(), 1
        ),
        publish_count=len(during),
        visible=summarise(during),
        visible_before=summarise(before),
        bulk_mib=samples.largest_mib().get("bulk", 0.0),
    )


def _publish_while(
    author: SplitAuthor,
    keys: Sequence[str],
    watcher: Watcher,
    *,
    seconds: float = PATIENCE_SECONDS,
    until_over: int | None = None,
) -> list[float]:
    """Publish at a steady rate for so long, or until a run is over; return the seconds to visible."""
    begin, count = time.monotonic(), 0
    while time.monotonic() < begin + seconds:
        time.sleep(max(0.0, begin + count / LIVE_PER_SECOND - time.monotonic()))
        publish_and_expect(author, keys[count % len(keys)], _NAMES.next(), watcher)
        count += 1
        look = until_over is not None and count % LIVE_PER_SECOND == 0
        if look and until_over is not None and _is_over(until_over):
            break
    return [seen.seconds for seen in watcher.collect(count, timeout_seconds=PATIENCE_SECONDS)]


def _is_over(number: int) -> bool:
    return progress_of(number).run.state not in ACTIVE_STATES
