"""What ``overview doctor --deploy`` asks beyond connectivity: is this process fit for production?"""

import uuid
from argparse import Namespace
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from kombu.exceptions import KombuError

from celeryconfig import BROKER_ADDRESS
from lms_integration.broker import broker_connection, open_connection, shown_url
from lms_integration.deploy_rules import Problem, find_problems
from lms_integration.deployment import AskedFor, deploy_settings, excess_right_problems
from lms_integration.topology import event_exchange
from overview_worker.celery import app

TIMEOUT_SECONDS = 3


class ProcessRole(StrEnum):
    """Whose environment the doctor was started with; each has its own accounts."""

    WORKER = "worker"
    PUBLISHER = "publisher"
    WEB = "web"


def deploy_problems(arguments: Namespace) -> Iterator[Problem]:
    """Yield what is wrong with the settings, the SQL account and the broker account of a role."""
    role = ProcessRole(arguments.role)
    asked = AskedFor(
        serves_web=role is ProcessRole.WEB,
        serializers=_serializers(),
        files=tuple(arguments.env_file),
    )
    yield from find_problems(deploy_settings(asked))
    try:
        yield from excess_right_problems(connection, serves_web=role is ProcessRole.WEB)
    except (DatabaseError, InterfaceError) as error:
        yield Problem(
            id="overview.E109",
            what=f"the rights of the SQL account cannot be looked at: {error}",
            todo="Is the server up, and OVERVIEW_DATABASE_URL right?",
        )
    if role is not ProcessRole.WORKER:
        yield from _broker_rights()


def _serializers() -> tuple[str, ...]:
    conf = app.conf
    return (*conf.accept_content, *(conf.result_accept_content or ()), conf.task_serializer)


def _broker_rights() -> Iterator[Problem]:
    """Yield a problem if this account may make queues or exchanges: it could then unbind ours.

    The workers' account must, for its queues. Redis knows no such rights.
    """
    if BROKER_ADDRESS.startswith("redis"):
        yield Problem(
            id="overview.E111",
            what="Redis cannot keep a publisher from reading, changing and deleting what is queued",
            todo="Use RabbitMQ, or let nobody but the workers reach Redis and leave "
            "OVERVIEW_BROKER_URL of Studio empty: the marks still rebuild.",
        )
        return
    try:
        found = _configurable()
    except (KombuError, OSError) as error:
        yield Problem(
            id="overview.E110",
            what=f"the rights on {shown_url(BROKER_ADDRESS)} cannot be looked at: {error}",
            todo="Is the server up, and OVERVIEW_BROKER_URL right?",
        )
        return
    if found:
        yield Problem(
            id="overview.E110",
            what=f"the broker account may configure {' and '.join(found)}: it could take queues away",
            todo="Give this process an account of its own: rabbitmqctl set_permissions "
            "-p VHOST USER '^$' '^course-authoring$' '^$'",
        )


def _configurable() -> list[str]:
    """Return what this account may declare: queues of its own, the exchange of the events.

    A declaration of what is there changes nothing, but needs the right all the same.
    """
    name = f"overview.doctor.{uuid.uuid4().hex}"
    tried: dict[str, Any] = {
        "queues": lambda channel: channel.queue_declare(name, exclusive=True, auto_delete=True),
        "the exchange of the events": lambda channel: event_exchange()(channel).declare(),
    }
    found = []
    with broker_connection(BROKER_ADDRESS, timeout_seconds=TIMEOUT_SECONDS) as broker:
        open_connection(broker)
        for what, declare in tried.items():
            try:
                declare(broker.channel())  # a refusal closes its channel: one each
            except broker.channel_errors:
                continue
            found.append(what)
    return found
