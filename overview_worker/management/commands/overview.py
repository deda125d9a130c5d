"""``overview``: one Django command with subcommands, so that its names collide with no platform's."""

from argparse import Namespace, RawDescriptionHelpFormatter
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandParser

from overview_worker.commands import (
    dead_letters,
    deletes,
    doctor,
    explain,
    grants,
    history,
    intake_process,
    publish,
    reindex,
    runs,
    seed,
    status,
    thumbnails,
    upgrade,
    verify,
)
from overview_worker.commands.at_terminal import run_at_terminal

SUBCOMMANDS = {
    module.COMMAND.name: module.COMMAND
    for module in (
        publish,
        reindex,
        runs,
        status,
        explain,
        history,
        verify,
        upgrade,
        dead_letters,
        deletes,
        thumbnails,
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
  overview reindex --all --dry-run
  overview runs
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
            SystemExit: with the exit code, if that is not 0.
        """
        command = SUBCOMMANDS[options["subcommand"]]
        # At a terminal the subcommand's own lines are the report; the intake's report is its log.
        with_logs = options["verbosity"] >= VERBOSE or command is intake_process.COMMAND
        run_at_terminal(
            lambda console: command.run(Namespace(**options), console),
            output=cast(TextIO, self.stdout),
            with_logs=with_logs,
        )
