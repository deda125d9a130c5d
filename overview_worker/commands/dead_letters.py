"""``overview dead-letters``: look at what nobody retries by itself, send it again, or let it go."""

import getpass
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lms_integration.dead_letter_desk import (
    DeadLetterFilter,
    DeskOutcome,
    DeskReport,
    body_text,
    discard_dead_letter,
    find_dead_letters,
    replay_dead_letter,
    replay_sentence,
)
from lms_integration.models import DeadLetter, DeadLetterOrigin
from lms_integration.publisher import PublishOutcome, close_publisher, publish_event
from overview_worker.commands.base import (
    EXIT_OK,
    EXIT_PROBLEM,
    EXIT_USAGE,
    Subcommand,
    parse_course_keys,
    print_json,
)

DEFAULT_LIMIT = 50
_REASON_WIDTH = 100
#: A progress bar is worth its lines from so many letters on.
_MANY = 20
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MAX_AGE_SECONDS = 100 * 365 * 86_400

DESCRIPTION = """\
Dead letters are what nobody will retry by itself, all in one table:

  intake   a message on the event queue that is no event of ours
  rebuild  a course whose published version cannot become an overview
  task     a rebuild that crashed or ran out of time, again and again
  broker   a message that was delivered too often, or that a worker could not read

The same thing again is counted, not repeated. Start with:

  overview dead-letters list
  overview dead-letters show 17

Once the cause is mended, replay; what will never matter again, discard.
"""

_LIST = """\
List dead letters, the one that was seen last first.

Exit code 0, whether or not there are any.
"""

_SHOW = """\
Show single letters with all that is kept of them, and what replaying each would do.

Exit code 0: all are there. 1: one is not, and is named.
"""

_REPLAY = """\
Treat letters as if they had arrived again. An event marks its course and is sent once more; a task,
or a letter about a course, marks the courses it names and asks for their rebuild, which also releases
a course that is held back. The letter is then gone. If the cause is still there, it comes back.

A letter that cannot be replayed says why and stays: one that is still no event, and one of which only
the beginning is kept. Replaying is safe to repeat, and to interrupt: course marked and letter removed
happen together or not at all. A broker that is away costs seconds: the sweeper finds the marks.

  overview dead-letters replay 17 18
  overview dead-letters replay --origin broker --older-than 1h
  overview dead-letters replay --all --yes

Exit code 0: every letter is replayed. 1: one stays, is not there, or its event was not sent.
2: called wrongly, or not confirmed: nothing was done.
"""

_DISCARD = """\
Remove letters for good. Each leaves one log line that says who removed what. The mark of a course
stays as it is: a course that is held back stays so until it is marked again.

  overview dead-letters discard 17
  overview dead-letters discard --origin intake --reason-contains "not JSON"
  overview dead-letters discard --older-than 90d --yes

Exit code 0: every letter is removed. 1: one is not there. 2: called wrongly, or not confirmed:
nothing was done.
"""


def _add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(name: str, summary: str, description: str) -> ArgumentParser:
        return actions.add_parser(
            name,
            help=summary,
            description=description,
            formatter_class=RawDescriptionHelpFormatter,
        )

    listing = add("list", "which there are", _LIST)
    _add_filters(listing)
    listing.add_argument(
        "--limit",
        type=int,
        default=DEFAULT_LIMIT,
        metavar="COUNT",
        help="show at most so many (default: %(default)s)",
    )
    listing.add_argument("--json", action="store_true", help="as JSON, one list")
    showing = add("show", "all that is kept of some", _SHOW)
    showing.add_argument("ids", nargs="+", type=int, metavar="ID", help="a letter's number")
    showing.add_argument("--json", action="store_true", help="as JSON, one list")
    for name, summary, description in (
        ("replay", "treat some as if they had arrived again", _REPLAY),
        ("discard", "remove some for good", _DISCARD),
    ):
        doing = add(name, summary, description)
        doing.add_argument("ids", nargs="*", type=int, metavar="ID", help="a letter's number")
        _add_filters(doing)
        doing.add_argument("--all", action="store_true", help="every letter there is")
        doing.add_argument(
            "--yes", action="store_true", help="do not ask; needed where nobody can be asked"
        )
        doing.add_argument("--json", action="store_true", help="as JSON, one list")


