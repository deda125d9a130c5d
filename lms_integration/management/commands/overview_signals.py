"""``manage.py lms overview_signals``: sends Open edX's signals of what has changed."""

import signal
import sys
import threading
from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError

from lms_integration.change_signals import DueSignal
from lms_integration.log_lines import one_line
from lms_integration.models import OverviewChange
from lms_integration.signalling import Signaller, SignalReport

DESCRIPTION = """\
Send Django's signals of overview changes, by Open edX's names and with its arguments, in this process:
COURSE_START_DATE_CHANGED, COURSE_PACING_CHANGED, COURSE_CERT_DATE_CHANGE, IMPORT_COURSE_DETAILS and
DELETE_COURSE_DETAILS. Their receivers are the platform's and its plugins', so run it in the LMS:

  python manage.py lms overview_signals            for ever; SIGTERM finishes the current change
  python manage.py lms overview_signals --once     what waits now, for cron

Each change is told at least once, those of one course in order. A receiver that fails is logged, and
the change told again up to five times; other courses do not wait for it. Any number of these processes
may run: one sends, the others stand by. The very first start begins with the changes to come.

Exit code 0. With --once 1: a receiver has failed.
"""
EPILOG = "Needs the overview database only: no broker, no MongoDB, no Celery."


class Command(BaseCommand):
    """Polls the changes that were not told yet."""

    help = DESCRIPTION

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("--once", action="store_true", help="send what waits, and leave")
        parser.add_argument(
            "--backlog",
            action="store_true",
            help="at the very first start: send also what has changed before it",
        )
        parser.add_argument(
            "--poll",
            type=float,
            default=2.0,
            metavar="SECONDS",
            help="between two looks (default: %(default)s)",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Send until told to stop, or once.

        Raises:
            CommandError: with ``--once`` the database did not answer.
        """
        stopping = threading.Event()
        signaller = Signaller(sent=self._say_sent, stopping=stopping.is_set)
        if options["once"]:
            self._once(signaller, backlog=options["backlog"])
            return
        previous = {
            number: signal.signal(number, lambda *_: stopping.set())
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            self._poll(signaller, stopping, seconds=options["poll"], backlog=options["backlog"])
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _once(self, signaller: Signaller, *, backlog: bool) -> None:
        try:
            self._register(signaller, backlog=backlog)
            report = signaller.tell_waiting()
            signaller.release()
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"overview database: {one_line(str(error))}") from error
        if report.is_busy:
            self.stdout.write("another process sends the signals")
        self.stdout.write(_sentence(report))
        if report.failed_count:
            sys.exit(1)

    def _poll(
        self, signaller: Signaller, stopping: threading.Event, *, seconds: float, backlog: bool
    ) -> None:
        is_registered, was_busy = False, False
        while not stopping.is_set():
            try:
                if not is_registered:
                    self._register(signaller, backlog=backlog)
                    is_registered = True
                    self.stdout.write("waiting for changes")
                report = signaller.tell_waiting()
            except (DatabaseError, InterfaceError) as error:
                self.stderr.write(f"overview database, tried again: {one_line(str(error))}")
            else:
                if report.is_busy and not was_busy:
                    self.stdout.write("another process sends the signals; standing by")
                if report.failed_count:
                    self.stdout.write(_sentence(report))
                was_busy = report.is_busy
            stopping.wait(seconds)
        self._release(signaller)

    def _register(self, signaller: Signaller, *, backlog: bool) -> None:
        skipped = signaller.register(from_now=not backlog)
        if skipped:
            self.stdout.write(f"first start: {skipped} changes from before are not told")

    def _release(self, signaller: Signaller) -> None:
        try:
            signaller.release()
        except (DatabaseError, InterfaceError) as error:
            self.stderr.write(f"overview database: {one_line(str(error))}")
        self.stdout.write("stopped")

    def _say_sent(self, change: OverviewChange, due: DueSignal) -> None:
        self.stdout.write(f"{change.course_key} {change.row_seq}: {due.name}")


def _sentence(report: SignalReport) -> str:
    given_up = f", {report.given_up_count} of them given up" if report.given_up_count else ""
    return f"{report.told_count} changes told, {report.failed_count} failed{given_up}"
