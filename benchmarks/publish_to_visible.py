"""How long from a publish in Studio to the row that a reader sees; bursts; and the rebuild loop.

Publishes are real: Split documents are written, the signal is sent in Studio's transaction, the
event goes over the broker, the processes of the ``Procfile`` do the rest. The clock starts when the
signal is sent, and stops when another process reads the new name from the overview table.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from kombu import Connection, Producer
from pymongo import MongoClient
from pymongo.database import Database

from benchmarks.clock import Durations, summarise
from benchmarks.publishing import Names, publish_and_expect
from benchmarks.watcher import Expected, Watcher, watching
from dev.authoring.author import PublishedChange, SplitAuthor
from dev.authoring.index import MongoCourseIndex
from dev.procfile import ProcfileProcesses
from lms_integration.events import CONTENT_TYPE, CoursePublished, encode_event
from lms_integration.models import OverviewMark
from lms_integration.topology import event_exchange, event_queue

#: Published per second, and for how many seconds.
RATES = ((1, 20), (10, 15), (50, 20))
QUICK_RATES = ((10, 3), (50, 4))
#: Blocks of a course, by its name in the tables.
SIZES = {"small": 5, "demo": 413}
COURSE_COUNT = 50
BURST_EVENT_COUNT = 10_000
BURST_EDIT_EVERY = 500
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyFigures:
    """Publish → visible at one rate."""

    size: str
    per_second: int
    visible: Durations
    studio: Durations  #: what mark, commit and event cost the publisher


@dataclass(frozen=True, kw_only=True, slots=True)
class BurstFigures:
    """Many events for one course."""

    event_count: int
    rebuild_count: int
    read_seconds: float  #: first event sent → last one marked by the intake
    visible_after_read_seconds: float  #: last event marked by the intake → last state visible


def measure(*, log_folder: Path, quick: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """Run the latency and burst measurements; return what goes into the JSON file."""
    client: MongoClient[dict[str, Any]] = MongoClient(settings.OVERVIEW_MONGODB_URL)
    database = client[settings.OVERVIEW_MONGODB_DATABASE]
    author = SplitAuthor(database, index=MongoCourseIndex(database))
    latencies: list[LatencyFigures] = []
    with (
        ProcfileProcesses(log_folder) as processes,
        watching() as watcher,
    ):
        processes.start("intake", "live", "beat")
        for size, block_count in SIZES.items():
            keys = _write_courses(author, database, size=size, block_count=block_count)
            _warm_up(author, keys, watcher)
            for per_second, seconds in QUICK_RATES if quick else RATES:
                report(f"{size} courses, {per_second} publishes/s for {seconds} s")
                figures = _measure_rate(author, keys, watcher, per_second, seconds, size)
                latencies.append(figures)
        report(f"{BURST_EVENT_COUNT} events for one course")
        burst = _measure_burst(author, watcher, processes)
    client.close()
    return {
        "publish_to_visible": [asdict(each) for each in latencies],
        "burst": asdict(burst),
    }


def _write_courses(
    author: SplitAuthor, database: Database[dict[str, Any]], *, size: str, block_count: int
) -> list[str]:
    keys = [f"course-v1:Bench+{size}{number:03}+R1" for number in range(COURSE_COUNT)]
    known = author.course_keys()
    for key in keys:
        if key not in known:
            author.create_course(key, settings={"display_name": "#0"}, block_count=block_count)
    return keys


_NAMES = Names()


def _publish(author: SplitAuthor, course_key: str, watcher: Watcher) -> float:
    """Edit and publish one course as Studio does; return what the pipeline cost the publisher."""
    return publish_and_expect(author, course_key, _NAMES.next(), watcher).cost_seconds


def _warm_up(author: SplitAuthor, keys: Sequence[str], watcher: Watcher) -> None:
    for key in keys:
        _publish(author, key, watcher)
    watcher.collect(len(keys), timeout_seconds=PATIENCE_SECONDS)


def _measure_rate(
    author: SplitAuthor,
    keys: Sequence[str],
    watcher: Watcher,
    per_second: int,
    seconds: int,
    size: str,
) -> LatencyFigures:
    count = per_second * seconds
    costs: list[float] = []
    begin = time.monotonic()
    for index in range(count):
        time.sleep(max(0.0, begin + index / per_second - time.monotonic()))
        costs.append(_publish(author, keys[index % len(keys)], watcher))
    seen = watcher.collect(count, timeout_seconds=PATIENCE_SECONDS)
    return LatencyFigures(
        size=size,
        per_second=per_second,
        visible=summarise([each.seconds for each in seen]),
        studio=summarise(costs),
    )


def _measure_burst(
    author: SplitAuthor, watcher: Watcher, processes: ProcfileProcesses
) -> BurstFigures:
    key = "course-v1:Bench+burst+R1"
    if key not in author.course_keys():
        author.create_course(key, settings={"display_name": "#0"}, block_count=SIZES["demo"])
    _publish(author, key, watcher)
    watcher.collect(1, timeout_seconds=PATIENCE_SECONDS)
    before = _rebuild_count(processes, key)
    number, last_event_id, first_sent = _send_burst(author, key)
    started = time.monotonic()
    watcher.expect(Expected(course_key=key, number=number, published_at=started))
    _wait_for(lambda: _last_event_id(key) == last_event_id, "the intake to read the burst")
    read = time.monotonic()
    (seen,) = watcher.collect(1, timeout_seconds=PATIENCE_SECONDS)
    _wait_for(lambda: _is_clean(key), "the course to be clean")
    return BurstFigures(
        event_count=BURST_EVENT_COUNT,
        rebuild_count=_rebuild_count(processes, key) - before,
        read_seconds=round(read - first_sent, 3),
        visible_after_read_seconds=round(max(0.0, started + seen.seconds - read), 3),
    )


def _send_burst(author: SplitAuthor, key: str) -> tuple[int, str, float]:
    """Send events that nobody has marked, without waiting for confirms, among real edits."""
    number, event = 0, CoursePublished(course_key=key)
    change: PublishedChange | None = None
    first_sent = time.monotonic()
    with Connection(settings.OVERVIEW_BROKER_URL) as connection:
        channel = connection.channel()
        event_queue()(channel).declare()  # Redis routes by what this process has declared
        producer = Producer(channel)
        for index in range(BURST_EVENT_COUNT):
            if change is None or index % BURST_EDIT_EVERY == BURST_EDIT_EVERY - 1:
                number = _NAMES.next()
                change = author.edit_settings(key, {"display_name": f"Benchmark #{number}"})
            event = CoursePublished(
                course_key=key,
                published_version=change.published_version,
                published_at=change.updated_at,
            )
            producer.publish(
                encode_event(event),
                exchange=event_exchange(),
                routing_key=event.routing_key,
                content_type=CONTENT_TYPE,
                content_encoding="utf-8",
                delivery_mode=2,
            )
    return number, event.event_id, first_sent


def _last_event_id(key: str) -> str:
    return OverviewMark.objects.values_list("last_event_id", flat=True).get(course_key=key)


def _is_clean(key: str) -> bool:
    return OverviewMark.objects.filter(course_key=key, dirty_since__isnull=True).exists()


def _wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"gave up waiting for {what}")
        time.sleep(0.002)


def _rebuild_count(processes: ProcfileProcesses, key: str) -> int:
    pattern = rf"{re.escape(key)} (?:written|unchanged|lagging)"
    return len(re.findall(pattern, processes.log("live")))
