"""``overview status``: the pipeline at a glance."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from kombu.exceptions import KombuError
from rich.console import Console
from rich.table import Table

from celeryconfig import BULK_QUEUE, LIVE_QUEUE, broker_url
from lms_integration.broker import broker_connection, shown_url
from lms_integration.dirt import MAX_DIRTY_AGE_SECONDS, dirt
from lms_integration.events import QUEUE
from lms_integration.models import CourseOverview, DeadLetter, OverviewState, OverviewTombstone
from lms_integration.topology import DEAD_LETTER_QUEUE_NAME
from overview_worker.commands.base import EXIT_OK, EXIT_PROBLEM, Subcommand
from overview_worker.queue_depths import queue_depths

CONNECT_TIMEOUT_SECONDS = 3.0

DESCRIPTION = """\
Show how many courses there are, how many wait for a rebuild and for how long, what failed, and how
much is in the queues.

Exit code 0: healthy. 1: a course has been waiting for more than a minute, or the broker is away.
"""


def _add_arguments(parser: ArgumentParser) -> None:
    """It has none."""


def _run(arguments: Namespace, console: Console) -> int:
    dirty = dirt()
    table = Table(show_header=False, box=None)
    for name, value in {
        "courses with a row": CourseOverview.objects.count(),
        "deleted (tombstones)": OverviewTombstone.objects.count(),
        "degraded": OverviewState.objects.exclude(degradations=[]).count(),
        "with a fault": OverviewState.objects.filter(fault__isnull=False).count(),
        "dead letters": DeadLetter.objects.count(),
        "waiting for a rebuild": dirty.count,
        "oldest waits (s)": dirty.oldest_seconds,
        "held back after a fault": dirty.held_back_count,
    }.items():
        table.add_row(name, str(value))
    try:
        for queue, depth in _depths().items():
            table.add_row(f"queue {queue}", "missing" if depth is None else str(depth))
        broker_is_up = True
    except (KombuError, OSError) as error:
        table.add_row("broker", f"{shown_url(broker_url)} is away: {error}")
        broker_is_up = False
    console.print(table)
    healthy = broker_is_up and dirty.oldest_seconds <= MAX_DIRTY_AGE_SECONDS
    return EXIT_OK if healthy else EXIT_PROBLEM


def _depths() -> Mapping[str, int | None]:
    with broker_connection(broker_url, timeout_seconds=CONNECT_TIMEOUT_SECONDS) as connection:
        return queue_depths(connection, (QUEUE, LIVE_QUEUE, BULK_QUEUE, DEAD_LETTER_QUEUE_NAME))


COMMAND = Subcommand(
    name="status",
    summary="the pipeline at a glance",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
