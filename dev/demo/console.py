"""The console of both of the demo's processes."""

import sys
from io import TextIOWrapper

from rich.console import Console

#: Width of text that no terminal shows.
PLAIN_WIDTH = 150


def make_console() -> Console:
    """Return a console that writes plain lines of a fixed width where there is no terminal."""
    if isinstance(sys.stdout, TextIOWrapper):  # course names are in many scripts
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console
