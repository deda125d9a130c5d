"""Ask whether a locked package has a known vulnerability: `python -m dev.audit`.

pip-audit asks PyPI's advisory database over the network. Where that cannot be reached, or is a mirror
that has packages but no advisories, pip-audit skips every package and ends well; here that is said.

Exit codes: 0 no known vulnerability, or nobody could be asked (a warning says so); 1 there is one.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: Everything that any of the lock files can install is in one of these.
LOCKS = ("requirements/dev.txt", "requirements/build.txt", "requirements/fuzz.txt")
_TIMEOUT_SECONDS = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """What pip-audit found out."""

    asked_count: int  #: packages whose advisories were looked at
    skipped_count: int
    vulnerable: tuple[str, ...]  #: a line each
    fault: str = ""  #: why nothing was found out


def main() -> int:
    """Audit the locks and say what came of it; give the exit code."""
    audit = run_audit(LOCKS)
    for line in audit.vulnerable:
        _say(f"VULNERABLE  {line}")
    if audit.vulnerable:
        return 1
    if not audit.asked_count:
        reason = audit.fault or f"no advisories for any of {audit.skipped_count} packages"
        _say(f"WARNING: dependencies not audited, the advisory database cannot be asked: {reason}")
        return 0
    _say(f"No known vulnerability in {audit.asked_count} packages ({audit.skipped_count} skipped).")
    return 0


def run_audit(locks: Sequence[str]) -> Audit:
    """Run pip-audit once for all locks; never raises for what the network does."""
    if find_spec("pip_audit") is None:
        return Audit(
            asked_count=0, skipped_count=0, vulnerable=(), fault="pip-audit is not installed"
        )
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    command += ["--no-deps", "--disable-pip", "--timeout", "10"]
    for lock in locks:
        command += ["--requirement", str(ROOT / lock)]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program
            command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
        report: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return Audit(asked_count=0, skipped_count=0, vulnerable=(), fault="no answer in time")
    except ValueError:
        fault = (done.stderr.strip().splitlines() or ["no output"])[-1][:300]
        return Audit(asked_count=0, skipped_count=0, vulnerable=(), fault=fault)
    return audit_of(report)


def audit_of(report: dict[str, Any]) -> Audit:
    """Read pip-audit's JSON."""
    packages = report["dependencies"]
    asked = [package for package in packages if "vulns" in package]
    return Audit(
        asked_count=len(asked),
        skipped_count=len(packages) - len(asked),
        vulnerable=tuple(
            f"{package['name']} {package['version']}: {found['id']}"
            f" (mended in {', '.join(found['fix_versions']) or 'no version yet'})"
            for package in asked
            for found in package["vulns"]
        ),
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
