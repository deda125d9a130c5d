"""What the subcommands share: their shape, their way of printing, and reading course keys."""

import getpass
import json
import math
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.core.management.base import CommandError
from rich.console import Console

from lms_integration.course_keys import InvalidCourseKey, parse_course_key

#: Exit codes, the same for every subcommand.
EXIT_OK = 0
EXIT_PROBLEM = 1  #: it ran, and found or met a problem that it has named
EXIT_USAGE = 2  #: it was called wrongly: nothing was done
EXIT_INTERRUPTED = 130  #: Ctrl-C, as shells have it


@dataclass(frozen=True, kw_only=True, slots=True)
class Subcommand:
    """One subcommand; ``run`` returns the exit code."""

    name: str
    summary: str
    description: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace, Console], int]


def parse_course_keys(texts: Sequence[str]) -> list[str]:
    """Return the course keys that ``texts`` hold, each once, in their order.

    Raises:
        CommandError: with one line a wrong key, so that nothing is half done.
    """
    problems = []
    for text in texts:
        try:
            parse_course_key(text)
        except InvalidCourseKey as error:
            problems.append(str(error))
    if problems:
        raise CommandError("\n".join(problems), returncode=EXIT_USAGE)
    return list(dict.fromkeys(texts))


def add_courses_argument(parser: ArgumentParser, *, nargs: str = "+") -> None:
    """Add the positional course keys."""
    parser.add_argument(
        "courses",
        nargs=nargs,
        metavar="COURSE",
        help="a course key such as course-v1:OpenedX+DemoX+DemoCourse",
    )


def positive_number(text: str) -> float:
    """Return the number that an argument holds.

    Raises:
        ArgumentTypeError: it is none, or not above 0.
    """
    number = number_from_zero(text)
    if number == 0:
        raise ArgumentTypeError(f"{text!r} is not above 0")
    return number


def number_from_zero(text: str) -> float:
    """Return the number that an argument holds.

    Raises:
        ArgumentTypeError: it is none, or below 0.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return number


def account_name() -> str:
    """Return the name of the operating-system account that runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return "an account without a name"


def print_json(console: Console, value: object) -> None:
    """Print one JSON document, its lines unfolded."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    console.print(text, soft_wrap=True)
