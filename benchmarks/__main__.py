"""``python -m benchmarks``: measure one mode on the servers that the environment names.

``make bench`` runs it for both modes. Tables go to the terminal, figures to ``benchmarks/results``.
Exit code 1: what ``sustained`` promises did not hold.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django
from django.core.management import call_command
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    """Measure, print, save; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--mode", choices=("embedded", "services"), default="services")
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    parser.add_argument(
        "--only",
        choices=(
            *("publish_to_visible", "rebuild_loop"),
            *("read_path", "inspection", "sustained", "full_rebuild"),
        ),
        help="one benchmark alone; the last four are only run when they are asked for",
    )
    parser.add_argument("--seconds", type=int, help="how long the sustained load is to last")
    parser.add_argument(
        "--courses", type=int, help="how many small courses the largest run is over"
    )
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lms_integration.settings")
    os.environ.setdefault("OVERVIEW_LOG_LEVEL", "WARNING")
    django.setup()
    call_command("migrate", verbosity=0)
    console = Console(soft_wrap=True)
    document = _Document(options.mode)
    figures = _measure(options, console, document)
    path = document.save(figures)
    _print(figures, console)
    console.print(f"saved: {path.relative_to(RESULTS.parent.parent)}")
    for line in figures.get("violations", ()):
        console.print(f"VIOLATED  {line}", markup=False)
    return 1 if figures.get("violations") else 0


class _Document:
    """The file of one run, named by when it began; written anew each time that it is saved."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._began = datetime.now(UTC)

    def save(self, figures: Mapping[str, Any]) -> Path:
        """Write the figures that there are; what was there stays if we are interrupted meanwhile."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self._began:%Y-%m-%dT%H%M%S}-{self._mode}.json"
        machine = {"processors": os.cpu_count(), "python": platform.python_version()}
        run = {"measured_at": self._began.isoformat(), "mode": self._mode, "machine": machine}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps({**run, **figures}, indent=1))
        partial.replace(path)
        return path


def _measure(options: argparse.Namespace, console: Console, document: _Document) -> dict[str, Any]:
    # They need Django to be set up before their models are imported.
    from benchmarks import (
        full_rebuild,
        inspection,
        publish_to_visible,
        read_path,
        rebuild_loop,
        sustained,
    )

    def report(line: str) -> None:
        console.print(f"[dim]{options.mode}: {line}[/dim]")

    figures: dict[str, Any] = {}
    logs = RESULTS / "logs" / options.mode
    if options.only == "read_path":
        return read_path.measure(
            log_folder=logs, quick=options.quick, report=report, save=document.save
        )
    if options.only == "inspection":
        return inspection.measure(quick=options.quick, report=report)
    if options.only == "sustained":
        return sustained.measure(
            log_folder=logs, seconds=options.seconds, quick=options.quick, report=report
        )
    if options.only == "full_rebuild":
        return full_rebuild.measure(
            log_folder=logs, quick=options.quick, many=options.courses, report=report
        )
    if options.only != "publish_to_visible":
        figures |= rebuild_loop.measure(quick=options.quick, report=report)
    if options.only != "rebuild_loop":
        os.environ["OVERVIEW_LOG_LEVEL"] = "INFO"  # the workers': rebuilds are counted in their log
        figures |= publish_to_visible.measure(log_folder=logs, quick=options.quick, report=report)
    return figures


def _print(figures: dict[str, Any], console: Console) -> None:
    if loops := figures.get("rebuild_loop"):
        table = Table("course", "rebuilds/s", "lazy/s", "ratio", title="one process")
        for each in loops:
            table.add_row(*(str(value) for value in each.values()))
        console.print(table)
    if rates := figures.get("publish_to_visible"):
        table = Table(
            *("course", "publishes/s", "count", "p50 ms", "p95", "p99", "max", "Studio p50", "p99"),
            title="publish → visible",
        )
        for each in rates:
            visible, studio = each["visible"], each["studio"]
            table.add_row(
                each["size"],
                str(each["per_second"]),
                *(str(value) for value in visible.values()),
                str(studio["p50_ms"]),
                str(studio["p99_ms"]),
            )
        console.print(table)
    if surveys := figures.get("inspection"):
        table = Table(*surveys[0], title="one look at all courses")
        for each in surveys:
            table.add_row(*(str(value) for value in each.values()))
        console.print(table)
        console.print(f"compared in full: {figures['deep_check_per_second']} courses/s")
    for name in ("sustained", "hot_course"):
        if figures.get(name):
            table = Table("figure", "value", title=name.replace("_", " "))
            for key, value in figures[name].items():
                table.add_row(key.replace("_", " "), str(value))
            console.print(table)
    if rebuilds := figures.get("full_rebuild"):
        table = Table(*rebuilds[0], title="rebuild runs, courses a second")
        for each in rebuilds:
            table.add_row(*(str(value) for value in each.values()))
        console.print(table)
        console.print(figures["live_beside"])
    if burst := figures.get("burst"):
        table = Table(*burst, title="burst for one course")
        table.add_row(*(str(value) for value in burst.values()))
        console.print(table)


if __name__ == "__main__":
    sys.exit(main())
