"""How every command runs: quiet logs, errors as one clear line, and the exit code."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TextIO

from django.core.management.base import CommandError
from django.db import DatabaseError, InterfaceError
from kombu.exceptions import KombuError
from rich.console import Console

from overview_worker.bootstrap import close_dependencies
from overview_worker.commands.base import EXIT_INTERRUPTED
from overview_worker.commands.console import command_console, shown_lines
from overview_worker.errors import OverviewError


def run_at_terminal(
    work: Callable[[Console], int], *, output: TextIO, with_logs: bool = False
) -> None:
    """Do ``work`` and leave with the exit code that it returns, if that is not 0.

    Without ``with_logs`` the log lines of the pipeline are left out: what ``work`` prints is the report.

    Raises:
        CommandError: with one line for the person at the terminal.
        SystemExit: with the exit code.
    """
    console = command_console(output)
    try:
        with nullcontext() if with_logs else _quiet_logs():
            exit_code = work(console)
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
        exit_code = EXIT_INTERRUPTED
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