def _add_filters(parser: ArgumentParser) -> None:
    filters = parser.add_argument_group("which letters (several narrow together)")
    filters.add_argument("--origin", choices=DeadLetterOrigin.values, help="where it went wrong")
    filters.add_argument("--course", metavar="COURSE", help="a course key")
    filters.add_argument("--reason-contains", metavar="TEXT", help="in any case")
    filters.add_argument(
        "--older-than",
        type=_seconds,
        metavar="AGE",
        help="last seen at least so long ago: 90s, 30m, 12h, 7d",
    )


def _seconds(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()):
        raise ArgumentTypeError(f"{text!r} is no age; write it as 90s, 30m, 12h or 7d")
    return min(int(number[:12]) * _UNITS[unit], _MAX_AGE_SECONDS)


def _run(arguments: Namespace, console: Console) -> int:
    actions: dict[str, Callable[[Namespace, Console], int]] = {
        "list": _list,
        "show": _show,
        "replay": _replay,
        "discard": _discard,
    }
    return actions[arguments.action](arguments, console)


def _list(arguments: Namespace, console: Console) -> int:
    if arguments.limit < 1:
        raise CommandError("--limit must be at least 1", returncode=EXIT_USAGE)
    found = find_dead_letters(_filter_of(arguments)).defer("body")
    letters = list(found[: arguments.limit])
    if arguments.json:
        print_json(console, [_summary(letter) for letter in letters])
        return EXIT_OK
    if not letters:
        console.print("no dead letters")
        return EXIT_OK
    console.print(_table(letters))
    more = found.count() - len(letters)
    if more > 0:
        console.print(f"and {more} more: narrow with filters, or use --limit")
    return EXIT_OK


def _show(arguments: Namespace, console: Console) -> int:
    found = {letter.id: letter for letter in find_dead_letters(_filter_of(arguments))}
    ids = list(dict.fromkeys(arguments.ids))
    missing = [letter_id for letter_id in ids if letter_id not in found]
    letters = [found[letter_id] for letter_id in ids if letter_id in found]
    if arguments.json:
        print_json(console, [_details(letter) for letter in letters])
    else:
        for letter in letters:
            console.print(_detail_table(letter))
    for letter_id in missing:
        _say(console, arguments, f"{letter_id}: no such dead letter")
    return EXIT_PROBLEM if missing else EXIT_OK


def _replay(arguments: Namespace, console: Console) -> int:
    ids = _chosen(arguments, console, doing="replay")
    unsent = 0

    def replay(letter_id: int) -> DeskReport:
        nonlocal unsent
        report = replay_dead_letter(letter_id, by=_operator())
        outcomes = [publish_event(event) for event in report.events]
        unsent += sum(1 for outcome in outcomes if outcome is not PublishOutcome.SENT)
        return report

    try:
        reports = _do(ids, replay, arguments, console)
    finally:
        close_publisher()
    if unsent:
        _say(
            console,
            arguments,
            f"{unsent} events were not sent; the marks stand, so the workers' sweeper picks them up. "
            "Check the broker with: overview doctor",
        )
    all_good = all(report.outcome is DeskOutcome.REPLAYED for report in reports)
    return EXIT_OK if all_good and not unsent else EXIT_PROBLEM


def _discard(arguments: Namespace, console: Console) -> int:
    ids = _chosen(arguments, console, doing="discard")
    reports = _do(ids, lambda each: discard_dead_letter(each, by=_operator()), arguments, console)
    all_good = all(report.outcome is DeskOutcome.DISCARDED for report in reports)
    return EXIT_OK if all_good else EXIT_PROBLEM


def _chosen(arguments: Namespace, console: Console, *, doing: str) -> list[int]:
    """Return the letters to work on, once the person has said yes to more than named ones."""
    narrowing = _filter_of(arguments)
    ids = narrowing.ids
    if narrowing.is_empty != arguments.all:
        raise CommandError(
            f"say which letters to {doing}: their ids, filters, or --all alone",
            returncode=EXIT_USAGE,
        )
    if ids and narrowing != DeadLetterFilter(ids=ids):
        raise CommandError("ids and filters do not go together", returncode=EXIT_USAGE)
    if ids:
        return list(dict.fromkeys(ids))
    chosen = list(find_dead_letters(narrowing).order_by("id").values_list("id", flat=True))
    if chosen and not arguments.yes:
        _confirm(console, f"{doing} {len(chosen)} dead letters?")
    return chosen


