"""A load that does not end: is memory flat, does the backlog stay, does one hot course hurt?

``sustained`` sends events at a steady rate for minutes, in the mix of the soak but without kills, and
samples every process's memory and the number of dirty courses. ``hot`` publishes one course again
and again as Studio does, in many threads at once, with sixteen workers, and measures how long any
session of the database waited for a lock.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, connections, transaction
from pymongo import MongoClient
from pymongo.database import Database

from benchmarks.clock import summarise
from benchmarks.event_mix import EventMix
from benchmarks.resources import Samples, sampled
from dev.authoring.author import SplitAuthor
from dev.authoring.index import SqlCourseIndex
from dev.procfile import ProcfileProcesses
from lms_integration.models import OverviewMark, OverviewState
from lms_integration.signals import course_published

PER_SECOND = 500
SECONDS = 600
QUICK_SECONDS = 20
COURSE_COUNT = 1000
#: One event in twenty announces a real edit: Studio's part of it costs more than all of ours.
EDIT_SHARE = 0.05
#: Memory that grows by less than so much after the warm-up is flat: pools and caches breathe.
FLAT_MIB = 10.0
PROCESSES = ("intake", "live", "bulk", "beat")

HOT_WORKERS = 16
HOT_PUBLISHERS = 4
HOT_PUBLISHES = 1000
HOT_SECONDS = 10
MOST_LOCK_WAIT_SECONDS = 1.0
PATIENCE_SECONDS = 120.0


def measure(
    *, log_folder: Path, seconds: int | None, quick: bool, report: Callable[[str], None]
) -> dict[str, Any]:
    """Run both on the servers that the environment names; return what goes into the JSON file."""
    client: MongoClient[dict[str, Any]] = MongoClient(settings.OVERVIEW_MONGODB_URL)
    database = client[settings.OVERVIEW_MONGODB_DATABASE]
    SqlCourseIndex(database).create_table()
    environment = {
        **os.environ,
        "OVERVIEW_COURSE_INDEX": "mysql",
        "OVERVIEW_LOG_LEVEL": "INFO",  # else nobody says when they are ready
    }
    seconds = seconds or (QUICK_SECONDS if quick else SECONDS)
    log_folder = log_folder / "sustained"
    with ProcfileProcesses(log_folder, environment=environment) as processes:
        processes.start(*PROCESSES)
        report(f"{PER_SECOND} events/s for {seconds} s over {COURSE_COUNT} courses")
        sustained = _measure_sustained(database, processes, seconds)
    report(f"{HOT_PUBLISHES} publishes of one course in {HOT_SECONDS} s, {HOT_WORKERS} workers")
    with ProcfileProcesses(
        log_folder,
        environment=environment,
        more_arguments={"live": f"--concurrency {HOT_WORKERS}"},
    ) as processes:
        processes.start(*PROCESSES)
        hot = _measure_hot(database)
    client.close()
    return {"sustained": sustained, "hot_course": hot}


def _measure_sustained(
    database: Database[dict[str, Any]], processes: ProcfileProcesses, seconds: int
) -> dict[str, Any]:
    run = time.time_ns() // 1_000_000_000
    keys = [f"course-v1:Sustained+C{number:04}+R{run}" for number in range(COURSE_COUNT)]
    mix = EventMix(database, settings.OVERVIEW_BROKER_URL, keys, edit_share=EDIT_SHARE)
    for _ in mix.create_courses():
        pass
    late: list[float] = []
    with sampled(processes, PROCESSES) as samples:
        begun = time.monotonic()
        for number in range(PER_SECOND * seconds):
            due = begun + number / PER_SECOND
            if (ahead := due - time.monotonic()) > 0:
                time.sleep(ahead)
            late.append(max(0.0, time.monotonic() - due))
            mix.send_one()
        sent_seconds = time.monotonic() - begun
    mix.finish()
    ended = time.monotonic()
    _wait_until_clean(keys)
    return {
        **mix.as_dict(),
        "per_second": round(mix.figures.events / sent_seconds, 1),
        "sender_late_p99_ms": summarise(late).p99_ms,
        "drained_seconds": round(time.monotonic() - ended, 1),
        **_figures_of(samples),
    }


def _figures_of(samples: Samples) -> dict[str, Any]:
    first, last = samples.dirty_medians()
    growth = samples.growth_mib()
    return {
        "seconds_sampled": len(samples.samples),
        "dirty_most": max(samples.dirty_counts(), default=0),
        "dirty_median_first_third": first,
        "dirty_median_last_third": last,
        "backlog_grows": last > 2 * first + 20,
        "largest_mib": samples.largest_mib(),
        "growth_mib": growth,
        "growth_mib_per_hour": samples.growth_mib_per_hour(),
        "memory_is_flat": all(mib < FLAT_MIB for mib in growth.values()),
    }


def _wait_until_clean(keys: list[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    dirty = OverviewMark.objects.filter(dirty_since__isnull=False, course_key__in=keys)
    while dirty.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{dirty.count()} courses are still dirty")
        time.sleep(0.05)


# One hot course


def _measure_hot(database: Database[dict[str, Any]]) -> dict[str, Any]:
    key = f"course-v1:Hot+C1+R{time.time_ns()}"
    author = SplitAuthor(database, index=SqlCourseIndex(database))
    with transaction.atomic():
        change = author.create_course(key, settings={"display_name": "#0"})
        course_published.send(
            sender=None,
            course_key=key,
            published_version=change.published_version,
            published_at=change.updated_at,
        )
    _wait_until_clean([key])
    before = _lock_waits()
    costs: list[float] = []
    begun = time.monotonic()
    threads = [
        threading.Thread(target=_publish_hot, args=(database, key, share, costs))
        for share in range(HOT_PUBLISHERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = time.monotonic()
    _wait_until_clean([key])
    fresh_seconds = time.monotonic() - ended
    after = _lock_waits()
    state = OverviewState.objects.get(course_key=key)
    published = SqlCourseIndex(database).find(key)
    longest_seconds = after["Innodb_row_lock_time_max"] / 1000
    return {
        "publishes": len(costs),
        "seconds": round(ended - begun, 2),
        "workers": HOT_WORKERS,
        "rows_written": state.row_seq,
        "is_fresh": published is not None
        and state.source_version == str(published.published_version),
        "clean_after_last_seconds": round(fresh_seconds, 3),
        "studio": asdict(summarise(costs)),
        "lock_waits": after["Innodb_row_lock_waits"] - before["Innodb_row_lock_waits"],
        "lock_wait_total_seconds": (after["Innodb_row_lock_time"] - before["Innodb_row_lock_time"])
        / 1000,
        #: Since the server's start: of this part of the run and of what was before it.
        "longest_lock_wait_seconds": longest_seconds,
        "no_lock_wait_over_1_s": longest_seconds <= MOST_LOCK_WAIT_SECONDS,
    }


def _publish_hot(
    database: Database[dict[str, Any]], key: str, share: int, costs: list[float]
) -> None:
    author = SplitAuthor(database, index=SqlCourseIndex(database))
    begun = time.monotonic()
    try:
        for number in range(share, HOT_PUBLISHES, HOT_PUBLISHERS):
            due = begun + number * HOT_SECONDS / HOT_PUBLISHES
            time.sleep(max(0.0, due - time.monotonic()))
            costs.append(_publish_once(author, key, number))
    finally:
        connections.close_all()


def _publish_once(author: SplitAuthor, key: str, number: int) -> float:
    with transaction.atomic():
        change = author.edit_settings(key, {"display_name": f"Hot #{number}"})
        started = time.monotonic()
        course_published.send(
            sender=None,
            course_key=key,
            published_version=change.published_version,
            published_at=change.updated_at,
        )
    return time.monotonic() - started


def _lock_waits() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock%%'")
        return {name: int(value) for name, value in cursor.fetchall()}
