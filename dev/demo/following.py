"""A log file's lines as they are written."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import IO

_POLL_SECONDS = 0.05


@contextmanager
def followed(log: Path, show: Callable[[str], None]) -> Iterator[None]:
    """Show the lines that are written to a log while the block runs; it need not exist yet."""
    stopping = Event()
    thread = Thread(target=_follow, args=(log, show, stopping), name=f"follow {log.name}")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _follow(log: Path, show: Callable[[str], None], stopping: Event) -> None:
    while not log.exists():
        if stopping.wait(_POLL_SECONDS):
            return
    with log.open(encoding="utf-8", errors="replace") as lines:
        while not stopping.wait(_POLL_SECONDS):
            _show_new(lines, show)
        _show_new(lines, show)


def _show_new(lines: IO[str], show: Callable[[str], None]) -> None:
    for line in lines:
        show(line.rstrip("\n"))