def _confirm(console: Console, question: str) -> None:
    if not console.is_terminal:
        raise CommandError(f"{question} Nobody can be asked here: add --yes", returncode=EXIT_USAGE)
    if console.input(f"{question} [y/N] ", markup=False).strip().lower() not in {"y", "yes"}:
        raise CommandError("nothing was done", returncode=EXIT_USAGE)


def _do(
    ids: Sequence[int],
    act: Callable[[int], DeskReport],
    arguments: Namespace,
    console: Console,
) -> list[DeskReport]:
    shown = len(ids) >= _MANY and console.is_terminal and not arguments.json
    reports = [
        act(letter_id)
        for letter_id in track(
            ids, arguments.action, console=console, transient=True, disable=not shown
        )
    ]
    if arguments.json:
        print_json(console, [_report(report) for report in reports])
        return reports
    if not reports:
        console.print("no dead letters")
    for report in reports:
        if report.outcome is DeskOutcome.STAYS:
            line = f"{report.letter_id}: stays, cannot be replayed: {report.reason}"
            console.print(line)
        elif report.outcome is DeskOutcome.GONE:
            console.print(f"{report.letter_id}: no such dead letter")
    for outcome, count in Counter(report.outcome for report in reports).items():
        if outcome in (DeskOutcome.REPLAYED, DeskOutcome.DISCARDED):
            console.print(f"{count} {outcome.value}")
    return reports


def _filter_of(arguments: Namespace) -> DeadLetterFilter:
    named = vars(arguments)
    course = named.get("course")
    if course is not None:
        (course,) = parse_course_keys([course])
    return DeadLetterFilter(
        ids=tuple(named.get("ids", ())),
        origin=named.get("origin"),
        course_key=course,
        reason_contains=named.get("reason_contains"),
        older_than_seconds=named.get("older_than"),
    )


def _operator() -> str:
    try:
        return f"OS user {getpass.getuser()}"
    except (KeyError, OSError):  # a container may run under a number that has no name
        return "an OS user without a name"


def _say(console: Console, arguments: Namespace, line: str) -> None:
    """Print a line for the person; not into a JSON document, whose reader has the exit code."""
    if not arguments.json:
        console.print(line)


def _table(letters: Iterable[DeadLetter]) -> Table:
    table = Table("id", "origin", "course", "seen", "first seen", "last seen", "reason", box=None)
    for letter in letters:
        table.add_row(
            str(letter.id),
            letter.origin,
            letter.course_key or "-",
            str(letter.seen_count),
            _shown_time(letter.first_seen_at),
            _shown_time(letter.last_seen_at),
            letter.reason[:_REASON_WIDTH],
        )
    return table


def _detail_table(letter: DeadLetter) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in _details(letter).items():
        table.add_row(name.replace("_", " "), "-" if value == "" else str(value))
    return table


def _summary(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "origin": letter.origin,
        "course_key": letter.course_key,
        "reason": letter.reason,
        "seen_count": letter.seen_count,
        "first_seen_at": _shown_time(letter.first_seen_at),
        "last_seen_at": _shown_time(letter.last_seen_at),
        "content_type": letter.content_type,
        "body_bytes": letter.body_bytes,
    }


def _details(letter: DeadLetter) -> dict[str, Any]:
    return {
        **_summary(letter),
        "kept_bytes": len(letter.body),
        "body": body_text(letter),
        "replay": replay_sentence(letter),
    }


def _report(report: DeskReport) -> dict[str, Any]:
    return {
        "id": report.letter_id,
        "outcome": report.outcome.value,
        "reason": report.reason,
        "courses": [event.course_key for event in report.events],
    }


def _shown_time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


COMMAND = Subcommand(
    name="dead-letters",
    summary="list, show, replay, discard what nobody retries by itself",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
