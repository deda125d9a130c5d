"""What the real code does is what the model does: its traces are accepted, and false ones refused."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from typing import Any

import pytest
from django.db import connection, connections, transaction
from pymongo import MongoClient
from pymongo.database import Database

from lms_integration.announcements import mark_for_announcement
from lms_integration.events import CourseDeleted, CoursePublished, Event
from lms_integration.models import CourseOverview, OverviewMark, OverviewState
from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.documents import PublishedPointer
from overview_worker.errors import ModulestoreUnavailable
from overview_worker.rebuild import DISBELIEVE_AFTER_LOOKS, rebuild_overviews
from overview_worker.testing import InMemoryModulestore, InMemoryOverviewStore
from tests.model import steps
from tests.model.protocol import MARKED_HERE
from tests.model.traces import (
    Observed,
    Recorder,
    RecordingModulestore,
    RecordingStore,
    Refusal,
    Replay,
    recorded_sql,
)
from tests.race_scene import PATIENCE_SECONDS, Studio, build_numbered, real_modulestore, real_store

KEY = "course-v1:Org+Course+Run"
T0 = datetime(2026, 1, 1, tzinfo=UTC)

build = partial(build_overview, settings=BuilderSettings())


class Twins:
    """The product's rebuild on the in-memory twins, recorded."""

    def __init__(self, *, announces: bool = True) -> None:
        self.announces = announces
        self.recorder = Recorder()
        self.source = InMemoryModulestore()
        self.tables = InMemoryOverviewStore()
        self.store = RecordingStore(self.tables, self.recorder, has_sql=False)
        self.modulestore = RecordingModulestore(self.source, self.recorder)
        self.pointers: list[PublishedPointer] = []

    def publish(self, *, lost: bool = False) -> None:
        title = f"title {len(self.pointers)}"
        pointer = self.source.publish(KEY, display_name=title)
        self.pointers.append(pointer)
        self.recorder.change("P", pointer.structure_id, title)
        self._mark(pointer.structure_id, pointer.updated_at)
        self.recorder.marked("P")
        self.send(lost=lost)

    def delete(self, *, lost: bool = False) -> None:
        self.source.delete(KEY)
        self.recorder.change("D")
        self._mark("", self.pointers[-1].updated_at)
        self.recorder.marked("D")
        self.send(lost=lost)

    def send(self, *, lost: bool) -> None:
        name = steps.LOSE_EVENT if lost else steps.PUBLISH_EVENT
        self.recorder.note(name, MARKED_HERE, actor="publisher")

    def repeat(self) -> None:
        self.recorder.note(steps.REPEAT_EVENT, MARKED_HERE, actor="broker")

    def rebuild(self, worker: int = 1) -> None:
        with self.recorder.acting_as(f"worker {worker}"):
            self.recorder.note(steps.TAKE_TASK)
            rebuild_overviews([KEY], modulestore=self.modulestore, store=self.store, build=build)
            self.recorder.note(steps.END_TASK)

    def sweep(self, *, after_a_minute: bool = False) -> None:
        self.tables.pass_time(self._noted_seconds(after_a_minute))
        self.store.sweep()

    def _noted_seconds(self, after_a_minute: bool) -> int:
        if after_a_minute:
            self.recorder.note(steps.WAIT_A_MINUTE, actor="time")
        return 61 if after_a_minute else 31

    def lag(self, index: int) -> None:
        """Show this publish once, instead of what the index has."""
        self.modulestore.lagging.append({KEY: self.pointers[index]})

    def refusal(self) -> Refusal | None:
        replay = Replay(announces=self.announces, with_state_row=True)
        refusal = replay.refusal(self.recorder.trace)
        if refusal is None:
            assert self._row() in replay.rows()
            assert replay.can_rest()
        return refusal

    def _mark(self, version: str, at: datetime | None) -> None:
        if self.announces:
            at = None if at is None else at + timedelta(milliseconds=not version)
            self.tables.mark(KEY, announced_version=version, announced_at=at)
        else:
            self.tables.mark(KEY)

    def _row(self) -> tuple[int, int]:
        course = self.tables.course(KEY)
        title = course.row.overview.display_name if course.row else None
        return (
            self.recorder.position_of(title),
            self.recorder.position_of(course.state.source_version),
        )


Scene = Callable[[Any], None]


def a_first_build(scene: Any) -> None:
    scene.publish()
    scene.rebuild()


def an_update_whose_event_comes_twice(scene: Any) -> None:
    a_first_build(scene)
    scene.publish()
    scene.repeat()
    scene.rebuild(worker=1)
    scene.rebuild(worker=2)


