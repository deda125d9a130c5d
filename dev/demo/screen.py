"""How the demo looks: one line an event, colours at a terminal, plain text elsewhere."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from dev.demo.edits import Edit
from dev.demo.seen import Facts
from dev.demo.watching import POLL_SECONDS, Arrival, Times

_LONGEST_VALUE = 40


class Screen:
    """Everything that the demo says, in the order in which it happens."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def act(self, name: str, result: str, seconds: float) -> None:
        """Say what one part of the preparation came to."""
        self._line(Text.assemble((f"  {name:<12}", "bold"), f"{result:<72}", _seconds(seconds)))

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show that something takes its time; nothing where there is no terminal."""
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(f"{what} …"):
            yield

    def progress(self) -> Progress:
        """Return a bar that goes away in the end; invisible where there is no terminal."""
        return Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def edits_header(self) -> None:
        """Say what the columns of the following lines mean."""
        self.console.print(
            "\n[bold]Studio publishes.[/bold] Milliseconds since the publish, the moment that the "
            "course index got:\n"
            "  [bold]event[/bold]  the broker has confirmed the event: all that Studio waits for\n"
            "  [bold]row[/bold]    a worker has written the row, by the database's clock\n"
            f"  [bold]seen[/bold]   a reader that asks SQL every {POLL_SECONDS * 1000:.0f} ms has "
            "found it\n"
            "The first publish also opens the connections.\n"
        )
        self._line(Text(f"  {'what':<15}{'course':<28}{'event':>6}{'row':>6}{'seen':>6}   in SQL"))

    def arrival(self, edit: Edit, arrival: Arrival) -> None:
        """Show one edit that has arrived."""
        shown = (*edit.expected, *edit.also_shown)
        changes = describe_changes(shown, arrival.before, arrival.after)
        self.event(edit.title, edit.course_key, arrival.times, changes)

    def event(self, title: str, course_key: str, times: Times, result: str) -> None:
        """Show one line of what happened to a course."""
        self._line(
            Text.assemble(
                (f"  {title:<15}", "bold"),
                (f"{short_key(course_key):<28}", "cyan"),
                f"{_ms(times.event_ms)}{_ms(times.row_ms)}",
                (_ms(times.seen_ms), "green"),
                f"   {result}",
            )
        )

    def rows(self, rows: Iterable[Facts]) -> None:
        """Show rows as they are in SQL."""
        table = Table()
        for name in ("course", "name", "start", "pacing", "image", "tabs", "built from"):
            table.add_column(name, no_wrap=name in ("course", "start", "pacing"))
        for row in rows:
            table.add_row(*row_cells(row))
        self.console.print("\n[bold]What a reader of SQL finds now[/bold]")
        self.console.print(table)

    def log_line(self, line: str) -> None:
        """Show a line of a process's log."""
        self._line(Text(f"    {line}", style="dim"))

    def failure(self, message: str) -> None:
        """Say why the demo ends early."""
        self._line(Text(f"\nThe demo failed: {message}", style="red"))

    def text(self, text: str = "") -> None:
        """Say something in plain words."""
        self._line(Text(text))

    def _line(self, text: Text) -> None:
        self.console.print(text, soft_wrap=True)


def describe_changes(names: Iterable[str], before: Facts, after: Facts) -> str:
    """Return what became of some facts, such as ``start 2026-01-01 → 2026-01-15``."""
    parts = [_describe_change(name, before.get(name), after.get(name)) for name in names]
    return ", ".join(part for part in parts if part)


def row_cells(row: Facts) -> tuple[str, ...]:
    """Return a row of the overview table as the cells of a table for people."""
    tabs, image = row["tabs"], str(row["course_image_url"])
    return (
        short_key(str(row["id"])),
        _clipped(str(row["display_name"])),
        show(row["start"]),
        "self-paced" if row["self_paced"] else "instructor",
        image.rpartition("@")[2],
        str(len(tabs)) if isinstance(tabs, tuple) else "",
        str(row["source_version"])[-8:],
    )


def short_key(course_key: str) -> str:
    """Return a course key without its namespace."""
    return course_key.removeprefix("course-v1:")


def show(value: object) -> str:
    """Return a value of a row as people write it."""
    match value:
        case None:
            return "NULL"
        case datetime():
            return value.strftime("%Y-%m-%d")
        case Decimal():
            return str(value)
        case str() if "+type@" in value:
            return value.rpartition("@")[2]
        case str():
            return f'"{_clipped(value)}"'
        case _:
            return str(value)


def _describe_change(name: str, old: object, new: object) -> str:
    match name, new:
        case (("row" | "tombstone"), bool()):
            return f"{name} {'there' if new else 'gone'}"
        case "fault", _:
            return f"fault: {str(new).partition(' ')[2] or new}"
        case "degraded", _:
            return ""  # the next case says it in words
        case "degradation", _:
            return f"degraded: {new}"
        case "tabs", tuple():
            return _describe_tabs(old if isinstance(old, tuple) else (), new)
    if old == new:
        return f"{name} stays {show(new)}"
    return f"{name} {show(old)} → {show(new)}"


def _describe_tabs(old: tuple[str, ...], new: tuple[str, ...]) -> str:
    added = [f"+ {name}" for name in new if name not in old]
    removed = [f"- {name}" for name in old if name not in new]
    return f"tabs {len(old)} → {len(new)} ({', '.join([*added, *removed])})"


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _ms(value: float | None) -> str:
    return f"{'-' if value is None else f'{value:.0f}':>6}"


def _seconds(value: float) -> str:
    return f"{value:5.1f} s"
