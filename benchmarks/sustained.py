"""A load that does not end: is memory flat, does the backlog stay, does one hot course hurt?

``sustained`` sends events at a steady rate for ten minutes over 10,000 courses, in the mix of the soak but
without kills, samples every process's memory, the dirty courses and the waiting events, and judges
whether any of them grows: ``steadiness.py``. ``hot`` publishes one course again
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
from benchmarks.steadiness import Load, Series, growth_of, violations
from dev.authoring.author import SplitAuthor
from dev.authoring.index import SqlCourseIndex
from dev.procfile import ProcfileProcesses
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import OverviewMark, OverviewState
from lms_integration.signals import course_published
from overview_worker.celery import app
from overview_worker.queueing import RebuildQueue

PER_SECOND = 500
SECONDS = 600
QUICK_SECONDS = 20
COURSE_COUNT = 10_000
#: One event in twenty announces a real edit: Studio's part of it costs more than all of ours.
EDIT_SHARE = 0.05
PROCESSES = ("intake", "live", "bulk", "beat")
KEY_PREFIX = "course-v1:Sustained+"
#: Courses that are marked at once.
FILL_CHUNK = 500

HOT_WORKERS = 16
HOT_PUBLISHERS = 4
HOT_PUBLISHES = 1000
HOT_SECONDS = 10
MOST_LOCK_WAIT_SECONDS = 1.0
PATIENCE_SECONDS = 120.0


def measure(
    *, log_folder: Path, seconds: int | None, quick: bool, report: Callable[[str], None]
) -> dict[str, Any]:
    """Run both on the servers that the environment names; return what goes into the JSON file.

    ``violations`` in it is what did not hold.
    """
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
    broken = [*sustained["violations"]]
    if not hot["no_lock_wait_over_1_s"]:
        broken.append(f"a session waited {hot['longest_lock_wait_seconds']} s for a lock")
    return {"sustained": sustained, "hot_course": hot, "violations": broken}


def _measure_sustained(
    database: Database[dict[str, Any]], processes: ProcfileProcesses, seconds: int
) -> dict[str, Any]:
    run = time.time_ns() // 1_000_000_000
    keys = [f"{KEY_PREFIX}C{number:04}+R{run}" for number in range(COURSE_COUNT)]
    mix = EventMix(database, settings.OVERVIEW_BROKER_URL, keys, edit_share=EDIT_SHARE)
    for _ in mix.create_courses():
        pass
    _fill(keys)
    late: list[float] = []
    with sampled(processes, PROCESSES, key_prefix=KEY_PREFIX) as samples:
        begun = time.monotonic()
        for number in range(PER_SECOND * seconds):
            due = begun + number / PER_SECOND
            if (ahead := due - time.monotonic()) > 0:
                time.sleep(ahead)
            late.append(max(0.0, time.monotonic() - due))
            mix.send_one()
        sent_per_second = mix.figures.events / (time.monotonic() - begun)
    mix.finish()
    ended = time.monotonic()
    _wait_until_clean(keys)
    return {
        **mix.as_dict(),
        "per_second": round(sent_per_second, 1),
        "sender_late_p99_ms": summarise(late).p99_ms,
        "drained_seconds": round(time.monotonic() - ended, 1),
        **_figures_of(samples, sent_per_second),
    }


def _figures_of(samples: Samples, sent_per_second: float) -> dict[str, Any]:
    load = Load(
        course_count=COURSE_COUNT,
        wanted_per_second=PER_SECOND,
        sent_per_second=sent_per_second,
        dirty=samples.series(lambda each: each.dirty_count),
        oldest_seconds=samples.series(lambda each: each.oldest_dirty_seconds),
        waiting_events=samples.series(lambda each: each.waiting_events),
        growth_mib=samples.growth_mib(),
    )
    return {
        "seconds_sampled": len(samples.samples),
        "dirty_most": max(samples.dirty_counts(), default=0),
        "dirty_growth_second_half": round(growth_of(load.dirty), 1),
        "oldest_dirty_seconds_most": round(_most(load.oldest_seconds), 1),
        "oldest_growth_second_half": round(growth_of(load.oldest_seconds), 1),
        "waiting_events_most": _most(load.waiting_events),
        "largest_mib": samples.largest_mib(),
        "growth_mib": load.growth_mib,
        "growth_mib_per_hour": samples.growth_mib_per_hour(),
        "violations": list(violations(load)),
    }


def _most(series: Series) -> float:
    return max((value for _, value in series), default=0.0)


def _fill(keys: list[str]) -> None:
    """Have every course built once, by the bulk workers: the load is to find a read model that is there."""
    for start in range(0, len(keys), FILL_CHUNK):
        chunk = sorted(keys[start : start + FILL_CHUNK])
        mark_courses([CourseMark(course_key=key) for key in chunk], not_before_seconds=120)
        RebuildQueue(app).enqueue_bulk(chunk)
    _wait_until_clean(keys)


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
