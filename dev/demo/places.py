"""Where a demo keeps its data and logs, and how a path is written for a person."""

import shlex
from pathlib import Path

from dev.servers.folder import PROJECT, Mode


def default_folder(mode: Mode) -> Path:
    """Return the run folder of a mode; not that of ``make up``."""
    return PROJECT / ".run" / f"demo-{mode.value}"


def typed_path(path: Path) -> str:
    """Return a path as one types it in a shell, from where we are."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
