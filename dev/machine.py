"""What this machine lacks for a way of running, and how Debian or Ubuntu supply it.

Standard library only: it runs before the virtual environment exists. What is looked for are
capabilities (a header, a library, a program), not package names, because Python and the compiler
often come from somewhere else than the distribution.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

RABBITMQ_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
POLICY = Path("/usr/sbin/policy-rc.d")
LIBRARIES = {"libcurl.so.4": "libcurl4", "libcrypto.so.3": "libssl3", "libssl.so.3": "libssl3"}
CLIENT_MODULES = ("mysqlclient", "mariadb", "libmariadb", "perconaserverclient")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OS_RELEASE = Path("/etc/os-release")
INSTALL_BYTES = 1_500_000_000
RUN_BYTES = 500_000_000


@dataclass(frozen=True)
class Lack:
    """One thing that is missing."""

    #: What is missing and what needs it, for a person.
    what: str
    #: The Debian package that brings it; empty when no package can.
    package: str = ""


def find_program(name: str) -> str | None:
    """Give the path of a program, also from the directories that only root has in its PATH."""
    path = os.environ.get("PATH", os.defpath)
    return shutil.which(name, path=f"{path}:/usr/local/sbin:/usr/sbin:/sbin")


def find_browser() -> str | None:
    """Give the path of a Chromium that tests can drive; Ubuntu's is a stub that wants a snap."""
    found = (find_program(name) for name in BROWSERS)
    return next((path for path in found if path and not _is_stub(Path(path))), None)


def _is_stub(program: Path) -> bool:
    with program.open("rb") as file:
        return b"snap" in file.read(2000)


def find_lacks(*, kind: str, installing: bool, folder: Path) -> list[Lack]:
    """List what is missing for `embedded`, `services`, `next` or `test`.

    `installing` says that packages are about to be installed, which needs room, `ensurepip` and,
    but for `embedded`, a compiler.
    """
    lacks = [*_platform(), *_libraries(), *_room(folder, installing=installing)]
    if installing:
        lacks += _venv_modules()
    if kind != "embedded":
        lacks += _servers() if kind != "next" else []
        lacks += _compiler() if installing else []
    if kind == "test":
        lacks += _browser()
    return lacks


def install_command(packages: list[str]) -> list[str]:
    """Give the apt-get command that installs the packages, without a `sudo`."""
    options = ["--yes", "--no-install-recommends"]
    return ["apt-get", "install", *options, *(_name_here(name) for name in packages)]


def install(packages: list[str], *, log: Path) -> None:
    """Install Debian packages as root without starting any system service; blocks.

    Raises CalledProcessError; what apt-get said is in the log.
    """
    waiting = ["-o", "DPkg::Lock::Timeout=300"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with log.open("a") as output, _services_stay_off():
        for command in (["apt-get", "update"], None):
            subprocess.run(  # noqa: S603 - fixed program, names from this file
                [*(command or install_command(packages)), *waiting],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=True,
            )


def _platform() -> list[Lack]:
    machine = f"{platform.system()} {platform.machine()}"
    if machine == "Linux x86_64":
        return []
    return [Lack(f"Linux x86_64 (this is {machine}): the servers in wheels are built for it only")]


def _venv_modules() -> list[Lack]:
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    return [Lack(f"Python's {' and '.join(missing)}", package)] if missing else []


def _libraries() -> list[Lack]:
    return [
        Lack(f"{library}, which MongoDB's wheel needs", package)
        for library, package in LIBRARIES.items()
        if not _loads(library)
    ]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _room(folder: Path, *, installing: bool) -> list[Lack]:
    wanted = INSTALL_BYTES if installing else RUN_BYTES
    free = shutil.disk_usage(folder).free
    if free >= wanted:
        return []
    return [
        Lack(f"room: {free / 1e9:.1f} GB free in the project folder, {wanted / 1e9:.1f} needed")
    ]


def _servers() -> list[Lack]:
    programs = {
        "mariadbd": "mariadb-server-core",
        "mariadb-install-db": "mariadb-server-core",
        "my_print_defaults": "mariadb-client-core",
    }
    lacks = [Lack(name, package) for name, package in programs.items() if not find_program(name)]
    if not RABBITMQ_SERVER.exists():
        lacks.append(Lack("rabbitmq-server", "rabbitmq-server"))
    return lacks


def _browser() -> list[Lack]:
    """Ask for Chromium where a package brings it; Ubuntu's brings a snap, so tests are skipped there."""
    if find_browser() or not _has_chromium_package():
        return []
    return [Lack("Chromium, in which the pages are tested", "chromium")]


def _has_chromium_package() -> bool:
    return not OS_RELEASE.exists() or "ID=ubuntu" not in OS_RELEASE.read_text().splitlines()


def _compiler() -> list[Lack]:
    lacks = []
    if not (find_program("cc") or find_program("gcc")):
        lacks.append(Lack("a C compiler, which mysqlclient needs", "gcc"))
        lacks.append(Lack("the C library's headers, which mysqlclient needs", "libc6-dev"))
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-dev"
        lacks.append(Lack("Python's C headers, which mysqlclient needs", package))
    if not find_program("pkg-config"):
        lacks.append(Lack("pkg-config, which mysqlclient needs", "pkg-config"))
    if not any(_has_client_headers(module) for module in CLIENT_MODULES):
        lacks.append(Lack("the MariaDB client headers, which mysqlclient needs", "libmariadb-dev"))
    return lacks


def _has_client_headers(module: str) -> bool:
    program = find_program("pkg-config")
    if program is None:
        return False
    return subprocess.run([program, "--exists", module], check=False).returncode == 0  # noqa: S603


def _name_here(package: str) -> str:
    """Give a package's name in this distribution: Ubuntu 22.04 adds the version to MariaDB's."""
    program = find_program("apt-cache")
    if program is None:
        return package
    answer = subprocess.run(  # noqa: S603 - names from this file
        [program, "pkgnames", package], capture_output=True, text=True, check=False
    )
    names = answer.stdout.split()
    versioned = sorted(
        (name for name in names if name.removeprefix(f"{package}-").replace(".", "").isdigit()),
        key=lambda name: [int(part) for part in name.rpartition("-")[2].split(".")],
    )
    return package if package in names or not versioned else versioned[-1]


@contextmanager
def _services_stay_off() -> Iterator[None]:
    """Keep Debian from starting what it installs: our servers are private ones."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
