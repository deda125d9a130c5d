"""Make the virtual environment `.venv`: `python3 dev/bootstrap.py embedded|services|next|test`.

Standard library only. First it names everything that the machine lacks, then it installs the locked
packages; for `next` it also unpacks newer servers. A stamp in the environment makes later runs
instant. It is taken away first and written last, so that the run after an interrupted one starts afresh.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "overview-stamp.json"
LOG = ROOT / ".run" / "bootstrap.log"
NEWER_PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")

if sys.version_info < (3, 11):  # noqa: UP036 - so that an old Python says more than "SyntaxError"
    for _name in NEWER_PYTHONS:
        _newer = shutil.which(_name)
        if _newer:
            os.execv(_newer, [_newer, *sys.argv])  # noqa: S606
    sys.exit("Python 3.11 or newer is needed:  sudo apt-get install python3.11 python3.11-venv")

sys.path.insert(0, str(ROOT))

import tomllib  # noqa: E402 - not in the Pythons that are turned away above

from dev import machine, newer_debian  # noqa: E402 - needs the line above

if TYPE_CHECKING:
    from collections.abc import Iterator

_STAMP_KEYS = {"lock", "python", "packages", "project"}
LOCK_OF_KIND = {"embedded": "embedded", "services": "dev", "next": "dev", "test": "dev"}


def main() -> int:
    """Check the machine, then install; give 0, or 2 when the machine lacks something."""
    parser = argparse.ArgumentParser(description=__doc__, prog="dev/bootstrap.py")
    parser.add_argument("kind", choices=sorted(LOCK_OF_KIND))
    kind = parser.parse_args().kind
    LOG.parent.mkdir(exist_ok=True)
    with _one_at_a_time():
        lock = _lock_for(kind)
        installing = _stamp() != _wanted_stamp(lock)
        if not _prepare_machine(kind, installing=installing):
            return 2
        if installing:
            _install(lock)
        if kind == "next" and not _prepare_newer_servers():
            return 2
    return 0


def _lock_for(kind: str) -> str:
    """Name the lock file; a complete development environment serves the demo as well."""
    lock = LOCK_OF_KIND[kind]
    return "dev" if lock == "embedded" and _stamp() == _wanted_stamp("dev") else lock


def _prepare_machine(kind: str, *, installing: bool) -> bool:
    lacks = _find_lacks(kind, installing=installing)
    packages = list(dict.fromkeys(lack.package for lack in lacks if lack.package))
    beyond_us = [lack for lack in lacks if not lack.package]
    may_install = kind != "embedded" and os.geteuid() == 0 and machine.find_program("apt-get")
    if lacks and not beyond_us and may_install:
        with _step(f"Debian packages: {' '.join(packages)}"):
            machine.install(packages, log=LOG)
        lacks = _find_lacks(kind, installing=installing)
    if lacks:
        _explain(lacks, packages)
    return not lacks


def _find_lacks(kind: str, *, installing: bool) -> list[machine.Lack]:
    lacks = machine.find_lacks(kind=kind, installing=installing, folder=ROOT)
    return [*lacks, *newer_debian.find_lacks()] if kind == "next" else lacks


def _prepare_newer_servers() -> bool:
    try:
        newer_debian.prepare(_step, log=LOG)
    except newer_debian.NewerDebianError as error:
        _say(f"error: {error}")
        return False
    return True


def _explain(lacks: list[machine.Lack], packages: list[str]) -> None:
    _say("This machine lacks:")
    for lack in lacks:
        _say(f"  - {lack.what}")
    if not packages:
        return
    if not machine.find_program("apt-get"):
        _say(f"Debian and Ubuntu call the packages: {' '.join(packages)}")
        return
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    command = [*sudo, "apt-get", "update", "&&", *sudo, *machine.install_command(packages)]
    _say(f"This mends it:\n  {' '.join(command)}")


def _install(lock: str) -> None:
    wanted, had = _wanted_stamp(lock), _stamp()
    # Without its stamp an environment may hold a half-installed package that pip takes for a whole one.
    STAMP.unlink(missing_ok=True)
    if had is None or had["packages"] != wanted["packages"]:
        if had is None or had["python"] != wanted["python"]:
            with _step("virtual environment .venv"):
                _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
        with _step("build tools from requirements/build.txt"):
            _pip("--require-hashes", "-r", "requirements/build.txt")
        with _step(f"packages from requirements/{lock}.txt"):
            _pip("--no-build-isolation", "--require-hashes", "-r", f"requirements/{lock}.txt")
    with _step("this project, editable"):
        _pip("--no-build-isolation", "--no-deps", "--no-index", "--editable", ".")
    STAMP.write_text(json.dumps(wanted))


def _pip(*arguments: str) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    _run([str(VENV / "bin" / "python"), "-m", "pip", "install", *quiet, *arguments])


def _run(command: list[str]) -> None:
    redirecting = {"PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"}
    environment = {key: value for key, value in os.environ.items() if key not in redirecting}
    with LOG.open("a") as output:
        subprocess.run(  # noqa: S603 - commands of this file
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            close_fds=False,  # it keeps the lock if we are killed and it goes on
            check=True,
        )


def _stamp() -> dict[str, str] | None:
    """Read what is installed; None when that is nothing whole."""
    try:
        stamp: dict[str, str] = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return None
    usable = (VENV / "bin" / "python").exists() and stamp.keys() == _STAMP_KEYS
    return stamp if usable else None


def _wanted_stamp(lock: str) -> dict[str, str]:
    """Give what the stamp says once everything is installed; an edit of linters' settings is nothing."""
    locks = [(ROOT / "requirements" / f"{name}.txt").read_text() for name in ("build", lock)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    built_from = [project["project"], project["build-system"], project["tool"].get("hatch")]
    return {
        "lock": lock,
        # A virtual environment works neither with another Python nor in another folder.
        "python": f"{sys.version_info.major}.{sys.version_info.minor} {ROOT}",
        "packages": _digest(locks),
        "project": _digest(built_from),
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (LOG.parent / "bootstrap.lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Waiting for another bootstrap of this folder …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _step(what: str) -> Iterator[None]:
    """Say what is being done and how long it took; on failure show the end of the log and exit 1."""
    sys.stdout.write(f"  {what} … ")
    sys.stdout.flush()
    LOG.write_text("")
    started = time.monotonic()
    try:
        yield
    except subprocess.CalledProcessError:
        _say("failed")
        for line in LOG.read_text(errors="replace").splitlines()[-15:]:
            _say(f"    {line}")
        sys.exit(1)
    _say(f"{time.monotonic() - started:.1f} s")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        _say("\nInterrupted; the next run starts afresh.")
        sys.exit(130)