def two_publishes_that_cost_one_rebuild(scene: Any) -> None:
    scene.publish()
    scene.publish()
    scene.rebuild()
    scene.rebuild(worker=2)


def a_delete(scene: Any) -> None:
    a_first_build(scene)
    scene.delete()
    scene.rebuild()


def a_course_that_is_created_again(scene: Any) -> None:
    a_delete(scene)
    scene.publish()
    scene.rebuild()


def a_course_that_is_gone_before_it_is_built(scene: Any) -> None:
    scene.publish()
    scene.delete()
    scene.rebuild()
    scene.rebuild(worker=2)


def a_lost_event_and_the_sweeper(scene: Any) -> None:
    a_first_build(scene)
    scene.publish(lost=True)
    scene.sweep()
    scene.rebuild(worker=2)


def a_read_that_lags(scene: Any) -> None:
    a_first_build(scene)
    scene.publish()
    scene.lag(0)
    scene.rebuild()
    scene.sweep()
    scene.rebuild(worker=2)


SCENES = (
    a_first_build,
    an_update_whose_event_comes_twice,
    two_publishes_that_cost_one_rebuild,
    a_delete,
    a_course_that_is_created_again,
    a_course_that_is_gone_before_it_is_built,
    a_lost_event_and_the_sweeper,
)


def named(functions: Sequence[Callable[..., object]]) -> list[Any]:
    return [pytest.param(each, id=each.__name__) for each in functions]


def assert_accepted(scene: Twins, when: str = "") -> None:
    refusal = scene.refusal()
    if refusal is not None:
        pytest.fail(f"{when}\n{refusal}", pytrace=False)


# --- On the twins


@pytest.mark.parametrize("announces", [True, False], ids=["named versions", "no versions"])
@pytest.mark.parametrize("scene", named(SCENES))
def test_the_model_accepts_what_the_twins_do_in(scene, announces):
    twins = Twins(announces=announces)

    scene(twins)

    assert_accepted(twins)


def test_the_model_accepts_a_read_that_lags():
    twins = Twins()

    a_read_that_lags(twins)

    assert_accepted(twins)


def looked_at_so_often_that_it_believes(twins: Twins, *, looks: int) -> None:
    """Have an index that lags for ever looked at, for the first time after a minute."""
    a_first_build(twins)
    twins.publish()
    twins.rebuild()
    twins.publish()
    twins.sweep(after_a_minute=True)
    for look in range(looks):
        if look:
            twins.sweep()
        twins.lag(0)
        twins.rebuild()


@pytest.mark.parametrize("looks", range(1, DISBELIEVE_AFTER_LOOKS + 2))
def test_the_model_looks_as_often_as_the_code_before_it_disbelieves_what_was_announced(looks):
    twins = Twins()

    looked_at_so_often_that_it_believes(twins, looks=looks)

    is_believed = looks > DISBELIEVE_AFTER_LOOKS
    assert twins.tables.course(KEY).is_dirty is not is_believed
    trace = twins.recorder.trace
    written = [each.value for each in trace if each.name == steps.WRITE]
    assert written == ([1, 2, 1] if is_believed else [1, 2])
    replay = Replay(announces=True, with_state_row=True, lags_end=False)
    assert replay.refusal(trace) is None
    # A minute has to have passed beside.
    trace = [each for each in trace if each.name != steps.WAIT_A_MINUTE]
    replay = Replay(announces=True, with_state_row=True, lags_end=False)
    assert (replay.refusal(trace) is not None) is is_believed


def test_the_model_accepts_a_structure_that_is_not_there_yet():
    twins = Twins()
    twins.publish()
    structures = twins.source._structures
    structure = structures.pop(twins.pointers[0].structure_id)
    twins.rebuild()
    structures[twins.pointers[0].structure_id] = structure
    twins.sweep()
    twins.rebuild(worker=2)

    assert_accepted(twins)


def test_the_model_accepts_an_outage_of_the_modulestore():
    twins = Twins()
    twins.publish()
    twins.source.outage = ModulestoreUnavailable("gone")
    twins.rebuild()
    twins.source.outage = None
    twins.sweep()
    twins.rebuild()

    assert_accepted(twins)


