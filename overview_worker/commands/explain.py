"""``overview explain``: the story of one course's row."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from lms_integration.explaining import explain_course
from lms_integration.log_lines import one_line
from lms_integration.story import SourceFacts, Story, ToldRebuild
from overview_worker.bootstrap import dependencies
from overview_worker.commands.base import (
    EXIT_OK,
    EXIT_PROBLEM,
    Subcommand,
    parse_course_keys,
    print_json,
)
from overview_worker.errors import ModulestoreUnavailable

DESCRIPTION = """\
Tell the story of a course's row: what it was built from, what the modulestore has now, which event
came last, the last rebuilds that changed something or failed (from which event, what they read, what
they changed, what they took, which worker it was), its dead letters, and what will happen next.

Exit code 0: the row is up to date (or the course is rightly gone). 1: it is not, or cannot be told.
"""


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("course", metavar="COURSE", help="a course key")
    parser.add_argument("--json", action="store_true", help="as JSON, one object")


def _run(arguments: Namespace, console: Console) -> int:
    (course_key,) = parse_course_keys([arguments.course])
    story = explain_course(course_key, source=_source_of(course_key))
    if arguments.json:
        print_json(console, asdict(story))
    else:
        _print(story, console)
    return EXIT_OK if story.all_well else EXIT_PROBLEM


def _source_of(course_key: str) -> SourceFacts:
    try:
        pointer = dependencies().modulestore.find_published([course_key]).get(course_key)
    except ModulestoreUnavailable as error:
        return SourceFacts(error=str(error))
    if pointer is None:
        return SourceFacts()
    return SourceFacts(version=pointer.structure_id, updated_at=pointer.updated_at)


def _print(story: Story, console: Console) -> None:
    console.print(_pairs({**story.source, **story.row, **story.mark}.items()))
    for rebuild in story.rebuilds:
        console.print(f"\nrebuild {rebuild.number}: {rebuild.outcome} at {rebuild.at}")
        console.print(_pairs(_rebuild_lines(rebuild)))
    if story.dead_letters:
        console.print("\ndead letters (overview dead-letters show ID)")
        table = Table("id", "origin", "seen", "last seen", "reason", box=None)
        for letter in story.dead_letters:
            table.add_row(
                *(str(letter.id), letter.origin, str(letter.seen_count)),
                *(letter.last_seen_at, letter.reason),
            )
        console.print(table)
    hidden = story.dead_letter_count - len(story.dead_letters)
    if hidden:
        console.print(f"and {hidden} more: overview dead-letters list --course {story.course_key}")
    console.print(f"\nold values and new: overview history {story.course_key}")
    console.print(f"\n{one_line(story.verdict)}")
    console.print(one_line(f"next: {story.next_step}"))


def _rebuild_lines(rebuild: ToldRebuild) -> list[tuple[str, str]]:
    lines = [
        ("  version", rebuild.version or "-"),
        ("  event", rebuild.event or "-"),
        ("  took", rebuild.took),
        ("  worker", rebuild.worker),
        *(("  changed", change) for change in rebuild.changed),
    ]
    return [*lines, ("  went wrong", rebuild.went_wrong)] if rebuild.went_wrong else lines


def _pairs(pairs: Iterable[tuple[str, str | int | None]]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in pairs:
        table.add_row(name, "none" if value is None else str(value))
    return table


COMMAND = Subcommand(
    name="explain",
    summary="the story of one course's row",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
