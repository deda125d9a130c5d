import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dev import newer_debian
from dev.newer_debian import IndexTarget, NewerDebianError, choose_mirror

MIRROR = "mirror://debian/"
DEBIAN = IndexTarget(
    address=MIRROR, release="bookworm", component="main", origin="Debian", label="Debian"
)
#: An apt-get that knows one mirror, and puts what it shall install among the archives.
APT_GET = f"""
for each; do
    case "$each" in Dir::Cache::archives=*) archives="${{each#*=}}" ;; esac
done
case "$*" in
    *indextargets*) echo '{MIRROR}|bookworm|main|Debian|Debian' ;;
    *' install '*) for each; do
        case "$each" in *=*|-*|install) ;; *) touch "$archives/${{each}}_1%3a2-3_all.deb" ;; esac
    done ;;
esac
"""
SHOWN = """cat <<END
Package: mysql-server-core
Version: {mysql}
Description: a server
 Version: of words

Package: rabbitmq-server
Version: {rabbitmq}
END"""
DPKG_DEB = 'echo "$(basename "$2")" >> "$3/unpacked"'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that are called before apt's and dpkg's own; nothing is unpacked yet."""
    monkeypatch.setattr(newer_debian, "FOLDER", tmp_path / "newer")
    monkeypatch.setattr(newer_debian, "_os_release", lambda: {"VERSION_CODENAME": "bookworm"})
    path = tmp_path / "programs"
    path.mkdir()
    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
    write_program(path / "apt-get", APT_GET)
    write_program(path / "apt-cache", SHOWN.format(mysql="9.7.4-2", rabbitmq="1:4.3.6-1"))
    write_program(path / "dpkg-deb", DPKG_DEB)
    return path


def write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@contextmanager
def step(what: str) -> Iterator[None]:
    yield


def test_the_mirror_is_the_one_that_this_machine_has_debian_itself_from() -> None:
    others = [
        replace(DEBIAN, address="security", release="bookworm-security", label="Debian-Security"),
        replace(DEBIAN, address="contrib", component="contrib"),
        replace(DEBIAN, address="a vendor", origin="Vendor", label="Vendor"),
        replace(DEBIAN, address="backports", release="bookworm-backports"),
    ]

    assert choose_mirror([*others, DEBIAN], release="bookworm") == MIRROR
    assert choose_mirror(others, release="bookworm") is None


def test_everything_is_unpacked_with_the_root_folders_links_first(
    programs: Path, tmp_path: Path
) -> None:
    newer_debian.prepare(step, log=tmp_path / "log")

    unpacked = (tmp_path / "newer" / "root" / "unpacked").read_text().splitlines()
    assert unpacked[0] == "base-files_1%3a2-3_all.deb"
    assert {"mysql-server-core_1%3a2-3_all.deb", "rabbitmq-server_1%3a2-3_all.deb"} < set(unpacked)
    assert newer_debian.versions() == {"mysql-server-core": "1:2-3", "rabbitmq-server": "1:2-3"}


def test_what_lies_ready_is_not_fetched_again(programs: Path, tmp_path: Path) -> None:
    newer_debian.prepare(step, log=tmp_path / "log")
    write_program(programs / "apt-get", "exit 1")

    newer_debian.prepare(step, log=tmp_path / "log")

    assert newer_debian.is_unpacked()


def test_an_interrupted_unpacking_counts_for_nothing_and_is_made_again(
    programs: Path, tmp_path: Path
) -> None:
    write_program(programs / "dpkg-deb", f'case "$2" in *rabbitmq*) exit 1 ;; esac; {DPKG_DEB}')
    with pytest.raises(subprocess.CalledProcessError):
        newer_debian.prepare(step, log=tmp_path / "log")
    assert not newer_debian.is_unpacked()
    write_program(programs / "dpkg-deb", DPKG_DEB)

    newer_debian.prepare(step, log=tmp_path / "log")

    unpacked = (tmp_path / "newer" / "root" / "unpacked").read_text().splitlines()
    assert len(unpacked) == len(set(unpacked))


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (SHOWN.format(mysql="8.4.7-1", rabbitmq="4.3.6-1"), "mysql-server-core is 8.4.7-1, and 9"),
        ("printf 'Package: mysql-server-core\nVersion: 9.7.4-2\n'", "sid has no rabbitmq-server"),
        ("exit 100", "sid has no mysql-server-core"),
    ],
    ids=["too old", "one is missing", "both are missing"],
)
def test_a_mirror_that_lacks_the_servers_is_told_in_one_line(
    programs: Path, tmp_path: Path, shown: str, message: str
) -> None:
    write_program(programs / "apt-cache", shown)

    with pytest.raises(NewerDebianError, match=message):
        newer_debian.prepare(step, log=tmp_path / "log")


def test_a_machine_without_a_mirror_of_debian_is_told_so(programs: Path, tmp_path: Path) -> None:
    write_program(programs / "apt-get", "true")

    with pytest.raises(NewerDebianError, match=r"apt has no mirror of Debian bookworm \(main\)"):
        newer_debian.prepare(step, log=tmp_path / "log")


def test_who_is_not_root_is_told_that_before_anything_is_fetched(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert any(lack.what.startswith("root: ") for lack in newer_debian.find_lacks())
    with pytest.raises(NewerDebianError, match=r"root: .*; nothing is unpacked"):
        newer_debian.command(["/usr/sbin/mysqld"])
