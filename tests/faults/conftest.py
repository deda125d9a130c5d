"""Private servers for faults, and the scene of each module."""

from collections.abc import Generator, Iterator

import pytest
from pytest_django import DjangoDbBlocker

from dev.servers.folder import RunFolder
from tests.faults.scene import Scene
from tests.faults.stage import Stage, private_servers

_HAS_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test has failed, for the fixtures that it used."""
    report = yield
    if report.failed:
        item.stash[_HAS_FAILED] = True
    return report


@pytest.fixture(scope="session")
def fault_servers() -> Iterator[RunFolder]:
    """Servers that may be killed."""
    with private_servers() as folder:
        yield folder


@pytest.fixture(scope="module")
def rabbitmq_stage(
    fault_servers: RunFolder,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Stage]:
    """Where a module's scene on RabbitMQ is set up."""
    with (
        django_db_blocker.unblock(),
        Stage(fault_servers, tmp_path_factory.mktemp("faults")) as stage,
    ):
        yield stage


@pytest.fixture(scope="module")
def redis_stage(
    fault_servers: RunFolder,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Stage]:
    """Where a module's scene on Redis is set up."""
    with (
        django_db_blocker.unblock(),
        Stage(fault_servers, tmp_path_factory.mktemp("faults"), on_redis=True) as stage,
    ):
        yield stage


@pytest.fixture
def scene(rabbitmq_stage: Stage, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The pipeline on RabbitMQ, whole and at work."""
    yield from _scene_of(rabbitmq_stage, request)


@pytest.fixture
def redis_scene(redis_stage: Stage, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The pipeline on Redis, whole and at work."""
    yield from _scene_of(redis_stage, request)


def _scene_of(stage: Stage, request: pytest.FixtureRequest) -> Iterator[Scene]:
    yield stage.scene()
    if request.node.stash.get(_HAS_FAILED, False):
        stage.clear()
