"""``overview doctor``: is everything there that the pipeline needs, and if not, what to do."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu.exceptions import KombuError
from pymongo.errors import PyMongoError
from rich.console import Console

from celeryconfig import BROKER_ADDRESS
from lms_integration.broker import broker_connection, open_connection, shown_url
from lms_integration.checks import database_messages
from lms_integration.conf import nightly_hour
from lms_integration.delete_desk import held_delete_count
from lms_integration.log_lines import one_line
from lms_integration.stopped_runs import stopped_runs
from lms_integration.topology import QueueSight, dead_letter_queue, declare_queues, event_queue
from overview_worker.bootstrap import dependencies, mongo_conf
from overview_worker.celery import app
from overview_worker.commands.base import EXIT_OK, EXIT_PROBLEM, Subcommand
from overview_worker.commands.deploy_checks import ProcessRole, deploy_problems
from overview_worker.errors import ModulestoreUnavailable
from overview_worker.modulestore.mongo import connect, short
from overview_worker.store.operator_schedule import is_run_scheduled, is_schedule_installed

TIMEOUT_SECONDS = 3

DESCRIPTION = """\
Check the connections, the schema and the queues, one line each, with what to do where one fails.

With --deploy also what must not be so in production: well-known or missing passwords and missing TLS
to other machines, DEBUG, weak secret keys, serializers that run code, files with secrets that others
may read, accounts that may do more than they need. Run it with the environment of each kind of
process, and say which: --role worker, publisher (Studio) or web.

Exit code 0: everything is there. 1: something is not.
"""


class Ailment(Exception):
    """A check that failed; the message says what to do."""


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--deploy", action="store_true", help="also check that it is fit for production"
    )
    parser.add_argument(
        "--role",
        choices=[role.value for role in ProcessRole],
        default=ProcessRole.WORKER.value,
        help="with --deploy: whose environment this is (default: %(default)s)",
    )
    parser.add_argument(
        "--env-file",
        action="append",
        default=[],
        metavar="PATH",
        help="with --deploy: a file with secrets, whose permissions are to be checked (.env always is)",
    )


def _run(arguments: Namespace, console: Console) -> int:
    exit_code = _check_all(console)
    if arguments.deploy:
        problems = list(deploy_problems(arguments))
        for problem in problems:
            console.print(one_line(f"FAIL  {problem.id}: {problem.what}. {problem.todo}"))
        if not problems:
            console.print(f"ok    fit for production, as {arguments.role}")
        exit_code = EXIT_PROBLEM if problems else exit_code
    return exit_code


def _check_all(console: Console) -> int:
    exit_code = EXIT_OK
    for name, check in _CHECKS.items():
        try:
            found = check()
        except Ailment as ailment:
            console.print(one_line(f"FAIL  {name}: {ailment}"))
            exit_code = EXIT_PROBLEM
        else:
            console.print(one_line(f"ok    {name}: {found}"))
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
        with broker_connection(BROKER_ADDRESS, timeout_seconds=TIMEOUT_SECONDS) as broker:
            sight = declare_queues(
                open_connection(broker),
                (event_queue(), dead_letter_queue(), *app.conf.task_queues),
            )
    except (KombuError, OSError) as error:
        raise Ailment(
            f"{shown_url(BROKER_ADDRESS)}: {error}. Is the server up, and OVERVIEW_BROKER_URL right?"
        ) from error
    except Exception as error:  # amqp raises its own family for refused declarations
        raise Ailment(f"{shown_url(BROKER_ADDRESS)}: {type(error).__name__}: {error}") from error
    if sight is QueueSight.HIDDEN:
        return f"{shown_url(BROKER_ADDRESS)}, queues out of this account's sight"
    return f"{shown_url(BROKER_ADDRESS)}, queues there"


def _check_workers() -> str:
    try:
        with broker_connection(BROKER_ADDRESS, timeout_seconds=TIMEOUT_SECONDS) as broker:
            replies = app.control.ping(timeout=1.0, connection=open_connection(broker))
    except (KombuError, OSError) as error:
        raise Ailment(f"cannot ask: {error}") from error
    if not replies:
        raise Ailment("none answers. Start them with the lines of the Procfile")
    return (
        f"{len(replies)} answer: {', '.join(sorted(name for reply in replies for name in reply))}"
    )


def _check_deletes() -> str:
    try:
        held_count = held_delete_count()
    except (DatabaseError, InterfaceError) as error:
        raise Ailment(f"{error}") from error
    if held_count:
        raise Ailment(f"{held_count} wait for a person's word. Look at: overview deletes list")
    return "none is held"


def _check_runs() -> str:
    try:
        stopped = stopped_runs()
    except (DatabaseError, InterfaceError) as error:
        raise Ailment(f"{error}") from error
    if stopped:
        raise Ailment("; ".join(run.sentence for run in stopped))
    return "none is paused or has failed"


def _check_nightly_run() -> str:
    """Say who asks for the nightly run; that nobody does may be what is wanted."""
    if is_schedule_installed():
        try:
            is_on = is_run_scheduled()
        except (DatabaseError, InterfaceError) as error:
            raise Ailment(f"{error}. Run: python manage.py migrate") from error
        return "by the schedule in the admin" if is_on else "none: no periodic task asks for it"
    hour = nightly_hour()
    return "none: OVERVIEW_NIGHTLY_HOUR is None" if hour is None else f"by beat, from {hour}:00 UTC"


_CHECKS: dict[str, Callable[[], str]] = {
    "overview database": _check_database,
    "tables": _check_tables,
    "modulestore": _check_mongodb,
    "course index": _check_course_index,
    "broker": _check_broker,
    "workers": _check_workers,
    "deletes": _check_deletes,
    "rebuild runs": _check_runs,
    "nightly run": _check_nightly_run,
}

COMMAND = Subcommand(
    name="doctor",
    summary="check connections, schema and queues",
    description=DESCRIPTION,
    add_arguments=_add_arguments,
    run=_run,
)
