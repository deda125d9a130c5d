"""The scene of a fault: the Procfile's processes, an author, an onlooker, a verdict."""

import getpass
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import MySQLdb  # type: ignore[import-untyped]  # it has none
from amqp import Connection as AmqpConnection
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections
from django.test import override_settings
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from dev.authoring.index import SqlCourseIndex
from dev.procfile import ProcfileProcesses
from dev.servers.catalogue import environment_of
from dev.servers.control import Server, server_of
from dev.servers.folder import SQL_SERVERS, RunFolder
from dev.servers.rabbitmq import USER, VIRTUAL_HOST, control_program
from dev.servers.sql_server import socket_path
from dev.trials.onlooker import Onlooker
from dev.trials.processes import children_of
from dev.trials.restless_author import RestlessAuthor, Saves
from dev.trials.verdict import Verdict, judge
from lms_integration.identity import database_identity
from lms_integration.models import OverviewMark
from lms_integration.publisher import close_publisher
from lms_integration.settings import database_settings
from overview_worker.bootstrap import builder_settings, make_dependencies, mongo_conf
from overview_worker.errors import RetryableError
from overview_worker.inspector import Inspector
from tests.faults.black_hole import Relay
from tests.queues import empty_queues
from tests.sql_accounts import PROCESS_PREFIX, account_url, create_accounts

#: ``OVERVIEW_FAULTS=long`` for faults of the length that operators meet.
IS_LONG = os.environ.get("OVERVIEW_FAULTS", "short") == "long"
#: How long a server stays away.
OUTAGE_SECONDS = 30.0 if IS_LONG else 2.0
#: How long something goes wrong again and again.
STORM_SECONDS = 60.0 if IS_LONG else 3.0
#: From the end of publishing, every row must be right within so many seconds.
QUIET_SECONDS = 60.0
#: The most that the pipeline may cost a save in Studio.
BLOCK_SECONDS = 2.0
COURSE_KEYS = tuple(f"course-v1:FaultX+C{number:02}+R1" for number in range(24))
#: Courses that nobody edits: who marks them without an event has only the sweeper to rely on.
QUIET_KEYS = tuple(f"course-v1:FaultX+Quiet{number}+R1" for number in range(3))
SAVES_PER_SECOND = 40.0
PROCESSES = ("intake", "live", "bulk", "beat")
_OPTIONS: Mapping[str, Any] = database_settings("mysql://localhost/x")["OPTIONS"]
#: What processes wait for that no short test can, made short: ``at_start/sitecustomize.py``. The waits for
#: SQL and MongoDB are less than a task's time limit, as the product's are.
SHORT_WAITS: Mapping[str, float | str] = {
    "celeryconfig:broker_heartbeat": 2,
    "overview_worker.intake:HEARTBEAT_SECONDS": 2,
    "lms_integration.settings:DATABASES.default.OPTIONS.read_timeout": 4,
    "lms_integration.settings:DATABASES.default.OPTIONS.write_timeout": 4,
    "lms_integration.settings:DATABASES.default.OPTIONS.init_command": re.sub(
        r"(idle_transaction_timeout) = \d+", r"\1 = 3", _OPTIONS["init_command"]
    ),
    "overview_worker.modulestore.mongo:MongoConf.__init__.__kwdefaults__.max_time_ms": 2000,
}
_DATABASE = "test_faults"
_POLL_SECONDS = 0.05


