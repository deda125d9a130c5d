"""``python -m benchmarks.soak``: very many events, and a kill every two seconds; then the verdict.

``make soak`` runs it on private servers of its own. Courses are chosen by Zipf's law; of the events
5 % come twice, 5 % late and 1 % never; some courses are deleted and created again. Of the real edits 2 %
leave neither mark nor event, as after a backup that was restored, and are announced by nobody later:
the inspector has to find them. Every two seconds a worker, the intake or beat, or one of a worker's children, is killed with SIGKILL and started again.
Ctrl-C ends the sending early and tells the verdict on what was sent.
"""

# ruff: noqa: S311 - who dies next is left to chance, not a secret

import argparse
import json
import os
import platform
import random
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django

from overview_worker.inspector import GRACE_SECONDS, PERIOD_SECONDS

RESULTS = Path(__file__).resolve().parent / "results"
PROCESSES = ("intake", "live", "bulk", "beat")
#: Who is killed, of a hundred. A worker's child comes back by itself; a whole process is started anew,
#: which costs two seconds of a processor.
VICTIMS = {
    "a child of live": 72,
    "a child of bulk": 10,
    "live": 10,
    "intake": 4,
    "bulk": 2,
    "beat": 2,
}
#: From the last event, every row must be right within so many seconds whose edit was marked or announced.
QUIET_SECONDS = 60.0
#: The others one period of the inspector later, by which it has seen them, and its grace, after which it
#: believes what it saw. That begins a period after beat was started, which may have been killed last.
INSPECTED_SECONDS = QUIET_SECONDS + PERIOD_SECONDS + GRACE_SECONDS
FILL_SECONDS = 300.0
EXIT_OK, EXIT_PROBLEM, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
#: Sending waits while so many courses are dirty, or so many tasks wait: what is measured is the pace
#: that is kept up with.
MOST_DIRTY = 1000
MOST_TASKS = 1000
#: So few courses may be dirty when the rows are looked at.
FEW_DIRTY = 200
_LOOK_EVERY = 200
_REBUILT = re.compile(r" (?:written|unchanged) at ")


