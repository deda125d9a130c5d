"""One line is one line: text that others wrote can neither break nor forge a line of a log.

Course names, keys, header values and the words of errors come from authors and from the network. A
newline in one would begin what looks like another entry; an escape sequence would repaint the
terminal that shows it.
"""

import logging

#: Before each line of a traceback, so that none of them can be taken for an entry of its own.
CONTINUATION = "    | "


def one_line(text: str) -> str:
    """Return ``text`` with everything that is not printable written out, such as ``\\n`` or ``\\u001b``.

    Also the marks that turn the direction of writing, and halves of surrogate pairs. As JSON writes
    them, so that a line of JSON stays what it is.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else _written_out(character) for character in text
    )


_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _written_out(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return _SHORT.get(character) or "".join(
        f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4)
    )


class OneLineFormatter(logging.Formatter):
    """Writes each entry on one line, and the lines of its traceback indented below it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry; whatever the message holds, it stays on the first line."""
        entry, *traceback = super().format(record).splitlines() or [""]
        return "\n".join([entry, *(f"{CONTINUATION}{one_line(line)}" for line in traceback)])

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the first line."""
        record.message = one_line(record.message)
        return super().formatMessage(record)
