"""Runs the lines of the Procfile through honcho, their output in files: ``python -m dev.demo.supervisor``.

One file a process, ``processes/<name>.log``, and all lines together in ``processes/all.log``. SIGTERM
ends the processes; when one ends by itself, honcho ends the others.
"""

import sys
from contextlib import closing
from pathlib import Path
from typing import IO

from honcho.environ import parse_procfile  # type: ignore[import-untyped] # it has no types
from honcho.manager import Manager  # type: ignore[import-untyped] # it has no types
from honcho.printer import Message  # type: ignore[import-untyped] # it has no types

from dev.servers.folder import PROJECT

#: Lines of the Procfile that the demo runs; it has no use for ``web``.
PROCESS_NAMES = ("intake", "live", "bulk", "beat")
ALL = "all"


def log_path(folder: Path, name: str) -> Path:
    """Return the log of a process, or with ``ALL`` that of all of them."""
    return folder / "processes" / f"{name}.log"


class LogFiles:
    """A printer for honcho that writes files."""

    def __init__(self, folder: Path) -> None:
        self.width = 0  #: honcho sets it to the longest name
        self._folder = folder
        self._files: dict[str, IO[str]] = {}

    def write(self, message: Message) -> None:
        """Write what a process said, or what honcho says of it; the text may be bytes or str."""
        data = message.data
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        for line in text.splitlines():
            self._write_line(message.name, line)
            self._write_line(ALL, f"{message.name.ljust(self.width)} | {line}")

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _write_line(self, name: str, line: str) -> None:
        if name not in self._files:
            self._files[name] = log_path(self._folder, name).open("a", encoding="utf-8")
        self._files[name].write(f"{line}\n")
        self._files[name].flush()


def main() -> int:
    """Run until SIGTERM or until one process has ended; return honcho's exit code."""
    folder = Path(sys.argv[1])
    commands = parse_procfile((PROJECT / "Procfile").read_text()).processes
    with closing(LogFiles(folder)) as printer:
        manager = Manager(printer=printer)
        for name in PROCESS_NAMES:
            manager.add_process(name, commands[name], cwd=str(PROJECT))
        manager.loop()
    return int(manager.returncode or 0)


if __name__ == "__main__":
    sys.exit(main())
