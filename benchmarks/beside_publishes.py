"""What publishes cost a learner who asks meanwhile: the next request, and all requests beside many.

A request after a pause is slower than one of many in a row: the processor's caches hold something else
by then. So only requests after the same pause are compared with each other.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from django.db import connection

from benchmarks.clock import summarise
from benchmarks.publisher_process import publish_without_end
from benchmarks.publishing import publish
from benchmarks.read_scene import LISTS, Reader, Site
from dev.procfile import ProcfileProcesses
from dev.servers.folder import open_folder
from dev.servers.group import servers_of
from dev.trials.processes import tree_of
from lms_integration.models import OverviewMark, OverviewState

PUBLISHES_PER_SECOND = 50
#: Between two requests, as a learner's app would, so that the processor is not the reader's alone.
PAUSE_SECONDS = 0.02
#: Quiet, publisher alone and busy, so many times in turns.
TURNS = 4
_PATIENCE_SECONDS = 60.0
_URL = LISTS["mobile list"][0]
_PIPELINE = ("intake", "live")


def measure(
    site: Site,
    reader: Reader,
    keys: Sequence[str],
    *,
    log_folder: Path,
    quick: bool,
    report: Callable[[str], None],
) -> Iterator[Mapping[str, Any]]:
    """Yield the figures of both, as soon as each is measured."""
    # They say that they are ready in lines that are not warnings.
    environment = {**os.environ, "OVERVIEW_LOG_LEVEL": "INFO"}
    with ProcfileProcesses(log_folder, environment=environment) as processes:
        processes.start(*_PIPELINE, "beat")
        report("the first request after a publish")
        yield {"after_publish": _after_publish(site, reader, keys, rounds=15 if quick else 60)}
        report(f"beside {PUBLISHES_PER_SECOND} publishes/s")
        yield {
            "beside_publishes": _beside(
                reader, keys, processes, rounds=20 if quick else 75, turns=1 if quick else TURNS
            )
        }


# --- the next request


def _after_publish(
    site: Site, reader: Reader, keys: Sequence[str], *, rounds: int
) -> dict[str, Any]:
    """Ask right after a course of the list was rebuilt; after the same pause without; after another's."""
    others = site.small_courses(5)
    times: dict[str, list[float]] = {
        "first": [],  # a course of the list was rebuilt
        "after_a_pause": [],  # nothing was
        "after_another": [],  # a course that is not in the list was
        "in_a_row": [],
    }
    for number in range(rounds):
        key, other = keys[number % len(keys)], others[number % len(others)]
        pause = _publish_and_wait(site, key)
        times["first"].append(reader.ask(_URL))
        times["in_a_row"] += [reader.ask(_URL) for _ in range(3)]
        _look_for(key, seconds=pause)
        times["after_a_pause"].append(reader.ask(_URL))
        _publish_and_wait(site, other)
        times["after_another"].append(reader.ask(_URL))
    return {
        **{name: asdict(summarise(values)) for name, values in times.items()},
        "ratio": _ratio(times["first"], times["after_a_pause"]),
        "ratio_to_another": _ratio(times["first"], times["after_another"]),
        "ratio_to_a_row": round(median(times["first"]) / median(times["in_a_row"]), 3),
    }


def _ratio(these: Sequence[float], those: Sequence[float]) -> float:
    """Return the median of the rounds' ratios: what else the machine does changes from round to round."""
    return round(median(a / b for a, b in zip(these, those, strict=True)), 3)


def _publish_and_wait(site: Site, key: str) -> float:
    """Publish a course and return the seconds until its row was another."""
    before, begin = _row_seq(key), time.monotonic()
    publish(site.author, key, f"First {time.time_ns()}")
    while _row_seq(key) == before:
        if time.monotonic() > begin + _PATIENCE_SECONDS:
            raise TimeoutError(f"{key} was not rebuilt")
        time.sleep(0.002)
    return time.monotonic() - begin


