"""``overview status``: the pipeline at a glance."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from kombu.exceptions import KombuError
from rich.console import Console
from rich.table import Table

from celeryconfig import BROKER_ADDRESS, BULK_QUEUE, LIVE_QUEUE
from lms_integration.broker import broker_connection, shown_url
from lms_integration.change_history import OutboxFigures, outbox_figures
from lms_integration.dead_letter_desk import OriginFigures, dead_letter_figures
from lms_integration.delete_desk import held_delete_count
from lms_integration.dirt import MAX_DIRTY_AGE_SECONDS, dirt
from lms_integration.events import QUEUE
from lms_integration.freshness import Freshness, LatePublish, freshness, late_publishes
from lms_integration.inspections import InspectionPulse, inspection_pulse
from lms_integration.models import (
    CourseOverview,
    OverviewInspection,
    OverviewState,
    OverviewTombstone,
)
from lms_integration.stopped_runs import StoppedRun, stopped_runs
from lms_integration.topology import DEAD_LETTER_QUEUE_NAME
from overview_worker.commands.base import EXIT_OK, EXIT_PROBLEM, Subcommand, print_json
from overview_worker.queue_depths import queue_depths
from overview_worker.rebuild import OWN_VERSIONS
from overview_worker.store.conf import StoreConf
from overview_worker.store.upkeep_store import DjangoUpkeepStore
from overview_worker.upkeep import upgrade_progress

CONNECT_TIMEOUT_SECONDS = 3.0
#: The spans of the figures of freshness.
FRESHNESS_HOURS = (24, 24 * 30)
SHOWN_LATE_PUBLISHES = 5
_INSPECTION_FIELDS = (
    "started_at",
    "finished_at",
    "course_count",
    "findings",
    "suspected_count",
    "marked_count",
    "checked_count",
    "drifted_columns",
)

DESCRIPTION = """\
Show how many courses there are, how many wait for a rebuild and for how long, what failed, the dead
letters of each origin with the age of the oldest, the changes that wait to be announced, and how much
is in the queues.

Then how far rows are at the version that they are to be of, and whether an upgrade to it was stopped or
failed (overview upgrade says more); how soon publishes became visible in the last day and in 30 days, the last late ones with their
reasons, and what the inspector found last.

And rebuild runs that are paused or have failed: the nightly run waits for them, or may fail likewise.

Exit code 0: healthy. 1: a course has been waiting for more than a minute, deletes wait for a person's
word, no inspection has ended for too long, a run of all courses has been standing still for more than a
day, or the broker is away.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineStatus:
    """The pipeline at one moment; the names are those of ``--json``."""

    healthy: bool
    course_count: int  #: courses with a row
    deleted_count: int  #: tombstones
    degraded_count: int
    faulty_count: int
    dirty_count: int  #: waiting for a rebuild, without those that are held back
    oldest_dirty_seconds: float
    held_back_count: int
    held_delete_count: int  #: wait for a person's word: overview deletes list
    stopped_runs: Sequence[StoppedRun]  #: paused or failed: wait for a person's word, too
    freshness: Sequence[Freshness]  #: of a day, and of 30 days
    late_publishes: Sequence[LatePublish]  #: the newest
    inspection: Mapping[str, object] | None  #: the newest pass that ended
    inspection_pulse: InspectionPulse  #: whether passes still end, and why the newest broke off
    announcements: OutboxFigures  #: changes that wait to be announced
    upgrade: Mapping[str, object]  #: how far rows are at the target: overview upgrade
    dead_letters: Mapping[str, OriginFigures]  #: by origin, for every origin there is
    queues: Mapping[str, int | None]  #: messages ready; None: there is no such queue
    broker_error: str | None  #: why the queues are not known


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON, one object")


def _run(arguments: Namespace, console: Console) -> int:
    status = _status()
    if arguments.json:
        print_json(console, asdict(status))
    else:
        console.print(_table(status))
    return EXIT_OK if status.healthy else EXIT_PROBLEM


def _status() -> PipelineStatus:
    dirty = dirt()
    queues, broker_error = _queues()
    held_deletes = held_delete_count()
    stopped = stopped_runs()
    pulse = inspection_pulse()
    return PipelineStatus(
        healthy=broker_error is None
        and dirty.oldest_seconds <= MAX_DIRTY_AGE_SECONDS
        and not held_deletes
        and not pulse.is_overdue
        and not any(run.is_overdue for run in stopped),
        course_count=CourseOverview.objects.count(),
        deleted_count=OverviewTombstone.objects.count(),
        degraded_count=OverviewState.objects.exclude(degradations=[]).count(),
        faulty_count=OverviewState.objects.filter(fault__isnull=False).count(),
        dirty_count=dirty.count,
        oldest_dirty_seconds=dirty.oldest_seconds,
        held_back_count=dirty.held_back_count,
        held_delete_count=held_deletes,
        stopped_runs=stopped,
        freshness=[freshness(hours=hours) for hours in FRESHNESS_HOURS],
        late_publishes=late_publishes(limit=SHOWN_LATE_PUBLISHES),
        inspection=OverviewInspection.objects.filter(finished_at__isnull=False)
        .order_by("-pk")
        .values(*_INSPECTION_FIELDS)
        .first(),
        inspection_pulse=pulse,
        announcements=outbox_figures(),
        upgrade=_upgrade(),
        dead_letters={origin.value: figures for origin, figures in dead_letter_figures().items()},
        queues=queues,
        broker_error=broker_error,
    )


