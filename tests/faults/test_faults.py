"""Every server and every process fails in turn while courses are being published.

After each fault, within a minute of quiet, every row equals a fresh build of what is published; at
no moment did a reader see a row of two versions or an older version after a newer one; and no save
in Studio waited for longer than two seconds. ``OVERVIEW_FAULTS=long`` makes the faults last as long
as operators know them.
"""

# ruff: noqa: S311 - what is hit next is left to chance, not a secret

import itertools
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import MySQLdb  # type: ignore[import-untyped]  # it has none
import pytest
from django.db.models import F, Subquery, Sum
from kombu import Connection

import celeryconfig
from dev.procfile import ProcfileProcesses
from dev.trials.processes import tree_of
from lms_integration.database_clock import DatabaseNow
from lms_integration.marks import CourseMark, mark_courses
from lms_integration.models import (
    DeadLetter,
    DeadLetterOrigin,
    OverviewInspection,
    OverviewJob,
    OverviewMark,
)
from lms_integration.settings import database_settings
from lms_integration.topology import event_exchange
from overview_worker.inspector import GRACE_SECONDS, INSPECT_JOB, PERIOD_SECONDS
from overview_worker.modulestore.mongo import MongoConf
from overview_worker.queueing import CONFIRM_TIMEOUT_SECONDS
from overview_worker.rebuild import DISBELIEVE_AFTER_SECONDS
from tests.faults.scene import (
    COURSE_KEYS,
    IS_LONG,
    OUTAGE_SECONDS,
    PROCESSES,
    QUIET_KEYS,
    QUIET_SECONDS,
    STORM_SECONDS,
    Scene,
    changed_values,
    send_signal,
    wait_for,
)

pytestmark = pytest.mark.service

KILL_EVERY_SECONDS = 2.0
#: Within so many seconds the sweeper enqueues what nobody announced: its grace, period and a worker.
SWEPT_SECONDS = 15.0
#: More than the broker gives the intake at one time.
GARBAGE_COUNT = 1200
BROKEN_KEY = "course-v1:FaultX+Broken+R1"
#: How long a SQL server keeps a silent session in the long form; usually eight hours.
SESSION_SECONDS = 30
#: Whoever keeps a lock for so long stands still.
STANDSTILL_SECONDS = 0.3
_INSPECT_SENT = "Sending due task inspect"
_SWEPT = "Sending due task sweep"


# Processes


