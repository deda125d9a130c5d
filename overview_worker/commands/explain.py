"""``overview explain``: the story of one course's row."""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.table import Table

from lms_integration.models import (
    CourseOverview,
    DeadLetter,
    OverviewMark,
    OverviewState,
    OverviewTombstone,
)
from overview_worker.bootstrap import dependencies
from overview_worker.commands.base import EXIT_OK, EXIT_PROBLEM, Subcommand, parse_course_keys
from overview_worker.documents import PublishedPointer
from overview_worker.errors import ModulestoreUnavailable

DESCRIPTION = """\
Tell what a course's row was built from, what the modulestore has now, which event came last, what
went wrong, and what will happen next.

Exit code 0: the row is up to date (or the course is rightly gone). 1: it is not, or cannot be told.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """All that is known of one course."""

    course_key: str
    pointer: PublishedPointer | None
    index_error: str
    row: CourseOverview | None
    state: OverviewState | None
    mark: OverviewMark | None
    tombstone: OverviewTombstone | None
    dead_letter_count: int

    @property
    def verdict(self) -> tuple[bool, str]:
        """Whether all is well, and why, in one sentence."""
        state, mark = self.state, self.mark
        if self.index_error:
            return False, f"cannot tell: {self.index_error}"
        if state is not None and state.fault:
            return False, f"not buildable as published: {state.fault}"
        if mark is not None and mark.wanted > mark.done:
            return False, "waiting for a rebuild"
        if self.pointer is None:
            if state is None or not state.source_version:
                return False, "no such course with a published branch, and no overview of it"
            return (
                self.row is None,
                "deleted" if self.row is None else "deleted, but the row is there",
            )
        if self.row is None or state is None:
            return False, "published, but there is no row: overview publish " + self.course_key
        if state.source_version != self.pointer.structure_id:
            return False, "the row is from another version: overview publish " + self.course_key
        if state.degradations:
            return True, "up to date, degraded: some stored values could not be read"
        return True, "up to date"


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("course", metavar="COURSE", help="a course key")


def _run(arguments: Namespace, console: Console) -> int:
    (course_key,) = parse_course_keys([arguments.course])
    story = _story(course_key)
    console.print(_table(story))
    all_well, sentence = story.verdict
    console.print(f"\n{sentence}", markup=False)
    return EXIT_OK if all_well else EXIT_PROBLEM


def _story(course_key: str) -> Story:
    pointer, index_error = None, ""
    try:
        pointer = dependencies().modulestore.find_published([course_key]).get(course_key)
    except ModulestoreUnavailable as error:
        index_error = str(error)
    return Story(
        course_key=course_key,
        pointer=pointer,
        index_error=index_error,
        row=CourseOverview.objects.filter(id=course_key).first(),
        state=OverviewState.objects.filter(course_key=course_key).first(),
        mark=OverviewMark.objects.filter(course_key=course_key).first(),
        tombstone=OverviewTombstone.objects.filter(course_key=course_key).first(),
        dead_letter_count=DeadLetter.objects.filter(course_key=course_key).count(),
    )


def _table(story: Story) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in (*_source_lines(story), *_row_lines(story), *_mark_lines(story)):
        table.add_row(name, value)
    table.add_row("dead letters", str(story.dead_letter_count))
    return table


def _source_lines(story: Story) -> list[tuple[str, str]]:
    if story.index_error:
        return [("source", story.index_error)]
    if story.pointer is None:
        return [("source", "not in the course index (or without a published branch)")]
    return [
        ("source version", story.pointer.structure_id),
        ("source updated", _shown(story.pointer.updated_at)),
    ]


def _row_lines(story: Story) -> list[tuple[str, str]]:
    lines = []
    if story.row is not None:
        name = (story.row.display_name or "")[:80]
        lines += [("row", name or "(no name)"), ("row modified", _shown(story.row.modified))]
    else:
        lines += [("row", "none")]
    if story.tombstone is not None:
        lines += [("deleted", _shown(story.tombstone.deleted_at))]
    state = story.state
    if state is None:
        return [*lines, ("row version", "never built")]
    lines += [
        ("row version", state.source_version or "never built"),
        ("row changes", str(state.row_seq)),
        ("last written", _shown(state.built_at)),
        ("last verified", _shown(state.verified_at)),
    ]
    lines += [
        ("degraded", f"{d['field']} = {d['value']}: {d['reason']}") for d in state.degradations
    ]
    return [*lines, ("fault", state.fault)] if state.fault else lines


def _mark_lines(story: Story) -> list[tuple[str, str]]:
    mark = story.mark
    if mark is None:
        return [("mark", "never marked")]
    dirty = mark.wanted > mark.done
    return [
        ("mark", f"wanted {mark.wanted}, done {mark.done}: {'dirty' if dirty else 'clean'}"),
        ("dirty since", _shown(mark.dirty_since)),
        ("last event", f"{mark.last_event_type} {mark.last_event_id}".strip() or "none"),
        ("last event at", _shown(mark.last_event_at)),
        ("attempts", str(mark.attempts)),
        ("last error", mark.last_error or "none"),
        ("next attempt", _next_attempt(mark)),
    ]


def _next_attempt(mark: OverviewMark) -> str:
    if mark.wanted <= mark.done:
        return "with the next publish"
    return "at once" if mark.next_attempt_at is None else _shown(mark.next_attempt_at)


def _shown(moment: datetime | None) -> str:
    return "-" if moment is None else moment.isoformat(sep=" ", timespec="milliseconds")


COMMAND = Subcommand(
    name="explain",
    summary="the story of one course's row",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
