"""``overview doctor``: is everything there that the pipeline needs, and if not, what to do."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu.exceptions import KombuError
from pymongo.errors import PyMongoError
from rich.console import Console

from celeryconfig import broker_url
from lms_integration.broker import broker_connection, open_connection, shown_url
from lms_integration.checks import database_messages
from lms_integration.topology import dead_letter_queue, event_queue
from overview_worker.bootstrap import dependencies, mongo_conf
from overview_worker.celery import app
from overview_worker.commands.base import EXIT_OK, EXIT_PROBLEM, Subcommand
from overview_worker.errors import ModulestoreUnavailable
from overview_worker.modulestore.mongo import connect, short

TIMEOUT_SECONDS = 3

DESCRIPTION = """\
Check the connections, the schema and the queues, one line each, with what to do where one fails.

Exit code 0: everything is there. 1: something is not.
"""


class Ailment(Exception):
    """A check that failed; the message says what to do."""


def _add_arguments(parser: ArgumentParser) -> None:
    """It has none."""


def _run(arguments: Namespace, console: Console) -> int:
    exit_code = EXIT_OK
    for name, check in _CHECKS.items():
        try:
            found = check()
        except Ailment as ailment:
            console.print(f"FAIL  {name}: {ailment}", markup=False)
            exit_code = EXIT_PROBLEM
        else:
            console.print(f"ok    {name}: {found}", markup=False)
    return exit_code


def _check_database() -> str:
    try:
        connection.ensure_connection()
        messages = database_messages(connection)
    except (DatabaseError, InterfaceError) as error:
        raise Ailment(f"{error}. Is the server up, and OVERVIEW_DATABASE_URL right?") from error
    if messages:
        raise Ailment("; ".join(f"{message.msg}. {message.hint}" for message in messages))
    return f"{connection.display_name} {'.'.join(map(str, connection.get_database_version()))}"


def _check_tables() -> str:
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except (DatabaseError, InterfaceError) as error:
        raise Ailment(f"{error}") from error
    if plan:
        raise Ailment(f"{len(plan)} migrations are missing. Run: python manage.py migrate")
    return "all migrations applied"


def _check_mongodb() -> str:
    conf = mongo_conf()
    client: Any = connect(conf)
    try:
        hello = client.admin.command("hello")
        version = client.server_info()["version"]
    except PyMongoError as error:
        raise Ailment(
            f"{short(error)}. Is the server up, and OVERVIEW_MONGODB_URL right?"
        ) from error
    finally:
        client.close()
    if "setName" not in hello:
        raise Ailment(
            "it is no replica set, so majority reads cannot be had. Start mongod with --replSet and "
            "run rs.initiate()"
        )
    return f"MongoDB {version}, replica set {hello['setName']}, database {conf.database}"


def _check_course_index() -> str:
    try:
        first = next(iter(_some_courses()), None)
    except ModulestoreUnavailable as error:
        raise Ailment(f"{error}. Is OVERVIEW_COURSE_INDEX right?") from error
    return "empty" if first is None else f"has courses, such as {first}"


def _some_courses() -> Iterator[str]:
    return (pointer.course_key for pointer in dependencies().modulestore.iter_published())


def _check_broker() -> str:
    try:
        with broker_connection(broker_url, timeout_seconds=TIMEOUT_SECONDS) as broker:
            channel = open_connection(broker).channel()
            for queue in (event_queue(), dead_letter_queue(), *app.conf.task_queues):
                queue(channel).declare()
    except (KombuError, OSError) as error:
        raise Ailment(
            f"{shown_url(broker_url)}: {error}. Is the server up, and OVERVIEW_BROKER_URL right?"
        ) from error
    except Exception as error:  # amqp raises its own family for refused declarations
        raise Ailment(f"{shown_url(broker_url)}: {type(error).__name__}: {error}") from error
    return f"{shown_url(broker_url)}, queues declared"


def _check_workers() -> str:
    try:
        with broker_connection(broker_url, timeout_seconds=TIMEOUT_SECONDS) as broker:
            replies = app.control.ping(timeout=1.0, connection=open_connection(broker))
    except (KombuError, OSError) as error:
        raise Ailment(f"cannot ask: {error}") from error
    if not replies:
        raise Ailment("none answers. Start them with the lines of the Procfile")
    return (
        f"{len(replies)} answer: {', '.join(sorted(name for reply in replies for name in reply))}"
    )


_CHECKS: dict[str, Callable[[], str]] = {
    "overview database": _check_database,
    "tables": _check_tables,
    "modulestore": _check_mongodb,
    "course index": _check_course_index,
    "broker": _check_broker,
    "workers": _check_workers,
}

COMMAND = Subcommand(
    name="doctor",
    summary="check connections, schema and queues",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