def test_workers_killed_every_two_seconds_lose_nothing(scene: Scene):
    with scene.publishing() as author:
        for round_number in range(int(STORM_SECONDS // KILL_EVERY_SECONDS) + 1):
            author.save_for(KILL_EVERY_SECONDS / 2)
            if round_number % 3 == 1:
                scene.processes.kill("live")
                scene.processes.start("live")
            else:
                send_signal([random.choice(scene.worker_children())], signal.SIGKILL)
            author.save_for(KILL_EVERY_SECONDS / 2)


def test_an_intake_killed_in_a_flood_loses_nothing(scene: Scene):
    with scene.publishing() as author:
        author.wait_for_saves(20)
        scene.processes.kill("intake")
        author.wait_for_saves(20)
        scene.processes.start("intake")


def test_a_worker_frozen_in_mid_transaction_for_longer_than_every_timeout_wakes_up_harmless(
    scene: Scene,
):
    waits = timeouts_in_seconds(with_lock_waits_only=not IS_LONG)
    other = scene.more_processes("other", {}, more_arguments={"live": "-n other@%h"})
    with (
        short_lived_sessions_of_live(scene) if IS_LONG else nullcontext(),
        scene.publishing() as author,
    ):
        with frozen_in_a_transaction(scene), other:
            other.start("live")
            author.save_for(max(waits.values()) + 2)
        author.wait_for_saves(5)


def test_three_beats_whose_clocks_jump_five_minutes_do_every_job_once_and_none_late(
    scene: Scene, tmp_path: Path
):
    clock = WrongClock(tmp_path)
    # Left alone, a beat asks for the inspector so rarely that it would hold up this test.
    hasty = changed_values({"celeryconfig:beat_schedule.inspect.schedule.run_every": 1})
    first, second, third = (
        scene.more_processes(name, {**clock.environment, **hasty})
        for name in ("first", "second", "third")
    )
    with scene.without("live", "beat"), first, second, third:
        for processes in (second, third):
            processes.launch("beat")
        first.start("live", "beat")
        with scene.publishing() as author:
            for ahead_seconds in (300, -300, 0):
                clock.set(ahead_seconds)
                wait_for(lambda: clock.is_seen(ahead_seconds, process_count=5), "the clocks")  # noqa: B023 - waited for here
                author.wait_for_saves(5)
                mark_without_an_event()
                expect_one_inspection(first, second, third)
        for processes in (first, second, third):
            processes.kill("beat")


# Broker


@pytest.mark.parametrize("seconds", [0, OUTAGE_SECONDS], ids=["restarted", "stopped for a while"])
def test_a_broker_that_is_away_costs_nothing_but_time(scene: Scene, seconds: float):
    with scene.publishing() as author:
        scene.server("rabbitmq").stop()
        author.save_for(seconds)
        scene.server("rabbitmq").start()
        author.wait_for_saves(5)


def test_a_broker_blocked_by_its_memory_alarm_holds_nobody_up(scene: Scene):
    with scene.publishing() as author:
        scene.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1")
        try:
            author.save_for(OUTAGE_SECONDS)
        finally:
            scene.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
        author.wait_for_saves(5)


@pytest.mark.parametrize("queue", ["overview.events", "overview.live"])
def test_a_queue_that_is_deleted_comes_back(scene: Scene, queue: str):
    with scene.publishing() as author:
        with scene.broker_channel() as channel:
            channel.queue_delete(queue)
        author.save_for(OUTAGE_SECONDS)
    with scene.broker_channel() as channel:
        assert channel.queue_declare(queue, passive=True).consumer_count > 0


def test_a_broker_that_swallows_everything_in_silence_holds_nobody_up(scene: Scene):
    with scene.publishing() as author:
        scene.server("rabbitmq").pause()
        try:
            author.save_for(OUTAGE_SECONDS)
        finally:
            scene.server("rabbitmq").resume()
        author.wait_for_saves(5)


# Connections that die in silence


@pytest.mark.parametrize("server", ["broker", "sql", "mongodb"])
def test_connections_that_end_in_a_black_hole_are_given_up_and_made_anew(scene: Scene, server: str):
    # Only MariaDB knows how long a session may be silent in a transaction; of MySQL operators set this.
    is_mysql = server == "sql" and scene.sql_server.name == "mysql"
    with (
        scene.without(*PROCESSES),
        scene.short_lived_sessions(SESSION_SECONDS) if is_mysql else nullcontext(),
        scene.behind_a_relay(server) as (behind, relay),
        scene.publishing() as author,
    ):
        behind.start(*PROCESSES)
        author.wait_for_saves(50)
        assert relay.swallow() > 0
        author.save_for(OUTAGE_SECONDS)
        mark_without_an_event(seconds=QUIET_SECONDS)
        swept = behind.log("beat").count(_SWEPT)
        wait_for(lambda: behind.log("beat").count(_SWEPT) > swept + 1, "beat")


# MariaDB or MySQL


def test_a_sql_server_restarted_is_outlived_by_every_process(scene: Scene):
    with scene.publishing() as author:
        scene.sql_server.restart()
        author.wait_for_saves(5)


def test_a_sql_server_killed_in_mid_transaction_leaves_no_half_written_course(scene: Scene):
    with scene.publishing() as author:
        with frozen_in_a_transaction(scene):
            scene.sql_server.kill()
        scene.sql_server.start()
        author.wait_for_saves(5)


def test_a_sql_server_that_takes_no_writes_for_a_while_delays_rows_and_loses_none(scene: Scene):
    with scene.publishing() as author, scene.administrator() as cursor:
        cursor.execute("SET GLOBAL read_only = 1")
        try:
            author.save_for(OUTAGE_SECONDS)
            assert author.saves.failed_count > 0
        finally:
            cursor.execute("SET GLOBAL read_only = 0")
        author.wait_for_saves(5)


def test_a_storm_of_locks_on_states_and_marks_is_ridden_out(scene: Scene):
    with scene.publishing() as author:
        until = time.monotonic() + STORM_SECONDS
        stormers = [Thread(target=take_locks, args=(scene, until, seed)) for seed in range(6)]
        for each in stormers:
            each.start()
        for each in stormers:
            each.join()
        author.wait_for_saves(5)


def test_a_full_disk_under_the_dead_letters_loses_none_of_them_and_stops_no_event(scene: Scene):
    broken = scene.another_author(BROKEN_KEY)
    broken.create_all()
    DeadLetter.objects.all().delete()
    of_intake = DeadLetter.objects.filter(origin=DeadLetterOrigin.INTAKE)
    of_rebuild = DeadLetter.objects.filter(origin=DeadLetterOrigin.REBUILD)
    with scene.publishing() as author:
        with full_disk(scene):
            send_garbage(scene, count=GARBAGE_COUNT)
            broken.edit(BROKEN_KEY, start="no date at all")
            wait_for(lambda: "full" in last_error_of(BROKEN_KEY), "the refused dead letter")
            author.wait_for_saves(20)
            with scene.broker_channel() as channel:
                wait_for(lambda: waiting_events(channel) == 0, "the intake")
            assert not DeadLetter.objects.exists()
        wait_for(
            lambda: of_intake.aggregate(seen=Sum("seen_count"))["seen"] == GARBAGE_COUNT,
            "every message to be kept or counted",
        )
        wait_for(of_rebuild.exists, "the dead letter of the broken course")
        broken.edit(BROKEN_KEY, start=None)


# MongoDB


@pytest.mark.parametrize("seconds", [0, OUTAGE_SECONDS], ids=["restarted", "stopped for a while"])
def test_a_mongodb_that_is_away_delays_rows_and_loses_none(scene: Scene, seconds: float):
    with scene.publishing() as author:
        scene.server("mongodb").stop()
        author.save_for(seconds)
        scene.server("mongodb").start()
        author.wait_for_saves(5)


def test_a_mongodb_that_steps_down_delays_rows_and_loses_none(scene: Scene):
    with scene.publishing() as author:
        scene.mongodb.admin.command("replSetStepDown", 10 if IS_LONG else 2, force=True)
        author.wait_for_saves(5)


# How the faults are made


def timeouts_in_seconds(*, with_lock_waits_only: bool) -> dict[str, float]:
    """Return every wait that may end while a live worker is frozen, by what ends it.

    Not among them: RabbitMQ's limit for an unacknowledged delivery, 30 min, for it closes the connection
    long before, for want of heartbeats; time limits of tasks of the bulk workers; and how long the SQL
    server keeps a silent session, which is ``SESSION_SECONDS`` in the long form.
    """
    options = database_settings(os.environ["OVERVIEW_DATABASE_URL"])["OPTIONS"]
    lock_wait = re.search(r"innodb_lock_wait_timeout = (\d+)", options["init_command"])
    assert lock_wait
    lock_waits = {"a session waits for a lock": float(lock_wait[1])}
    if with_lock_waits_only:
        return lock_waits
    conf = MongoConf(url="", database="")
    return {
        **lock_waits,
        "a session waits for the SQL server": max(
            options[name] for name in ("connect_timeout", "read_timeout", "write_timeout")
        ),
        "the SQL server waits for a session": SESSION_SECONDS,
        "a command of MongoDB": conf.max_time_ms / 1000 + 2,
        "the search for MongoDB's primary": conf.server_selection_timeout_ms / 1000,
        "a task, softly": celeryconfig.task_soft_time_limit,
        "a task": celeryconfig.task_time_limit,
        "RabbitMQ waits for heartbeats": 3 * celeryconfig.broker_heartbeat,
        "a confirm": CONFIRM_TIMEOUT_SECONDS,
        "an announcement is believed": DISBELIEVE_AFTER_SECONDS,
        "a sweep lives": 5 * celeryconfig.SWEEP_PERIOD_SECONDS,
        "the inspector's grace": GRACE_SECONDS,
    }


@contextmanager
def short_lived_sessions_of_live(scene: Scene) -> Iterator[None]:
    """Have the SQL server end the live worker's sessions that are silent for ``SESSION_SECONDS``."""
    with scene.short_lived_sessions(SESSION_SECONDS):
        with scene.without("live"):
            """Its next sessions are short-lived ones."""
        yield
    with scene.without("live"):
        """These no longer are."""


@contextmanager
def frozen_in_a_transaction(scene: Scene) -> Iterator[None]:
    """Stop all processes of the live worker while one of them holds the lock of a course."""
    pids = tree_of(scene.processes.pid("live"))
    with scene.administrator() as cursor:
        for _ in range(500):
            send_signal(pids, signal.SIGSTOP)
            if is_lock_held(cursor):
                break
            send_signal(pids, signal.SIGCONT)
            time.sleep(random.random() / 50)
        else:
            pytest.fail("the worker was never met in a transaction")
    try:
        yield
    finally:
        send_signal(pids, signal.SIGCONT)


def is_lock_held(cursor: Any) -> bool:
    """Whether somebody who stands still holds the lock of a course.

    Whoever goes on, as the bulk worker and the author do, lets go of it meanwhile. Fails where a mark
    is held like that: what locks a mark travels to the server with its commit, so that a frozen worker
    never holds up the next mark of its course, which is Studio's.
    """
    states, marks = _taken(cursor, "state"), _taken(cursor, "mark")
    until = time.monotonic() + STANDSTILL_SECONDS
    while states and time.monotonic() < until:
        states &= _taken(cursor, "state")
        marks &= _taken(cursor, "mark")
        time.sleep(0.01)
    assert not (states and marks), f"marks are held by a frozen worker: {sorted(marks)}"
    return bool(states)


def _taken(cursor: Any, table: str) -> set[str]:
    """Return the courses whose row of a table is locked."""
    cursor.execute(f"SELECT course_key FROM overview_{table}")  # noqa: S608
    every = {row[0] for row in cursor.fetchall()}
    cursor.execute(f"SELECT course_key FROM overview_{table} FOR UPDATE SKIP LOCKED")  # noqa: S608
    return every - {row[0] for row in cursor.fetchall()}


def expect_one_inspection(*beats: ProcfileProcesses) -> None:
    """End the inspector's period, and expect all beats to ask for it and one pass to come of that."""
    jobs = OverviewJob.objects.filter(name=INSPECT_JOB)
    period_ago = DatabaseNow(offset_seconds=-PERIOD_SECONDS)
    lately = DatabaseNow(offset_seconds=-PERIOD_SECONDS // 2)
    # Whoever takes the slot writes down the pass a moment later.
    slot = Subquery(jobs.filter(started_at__gt=lately).values("started_at"))
    wait_for(
        OverviewInspection.objects.filter(started_at__gte=slot).exists,
        "a pass that has just begun",
    )
    newest = OverviewInspection.objects.latest("pk").pk
    asked = [beat.log("beat").count(_INSPECT_SENT) for beat in beats]
    assert jobs.filter(started_at__gt=lately).update(started_at=period_ago)

    for beat, before in zip(beats, asked, strict=True):
        wait_for(
            lambda beat=beat, before=before: beat.log("beat").count(_INSPECT_SENT) >= before + 4,  # type: ignore[misc]
            "each beat to have asked four times",
        )
    passes = OverviewInspection.objects.filter(pk__gt=newest)
    wait_for(passes.exists, "the pass")
    begun = list(passes.order_by("started_at").values_list("started_at", flat=True))

    # A machine may be so slow that the next period has begun.
    assert all(
        (after - before).total_seconds() > PERIOD_SECONDS - 10
        for before, after in itertools.pairwise(begun)
    )


class WrongClock:
    """A clock that can be set while the processes that live by it run."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        self.environment = {
            "PYTHONPATH": str(Path(__file__).parent / "at_start"),
            "OVERVIEW_WRONG_CLOCK": str(self._file),
        }

    def set(self, ahead_seconds: int) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(ahead_seconds))
        fresh.replace(self._file)

    def is_seen(self, ahead_seconds: int, *, process_count: int) -> bool:
        """Whether the clocks of so many processes are as they were set."""
        seen = [path.read_text() for path in self._file.parent.glob("seen.*")]
        return seen.count(str(ahead_seconds)) >= process_count


def mark_without_an_event(*, seconds: float = SWEPT_SECONDS) -> None:
    """Mark courses as if their events had been lost, and wait until the sweeper has seen to them."""
    mark_courses([CourseMark(course_key=key) for key in QUIET_KEYS])
    marks = OverviewMark.objects.filter(course_key__in=QUIET_KEYS)
    wait_for(
        lambda: not marks.filter(wanted__gt=F("done")).exists(),
        "the sweeper",
        seconds=seconds,
    )


def take_locks(scene: Scene, until: float, seed: int) -> None:
    """Hold locks on states for up to 300 ms, and on marks for up to 50 ms, again and again."""
    chance = random.Random(seed)
    with scene.administrator() as cursor:
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
        while time.monotonic() < until:
            table, longest_seconds = chance.choice([("state", 0.3), ("mark", 0.05)])
            keys = sorted(chance.sample(COURSE_KEYS, 6))
            places = ", ".join(["%s"] * len(keys))
            with suppress(MySQLdb.OperationalError):
                cursor.execute("BEGIN")
                cursor.execute(
                    f"SELECT 1 FROM overview_{table} WHERE course_key IN ({places}) FOR UPDATE",  # noqa: S608
                    keys,
                )
                time.sleep(chance.random() * longest_seconds)
            cursor.execute("COMMIT")


@contextmanager
def full_disk(scene: Scene) -> Iterator[None]:
    """Refuse every new dead letter, with the error of a full disk."""
    with scene.administrator() as cursor:
        cursor.execute(
            "CREATE TRIGGER disk_full BEFORE INSERT ON overview_dead_letter FOR EACH ROW "
            "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, "
            "MESSAGE_TEXT = 'The table overview_dead_letter is full'"
        )
        try:
            yield
        finally:
            cursor.execute("DROP TRIGGER disk_full")


def waiting_events(channel: Any) -> int:
    """Return how many events the intake has not been given yet."""
    return int(channel.queue_declare("overview.events", passive=True).message_count)


def send_garbage(scene: Scene, *, count: int) -> None:
    """Send what is no event, each time something else."""
    with Connection(scene.environment["OVERVIEW_BROKER_URL"]) as opened:
        producer = opened.Producer()
        for number in range(count):
            producer.publish(
                b"no event %d" % number,
                exchange=event_exchange(),
                routing_key="course.published",
                content_type="application/json",
                content_encoding="utf-8",
            )


def last_error_of(course_key: str) -> str:
    return OverviewMark.objects.get(course_key=course_key).last_error
