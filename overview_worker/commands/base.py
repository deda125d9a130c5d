"""What the subcommands share: their shape, their way of printing, and reading course keys."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.core.management.base import CommandError
from rich.console import Console

from lms_integration.course_keys import InvalidCourseKey, parse_course_key

#: Exit codes, the same for every subcommand.
EXIT_OK = 0
EXIT_PROBLEM = 1  #: it ran, and found or met a problem that it has named
EXIT_USAGE = 2  #: it was called wrongly: nothing was done


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


def print_json(console: Console, value: object) -> None:
    """Print one JSON document, its lines unfolded."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    console.print(text, soft_wrap=True)