def test_the_model_accepts_a_worker_that_meets_the_lock_of_another():
    twins = Twins()
    twins.publish()
    twins.repeat()
    find = twins.source.find_published

    def find_while_another_comes(course_keys: Sequence[str]) -> Any:
        twins.source.find_published = find  # type: ignore[method-assign]
        twins.publish()
        twins.rebuild(worker=2)
        twins.recorder.local.actor = "worker 1"
        return find(course_keys)

    twins.source.find_published = find_while_another_comes  # type: ignore[method-assign]
    twins.rebuild(worker=1)
    twins.rebuild(worker=1)

    names = [(each.actor, each.name, each.value) for each in twins.recorder.trace]
    assert ("worker 2", steps.LOCK, "busy") in names
    assert ("worker 1", steps.LOOK_AGAIN, True) in names
    assert_accepted(twins)


# --- What the code is known to do otherwise


def test_a_late_mark_and_an_index_that_lags_take_no_row_backwards():
    twins = Twins()
    a_first_build(twins)
    twins.publish()
    twins.rebuild()
    first = twins.pointers[0]
    twins.tables.mark(KEY, announced_version=first.structure_id, announced_at=first.updated_at)
    twins.source.point_at(first)
    rebuild_overviews([KEY], modulestore=twins.source, store=twins.tables, build=build)

    row = twins.tables.course(KEY).row
    assert row is not None
    assert row.overview.display_name == "title 1"


def test_a_late_mark_and_an_index_that_lags_bring_no_deleted_course_back():
    twins = Twins(announces=False)
    a_delete(twins)
    twins.tables.mark(KEY)
    twins.source.point_at(twins.pointers[0])
    rebuild_overviews([KEY], modulestore=twins.source, store=twins.tables, build=build)

    assert twins.tables.course(KEY).row is None


# --- False traces are refused


def _recorded() -> list[Observed]:
    twins = Twins()
    an_update_whose_event_comes_twice(twins)
    assert_accepted(twins)
    return twins.recorder.trace


def _find(trace: Sequence[Observed], name: str, *, which: int = 0) -> int:
    return [n for n, each in enumerate(trace) if each.name == name][which]


def _swapped(trace: list[Observed], first: str, second: str) -> list[Observed]:
    a, b = _find(trace, first), _find(trace, second)
    trace[a], trace[b] = trace[b], trace[a]
    return trace


def _valued(trace: list[Observed], name: str, value: object, *, which: int = 0) -> list[Observed]:
    at = _find(trace, name, which=which)
    trace[at] = replace(trace[at], value=value)
    return trace


def _without(trace: list[Observed], name: str) -> list[Observed]:
    del trace[_find(trace, name)]
    return trace


@pytest.mark.parametrize(
    "doctored",
    [
        pytest.param(
            lambda t: _swapped(t, steps.DONE, steps.COMMIT), id="is done after its commit"
        ),
        pytest.param(lambda t: _swapped(t, steps.WRITE, steps.DONE), id="writes after it is done"),
        pytest.param(lambda t: _swapped(t, steps.LOCK, steps.FIND), id="reads before it locks"),
        pytest.param(
            lambda t: _swapped(t, steps.COMMIT, steps.LOOK_AGAIN), id="looks before it commits"
        ),
        pytest.param(lambda t: _without(t, steps.LOOK_AGAIN), id="does not look again"),
        pytest.param(lambda t: _without(t, steps.READ_MARK), id="does not read the mark"),
        pytest.param(lambda t: _valued(t, steps.DONE, 2), id="is done with more than it saw"),
        pytest.param(lambda t: _valued(t, steps.WRITE, 1, which=1), id="writes an older version"),
        pytest.param(lambda t: _valued(t, steps.WRITE, (1, 2), which=1), id="labels it otherwise"),
        pytest.param(lambda t: _valued(t, steps.LOCK, "busy"), id="finds a free lock taken"),
        pytest.param(lambda t: _valued(t, steps.LOOK_AGAIN, True), id="finds a clean course dirty"),
    ],
)
def test_the_model_refuses_a_worker_that(doctored):
    trace = doctored(_recorded())

    assert Replay(announces=True, with_state_row=True).refusal(trace) is not None


# --- On the real MariaDB and MongoDB


class Killed(BaseException):
    """What a worker dies of."""


#: Steps that another worker or a publisher can tell the difference of; ``test_races`` has them all.
_PROTOCOL_STEPS = frozenset(
    {
        "SELECT overview_state FOR UPDATE",
        "SELECT overview_state",
        "INSERT overview_state",
        "SELECT overview_mark",
        "find_published",
        "read_published",
        "UPDATE overview_state",
        "INSERT overview_mark",
        "COMMIT",
    }
)


