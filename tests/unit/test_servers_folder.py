from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from dev.servers.catalogue import environment_of, write_environment
from dev.servers.control import find_server, find_sql_server
from dev.servers.errors import ServerError
from dev.servers.folder import SERVERS, Mode, Record, open_folder
from dev.servers.processes import ProcessIdentity

PROCESS = ProcessIdentity(pid=1, start_ticks=2, boot_id="boot")


def test_a_folder_keeps_the_mode_it_was_made_with(tmp_path: Path) -> None:
    open_folder(tmp_path, mode=Mode.EMBEDDED)

    assert open_folder(tmp_path).mode is Mode.EMBEDDED
    with pytest.raises(ServerError, match="holds the servers of mode embedded, not services"):
        open_folder(tmp_path, mode=Mode.SERVICES)


def test_a_record_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    folder = open_folder(tmp_path)
    record = Record(ports={"client": 20_001}, processes={"redis": PROCESS})

    folder.save("redis", record)

    assert folder.load("redis") == record


@pytest.mark.parametrize("text", ["", "{", "[]", '{"ports": {}, "processes": {"redis": {}}}'])
def test_a_damaged_record_counts_as_nothing_remembered(tmp_path: Path, text: str) -> None:
    folder = open_folder(tmp_path)
    folder.home("redis").mkdir()
    (folder.home("redis") / "record.json").write_text(text)

    assert folder.load("redis") == Record()


def test_a_secret_stays_the_same_and_is_for_its_owner_only(tmp_path: Path) -> None:
    secret = open_folder(tmp_path).secret("mariadb")

    assert open_folder(tmp_path).secret("mariadb") == secret
    assert open_folder(tmp_path).secret("rabbitmq") != secret
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_the_embedded_environment_needs_no_mariadb_and_no_rabbitmq(tmp_path: Path) -> None:
    folder = open_folder(tmp_path, mode=Mode.EMBEDDED)
    folder.save("redis", Record(ports={"client": 20_001}))
    folder.save("mongodb", Record(ports={"client": 20_002}))

    environment = environment_of(folder)

    assert environment["OVERVIEW_DATABASE_URL"] == f"sqlite:///{tmp_path}/overview.sqlite3"
    assert environment["OVERVIEW_BROKER_URL"] == "redis://127.0.0.1:20001/0"
    assert environment["OVERVIEW_MONGODB_URL"] == "mongodb://127.0.0.1:20002/?replicaSet=overview"
    assert environment["OVERVIEW_TEST_SERVERS"] == str(tmp_path)


def test_the_next_line_up_has_mysql_for_mariadb(tmp_path: Path) -> None:
    folder = open_folder(tmp_path, mode=Mode.NEXT)
    for number, name in enumerate(SERVERS[Mode.NEXT]):
        folder.save(name, Record(ports={"client": 20_001 + number}))

    environment = environment_of(folder)

    assert environment["OVERVIEW_DATABASE_URL"].endswith(
        f"?unix_socket={quote(str(tmp_path / 'mysql' / 'mysql.sock'), safe='')}"
    )
    assert environment["OVERVIEW_BROKER_URL"].startswith("amqp://")
    assert find_sql_server(folder=tmp_path).name == "mysql"


def test_no_environment_is_written_before_every_server_has_its_port(tmp_path: Path) -> None:
    folder = open_folder(tmp_path, mode=Mode.EMBEDDED)
    folder.save("redis", Record(ports={"client": 20_001}))

    write_environment(folder)

    assert not (tmp_path / "env").exists()


def test_a_stale_pid_after_a_crash_counts_as_stopped(tmp_path: Path) -> None:
    folder = open_folder(tmp_path, mode=Mode.EMBEDDED)
    init_of_another_boot = replace(PROCESS, boot_id="another boot")
    folder.save("redis", Record(processes={"redis": init_of_another_boot}))

    assert not find_server("redis", folder=tmp_path).is_running()


def test_an_unknown_server_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    open_folder(tmp_path, mode=Mode.EMBEDDED)

    with pytest.raises(ServerError, match="mongodb, redis"):
        find_server("mariadb", folder=tmp_path)
