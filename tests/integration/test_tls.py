"""TLS to all four servers: the right authority works, a wrong one, a wrong name and no TLS do not.

MariaDB or MySQL, RabbitMQ and MongoDB are started here with certificates made for them. The Redis of the wheel
was built without TLS, so it has a TLS listener before it, as Redis had before version 6.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery import Celery
from django.db import OperationalError
from django.db.utils import ConnectionHandler
from kombu.exceptions import OperationalError as BrokerError
from pymongo.errors import PyMongoError

from dev.servers.control import Server
from dev.servers.folder import Mode, open_folder
from dev.servers.kinds import ServerKind
from dev.servers.ports import LOOPBACK
from dev.servers.rabbitmq import USER as RABBITMQ_USER
from dev.servers.rabbitmq import VIRTUAL_HOST
from dev.servers.sql_server import DATABASE, USER
from lms_integration.broker import (
    broker_connection,
    open_connection,
    tls_options,
    without_tls_options,
)
from lms_integration.deploy_rules import broker_access, mongodb_access
from lms_integration.settings import database_settings
from overview_worker.modulestore.mongo import MongoConf, connect
from tests.certificates import Authority
from tests.tls_servers import TlsMongoDB, TlsRabbitMQ, TlsSqlServer, tls_in_front

pytestmark = pytest.mark.service

REFUSED = (OSError, OperationalError, BrokerError, PyMongoError)


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsServer:
    """A server, and how its URLs are made."""

    authority: Path
    stranger: Path  #: an authority that has not signed its certificate
    url: Callable[..., str]  #: of (ca file, host)
    plain_url: str
    use: Callable[[str], object]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return Path(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder / "authority", name="The right authority")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    return Authority(folder / "stranger", name="Another authority")


@pytest.fixture(scope="module")
def started(folder: Path) -> Iterator[Callable[[ServerKind], Server]]:
    servers: list[Server] = []
    run_folder = open_folder(folder / "servers", mode=mode_of_the_suite())

    def start(kind: ServerKind) -> Server:
        servers.append(Server(run_folder, kind))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def sql_server(started, authority: Authority, stranger: Authority) -> TlsServer:
    server = started(TlsSqlServer(authority.certify(LOOPBACK), mode=mode_of_the_suite()))
    secret = server.folder.secret(server.name)
    plain = f"mysql://{USER}:{secret}@{LOOPBACK}:{server.port}/{DATABASE}"
    return TlsServer(
        authority=authority.file,
        stranger=stranger.file,
        url=lambda ca, host=LOOPBACK: f"{plain}?ssl-ca={ca}",
        plain_url=plain,
        use=use_database,
    )


@pytest.fixture(scope="module")
def rabbitmq(started, authority: Authority, stranger: Authority) -> TlsServer:
    server = started(TlsRabbitMQ(authority.certify(LOOPBACK), authority.file))
    account = f"{RABBITMQ_USER}:{server.folder.secret('rabbitmq')}"
    rest = f"{server.port}/{VIRTUAL_HOST}"
    return TlsServer(
        authority=authority.file,
        stranger=stranger.file,
        url=lambda ca, host=LOOPBACK: f"amqps://{account}@{host}:{rest}{ca_option(ca)}",
        plain_url=f"amqp://{account}@{LOOPBACK}:{rest}",
        use=use_broker,
    )


@pytest.fixture(scope="module")
def redis(authority: Authority, stranger: Authority) -> Iterator[TlsServer]:
    target = urlsplit(os.environ["OVERVIEW_REDIS_URL"])
    address = (str(target.hostname), int(target.port or 0))
    with tls_in_front(address, authority.certify(LOOPBACK)) as port:
        yield TlsServer(
            authority=authority.file,
            stranger=stranger.file,
            url=lambda ca, host=LOOPBACK: f"rediss://{host}:{port}/0{ca_option(ca)}",
            plain_url=f"redis://{LOOPBACK}:{port}/0",
            use=use_broker,
        )


@pytest.fixture(scope="module")
def mongodb(started, authority: Authority, stranger: Authority) -> TlsServer:
    server = started(TlsMongoDB(authority.certify(LOOPBACK), authority.file))
    plain = f"{server.port}/?directConnection=true"
    return TlsServer(
        authority=authority.file,
        stranger=stranger.file,
        url=lambda ca, host=LOOPBACK: f"mongodb://{host}:{plain}&tls=true&tlsCAFile={ca}",
        plain_url=f"mongodb://{LOOPBACK}:{plain}",
        use=use_mongodb,
    )


def mode_of_the_suite() -> Mode:
    return open_folder(Path(os.environ["OVERVIEW_TEST_SERVERS"])).mode


def ca_option(ca: Path | None) -> str:
    return "" if ca is None else f"?ssl_ca_certs={ca}"


@pytest.fixture(autouse=True)
def _databases_of_our_own(django_db_blocker) -> Iterator[None]:
    """Let tests without Django's test database reach the servers that they have started."""
    with django_db_blocker.unblock():
        yield


