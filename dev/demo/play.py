"""The acts of the demo, one after the other."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import DatabaseError
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

from dev.authoring.author import SplitAuthor
from dev.authoring.catalogue import SampleCourse, sample_catalogue, write_catalogue
from dev.authoring.index import MongoCourseIndex
from dev.authoring.studio import ReceiverFailed, Studio
from dev.demo import edits, filling
from dev.demo.burst import PUBLISH_COUNT, REQUEST_COUNT, publish_burst
from dev.demo.cast import Cast, choose_cast
from dev.demo.confirms import Confirms, UnconfirmedEvent, listening
from dev.demo.console import make_console
from dev.demo.draft import edit_draft_only
from dev.demo.edits import Edit
from dev.demo.following import followed
from dev.demo.hints import closing_hints
from dev.demo.processes import PipelineProcesses, ProcessesFailed
from dev.demo.screen import Screen, show
from dev.demo.seen import Facts, look_at_facts
from dev.demo.staying import show_rebuilds
from dev.demo.watching import NotArrived, Times, save_and_watch
from dev.servers.folder import open_folder
from lms_integration.publisher import close_publisher
from overview_worker.bootstrap import mongo_conf

_MONGODB_TIMEOUT_MS = 8_000
#: What may go wrong with an edit or a rebuild; anything else is a bug of the demo.
FAILURES = (
    NotArrived,
    ProcessesFailed,
    UnconfirmedEvent,
    ReceiverFailed,
    DatabaseError,
    PyMongoError,
)


def play(folder: Path, *, stay: bool, verbose: bool) -> int:
    """Play from the first process to the last; return 0 if everything became visible, else 1."""
    screen = Screen(make_console())
    processes = PipelineProcesses(folder)
    with ExitStack() as stack:
        stack.callback(close_publisher)
        stack.callback(processes.stop)
        processes.start()  # they take longest: schema and catalogue are written meanwhile
        if verbose:
            stack.enter_context(followed(processes.log, screen.log_line))
        try:
            cast = choose_cast(catalogue := sample_catalogue())
            author = stack.enter_context(_author())
            _Play(screen, processes, author, catalogue=catalogue, cast=cast).perform()
            screen.text(f"\n{closing_hints(open_folder(folder), cast, stay=stay)}")
            if stay:
                _stay(screen, processes)
        except FAILURES as error:
            screen.failure(f"{type(error).__name__}: {error}{processes.log_tail()}")
            return 1
    return 0


def _stay(screen: Screen, processes: PipelineProcesses) -> None:
    try:
        show_rebuilds(screen, check=processes.check)
    except KeyboardInterrupt:
        screen.text("\nEverything is being stopped.")


class _Play:
    """The stage while the play is on."""

    def __init__(
        self,
        screen: Screen,
        processes: PipelineProcesses,
        author: SplitAuthor,
        *,
        catalogue: Sequence[SampleCourse],
        cast: Cast,
    ) -> None:
        self._screen = screen
        self._processes = processes
        self._confirms = Confirms()
        self._studio = Studio(author)
        self._catalogue = catalogue
        self._cast = cast

    def perform(self) -> None:
        """Fill the tables, wait for the processes, edit, and show the rows; raises what fails."""
        with self._act("schema") as say:
            call_command("migrate", verbosity=0, interactive=False)
            say("tables are there and up to date")
        self._write_catalogue()
        self._wait_for_processes()
        self._fill()
        self._screen.edits_header()
        with listening(self._confirms):
            self._edit()
        self._show_rows()

    def _write_catalogue(self) -> None:
        with self._act("catalogue") as say:
            created_count = write_catalogue(self._studio.author, self._catalogue)
            filling.undo_damage(self._studio.author, self._cast)
            say(f"{len(self._catalogue)} courses in the modulestore, {created_count} of them new")

    def _wait_for_processes(self) -> None:
        with self._act("processes") as say, self._screen.waiting("processes start"):
            self._processes.wait_until_ready()
            say(f"{', '.join(self._processes.names)} are consuming")

    def _fill(self) -> None:
        keys = [course.course_key for course in self._catalogue]
        with self._act("fill") as say, self._screen.progress() as progress:
            bar = progress.add_task("fill", total=len(keys))
            filling.request_rebuilds(keys)
            filling.wait_until_rebuilt(
                keys,
                progress=lambda done: progress.update(bar, completed=done),
                check=self._processes.check,
            )
            say(f"{filling.count_rows(keys)} rows built through the bulk queue")
        missing = filling.describe_missing(keys)
        if missing:
            raise NotArrived(f"the fill left out {missing}")

    def _edit(self) -> None:
        cast = self._cast
        self._show(edits.rename, cast.renamed)
        self._show(edits.move_start, cast.moved)
        self._show(edits.change_image, cast.pictured)
        self._show(edits.describe, cast.described)
        self._show(edits.change_tabs, cast.tabbed)
        self._show(edits.change_grading, cast.graded)
        self._show_draft_edit(cast.drafted)
        self._show(edits.describe_beside_draft, cast.drafted)
        self._show(edits.delete, cast.removed)
        self._show(edits.create_again, cast.removed)
        self._show_burst(cast.hurried)
        self._show(edits.degrade, cast.degraded)
        self._show(edits.break_start, cast.broken)

    def _show(self, make: Callable[[SampleCourse, Facts], Edit], course: SampleCourse) -> None:
        edit = make(course, look_at_facts(course.course_key))
        arrival = save_and_watch(edit, self._studio, check=self._check)
        self._screen.arrival(edit, arrival)

    def _show_draft_edit(self, course: SampleCourse) -> None:
        name = edit_draft_only(self._studio, course.course_key)
        result = f"nothing is announced; display_name stays {show(name)}"
        self._screen.event("draft only", course.course_key, Times(), result)

    def _show_burst(self, course: SampleCourse) -> None:
        outcome = publish_burst(self._studio, course, check=self._check)
        result = (
            f"{PUBLISH_COUNT} publishes in {REQUEST_COUNT} requests → {outcome.rebuild_count}"
            f" rebuilds; display_name {show(outcome.name)}"
        )
        self._screen.event("burst", course.course_key, outcome.times, result)

    def _check(self) -> None:
        self._processes.check()
        self._confirms.check()

    def _show_rows(self) -> None:
        self._screen.rows(look_at_facts(course.course_key) for course in self._cast.courses)

    @contextmanager
    def _act(self, name: str) -> Iterator[Callable[[str], None]]:
        results: list[str] = []
        began = time.monotonic()
        yield results.append
        self._screen.act(name, "".join(results), time.monotonic() - began)


@contextmanager
def _author() -> Iterator[SplitAuthor]:
    conf = mongo_conf()
    client: MongoClient[dict[str, Any]]
    with MongoClient(conf.url, timeoutMS=_MONGODB_TIMEOUT_MS) as client:
        database: Database[Any] = client[conf.database]
        yield SplitAuthor(database, index=MongoCourseIndex(database))
