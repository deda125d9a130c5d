"""``overview intake``: the process that takes publish events from the broker."""

import signal
from argparse import ArgumentParser, Namespace

from rich.console import Console

from celeryconfig import BROKER_ADDRESS, task_queues
from lms_integration.broker import broker_connection
from overview_worker.celery import app
from overview_worker.commands.base import EXIT_OK, Subcommand
from overview_worker.intake import HEARTBEAT_SECONDS, Intake
from overview_worker.intake_store import DjangoIntakeStore
from overview_worker.queueing import RebuildQueue

CONNECT_TIMEOUT_SECONDS = 4.0

DESCRIPTION = """\
Run the intake: consume publish events, mark their courses, enqueue one rebuild a course. One such
process is enough; two are safe. It reconnects by itself. SIGTERM or Ctrl-C finishes the current
batch and ends it; unacknowledged events stay with the broker.
"""


def _add_arguments(parser: ArgumentParser) -> None:
    """It has none: see ``OVERVIEW_BROKER_URL`` and ``OVERVIEW_DATABASE_URL``."""


def _run(arguments: Namespace, console: Console) -> int:
    intake = Intake(
        connect=lambda: broker_connection(
            BROKER_ADDRESS,
            timeout_seconds=CONNECT_TIMEOUT_SECONDS,
            heartbeat_seconds=HEARTBEAT_SECONDS,
        ),
        store=DjangoIntakeStore(),
        enqueue=RebuildQueue(app).enqueue_together,
        task_queues=task_queues,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: intake.stop())
    intake.run()
    return EXIT_OK


COMMAND = Subcommand(
    name="intake",
    summary="run the process that takes publish events from the broker",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
