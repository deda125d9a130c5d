"""All kinds of servers by name, and the environment that tells clients where they are."""

import os
from collections.abc import Mapping, Sequence

from dev.servers import mariadb, mongodb, mysql, rabbitmq, redis, sql_server
from dev.servers.folder import SERVERS, SQL_SERVERS, Mode, RunFolder, write_private
from dev.servers.kinds import Place, ServerKind

KINDS: Mapping[str, ServerKind] = {
    kind.name: kind
    for kind in (
        *(mariadb.MariaDB(), mysql.MySQL()),
        *(mongodb.MongoDB(), rabbitmq.RabbitMQ(), redis.Redis()),
    )
}


def place_of(folder: RunFolder, name: str) -> Place:
    """Say where a server of a run folder lives, with the ports it has been given so far."""
    return Place(folder=folder, home=folder.home(name), ports=folder.load(name).ports)


def environment_of(folder: RunFolder) -> dict[str, str]:
    """Give the environment variables for clients; every server must have been started once."""
    redis_url = redis.url(place_of(folder, "redis"))
    if folder.mode is Mode.EMBEDDED:
        database_url, broker_url = f"sqlite:///{folder.path}/overview.sqlite3", redis_url
    else:
        database_url = sql_server.url(place_of(folder, SQL_SERVERS[folder.mode]))
        broker_url = rabbitmq.url(place_of(folder, "rabbitmq"))
    return {
        "OVERVIEW_DATABASE_URL": database_url,
        "OVERVIEW_BROKER_URL": broker_url,
        "OVERVIEW_REDIS_URL": redis_url,
        "OVERVIEW_MONGODB_URL": mongodb.url(place_of(folder, "mongodb")),
        "OVERVIEW_MONGODB_DATABASE": "overview_modulestore",
        "OVERVIEW_SECRET_KEY": folder.secret("secret_key"),
        "OVERVIEW_TEST_SERVERS": str(folder.path),
    }


def environment_of_all(folders: Sequence[RunFolder]) -> dict[str, str]:
    """Give the environment of the first folder, and in `OVERVIEW_TEST_SERVERS_ALL` where all of them are."""
    paths = os.pathsep.join(str(folder.path) for folder in folders)
    return {**environment_of(folders[0]), "OVERVIEW_TEST_SERVERS_ALL": paths}


def write_environment(folder: RunFolder) -> None:
    """Write `env`, one KEY=VALUE on a line; not while some server has never been started."""
    if not all(folder.load(name).ports for name in SERVERS[folder.mode]):
        return
    lines = [f"{key}={value}\n" for key, value in environment_of(folder).items()]
    write_private(folder.path / "env", "".join(lines))