class Scene:
    """Courses, processes and an author for faults; they live on from test to test."""

    def __init__(self, folder: RunFolder, log_folder: Path, *, on_redis: bool = False) -> None:
        self.folder = folder
        self.on_redis = on_redis
        self._log_folder = log_folder
        self._stack = ExitStack()
        self.environment: Mapping[str, str] = {}
        self._tcp_password = ""

    def __enter__(self) -> "Scene":
        try:
            self._open()
        except BaseException:
            self._stack.close()  # or all tests behind it are on these servers
            raise
        return self

    def _open(self) -> None:
        owner = {**os.environ, **self._prepare_environment()}
        self.environment = owner
        self._stack.enter_context(_database_at(owner["OVERVIEW_DATABASE_URL"]))
        self._stack.enter_context(
            override_settings(
                OVERVIEW_BROKER_URL=self.environment["OVERVIEW_BROKER_URL"],
                OVERVIEW_MONGODB_URL=self.environment["OVERVIEW_MONGODB_URL"],
                OVERVIEW_MONGODB_DATABASE=_DATABASE,
                OVERVIEW_COURSE_INDEX="mysql",
                OVERVIEW_PUBLISH_TIMEOUT_SECONDS=1.5,
            )
        )
        self._client: MongoClient[dict[str, Any]] = MongoClient(
            self.environment["OVERVIEW_MONGODB_URL"], serverSelectionTimeoutMS=500
        )
        self._stack.callback(self._client.close)
        self._stack.callback(close_publisher)
        self._fill()
        empty_queues(self.environment["OVERVIEW_BROKER_URL"])
        self.environment = {**owner, "OVERVIEW_DATABASE_URL": self._make_account()}
        self.processes = self._stack.enter_context(self.more_processes("processes", {}))
        self.processes.start(*PROCESSES)
        self.expect_whole()

    def __exit__(self, *exception: Any) -> None:
        self._stack.__exit__(*exception)

    def server(self, name: str) -> Server:
        """Return one of the private servers."""
        return server_of(self.folder, name)

    @property
    def sql_server(self) -> Server:
        """The private MariaDB or MySQL."""
        return self.server(SQL_SERVERS[self.folder.mode])

    def more_processes(
        self,
        name: str,
        variables: Mapping[str, str],
        *,
        more_arguments: Mapping[str, str] | None = None,
    ) -> ProcfileProcesses:
        """Return further processes of the Procfile, with logs and variables of their own."""
        return ProcfileProcesses(
            self._log_folder / name,
            environment={**self.environment, **variables},
            more_arguments=more_arguments,
        )

    @contextmanager
    def short_lived_sessions(self, seconds: float) -> Iterator[None]:
        """Have the SQL server end sessions, of those that begin meanwhile, that are silent for so long."""
        with self.administrator() as cursor:
            cursor.execute("SELECT @@GLOBAL.wait_timeout")
            usual = int(cursor.fetchone()[0])
            cursor.execute(f"SET GLOBAL wait_timeout = {seconds:.0f}")
        try:
            yield
        finally:
            with self.administrator() as cursor:
                cursor.execute(f"SET GLOBAL wait_timeout = {usual}")

    @contextmanager
    def behind_a_relay(self, server: str) -> Iterator[tuple[ProcfileProcesses, Relay]]:
        """Give processes, not yet started, whose connections to a server go through a relay."""
        name, variable, url = self._address(server)
        with Relay(port=self.server(name).place.port) as relay:
            account = f"{url.username}:{url.password}@" if url.username else ""
            through = url._replace(netloc=f"{account}127.0.0.1:{relay.port}")
            variables = {
                variable: urlunsplit(through),
                **({} if IS_LONG else changed_values(SHORT_WAITS)),
            }
            with self.more_processes(f"behind {server}", variables) as processes:
                yield processes, relay

    def _address(self, server: str) -> tuple[str, str, SplitResult]:
        """Return a server's name, the variable that tells of it, and an address that stays at its port."""
        if server == "broker":
            broker = urlsplit(self.environment["OVERVIEW_BROKER_URL"])
            return "rabbitmq", "OVERVIEW_BROKER_URL", broker
        if server == "mongodb":
            # A replica set would tell the client its own address.
            mongodb = urlsplit(self.environment["OVERVIEW_MONGODB_URL"])
            return (
                "mongodb",
                "OVERVIEW_MONGODB_URL",
                mongodb._replace(query="directConnection=true"),
            )
        sql = f"mysql://{PROCESS_PREFIX}worker:{self._tcp_password}@127.0.0.1/{_DATABASE}"
        return self.sql_server.name, "OVERVIEW_DATABASE_URL", urlsplit(sql)

    @contextmanager
    def without(self, *names: str) -> Iterator[None]:
        """Kill processes and start them again afterwards."""
        for name in names:
            self.processes.kill(name)
        try:
            yield
        finally:
            self.processes.start(*names)

    @contextmanager
    def publishing(self) -> Iterator[RestlessAuthor]:
        """Have the author and the onlooker at work meanwhile; expect a whole read model afterwards."""
        onlooker = Onlooker()
        begun = time.monotonic()
        with onlooker.looking():
            with self.author.at_work() as saves:
                self.author.wait_for_saves(5)
                yield self.author
            ended = time.monotonic()
            quiet_seconds = self.expect_whole()
        self._note(saves, seconds=ended - begun, quiet_seconds=quiet_seconds)
        assert onlooker.look_count > 0
        assert onlooker.problems == []
        assert saves.longest_block_seconds <= BLOCK_SECONDS, saves

    def expect_whole(self) -> float:
        """Wait until every row is as published, for ``QUIET_SECONDS``; return how long that took."""
        begun = time.monotonic()
        found: list[str] | Verdict | Exception | None = None
        while time.monotonic() - begun < QUIET_SECONDS:
            try:
                found = self.dirty_keys() or judge(self.inspector)
                if isinstance(found, Verdict) and found.is_clean:
                    return time.monotonic() - begun
            except (DatabaseError, RetryableError) as error:
                found = error
                connection.close()
            time.sleep(_POLL_SECONDS)
        raise AssertionError(f"not whole after {QUIET_SECONDS} s: {found}")

    def dirty_keys(self) -> list[str]:
        """Return the courses whose rebuild is still wanted, with what went wrong last."""
        dirty = OverviewMark.objects.filter(dirty_since__isnull=False).order_by("course_key")
        return [f"{mark.course_key} ({mark.last_error})" for mark in dirty]

    @property
    def inspector(self) -> Inspector:
        """The product's own comparison, in this process."""
        return make_dependencies(self._client, mongo_conf(), builder_settings()).inspector

    @property
    def mongodb(self) -> MongoClient[dict[str, Any]]:
        """A client for what an administrator does."""
        return self._client

    @contextmanager
    def administrator(self) -> Iterator[Any]:
        """Give a cursor of the SQL server's administrator."""
        path = socket_path(self.sql_server.place.home)
        admin = MySQLdb.connect(user=getpass.getuser(), unix_socket=str(path), db=_DATABASE)
        admin.autocommit(True)
        try:
            yield admin.cursor()
        finally:
            admin.close()

    @contextmanager
    def broker_channel(self) -> Iterator[Any]:
        """Give a channel of RabbitMQ."""
        place = self.server("rabbitmq").place
        with AmqpConnection(
            host=place.address,
            userid=USER,
            password=place.folder.secret("rabbitmq"),
            virtual_host=VIRTUAL_HOST,
        ) as opened:
            yield opened.channel()

    def rabbitmqctl(self, *arguments: str) -> None:
        """Do what an administrator does on the private node."""
        tool = control_program(self.server("rabbitmq").place, *arguments)
        subprocess.run(
            tool.argv,
            env={**tool.environment},
            check=True,
            capture_output=True,
            timeout=60,
        )

    def another_author(self, course_key: str) -> RestlessAuthor:
        """Return an author of one more course, for the test's own thread."""
        return RestlessAuthor(self._client[_DATABASE], [course_key], per_second=SAVES_PER_SECOND)

    def worker_children(self, name: str = "live") -> list[int]:
        """Return the pool processes of a worker."""
        return children_of(self.processes.pid(name))

    def _note(self, saves: Saves, *, seconds: float, quiet_seconds: float) -> None:
        """Keep a test's figures beside the servers' logs."""
        figures = {
            "test": os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("::")[2],
            "seconds": round(seconds, 1),
            "quiet_seconds": round(quiet_seconds, 1),
            **asdict(saves),
        }
        with (self.folder.path / "faults.jsonl").open("a") as file:
            file.write(f"{json.dumps(figures)}\n")

    def _prepare_environment(self) -> dict[str, str]:
        found = environment_of(self.folder)
        base, _, query = found["OVERVIEW_DATABASE_URL"].partition("?")
        return {
            **found,
            "DJANGO_SETTINGS_MODULE": "lms_integration.settings",
            "OVERVIEW_DATABASE_URL": f"{base.rpartition('/')[0]}/{_DATABASE}?{query}",
            "OVERVIEW_MONGODB_DATABASE": _DATABASE,
            "OVERVIEW_COURSE_INDEX": "mysql",
            "OVERVIEW_LOG_LEVEL": "INFO",
            **({"OVERVIEW_BROKER_URL": found["OVERVIEW_REDIS_URL"]} if self.on_redis else {}),
        }

    def _fill(self) -> None:
        with self.administrator_without_database() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {_DATABASE}")
            cursor.execute(f"CREATE DATABASE {_DATABASE} CHARACTER SET utf8mb4")
        call_command("migrate", verbosity=0)
        database = self._client[_DATABASE]
        self._client.drop_database(_DATABASE)
        SqlCourseIndex(database).create_table()
        self.author = RestlessAuthor(database, COURSE_KEYS, per_second=SAVES_PER_SECOND)
        self.author.create_all()
        RestlessAuthor(database, QUIET_KEYS, per_second=1).create_all()

    def _make_account(self) -> str:
        """Make the workers' account with its least rights; return its address."""
        with self.administrator() as cursor:
            self._tcp_password = create_accounts(
                cursor, "worker", prefix=PROCESS_PREFIX, host="127.0.0.1"
            )["worker"]
            password = create_accounts(cursor, "worker", prefix=PROCESS_PREFIX)["worker"]
        return account_url("worker", password, prefix=PROCESS_PREFIX)

    @contextmanager
    def administrator_without_database(self) -> Iterator[Any]:
        """Give a cursor of the SQL server's administrator, before there is a database."""
        path = socket_path(self.sql_server.place.home)
        admin = MySQLdb.connect(user=getpass.getuser(), unix_socket=str(path))
        try:
            yield admin.cursor()
        finally:
            admin.close()


