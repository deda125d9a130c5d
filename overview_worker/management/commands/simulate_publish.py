"""``simulate_publish``: Open edX's command of that name, for Open edX's signal or our own."""

from argparse import RawDescriptionHelpFormatter
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from lms_integration.signals import publish_signal
from overview_worker.commands.at_terminal import run_at_terminal
from overview_worker.commands.base import EXIT_OK, EXIT_USAGE, number_from_zero
from overview_worker.commands.simulated_publish import (
    Simulation,
    named_receivers,
    refuse_lms,
    simulate,
    stored_arguments,
)

EPILOG = """\
The signal is Open edX's SignalHandler.course_published inside the platform, and
lms_integration.signals.course_published elsewhere. Receivers are called one after the other, in this
process; a receiver that fails is named, and the others are called all the same.

examples:
  manage.py simulate_publish --show-receivers
  manage.py simulate_publish --courses course-v1:OpenedX+DemoX+DemoCourse
  manage.py simulate_publish --receivers lms_integration.signals.receive_course_published --delay 0.5

To rebuild overviews, `overview reindex` is what you want: it needs no signal and goes faster.

exit codes: 0 all were sent; 1 a receiver failed or a course is unknown; 2 called wrongly.
"""


class Command(BaseCommand):
    """Parses Open edX's options and hands them on."""

    help = "Send course_published again, to chosen receivers, for chosen courses."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own declaration

    def add_arguments(self, parser: CommandParser) -> None:
        """Add every option that Open edX's command has."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument(
            "--show-receivers", action="store_true", help="print the receivers' names, send nothing"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="print what would be sent, send nothing"
        )
        parser.add_argument(
            "--receivers",
            nargs="+",
            default=[],
            metavar="RECEIVER",
            help="names as --show-receivers prints them (default: all)",
        )
        parser.add_argument(
            "--courses",
            nargs="+",
            default=[],
            metavar="COURSE",
            help="course keys (default: every course with a published branch)",
        )
        parser.add_argument(
            "--delay",
            type=number_from_zero,
            default=0.0,
            metavar="SECONDS",
            help="wait so long between two courses (default: 0)",
        )
        parser.add_argument(
            "--force-lms", action="store_true", help="run in an LMS process all the same"
        )
        parser.add_argument(
            "--skip-ccx",
            action="store_true",
            help="leave out custom courses (CCX); without --courses there are none among them here",
        )
        parser.add_argument(
            "--args-from-database",
            action="store_true",
            help="take the arguments from Open edX's SimulateCoursePublishConfig instead of these",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Send the signals; leave with the exit code.

        Raises:
            CommandError: with one line for the person at the terminal.
            SystemExit: with the exit code, if that is not 0.
        """
        # The receivers' warnings are what tells of an event that was not sent.
        run_at_terminal(
            lambda console: self._work(options, console),
            output=cast(TextIO, self.stdout),
            with_logs=True,
        )

    def _work(self, options: dict[str, Any], console: Console) -> int:
        if options["args_from_database"]:
            options = self._options_from_database()
        if options["show_receivers"]:
            for name, _ in named_receivers(publish_signal()):
                console.print(name)
            return EXIT_OK
        refuse_lms(is_forced=options["force_lms"])
        return simulate(
            Simulation(
                course_keys=options["courses"],
                receivers=options["receivers"],
                delay_seconds=options["delay"],
                skips_ccx=options["skip_ccx"],
                is_dry_run=options["dry_run"],
            ),
            console,
        )

    def _options_from_database(self) -> dict[str, Any]:
        arguments = stored_arguments()
        parser = self.create_parser("manage.py", "simulate_publish")
        parser.called_from_command_line = False  # a wrong one is told of as an error of ours
        try:
            return vars(parser.parse_args(arguments))
        except CommandError as error:
            raise CommandError(
                f"SimulateCoursePublishConfig holds {arguments}: {error}", returncode=EXIT_USAGE
            ) from error
