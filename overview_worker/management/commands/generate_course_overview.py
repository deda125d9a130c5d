"""``generate_course_overview``: Open edX's command of that name, as a rebuild run."""

from argparse import RawDescriptionHelpFormatter
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from overview_worker.commands.at_terminal import run_at_terminal
from overview_worker.commands.base import EXIT_USAGE
from overview_worker.commands.run_carrying_out import Manner, ask_and_see_through
from overview_worker.commands.run_scope import plain_request

EPILOG = """\
Asks for a rebuild run, which the bulk workers carry out beside the publishes, and waits for it with its
progress. Without --force-update only rows that are missing, stale, or of an older schema are rebuilt;
with it every one is written afresh.

examples:
  manage.py generate_course_overview --all-courses
  manage.py generate_course_overview course-v1:OpenedX+DemoX+DemoCourse --force-update

`overview reindex` does the same and more: organisations, a rate, a dry run.

exit codes: 0 every course is up to date; 1 some are not, and are named; 2 called wrongly; 130 Ctrl-C: the
run goes on.
"""


class Command(BaseCommand):
    """Parses Open edX's options and asks for a run."""

    help = "Rebuild course overviews."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own declaration

    def add_arguments(self, parser: CommandParser) -> None:
        """Add every option that Open edX's command has."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument(
            "course_id", nargs="*", metavar="COURSE", help="keys of the courses to be rebuilt"
        )
        parser.add_argument(
            "--all-courses", "--all", action="store_true", dest="all_courses", help="every course"
        )
        parser.add_argument(
            "--force-update",
            "--force_update",
            action="store_true",
            dest="force_update",
            help="write also the rows that are up to date",
        )
        parser.add_argument(
            "--chunk-size",
            type=int,
            metavar="COUNT",
            help="means nothing here, and is accepted: a run finds the size of its chunks by itself",
        )
        parser.add_argument(
            "--routing-key",
            metavar="KEY",
            help="means nothing here, and is accepted: rebuild runs have a queue of their own",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Ask for the run and wait for it; leave with the exit code.

        Raises:
            CommandError: with one line for the person at the terminal.
            SystemExit: with the exit code, if that is not 0.
        """
        run_at_terminal(
            lambda console: self._work(options, console), output=cast(TextIO, self.stdout)
        )

    def _work(self, options: dict[str, Any], console: Console) -> int:
        if not options["course_id"] and not options["all_courses"]:
            raise CommandError("name some courses, or use --all-courses", returncode=EXIT_USAGE)
        named = [] if options["all_courses"] else options["course_id"]
        if named != options["course_id"]:  # Open edX's command leaves the names out of account, too
            console.print("--all-courses: the courses that are named are rebuilt among all others")
        for option in ("chunk_size", "routing_key"):
            if options[option] is not None:
                name = option.replace("_", "-")
                console.print(f"--{name} means nothing here, and is left out of account")
        request = plain_request(
            named,
            everything=options["force_update"],
            reason="generate_course_overview",
        )
        return ask_and_see_through(request, Manner(), console)
