"""The console of the subcommands: what courses, messages and errors say is shown, never obeyed."""

from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from lms_integration.log_lines import one_line

#: Columns of a table that goes to a pipe or a file.
PIPE_WIDTH = 250


class PlainConsole(Console):
    """Prints text as it is: no markup, no emoji codes, no control characters.

    What a command prints may have several lines; a cell of a table is one.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """Print texts and tables."""
        super().print(
            *(Text(shown_lines(each)) if isinstance(each, str) else each for each in objects),
            **options,
        )

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text of one cell."""
        return super().render_str(one_line(text), **options)


def command_console(output: TextIO) -> Console:
    """Return a console as wide as the terminal; in a pipe lines are not folded for a reader's sake."""
    width = None if output.isatty() else PIPE_WIDTH
    return PlainConsole(
        file=output, width=width, soft_wrap=True, highlight=False, markup=False, emoji=False
    )


def shown_lines(text: str) -> str:
    """Return ``text`` with everything but its ends of lines made printable."""
    return "\n".join(one_line(line) for line in text.split("\n"))
