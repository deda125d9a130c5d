"""``overview``: one Django command with subcommands, so that its names collide with no platform's."""

import logging
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError
from kombu.exceptions import KombuError

from overview_worker.bootstrap import close_dependencies
from overview_worker.commands import (
    dead_letters,
    deletes,
    doctor,
    explain,
    grants,
    intake_process,
    publish,
    reindex,
    seed,
    status,
    verify,
)
from overview_worker.commands.console import command_console, shown_lines
from overview_worker.errors import OverviewError

SUBCOMMANDS = {
    module.COMMAND.name: module.COMMAND
    for module in (
        publish,
        reindex,
        status,
        explain,
        verify,
        dead_letters,
        deletes,
        doctor,
        grants,
        seed,
        intake_process,
    )
}

#: With ``-v 2`` the log lines of the pipeline are shown too.
VERBOSE = 2

EPILOG = """\
examples:
  overview publish course-v1:OpenedX+DemoX+DemoCourse --wait 5
  overview reindex --all
  overview explain course-v1:OpenedX+DemoX+DemoCourse
  overview verify --all
  overview dead-letters list
  overview doctor

exit codes: 0 all is well; 1 a problem was found or met, and is named; 2 called wrongly.
Servers come from OVERVIEW_DATABASE_URL, OVERVIEW_BROKER_URL, OVERVIEW_MONGODB_URL.
"""


class Command(BaseCommand):
    """Dispatches to the subcommands and turns their errors into one clear line."""

    help = "Course overviews, built ahead of time: publish, rebuild, look, diagnose."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own declaration

    def add_arguments(self, parser: CommandParser) -> None:
        """Add one parser a subcommand."""
        if parser.prog.endswith(" "):  # called as ``overview``, not through manage.py
            parser.prog = parser.prog.strip()
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        subparsers = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
        for command in SUBCOMMANDS.values():
            subparser = subparsers.add_parser(
                command.name,
                help=command.summary,
                description=command.description,
                formatter_class=RawDescriptionHelpFormatter,
            )
            command.add_arguments(subparser)

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the subcommand; leave with its exit code.

        Raises:
            CommandError: with one line for the person at the terminal.
        """
        console = command_console(cast(TextIO, self.stdout))
        command = SUBCOMMANDS[options["subcommand"]]
        # At a terminal the subcommand's own lines are the report; the intake's report is its log.
        quiet = options["verbosity"] < VERBOSE and command is not intake_process.COMMAND
        try:
            with _quiet_logs() if quiet else nullcontext():
                exit_code = command.run(Namespace(**options), console)
        except OverviewError as error:
            raise CommandError(shown_lines(str(error))) from error
        except (DatabaseError, InterfaceError) as error:
            reason = shown_lines(str(error))
            raise CommandError(f"overview database: {reason} (try: overview doctor)") from error
        except (KombuError, OSError) as error:
            reason = f"{type(error).__name__}: {shown_lines(str(error))}"
            raise CommandError(f"broker: {reason} (try: overview doctor)") from error
        except KeyboardInterrupt:
            console.print("stopped; what is marked is rebuilt all the same")
            exit_code = 130
        finally:
            close_dependencies()
        if exit_code:
            sys.exit(exit_code)


@contextmanager
def _quiet_logs() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("overview_worker", "lms_integration")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
