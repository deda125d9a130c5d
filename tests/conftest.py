"""Fixtures: real servers for the tests that name them, and the adapters wired to them.

``make test`` starts the servers and says where they are in the environment. Without them the tests
that need one are skipped on a laptop and fail in CI.
"""

import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from dev.authoring.author import SplitAuthor
from dev.authoring.index import MongoCourseIndex
from lms_integration.identity import database_identity
from lms_integration.publisher import close_publisher
from overview_worker.bootstrap import Dependencies, make_dependencies
from overview_worker.builder.settings import BuilderSettings
from overview_worker.modulestore.mongo import MongoConf
from tests.queues import empty_queues

SERVERS_VARIABLE = "OVERVIEW_TEST_SERVERS"
#: Fixtures whose tests need the servers.
_SERVICE_FIXTURES = frozenset(
    {"db", "transactional_db", "recorded_state", "mongo_client", "broker_url", "redis_url"}
)


#: Folders whose modules take long: begun first, so that no process is left alone with one at the end.
_SLOW_FOLDERS = frozenset({"faults", "acceptance", "browser"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses a real server, so that ``-m 'not service'`` leaves it out."""
    for item in items:
        if _SERVICE_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.service)
    items.sort(key=lambda item: item.path.parent.name not in _SLOW_FOLDERS)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose servers are not there, but fail it in CI."""
    if item.get_closest_marker("service") is None or os.environ.get(SERVERS_VARIABLE):
        return
    message = f"needs real servers: run it with make test ({SERVERS_VARIABLE} is not set)"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@pytest.fixture(autouse=True)
def _fresh_process_state() -> Iterator[None]:
    """Forget what a process remembers of its database and broker from one test to the next."""
    database_identity.cache_clear()
    yield
    database_identity.cache_clear()
    close_publisher()


@pytest.fixture(scope="session")
def mongo_client() -> Iterator[MongoClient[dict[str, Any]]]:
    """A client of the real MongoDB replica set."""
    client: MongoClient[dict[str, Any]] = MongoClient(os.environ["OVERVIEW_MONGODB_URL"])
    yield client
    client.close()


@pytest.fixture
def mongo_database(mongo_client: MongoClient[dict[str, Any]]) -> Iterator[Database[dict[str, Any]]]:
    """An empty database of the test's own."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    yield mongo_client[name]
    mongo_client.drop_database(name)


@pytest.fixture
def author(mongo_database: Database[dict[str, Any]]) -> SplitAuthor:
    """Writes courses as Studio does, with MongoDB's own course index."""
    return SplitAuthor(mongo_database, index=MongoCourseIndex(mongo_database))


@pytest.fixture
def mongo_conf(mongo_database: Database[dict[str, Any]]) -> MongoConf:
    """Where the test's modulestore is."""
    return MongoConf(
        url=os.environ["OVERVIEW_MONGODB_URL"], database=mongo_database.name, max_time_ms=5_000
    )


@pytest.fixture
def adapters(mongo_client: MongoClient[dict[str, Any]], mongo_conf: MongoConf) -> Dependencies:
    """The real modulestore, store and builder, wired to the test's databases."""
    return make_dependencies(mongo_client, mongo_conf, BuilderSettings())


@pytest.fixture
def broker_url() -> Iterator[str]:
    """The real RabbitMQ, all queues of the pipeline declared and empty."""
    url = os.environ["OVERVIEW_BROKER_URL"]
    empty_queues(url)
    yield url
    empty_queues(url)


@pytest.fixture
def redis_url() -> str:
    """The real Redis."""
    return os.environ["OVERVIEW_REDIS_URL"]
