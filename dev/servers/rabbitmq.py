"""Debian's RabbitMQ, private: own node, own epmd, own cookie, no plugins, no `guest`."""

import os
from glob import glob

from amqp import AMQPError, Connection

from dev.machine import RABBITMQ_SERVER, find_program
from dev.servers.errors import NotReadyError, ServerError
from dev.servers.folder import write_private
from dev.servers.kinds import Place, Program, ServerKind
from dev.servers.ports import LOOPBACK

USER = "overview"
VIRTUAL_HOST = "overview"
_CONTROL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
_EPMD = "/usr/bin/epmd"
#: No busy waiting: on two cores the schedulers' spinning is taken from everybody else. The listener
#: for other nodes would otherwise be open to the network.
_ERLANG_OPTIONS = (
    "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
)


class RabbitMQ(ServerKind):
    """A RabbitMQ node with the virtual host and the user of the pipeline."""

    name = "rabbitmq"
    port_names = ("client", "distribution", "epmd")
    start_timeout_seconds = 120
    stop_timeout_seconds = 60

    def prepare(self, place: Place) -> None:
        """Write `rabbitmq.conf`; its user and virtual host are made at the first start."""
        lines = [
            f"listeners.tcp.1 = {place.address}",
            f"default_vhost = {VIRTUAL_HOST}",
            f"default_user = {USER}",
            f"default_pass = {place.folder.secret(self.name)}",
            "disk_free_limit.absolute = 100MB",
            # As docs/operations/security.md has it; the default is 128 MB.
            "max_message_size = 262144",
            # The default of 512 MB is kept in memory and on disk, for every node.
            "raft.wal_max_size_bytes = 67108864",
        ]
        write_private(place.home / "rabbitmq.conf", "\n".join(lines) + "\n")
        write_private(place.home / "enabled_plugins", "[].\n")
        write_private(place.home / "rabbitmq-env.conf", "")

    def programs(self, place: Place) -> list[Program]:
        """Give epmd, the name server of Erlang nodes, and the node.

        The node would start an epmd as a daemon that outlives it and whose pid nobody knows; it
        uses ours when there is one.
        """
        if not place.debian_path(str(RABBITMQ_SERVER)).exists():
            raise ServerError(
                "rabbitmq: no rabbitmq-server here; `python3 dev/bootstrap.py services` says more"
            )
        environment = _environment(place)
        epmd = ["-port", str(place.ports["epmd"]), "-address", LOOPBACK]
        return [
            Program(name="epmd", argv=place.command(_epmd(place), *epmd), environment=environment),
            Program(
                name=self.name, argv=place.command(str(RABBITMQ_SERVER)), environment=environment
            ),
        ]

    def probe(self, place: Place) -> None:
        """Log in as the pipeline does."""
        connection = Connection(
            host=place.address,
            userid=USER,
            password=place.folder.secret(self.name),
            virtual_host=VIRTUAL_HOST,
            connect_timeout=2,
            read_timeout=3,
        )
        try:
            connection.connect()
            connection.close()
        except (OSError, AMQPError) as error:
            connection.collect()
            raise NotReadyError(str(error)) from error


def control_program(place: Place, *arguments: str) -> Program:
    """Give RabbitMQ's command line tool, to be run on this node."""
    argv = place.command(_CONTROL, "--quiet", *arguments)
    return Program(name="rabbitmqctl", argv=argv, environment=_environment(place))


def url(place: Place) -> str:
    """Give the URL for clients."""
    return f"amqp://{USER}:{place.folder.secret(RabbitMQ.name)}@{place.address}/{VIRTUAL_HOST}"


def _environment(place: Place) -> dict[str, str]:
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("RABBITMQ_", "ERL_", "NOTIFY_SOCKET"))
    }
    return inherited | {
        "HOME": str(place.home),
        "RABBITMQ_NODENAME": "overview@localhost",
        "RABBITMQ_MNESIA_BASE": str(place.home / "data"),
        "RABBITMQ_LOG_BASE": str(place.home),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": str(place.home / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(place.home / "rabbitmq-env.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(place.home / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(place.home / "enabled_plugins"),
        "RABBITMQ_DIST_PORT": str(place.ports["distribution"]),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG_OPTIONS,
        # Makes Debian's script become the node, instead of a shell that waits for it: our pid is right.
        "RUNNING_UNDER_SYSTEMD": "true",
        "ERL_EPMD_PORT": str(place.ports["epmd"]),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_CRASH_DUMP": str(place.home / "erl_crash.dump"),
    }


def _epmd(place: Place) -> str:
    if place.debian_path(_EPMD).exists():
        return _EPMD
    found = find_program("epmd") or next(iter(glob("/usr/lib/erlang/erts-*/bin/epmd")), None)
    if found is None:
        raise ServerError("rabbitmq: no epmd here; it belongs to the package erlang-base")
    return found
