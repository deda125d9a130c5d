"""``overview publish``: announce courses as Studio would, and watch their rows come."""

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence

from django.core.management.base import CommandError
from django.db import transaction
from rich.console import Console

from lms_integration.announcements import mark_for_announcement
from lms_integration.events import CoursePublished
from lms_integration.models import OverviewState
from lms_integration.publisher import PublishOutcome, close_publisher, publish_event
from overview_worker.bootstrap import dependencies
from overview_worker.commands.base import (
    EXIT_OK,
    EXIT_PROBLEM,
    Subcommand,
    add_courses_argument,
    parse_course_keys,
)
from overview_worker.commands.waiting import wait_until_clean
from overview_worker.documents import PublishedPointer
from overview_worker.errors import ModulestoreUnavailable

DESCRIPTION = """\
Mark courses dirty and send one publish event each, as Studio does after a publish. The workers do
the rest; nothing is built here.

Exit code 0: every event was confirmed by the broker (and, with --wait, every row is up to date).
1: an event was not sent, although the course is marked and will be rebuilt; or a course is unknown.
"""


def _add_arguments(parser: ArgumentParser) -> None:
    add_courses_argument(parser)
    parser.add_argument(
        "--wait",
        type=float,
        metavar="SECONDS",
        help="wait for the rows, for at most so long, and say how long each took",
    )


def _run(arguments: Namespace, console: Console) -> int:
    keys = parse_course_keys(arguments.courses)
    pointers = _pointers_of(keys, console)
    exit_code = EXIT_OK
    started = time.monotonic()
    for key in keys:
        outcome = _announce(key, pointers.get(key))
        sent = outcome is PublishOutcome.SENT
        console.print(f"{key}: marked, event {outcome.value}", markup=False)
        if not sent:
            exit_code = EXIT_PROBLEM
    close_publisher()
    if exit_code == EXIT_PROBLEM:
        console.print(
            "Some events were not sent; the marks stand, so the workers' sweeper picks them up. "
            "Check the broker with: overview doctor",
            markup=False,
        )
    if arguments.wait is not None:
        waited = wait_until_clean(keys, timeout_seconds=arguments.wait, console=console)
        elapsed_ms = (time.monotonic() - started) * 1000
        done = len(keys) - len(waited.unfinished) - len(waited.faulty)
        console.print(f"{done} of {len(keys)} up to date after {elapsed_ms:.0f} ms")
        exit_code = exit_code if waited.all_good else EXIT_PROBLEM
    return exit_code


def _pointers_of(keys: Sequence[str], console: Console) -> Mapping[str, PublishedPointer]:
    """Return the index entries; a course that is neither there nor in the read model is a mistake."""
    try:
        pointers = dependencies().modulestore.find_published(keys)
    except ModulestoreUnavailable as error:
        console.print(f"The course index cannot be checked now: {error}", markup=False)
        return {}
    known = set(
        OverviewState.objects.filter(course_key__in=keys)
        .exclude(source_version="")
        .values_list("course_key", flat=True)
    )
    unknown = [key for key in keys if key not in pointers and key not in known]
    if unknown:
        raise CommandError(
            "\n".join(f"{key}: no such course with a published branch" for key in unknown)
        )
    return pointers


def _announce(key: str, pointer: PublishedPointer | None) -> PublishOutcome:
    event = CoursePublished(
        course_key=key,
        published_version=None if pointer is None else pointer.structure_id,
        published_at=None if pointer is None else pointer.updated_at,
    )
    with transaction.atomic():
        marked = mark_for_announcement(event)
    return publish_event(marked)


COMMAND = Subcommand(
    name="publish",
    summary="announce courses as Studio would",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