class Pause:
    """Stops its caller before the nth step until it may go on, or kills it."""

    def __init__(self, *, before: int, kills: bool = False) -> None:
        self.step: str | None = None
        self.reached = threading.Event()
        self.may_go_on = threading.Event()
        self._steps_left = before
        self._kills = kills
        self._made_others_wait = False

    def __call__(self, step: str) -> None:
        if step not in _PROTOCOL_STEPS:
            return
        # Whoever marks, or creates the same state, would wait for the commit.
        makes_others_wait = self._made_others_wait
        self._made_others_wait = step in ("INSERT overview_mark", "INSERT overview_state")
        if makes_others_wait and not self._kills:
            return
        self._steps_left -= 1
        if self._steps_left:
            return
        self.step = step
        self.reached.set()
        if self._kills:
            # As the server does when its client is gone; Django would commit on its way out.
            connection.connection.rollback()
            raise Killed
        if not self.may_go_on.wait(PATIENCE_SECONDS):
            raise TimeoutError(f"still paused before {step}")


class Servers(Twins):
    """The same on the product's real adapters; a worker is a thread."""

    def __init__(self, studio: Studio, source: Any, *, announces: bool) -> None:
        super().__init__(announces=announces)
        self.studio = studio
        self.source = source
        self.store = RecordingStore(real_store(), self.recorder, has_sql=True)
        self.modulestore = RecordingModulestore(source, self.recorder)

    def publish(self, *, lost: bool = False) -> None:
        number = self.studio.publish(KEY, marks=False)
        pointer = self.source.find_published([KEY])[KEY]
        self.pointers.append(pointer)
        self.recorder.change("P", pointer.structure_id, str(number))
        event = CoursePublished(
            course_key=KEY,
            published_version=pointer.structure_id if self.announces else None,
            published_at=pointer.updated_at if self.announces else None,
        )
        self._announce(event, "P", lost=lost)

    def delete(self, *, lost: bool = False) -> None:
        self.studio.delete(KEY, marks=False)
        self.recorder.change("D")
        deleted_at = datetime.now(UTC) if self.announces else None
        self._announce(CourseDeleted(course_key=KEY, deleted_at=deleted_at), "D", lost=lost)

    def _announce(self, event: Event, kind: str, *, lost: bool) -> None:
        with transaction.atomic():
            mark_for_announcement(event)
        self.recorder.marked(kind)
        self.send(lost=lost)

    def rebuild(self, worker: int = 1) -> None:
        thread = self.start(worker)
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()

    def start(self, worker: int, before: Callable[[str], None] = bool) -> threading.Thread:  # type: ignore[assignment]
        """Begin to rebuild in a thread of its own; ``before`` is called before each step."""
        thread = threading.Thread(target=self._work, args=(f"worker {worker}", before), daemon=True)
        thread.start()
        return thread

    def _work(self, name: str, before: Callable[[str], None]) -> None:
        modulestore = replace(self.modulestore, before=before)
        try:
            with self.recorder.acting_as(name), recorded_sql(self.recorder, before):
                self.recorder.note(steps.TAKE_TASK)
                rebuild_overviews(
                    [KEY], modulestore=modulestore, store=self.store, build=build_numbered
                )
                self.recorder.note(steps.END_TASK)
        except Killed:
            self.recorder.note(steps.DIE)
        finally:
            if isinstance(before, Pause):
                before.reached.set()
            connections.close_all()

    def sweep(self, *, after_a_minute: bool = False) -> None:
        seconds = self._noted_seconds(after_a_minute)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE overview_mark SET dirty_since = dirty_since - INTERVAL %s SECOND, "
                "next_attempt_at = next_attempt_at - INTERVAL %s SECOND",
                [seconds, seconds],
            )
        self.store.sweep()

    def refusal(self) -> Refusal | None:
        replay = Replay(announces=self.announces, with_state_row=False)
        refusal = replay.refusal(self.recorder.trace)
        if refusal is None:
            assert self._row() in replay.rows()
            assert replay.can_rest()
        return refusal

    def _row(self) -> tuple[int, int]:
        row = CourseOverview.objects.filter(id=KEY).first()
        state = OverviewState.objects.filter(course_key=KEY).first()
        return (
            self.recorder.position_of(row.display_name if row else None),
            self.recorder.position_of(state.source_version if state else None),
        )

    def forget(self) -> None:
        """Begin again with a course that nobody has heard of."""
        self.recorder = Recorder()
        self.pointers = []
        self.studio.delete(KEY, marks=False)
        for model in (CourseOverview, OverviewState, OverviewMark):
            model.objects.filter(**{_key_of(model): KEY}).delete()
        self.store = RecordingStore(real_store(), self.recorder, has_sql=True)
        self.modulestore = RecordingModulestore(self.source, self.recorder)