def changed_values(values: Mapping[str, float | str]) -> dict[str, str]:
    """Return the environment of processes in which values of the product are others."""
    return {
        "PYTHONPATH": str(Path(__file__).parent / "at_start"),
        "OVERVIEW_CHANGED_VALUES": json.dumps(dict(values)),
    }


def wait_for(condition: Callable[[], object], what: str, *, seconds: float = QUIET_SECONDS) -> None:
    """Wait until ``condition`` holds; servers that are away meanwhile do not matter."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except (DatabaseError, PyMongoError, OSError):
            connection.close()
        if time.monotonic() > deadline:
            raise AssertionError(f"gave up waiting for {what}")
        time.sleep(_POLL_SECONDS)


def send_signal(pids: list[int], number: signal.Signals) -> None:
    """Signal processes of ours; one that has just gone is left alone."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


@contextmanager
def _database_at(url: str) -> Iterator[None]:
    """Point Django's connections elsewhere, and back again."""
    alias = DEFAULT_DB_ALIAS
    configured, opened = connections.settings[alias], connections[alias]
    database_identity.cache_clear()
    fresh = {**configured, **database_settings(url)}
    fresh["TEST"] = configured["TEST"]
    connections.settings[alias] = fresh
    del connections[alias]
    try:
        yield
    finally:
        connections[alias].close()
        connections.settings[alias] = configured
        connections[alias] = opened
        database_identity.cache_clear()