def use_database(url: str) -> object:
    connections = ConnectionHandler({"default": database_settings(url)})
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute("SHOW STATUS LIKE 'Ssl_version'")
            return cursor.fetchone()[1]
    finally:
        connections["default"].close()


def use_broker(url: str) -> object:
    with broker_connection(url, timeout_seconds=3) as connection:
        return open_connection(connection).connected


def use_mongodb(url: str) -> object:
    conf = MongoConf(url=url, database="any", server_selection_timeout_ms=1_000)
    with connect(conf) as client:
        return client.admin.command("ping")["ok"]


@pytest.fixture(params=["sql_server", "rabbitmq", "redis", "mongodb"])
def server(request) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["rabbitmq", "redis", "mongodb"])
def named_server(request) -> Any:
    return request.getfixturevalue(request.param)


def test_with_the_right_authority_the_server_is_reached(server: TlsServer):
    assert server.use(server.url(server.authority))


def test_with_a_wrong_authority_it_is_refused(server: TlsServer):
    with pytest.raises(REFUSED, match=r"(?i)certificate|tls|ssl"):
        server.use(server.url(server.stranger))


def test_without_tls_it_is_refused(server: TlsServer):
    with pytest.raises(REFUSED):
        server.use(server.plain_url)


def test_by_a_name_that_its_certificate_does_not_have_it_is_refused(named_server: TlsServer):
    with pytest.raises(REFUSED, match=r"(?i)mismatch|not valid for"):
        named_server.use(named_server.url(named_server.authority, "localhost"))


@pytest.mark.parametrize("name", ["rabbitmq", "redis"])
def test_a_broker_is_verified_although_its_url_names_no_authority(name, request):
    server: TlsServer = request.getfixturevalue(name)

    with pytest.raises(REFUSED, match=r"(?i)certificate verify failed"):
        server.use(server.url(None))


@pytest.mark.parametrize("name", ["rabbitmq", "redis"])
def test_celery_reaches_the_broker_with_the_same_url(name, request):
    server: TlsServer = request.getfixturevalue(name)
    app = celery_app(server.url(server.authority))

    with app.connection() as connection:
        assert open_connection(connection).connected


@pytest.mark.parametrize("name", ["rabbitmq", "redis"])
def test_celery_refuses_a_wrong_authority(name, request):
    server: TlsServer = request.getfixturevalue(name)
    app = celery_app(server.url(server.stranger))

    with app.connection() as connection, pytest.raises(REFUSED):
        open_connection(connection)


def celery_app(url: str) -> Celery:
    """Make an app with what ``celeryconfig`` makes of a URL."""
    app = Celery("tls", set_as_current=False)
    app.conf.update(broker_url=without_tls_options(url), broker_use_ssl=tls_options(url))
    return app


def test_the_doctor_takes_these_urls_for_encrypted_and_verified(rabbitmq, redis, mongodb):
    for access in (
        broker_access(rabbitmq.url(rabbitmq.authority)),
        broker_access(redis.url(None)),
        mongodb_access(mongodb.url(mongodb.authority)),
    ):
        assert access.is_encrypted
        assert access.is_verified
