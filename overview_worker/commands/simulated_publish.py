"""What ``simulate_publish`` does: the platform's publish signal, sent again to chosen receivers."""

import shlex
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection
from django.dispatch import Signal
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey
from rich.console import Console

from lms_integration.course_keys import is_course_key
from lms_integration.publisher import close_publisher
from lms_integration.signals import publish_signal
from overview_worker.bootstrap import dependencies
from overview_worker.commands.base import EXIT_OK, EXIT_PROBLEM, EXIT_USAGE
from overview_worker.commands.run_scope import refuse_unknown

#: Open edX's table of ``SimulateCoursePublishConfig``: its newest row counts.
ARGUMENTS_TABLE = "course_overviews_simulatecoursepublishconfig"
_CCX_PREFIX = "ccx-v1:"

Receiver = Callable[..., object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    """Which courses' publishes are told again to whom."""

    course_keys: Sequence[str] = ()  #: none: every course of the index
    receivers: Sequence[str] = ()  #: names as ``named_receivers`` has them; none: all of them
    delay_seconds: float = 0.0  #: between two courses
    skips_ccx: bool = False
    is_dry_run: bool = False


def named_receivers(signal: Signal) -> list[tuple[str, Receiver]]:
    """Return the receivers that are connected, each with its module and name, by name."""
    found = []
    for entry in signal.receivers:
        receiver = entry[1]  # so in every version of Django, whatever follows it
        if isinstance(receiver, weakref.ReferenceType):
            receiver = receiver()
        if receiver is not None:
            found.append((_name(receiver), receiver))
    return sorted(found, key=lambda named: named[0])


def refuse_lms(*, is_forced: bool) -> None:
    """Refuse to run in an LMS process, whose receivers are others than Studio's.

    Raises:
        CommandError: it is one, and that is not asked for.
    """
    is_lms = getattr(settings, "SERVICE_VARIANT", "") == "lms"
    if (is_lms or settings.ROOT_URLCONF == "lms.urls") and not is_forced:
        raise CommandError(
            "this is an LMS process: courses are published in Studio, and other receivers listen "
            "there; run it with Studio's settings, or use --force-lms",
            returncode=EXIT_USAGE,
        )


def simulate(
    simulation: Simulation, console: Console, *, pause: Callable[[float], None] = time.sleep
) -> int:
    """Send the signal course by course, and print what came of it; return the exit code.

    Raises:
        CommandError: a receiver or a course is unknown; nothing was sent.
        OverviewError: the course index did not answer.
    """
    chosen = _chosen(simulation.receivers)
    keys = _course_keys(simulation)
    sent, failed = 0, 0
    try:
        for number, key in enumerate(keys):
            if simulation.is_dry_run:
                console.print(f"{key}: would be sent to {_names(chosen)}")
                continue
            if number and simulation.delay_seconds:
                pause(simulation.delay_seconds)
            sent += 1
            failed += _send(key, chosen, console)
    finally:
        close_publisher()
        if not simulation.is_dry_run:
            console.print(f"{sent} publishes simulated for {len(chosen)} receivers")
    return EXIT_PROBLEM if failed else EXIT_OK


def stored_arguments() -> list[str]:
    """Return the arguments that the platform's configuration table holds, split as a shell does.

    Raises:
        CommandError: there is no such table, it is empty, or it is switched off.
    """
    if ARGUMENTS_TABLE not in connection.introspection.table_names():
        raise CommandError(
            f"--args-from-database reads Open edX's table {ARGUMENTS_TABLE}, which this database does "
            "not have, or this account may not read"
        )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT enabled, arguments FROM {ARGUMENTS_TABLE} "  # noqa: S608 - our constant
            "ORDER BY change_date DESC, id DESC LIMIT 1"
        )
        row = cursor.fetchone()
    if row is None or not row[0]:
        raise CommandError(
            "SimulateCoursePublishConfig is not enabled: enable it in the platform's admin, or give "
            "the arguments here"
        )
    return shlex.split(row[1])


def _chosen(names: Sequence[str]) -> Sequence[tuple[str, Receiver]]:
    connected = named_receivers(publish_signal())
    unknown = sorted(set(names) - {name for name, _ in connected})
    if unknown:
        lines = [
            f"{name}: no receiver of that name listens to course_published" for name in unknown
        ]
        raise CommandError(
            "\n".join([*lines, "see: simulate_publish --show-receivers"]), returncode=EXIT_USAGE
        )
    return [named for named in connected if not names or named[0] in names]


def _names(chosen: Sequence[tuple[str, Receiver]]) -> str:
    return ", ".join(name for name, _ in chosen) or "nobody"


def _name(receiver: Receiver) -> str:
    named: Any = receiver if hasattr(receiver, "__qualname__") else type(receiver)
    return f"{named.__module__}.{named.__qualname__}"


def _course_keys(simulation: Simulation) -> Iterable[str]:
    if not simulation.course_keys:  # the index holds no custom courses
        return (pointer.course_key for pointer in dependencies().modulestore.iter_published())
    keys = [
        key
        for key in simulation.course_keys
        if not (simulation.skips_ccx and key.startswith(_CCX_PREFIX))
    ]
    _refuse_wrong_keys(keys)
    return keys


def _refuse_wrong_keys(course_keys: Sequence[str]) -> None:
    problems = []
    for text in course_keys:
        try:
            CourseKey.from_string(text)
        except InvalidKeyError:
            problems.append(f"{text!r} is not a course key")
    if problems:
        raise CommandError("\n".join(problems), returncode=EXIT_USAGE)
    refuse_unknown([text for text in course_keys if is_course_key(text)])


def _send(course_key: str, receivers: Sequence[tuple[str, Receiver]], console: Console) -> int:
    """Return how many receivers failed; each has been named."""
    parsed = CourseKey.from_string(course_key)
    failed = 0
    for name, receiver in receivers:
        try:
            receiver(signal=publish_signal(), sender=None, course_key=parsed)
        except Exception as error:  # noqa: BLE001 - as the platform: whatever one raises, others hear
            failed += 1
            console.print(f"{course_key}: {name} failed: {type(error).__name__}: {error}")
    if not failed:
        console.print(f"{course_key}: sent")
    return failed