def _look_for(key: str, *, seconds: float) -> None:
    """Do for a while what is done while a rebuild is waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _row_seq(key)
        time.sleep(0.002)


def _row_seq(key: str) -> int:
    return OverviewState.objects.values_list("row_seq", flat=True).get(course_key=key)


# --- all requests


def _beside(
    reader: Reader, keys: Sequence[str], processes: ProcfileProcesses, *, rounds: int, turns: int
) -> dict[str, Any]:
    """Ask in quiet, beside a publisher that nobody follows, and beside publishes that are rebuilt."""
    times: dict[str, list[float]] = {"quiet": [], "publisher_alone": [], "busy": []}
    own: dict[str, list[float]] = {name: [] for name in times}  # of them, at work and not waiting

    def ask(name: str) -> None:
        for _ in range(rounds):
            begin = time.process_time()
            times[name].append(reader.ask(_URL))
            own[name].append(time.process_time() - begin)
            time.sleep(PAUSE_SECONDS)

    used = _Used()
    for _ in range(turns):
        ask("quiet")
        connection.close()  # not to be shared with the process that is started
        with _publishing(keys) as publisher:
            _wait_for_publishes(keys)
            with _held(processes):
                ask("publisher_alone")
            _wait_for_publishes(keys)
            with used.during(_pids(processes, publisher)):
                ask("busy")
        _wait_until_clean()
    return {
        **{name: asdict(summarise(values)) for name, values in times.items()},
        "ratio": round(median(times["busy"]) / median(times["quiet"]), 3),
        "ratio_to_publisher_alone": round(
            median(times["busy"]) / median(times["publisher_alone"]), 3
        ),
        "own_processor_ms": {name: summarise(each).p50_ms for name, each in own.items()},
        "processors": used.processors(),
    }


@contextmanager
def _publishing(keys: Sequence[str]) -> Iterator[int]:
    """Run a Studio that publishes; gives its pid."""
    publisher = multiprocessing.get_context("spawn").Process(
        target=publish_without_end, args=(list(keys), PUBLISHES_PER_SECOND), daemon=True
    )
    publisher.start()
    if publisher.pid is None:
        raise RuntimeError("the publisher has not started")
    try:
        yield publisher.pid
    finally:
        publisher.terminate()
        publisher.join()


@contextmanager
def _held(processes: ProcfileProcesses) -> Iterator[None]:
    """Hold the intake and the workers: what is published meanwhile waits for them."""
    for name in _PIPELINE:
        os.killpg(processes.pid(name), signal.SIGSTOP)
    try:
        yield
    finally:
        for name in _PIPELINE:
            os.killpg(processes.pid(name), signal.SIGCONT)


def _wait_for_publishes(keys: Sequence[str]) -> None:
    before = sum(map(_row_seq, keys))
    _wait_until(
        lambda: sum(map(_row_seq, keys)) >= before + PUBLISHES_PER_SECOND, "nothing was published"
    )


def _wait_until_clean() -> None:
    dirty = OverviewMark.objects.filter(dirty_since__isnull=False, next_attempt_at__isnull=True)
    _wait_until(lambda: not dirty.exists(), "courses stay dirty")


def _wait_until(is_so: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.1)


# --- who uses the processors


def _pids(processes: ProcfileProcesses, publisher: int) -> Mapping[str, Sequence[int]]:
    """Return the processes of everybody who takes part, the servers among them."""
    roots = {name: processes.pid(name) for name in (*_PIPELINE, "beat")}
    roots |= {"publisher": publisher}
    if folder := os.environ.get("OVERVIEW_TEST_SERVERS"):
        servers = servers_of(open_folder(Path(folder), mode=None))
        roots |= {server.name: server.pid for server in servers if server.pid}
    return {name: tree_of(pid) for name, pid in roots.items()} | {"reader": [os.getpid()]}


class _Used:
    """How much of a processor each of them used while it was looked at."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._elapsed = 0.0

    @contextmanager
    def during(self, pids: Mapping[str, Sequence[int]]) -> Iterator[None]:
        """Look while the body runs."""
        before, begin = _processor_seconds(pids), time.monotonic()
        yield
        self._elapsed += time.monotonic() - begin
        for name, seconds in _processor_seconds(pids).items():
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds - before[name]

    def processors(self) -> dict[str, float]:
        """Return ``{name: processors}``: 1.0 is one processor all the time."""
        return {name: round(seconds / self._elapsed, 3) for name, seconds in self._seconds.items()}


def _processor_seconds(pids: Mapping[str, Sequence[int]]) -> dict[str, float]:
    return {name: sum(map(_seconds_of, these)) for name, these in pids.items()}


def _seconds_of(pid: int) -> float:
    """Return the processor time of a process, its own and the system's; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
