import shutil
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest

from dev import machine


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with Python and the libraries of a desktop, and nothing else."""
    monkeypatch.setattr(machine, "find_program", lambda name: None)
    monkeypatch.setattr(machine, "RABBITMQ_SERVER", tmp_path / "none")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(machine, "_loads", lambda library: True)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**10))


@pytest.mark.usefixtures("bare")
def test_the_embedded_mode_needs_neither_servers_nor_a_compiler(tmp_path: Path) -> None:
    assert machine.find_lacks(kind="embedded", installing=True, folder=tmp_path) == []


@pytest.mark.usefixtures("bare")
def test_the_services_mode_names_every_package_at_once(tmp_path: Path) -> None:
    lacks = machine.find_lacks(kind="services", installing=True, folder=tmp_path)

    packages = {lack.package for lack in lacks}
    assert {"mariadb-server-core", "mariadb-client-core", "rabbitmq-server"} <= packages
    assert {"gcc", "pkg-config", "libmariadb-dev"} <= packages


@pytest.mark.usefixtures("bare")
def test_no_compiler_is_asked_for_once_everything_is_installed(tmp_path: Path) -> None:
    lacks = machine.find_lacks(kind="services", installing=False, folder=tmp_path)

    assert "gcc" not in {lack.package for lack in lacks}


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("distribution", "packages"), [("debian", {"chromium"}), ("ubuntu", set())]
)
def test_only_tests_need_a_browser_and_only_where_it_is_a_package(
    distribution: str, packages: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = tmp_path / "os-release"
    release.write_text(f"ID_LIKE=x\nID={distribution}\n")
    monkeypatch.setattr(machine, "OS_RELEASE", release)

    needed = {
        kind: {
            lack.package
            for lack in machine.find_lacks(kind=kind, installing=False, folder=tmp_path)
        }
        for kind in ("services", "test")
    }

    assert needed["test"] - needed["services"] == packages


def test_a_stub_that_wants_a_snap_is_no_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("chromium-browser", "exec snap run chromium"), ("google-chrome", "real")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(
        machine, "find_program", lambda name: str(tmp_path / name) if name != "chromium" else None
    )

    assert machine.find_browser() == str(tmp_path / "google-chrome")


@pytest.mark.usefixtures("bare")
def test_a_full_disk_is_named_and_no_package_is_said_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**8))

    (lack,) = machine.find_lacks(kind="embedded", installing=True, folder=tmp_path)

    assert lack.what.startswith("room: 0.1 GB free")
    assert lack.package == ""


def test_ubuntu_2204_gets_the_package_name_with_the_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    apt_cache = tmp_path / "apt-cache"
    apt_cache.write_text("#!/bin/sh\necho $2-10.6\necho $2-9.10\necho $2-extras\n")
    apt_cache.chmod(0o755)
    monkeypatch.setattr(machine, "find_program", lambda name: str(apt_cache))

    command = machine.install_command(["mariadb-server-core"])

    assert command[-1] == "mariadb-server-core-10.6"
