"""The protocol keeps its promises in every state that it can reach; no mutant of it does."""

import multiprocessing
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pkgutil import resolve_name

import pytest

from tests.model import steps
from tests.model.checker import Checker, Exploration, without_order
from tests.model.mutants import MUTANTS, SUPERFLUOUS, Mutant
from tests.model.numbered import NumberedProtocol
from tests.model.protocol import Fault, Protocol, Scenario, initial_state, is_at_rest
from tests.model.scenarios import BEYOND_LIMITS, SCENARIOS

LEAST_STATES = 500_000
PROCESSES = 2


def explore(scenario: Scenario) -> Exploration:
    return Checker(Protocol(scenario)).explore()


def explore_all(scenarios: Sequence[Scenario]) -> list[Exploration]:
    # Not forked: the test process has threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as processes:
        return list(processes.map(explore, scenarios))


def test_the_protocol_keeps_every_promise_in_every_state():
    explorations = explore_all(SCENARIOS)

    for exploration in explorations:
        print(exploration)  # noqa: T201
    state_count = sum(exploration.state_count for exploration in explorations)
    seconds = sum(exploration.seconds for exploration in explorations)
    rate = state_count / seconds
    print(f"{state_count:,} states in {seconds:.0f} s of CPU: {rate:,.0f} a second")  # noqa: T201
    broken = [str(each.violation) for each in explorations if each.violation is not None]
    assert broken == []
    assert state_count >= LEAST_STATES


def test_the_scenarios_have_three_workers_and_every_fault():
    assert max(scenario.workers for scenario in SCENARIOS) == 3
    assert frozenset().union(*(scenario.may for scenario in SCENARIOS)) == frozenset(Fault)
    assert {scenario.publisher for scenario in SCENARIOS} == {"sql", "mongodb", "foreign"}


MUTANT_SCENARIOS = {mutant.scenario: mutant.scenario.name for mutant in MUTANTS}


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(scenario, id=name)
        for scenario, name in MUTANT_SCENARIOS.items()
        if scenario not in SCENARIOS
    ],
)
def test_the_protocol_itself_keeps_its_promises_where_mutants_are_tried(scenario):
    assert explore(scenario).violation is None


def named(mutants: Sequence[Mutant]) -> list[object]:
    return [pytest.param(mutant, id=mutant.name) for mutant in mutants]


@pytest.mark.parametrize("mutant", named(MUTANTS))
def test_a_promise_is_broken_by_a_protocol_that(mutant):
    exploration = Checker(mutant.protocol).explore(only=mutant.breaks)

    print(exploration)  # noqa: T201
    assert exploration.violation is not None
    assert exploration.violation.promise is mutant.breaks


@pytest.mark.parametrize("mutant", named(SUPERFLUOUS))
def test_the_lock_makes_up_for_a_protocol_that(mutant):
    assert Checker(mutant.protocol).explore().violation is None


@pytest.mark.parametrize(
    "protocol",
    [
        *(pytest.param(Protocol(each), id=each.name) for each in SCENARIOS),
        *(pytest.param(each.protocol, id=each.name) for each in (*MUTANTS, *SUPERFLUOUS)),
    ],
)
def test_numbers_stand_for_states_and_lead_to_where_these_lead(protocol):
    numbered = NumberedProtocol(protocol)
    chance = random.Random(0)  # noqa: S311 - the same states each time
    pending = [initial_state(protocol.scenario)]
    met = set(pending)
    for _ in range(1_000):
        if not pending:
            break
        state = pending.pop(chance.randrange(len(pending)))
        node = numbered.node_of(state)
        following = {(step.kind, without_order(step.after)) for step in protocol.steps(state)}

        assert numbered.state_of(node) == state
        assert numbered.is_at_rest(node) == is_at_rest(state)
        assert {
            (kind, numbered.state_of(after)) for kind, after in numbered.steps(node)
        } == following

        new = {after for _, after in following} - met
        met |= new
        pending.extend(sorted(new))


@pytest.mark.parametrize("scenario", [pytest.param(each, id=each.name) for each in BEYOND_LIMITS])
def test_the_protocol_does_not_stand_that(scenario):
    exploration = explore(scenario)

    print(exploration)  # noqa: T201
    assert exploration.violation is not None


@pytest.mark.parametrize("name", steps.FUNCTIONS)
def test_a_step_of_the_model_is_a_function_of_the_code(name):
    assert callable(resolve_name(name))
