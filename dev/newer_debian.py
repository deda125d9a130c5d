"""Newer servers than this Debian has: packages of `sid`, unpacked under `.run`, beside the system.

Standard library only: it runs before the virtual environment exists. apt downloads the packages from
the mirror that this machine's apt uses, with lists and a state of its own, so it installs nothing. A
program of theirs runs where their `/usr` lies over the machine's, in a mount namespace of its own:
every other path is what it was, nobody else sees it, and it is gone with the last process.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dev.machine import OS_RELEASE, Lack, find_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    #: Says what is being done, and shows the end of the log where it fails.
    Step = Callable[[str], AbstractContextManager[None]]

FOLDER = Path(__file__).resolve().parent.parent / ".run" / "newer-debian"
#: What the line-up is made of: `{package: first number of the oldest version that will do}`.
SERVERS = {"mysql-server-core": 9, "rabbitmq-server": 4}
#: What the servers' scripts call, and packages do not name because every Debian has it.
_ESSENTIAL = ("base-files", "bash", "coreutils", "dash", "grep", "hostname", "mawk", "sed")
_SUITE = "sid"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_UNPACKED_BYTES = 1_000_000_000
_UNDER = Path("/usr")


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexTarget:
    """One package list of this machine's apt, as `apt-get indextargets` tells of it."""

    address: str
    release: str
    component: str
    origin: str
    label: str


class NewerDebianError(Exception):
    """The newer servers cannot be had or run here; the message is for a person."""


def find_lacks() -> list[Lack]:
    """List why newer servers cannot run on this machine."""
    return [Lack(f"{what} (the newer servers)") for what in _obstacles()]


def is_unpacked() -> bool:
    """Say whether everything that is wanted lies ready."""
    return _read_versions().keys() == set(_wanted())


def prepare(step: Step, *, log: Path) -> None:
    """Download and unpack what is wanted, unless it is there; goes on where it was interrupted.

    Raises NewerDebianError where the mirror does not have it, CalledProcessError with the reason at
    the end of the log.
    """
    if is_unpacked():
        return
    apt = _Apt(FOLDER / "apt", mirror=_find_mirror(step, log=log), log=log)
    with step(f"package lists of Debian {_SUITE}"):
        apt.update()
    _expect_new_enough(apt.versions())
    with step("download of " + " and ".join(SERVERS)):
        apt.download()
    with step("unpacking"):
        _unpack(apt.archives(), log=log)
    shutil.rmtree(apt.folder)


def versions() -> dict[str, str]:
    """Give `{package: version}` of the servers that lie ready."""
    return {name: version for name, version in _read_versions().items() if name in SERVERS}


def path_of(program: str) -> Path:
    """Give where an absolute path under /usr of the newer Debian lies on this machine."""
    return _root() / program.lstrip("/")


def command(argv: Sequence[str]) -> list[str]:
    """Give the command line that runs a program of the newer Debian; it keeps its pid.

    Raises NewerDebianError where it cannot be run, or nothing is unpacked.
    """
    obstacles = [*_obstacles()]
    if not is_unpacked():
        obstacles.append("nothing is unpacked: `python3 dev/bootstrap.py next` does that")
    if obstacles:
        raise NewerDebianError("; ".join(obstacles))
    unshare = find_program("unshare") or "unshare"
    enter = f'mount --bind "$0" {_UNDER} && exec "$@"'
    private = ["--mount", "--propagation", "private"]
    return [unshare, *private, "--", "/bin/sh", "-c", enter, str(path_of(str(_UNDER))), *argv]


def choose_mirror(targets: Sequence[IndexTarget], *, release: str) -> str | None:
    """Give the address that this machine has Debian's own `main` from; None when it has none."""
    return next(
        (
            target.address
            for target in targets
            if target.origin == target.label == "Debian"
            and (target.release, target.component) == (release, "main")
        ),
        None,
    )


def _obstacles() -> Iterator[str]:
    if os.geteuid() != 0:
        yield "root: their programs are run in a mount namespace"
    if not find_program("unshare"):
        yield "unshare, of Debian's util-linux"
    if not Path("/lib").is_symlink():
        yield "a Debian whose /lib is in /usr"
    if FOLDER.is_relative_to(_UNDER):
        yield f"a project folder outside {_UNDER}, which theirs lies over"
    if not is_unpacked() and _os_release().get("ID") != "debian":
        yield "Debian, whose apt knows a mirror of Debian"
    if not is_unpacked() and _free_bytes() < _UNPACKED_BYTES:
        yield f"{_UNPACKED_BYTES / 1e9:.0f} GB of room in the project folder"