def _key_of(model: type[Any]) -> str:
    return "id" if model is CourseOverview else "course_key"


on_servers = [
    pytest.mark.service,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "mysql", reason="SQLite has one writer at a time and no row locks"
    ),
]


def marked(function: Callable[..., None]) -> Callable[..., None]:
    for mark in on_servers:
        function = mark(function)
    return function


@pytest.fixture(params=[True, False], ids=["named versions", "no versions"])
def servers(
    mongo_client: MongoClient[dict[str, Any]],
    mongo_database: Database[dict[str, Any]],
    request: pytest.FixtureRequest,
) -> Servers:
    return Servers(
        Studio(mongo_database, says_version=request.param),
        real_modulestore(mongo_client, mongo_database.name),
        announces=request.param,
    )


@marked
@pytest.mark.parametrize("scene", named(SCENES))
def test_the_model_accepts_what_the_servers_do_in(servers, scene):
    scene(servers)

    assert_accepted(servers)


@marked
@pytest.mark.parametrize("servers", [pytest.param(True, id="named versions")], indirect=True)
def test_the_model_accepts_a_read_that_lags_on_the_servers(servers):
    a_read_that_lags(servers)

    assert_accepted(servers)


@marked
@pytest.mark.parametrize("servers", [pytest.param(True, id="named versions")], indirect=True)
@pytest.mark.parametrize("looks", [DISBELIEVE_AFTER_LOOKS, DISBELIEVE_AFTER_LOOKS + 1])
def test_the_model_looks_as_often_as_the_servers_do(servers, looks):
    looked_at_so_often_that_it_believes(servers, looks=looks)

    replay = Replay(announces=True, with_state_row=False, lags_end=False)
    assert replay.refusal(servers.recorder.trace) is None
    written = [each.value for each in servers.recorder.trace if each.name == steps.WRITE]
    assert written == ([1, 2, 1] if looks > DISBELIEVE_AFTER_LOOKS else [1, 2])


def publish(scene: Servers) -> None:
    scene.publish()
    scene.rebuild(worker=2)


def delete(scene: Servers) -> None:
    scene.delete()
    scene.rebuild(worker=2)


def delete_and_create_again(scene: Servers) -> None:
    scene.delete()
    scene.publish()
    scene.rebuild(worker=2)


def rebuild_again(scene: Servers) -> None:
    """Of an event that came twice, before the first worker began."""
    scene.rebuild(worker=2)


def begin_update(scene: Servers) -> None:
    a_first_build(scene)
    scene.publish()


def begin_removal(scene: Servers) -> None:
    a_first_build(scene)
    scene.delete()


#: What one worker has to do, and what happens while it pauses, another worker's rebuild at the end.
INTERLEAVED = [
    *product((Servers.publish, begin_update), (publish, delete, delete_and_create_again)),
    *product((Servers.publish, begin_update, begin_removal), (rebuild_again,)),
    (begin_removal, publish),
]


@marked
@pytest.mark.parametrize(("begin", "interlude"), INTERLEAVED, ids=lambda each: each.__name__)
def test_the_model_accepts_two_workers_on_the_servers(servers, begin, interlude):
    paused_before = []
    for before in range(1, 60):
        servers.forget()
        begin(servers)
        if interlude is rebuild_again:
            servers.repeat()
        pause = Pause(before=before)
        thread = servers.start(1, pause)
        assert pause.reached.wait(PATIENCE_SECONDS)
        if pause.step is not None:
            paused_before.append(pause.step)
            interlude(servers)
        pause.may_go_on.set()
        thread.join(PATIENCE_SECONDS)
        servers.sweep()
        if servers.recorder.trace[-1].name == steps.SWEEP:
            servers.rebuild()

        assert_accepted(servers, f"paused before {pause.step}")
        if pause.step is None:
            break
    assert len(paused_before) > 4


@marked
@pytest.mark.parametrize("begin", named([Servers.publish, begin_update, begin_removal]))
def test_the_model_accepts_a_worker_that_dies_on_the_servers(servers, begin):
    died_before = []
    for before in range(1, 60):
        servers.forget()
        begin(servers)
        pause = Pause(before=before, kills=True)
        servers.start(1, pause).join(PATIENCE_SECONDS)
        if pause.step is not None:
            died_before.append(pause.step)
            servers.rebuild(worker=2)

        assert_accepted(servers, f"died before {pause.step}")
        if pause.step is None:
            break
    assert "COMMIT" in died_before
    assert len(died_before) > 6