def _upgrade() -> Mapping[str, object]:
    store = DjangoUpkeepStore(StoreConf(builder_version=OWN_VERSIONS.builder))
    progress = upgrade_progress(store, OWN_VERSIONS)
    return {
        "target": str(progress.wanted),
        "share": round(progress.share, 6),
        "is_complete": progress.is_complete,
        "blocked_count": progress.blocked.count,
        "standing": progress.attempt.standing.value,
        "error": progress.attempt.error,
        "retry_in_seconds": progress.retry_in_seconds,
    }


def _queues() -> tuple[Mapping[str, int | None], str | None]:
    try:
        return _depths(), None
    except (KombuError, OSError) as error:
        return {}, f"{shown_url(BROKER_ADDRESS)} is away: {error}"


def _table(status: PipelineStatus) -> Table:
    table = Table(show_header=False, box=None)
    for name, value in {
        "courses with a row": status.course_count,
        "deleted (tombstones)": status.deleted_count,
        "degraded": status.degraded_count,
        "with a fault": status.faulty_count,
        "waiting for a rebuild": status.dirty_count,
        "oldest waits (s)": status.oldest_dirty_seconds,
        "held back after a fault": status.held_back_count,
        "deletes that wait for a word": status.held_delete_count,
        "changes to announce": _announcements_line(status.announcements),
        "rows at the target": _upgrade_line(status.upgrade),
        **dict(_freshness_lines(status)),
        **dict(_inspection_lines(status)),
    }.items():
        table.add_row(name, str(value))
    for stopped in status.stopped_runs:
        table.add_row(f"rebuild run {stopped.run}", stopped.sentence)
    for origin, figures in status.dead_letters.items():
        age = f", the oldest {figures.oldest_seconds:.0f} s old" if figures.count else ""
        table.add_row(f"dead letters, {origin}", f"{figures.count}{age}")
    for queue, depth in status.queues.items():
        table.add_row(f"queue {queue}", "missing" if depth is None else str(depth))
    if status.broker_error is not None:
        table.add_row("broker", status.broker_error)
    return table


def _announcements_line(figures: OutboxFigures) -> str:
    if not figures.is_on:
        return f"{figures.waiting_count}, announcing is off"
    age = f", the oldest {figures.oldest_seconds:.0f} s old" if figures.waiting_count else ""
    return f"{figures.waiting_count}{age}"


def _upgrade_line(upgrade: Mapping[str, object]) -> str:
    if upgrade["is_complete"]:
        left = f", without {upgrade['blocked_count']} that cannot be built"
        return f"all, {upgrade['target']}{left if upgrade['blocked_count'] else ''}"
    why = f": {upgrade['error']}" if upgrade["error"] else ""
    share = min(99.9, float(str(upgrade["share"])) * 100)
    return f"{share:.1f} %, {upgrade['target']}; upgrade {upgrade['standing']}{why}"


def _freshness_lines(status: PipelineStatus) -> Iterator[tuple[str, str]]:
    for figures in status.freshness:
        span = f"{figures.hours} h" if figures.hours < 48 else f"{figures.hours // 24} days"
        for seconds, share in figures.shares.items():
            shown = (
                f"{share.within} of {share.total}, {share.nines:.1f} nines"
                if share.total
                else "no publish"
            )
            yield f"visible within {seconds} s, {span}", shown
        yield f"slowest publish, {span} (s)", f"{figures.max_seconds:.3f}"
    for number, late in enumerate(status.late_publishes, start=1):
        when = "still waiting" if late.served_at is None else f"{late.served_at:%Y-%m-%d %H:%M:%S}"
        why = late.detail if late.reason is None else late.reason.sentence
        yield f"late publish {number}", f"{when}: {late.course_key}, {late.seconds:.1f} s: {why}"


def _inspection_lines(status: PipelineStatus) -> Iterator[tuple[str, str]]:
    inspection, pulse = status.inspection, status.inspection_pulse
    if pulse.error:
        yield "newest inspection broke off", pulse.error
    overdue = ": overdue, do beat and the bulk workers run?" if pulse.is_overdue else ""
    if inspection is None:
        yield "last inspection", f"none yet{overdue}"
        return
    yield "last inspection", f"{inspection['finished_at']:%Y-%m-%d %H:%M:%S}{overdue}"
    yield (
        "inspected",
        f"{inspection['course_count']} courses, {inspection['checked_count']} of them in full",
    )
    found = inspection["findings"] or "nothing"
    yield "found", f"{found}, {inspection['marked_count']} marked"


def _depths() -> Mapping[str, int | None]:
    with broker_connection(BROKER_ADDRESS, timeout_seconds=CONNECT_TIMEOUT_SECONDS) as connection:
        return queue_depths(connection, (QUEUE, LIVE_QUEUE, BULK_QUEUE, DEAD_LETTER_QUEUE_NAME))


COMMAND = Subcommand(
    name="status",
    summary="the pipeline at a glance",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