class _Apt:
    """apt-get on lists, state and archives of its own, for one suite of this machine's mirror."""

    def __init__(self, folder: Path, *, mirror: str, log: Path) -> None:
        self.folder = folder
        self._mirror = mirror
        self._log = log

    def update(self) -> None:
        """Fetch the suite's package list."""
        for name in ("lists/partial", "archives/partial", "sources"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "sources" / "newer.sources").write_text(_source(self._mirror))
        self._run("update")

    def versions(self) -> dict[str, str]:
        """Give `{server: version}` of what the mirror has; those that it lacks are left out."""
        answer = self._ask("apt-cache", "show", "--no-all-versions", *SERVERS)
        return _parse_versions(answer)

    def download(self) -> None:
        """Fetch the servers with all that they need; what was fetched before is not fetched again."""
        packages = [*SERVERS, *_ESSENTIAL]
        flags = ["--download-only", "--yes", "--no-install-recommends"]
        self._run("install", *flags, *packages)

    def archives(self) -> list[Path]:
        """Give the packages, the one with the symbolic links of the root folder first."""
        found = sorted((self.folder / "archives").glob("*.deb"))
        return sorted(found, key=lambda path: not path.name.startswith("base-files_"))

    def _run(self, *arguments: str) -> None:
        _run(["apt-get", *self._options(), *arguments], log=self._log)

    def _ask(self, program: str, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 - fixed programs, arguments from this file
            [program, *self._options(), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout

    def _options(self) -> list[str]:
        options = {
            "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": self.folder / "sources",
            "Dir::State": self.folder,
            "Dir::State::Lists": self.folder / "lists",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder,
            "Dir::Cache::archives": self.folder / "archives",
            "Acquire::Languages": "none",
            "Acquire::Retries": 3,
            # A project folder is often one that apt's own user cannot enter.
            "APT::Sandbox::User": "root",
        }
        return [part for name, value in options.items() for part in ("-o", f"{name}={value}")]


def _find_mirror(step: Step, *, log: Path) -> str:
    release = _os_release().get("VERSION_CODENAME", "")
    found = choose_mirror(_index_targets(), release=release)
    if found is None:  # a slim image comes without any list
        with step("package lists of this machine"):
            _run(["apt-get", "update"], log=log)
        found = choose_mirror(_index_targets(), release=release)
    if found is None:
        raise NewerDebianError(f"this machine's apt has no mirror of Debian {release} (main)")
    return found


def _run(argv: Sequence[str], *, log: Path) -> None:
    with log.open("a") as output:
        subprocess.run(  # noqa: S603 - fixed programs, arguments from this file
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True
        )


def _source(mirror: str) -> str:
    lines = [f"Types: deb\nURIs: {mirror}\nSuites: {_SUITE}\nComponents: main\n"]
    if _KEYRING.exists():
        lines.append(f"Signed-By: {_KEYRING}\n")
    return "".join(lines)


def _index_targets() -> list[IndexTarget]:
    fields = {
        **{"address": "REPO_URI", "release": "RELEASE", "component": "COMPONENT"},
        **{"origin": "ORIGIN", "label": "LABEL"},
    }
    form = "|".join(f"$({name})" for name in fields.values())
    answer = subprocess.run(  # noqa: S603 - a fixed program
        ["apt-get", "indextargets", "--format", form, "Created-By: Packages"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [line.split("|") for line in answer.stdout.splitlines()]
    return [
        IndexTarget(**dict(zip(fields, row, strict=True)))
        for row in rows
        if len(row) == len(fields)
    ]


def _parse_versions(answer: str) -> dict[str, str]:
    """Read `Package:` and `Version:` of the stanzas that `apt-cache show` prints."""
    found: dict[str, str] = {}
    for stanza in answer.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
        if "Package" in fields:
            found.setdefault(fields["Package"], fields.get("Version", ""))
    return found


def _expect_new_enough(found: dict[str, str]) -> None:
    for package, oldest in SERVERS.items():
        version = found.get(package)
        if version is None:
            raise NewerDebianError(f"the mirror's {_SUITE} has no {package}")
        number = version.rpartition(":")[2].partition(".")[0]
        if not number.isdigit() or int(number) < oldest:
            raise NewerDebianError(f"the mirror's {package} is {version}, and {oldest} is wanted")


def _unpack(archives: Sequence[Path], *, log: Path) -> None:
    """Unpack all packages, and name the folder only when it is whole."""
    fresh = FOLDER / "root.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for archive in archives:
        _run(["dpkg-deb", "--extract", str(archive), str(fresh)], log=log)
    found = {path.name.split("_")[0]: _version_in(path) for path in archives}
    (fresh / "versions.json").write_text(
        json.dumps({name: found[name] for name in _wanted()}, indent=1)
    )
    shutil.rmtree(_root(), ignore_errors=True)
    fresh.rename(_root())


def _version_in(archive: Path) -> str:
    return archive.name.split("_")[1].replace("%3a", ":")


def _wanted() -> list[str]:
    return [*SERVERS, *_ESSENTIAL]


def _root() -> Path:
    return FOLDER / "root"


def _read_versions() -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((_root() / "versions.json").read_text())
    except (OSError, ValueError):
        return {}
    return found


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release() if OS_RELEASE.exists() else {}
    except OSError:
        return {}


def _free_bytes() -> int:
    folder = next(path for path in (FOLDER, *FOLDER.parents) if path.exists())
    return shutil.disk_usage(folder).free
