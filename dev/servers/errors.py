"""What goes wrong with private servers, said in one line."""

from pathlib import Path


class ServerError(Exception):
    """A server cannot be started, stopped or found; the message is for a person."""


class NotReadyError(Exception):
    """A server runs but does not answer as it should yet; ask again."""


class CancelledError(Exception):
    """The start was given up because somebody asked for it."""


def log_tail(log: Path, *, line_count: int = 8) -> str:
    """Give the last lines of a log, indented, each on a new line; nothing when there is no log."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "".join(f"\n    {line[:300]}" for line in lines[-line_count:])