def main() -> int:
    """Fill, send and kill, wait for quiet, judge; returns the exit code."""
    options = _parse_arguments()
    if not os.environ.get("OVERVIEW_TEST_SERVERS"):
        print("soak: needs private servers, whose data it throws away: make soak", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    os.environ["DJANGO_SETTINGS_MODULE"] = "lms_integration.settings"
    os.environ["OVERVIEW_COURSE_INDEX"] = "mysql"
    worker_environment = {**os.environ, "OVERVIEW_LOG_LEVEL": "INFO"}
    os.environ["OVERVIEW_LOG_LEVEL"] = "ERROR"
    django.setup()
    return _soak(options, worker_environment)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--courses", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, help="stop sending after so many seconds")
    parser.add_argument(
        "--edits", type=float, default=0.1, help="share of the events that announce a real edit"
    )
    parser.add_argument("--kill-every", type=float, default=2.0, help="seconds; 0 for no kills")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


@dataclass
class Killer:
    """Kills a process of the pipeline every so often, and starts again what does not by itself."""

    processes: Any
    every_seconds: float
    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    #: Rebuilds in the logs of processes that are dead.
    rebuild_count: int = 0
    problem: Exception | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Kill meanwhile."""
        over = threading.Event()
        thread = threading.Thread(target=self._run, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(60)
        if self.problem is not None:
            raise self.problem

    def _run(self, over: threading.Event) -> None:
        chance = random.Random(self.seed)
        try:
            while self.every_seconds and not over.wait(self.every_seconds):
                self._kill_one(chance)
        except Exception as error:  # noqa: BLE001 - raised where the work is waited for
            self.problem = error

    def _kill_one(self, chance: random.Random) -> None:
        from dev.trials.processes import children_of

        victim = chance.choices(list(VICTIMS), list(VICTIMS.values()))[0]
        self.kills[victim] += 1
        if victim.startswith("a child"):
            children = children_of(self.processes.pid(victim.rpartition(" ")[2]))
            with suppress(ProcessLookupError, IndexError):
                os.kill(chance.choice(children), signal.SIGKILL)
            return
        self.rebuild_count += rebuilds_in(self.processes, victim)
        self.processes.restart_after_kill(victim)


def rebuilds_in(processes: Any, *names: str) -> int:
    """Return how many rebuilds the logs of workers tell of."""
    return sum(len(_REBUILT.findall(processes.log(name))) for name in names)


def _soak(options: argparse.Namespace, worker_environment: dict[str, str]) -> int:
    # All of it needs Django to be set up.
    from django.conf import settings
    from django.core.management import call_command
    from pymongo import MongoClient
    from rich.console import Console

    from benchmarks.event_mix import EventMix, empty_databases, silent_keys_for
    from benchmarks.resources import sampled
    from dev.authoring.index import SqlCourseIndex
    from dev.procfile import ProcfileProcesses

    console = Console(soft_wrap=True)
    client: MongoClient[dict[str, Any]] = MongoClient(settings.OVERVIEW_MONGODB_URL)
    database = client[settings.OVERVIEW_MONGODB_DATABASE]
    empty_databases(database)
    call_command("migrate", verbosity=0)
    SqlCourseIndex(database).create_table()
    keys = [f"course-v1:SoakX+C{number:06}+R1" for number in range(options.courses)]
    mix = EventMix(
        database,
        settings.OVERVIEW_BROKER_URL,
        keys,
        edit_share=options.edits,
        silent_keys=silent_keys_for(options.courses),
        seed=options.seed,
    )
    logs = RESULTS / "logs" / "soak"
    with ProcfileProcesses(logs, environment=worker_environment) as processes:
        processes.start(*PROCESSES)
        fill_seconds = _fill(mix, [*keys, *mix.silent_keys], console)
        killer = Killer(processes, options.kill_every, options.seed)
        with sampled(processes, PROCESSES) as samples:
            with killer.at_work():
                sending_seconds, is_interrupted = _send(mix, options, console)
            figures = _judge_at_rest(mix.silent_keys, console)
        figures |= {
            "mix": mix.as_dict(),
            "sending_seconds": round(sending_seconds, 1),
            "events_per_second": round(mix.figures.events / max(sending_seconds, 0.001), 1),
            "fill_seconds": round(fill_seconds, 1),
            "courses": options.courses,
            "kills": dict(killer.kills),
            "rebuilds": killer.rebuild_count + rebuilds_in(processes, "live", "bulk"),
            "most_dirty": max(samples.dirty_counts(), default=0),
            "largest_mib": samples.largest_mib(),
            "interrupted": is_interrupted,
        }
    client.close()
    _print(figures, console)
    console.print(f"saved: {_save(figures).relative_to(RESULTS.parent.parent)}")
    if not figures["is_clean"]:
        return EXIT_PROBLEM
    return EXIT_INTERRUPTED if is_interrupted else EXIT_OK


def _fill(mix: Any, keys: list[str], console: Any) -> float:
    """Create the courses and have them all built; return the seconds that the building took."""
    from rich.progress import Progress

    from lms_integration.marks import CourseMark, mark_courses
    from overview_worker.celery import app
    from overview_worker.queueing import RebuildQueue

    with Progress(console=console, transient=True) as progress:
        creating = progress.add_task("writing courses", total=len(keys))
        for count in mix.create_courses():
            progress.advance(creating, count)
        begun = time.monotonic()
        building = progress.add_task("first fill", total=len(keys))
        for start in range(0, len(keys), 500):
            chunk = sorted(keys)[start : start + 500]
            mark_courses([CourseMark(course_key=key) for key in chunk], not_before_seconds=120)
            RebuildQueue(app).enqueue_bulk(chunk)
        while dirty := dirty_count():
            progress.update(building, completed=len(keys) - dirty)
            if time.monotonic() - begun > FILL_SECONDS:
                raise TimeoutError(f"{dirty} courses are not built after {FILL_SECONDS:.0f} s")
            time.sleep(0.1)
    return time.monotonic() - begun


def _send(mix: Any, options: argparse.Namespace, console: Any) -> tuple[float, bool]:
    """Send; return how long it took, and whether Ctrl-C ended it."""
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    begun = time.monotonic()
    columns = (*Progress.get_default_columns()[:3], MofNCompleteColumn(), TimeRemainingColumn())
    is_interrupted = False
    with Progress(*columns, console=console, transient=True) as progress:
        sending = progress.add_task("sending events", total=options.events)
        try:
            while mix.figures.events < options.events:
                mix.send_one()
                if mix.figures.events % _LOOK_EVERY == 0:
                    progress.update(sending, completed=mix.figures.events)
                    if options.seconds and time.monotonic() - begun > options.seconds:
                        break
                    while dirty_count() > MOST_DIRTY or tasks_left() > MOST_TASKS:
                        time.sleep(0.05)
        except KeyboardInterrupt:
            is_interrupted = True
            console.print("interrupted: the verdict on what was sent")
        mix.finish()
    return time.monotonic() - begun, is_interrupted


def _judge_at_rest(silent_keys: Collection[str], console: Any) -> dict[str, Any]:
    """Wait until every row is right; those of silent courses have the inspector's time in addition."""
    from dev.trials.verdict import Verdict, judge
    from overview_worker.bootstrap import dependencies

    begun = time.monotonic()
    announced_seconds: float | None = None
    clean_seconds: float | None = None
    verdict: Verdict | None = None
    with console.status("waiting until every row is right"):
        while clean_seconds is None and (waited := time.monotonic() - begun) < INSPECTED_SECONDS:
            if announced_seconds is None and waited > QUIET_SECONDS:
                break
            # A late event of a deleted course keeps it dirty until it is disbelieved; its row is right.
            if dirty_count() <= FEW_DIRTY and events_left() == 0:
                looked_at = time.monotonic() - begun
                verdict = judge(dependencies().inspector)
                if announced_seconds is None and verdict.keys() <= set(silent_keys):
                    announced_seconds = looked_at
                if announced_seconds is not None and verdict.is_clean:
                    clean_seconds = looked_at
            time.sleep(0.1 if announced_seconds is None else 1.0)
        verdict = verdict or judge(dependencies().inspector)
    return {
        "is_clean": clean_seconds is not None,
        "still_dirty": dirty_count(),
        "seconds_to_quiet": _rounded(announced_seconds),
        "seconds_to_inspected": _rounded(clean_seconds),
        "found_by_the_inspector": _findings(),
        "courses_compared": verdict.course_count,
        "deleted": verdict.deleted_count,
        "stale": len(verdict.stale),
        "missing": len(verdict.missing),
        "resurrected": len(verdict.resurrected),
        "half_written": len(verdict.half_written),
        "unreadable": len(verdict.unreadable),
        "told": "" if verdict.is_clean else str(verdict),
        "dead_letters": _dead_letter_count(),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _findings() -> dict[str, int]:
    """Return ``{kind: courses}`` of all the inspector's passes."""
    from lms_integration.models import OverviewInspection

    found: Counter[str] = Counter()
    for findings in OverviewInspection.objects.values_list("findings", flat=True):
        found.update(findings or {})
    return dict(found)


def dirty_count() -> int:
    """Return how many courses are dirty now."""
    from lms_integration.models import OverviewMark

    return OverviewMark.objects.filter(dirty_since__isnull=False).count()


def events_left() -> int:
    """Return how many events the intake has not taken."""
    from benchmarks.resources import messages_in
    from lms_integration.events import QUEUE

    return messages_in(QUEUE)


def tasks_left() -> int:
    """Return how many rebuilds wait for a live worker."""
    from benchmarks.resources import messages_in
    from celeryconfig import LIVE_QUEUE

    return messages_in(LIVE_QUEUE)


def _dead_letter_count() -> int:
    from lms_integration.models import DeadLetter

    return DeadLetter.objects.count()


def _save(figures: dict[str, Any]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    path = RESULTS / f"{now:%Y-%m-%dT%H%M%S}-soak.json"
    machine = {"processors": os.cpu_count(), "python": platform.python_version()}
    path.write_text(
        json.dumps({"measured_at": now.isoformat(), "machine": machine, **figures}, indent=1)
    )
    return path


def _print(figures: dict[str, Any], console: Any) -> None:
    from rich.table import Table

    table = Table("figure", "value", title="soak", title_justify="left")
    for name, value in figures.items():
        if name == "told" and not value:
            continue
        lines = value.items() if isinstance(value, dict) else [("", value)]
        for part, number in lines:
            table.add_row(f"{name} {part}".strip().replace("_", " "), str(number))
    console.print(table)
    console.print("verdict: every row is as published" if figures["is_clean"] else "verdict: BAD")


if __name__ == "__main__":
    sys.exit(main())
