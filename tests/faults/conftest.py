"""Private servers for faults, and the scene of each module."""

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from dev.servers.folder import RunFolder
from tests.faults.scene import Scene, private_servers


@pytest.fixture(scope="session")
def fault_servers() -> Iterator[RunFolder]:
    """Servers that may be killed."""
    with private_servers() as folder:
        yield folder


@pytest.fixture(scope="module")
def scene(
    fault_servers: RunFolder,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Scene]:
    """The pipeline on RabbitMQ."""
    with (
        django_db_blocker.unblock(),
        Scene(fault_servers, tmp_path_factory.mktemp("faults")) as opened,
    ):
        yield opened


@pytest.fixture(scope="module")
def redis_scene(
    fault_servers: RunFolder,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Scene]:
    """The pipeline on Redis."""
    with (
        django_db_blocker.unblock(),
        Scene(fault_servers, tmp_path_factory.mktemp("faults"), on_redis=True) as opened,
    ):
        yield opened
