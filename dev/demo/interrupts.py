"""Ctrl-C, once: the first one ends the demo, and further ones do not disturb the tidying up."""

import signal
from types import FrameType

#: What ends the demo: Ctrl-C, ``kill``, a terminal that is closed.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def expect_interrupts() -> None:
    """Let the first such signal raise KeyboardInterrupt, also where the parent had it ignored."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)


def ignore_interrupts() -> None:
    """Ignore them from now on."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    ignore_interrupts()
    raise KeyboardInterrupt
