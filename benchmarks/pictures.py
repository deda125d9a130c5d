"""Pictures of what ``read_path`` measured: ``python -m benchmarks.pictures [FIGURES.json]``.

Without a name, the newest file of ``benchmarks/results`` that has all such figures is drawn: one of a run
that was interrupted has only some. The pictures go to ``docs/pictures``.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PICTURES = HERE.parent / "docs" / "pictures"
COLOURS = {"ours": "#1f6f5c", "warm": "#c98a1b", "cold": "#a23b2a"}
WORDS = {
    "ours": "from SQL (ours)",
    "warm": "lazy, rows there",
    "cold": "lazy, rows missing",
}

Figures = Mapping[str, Any]


def main() -> int:
    """Draw all pictures; returns 1 where there are no figures."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else _newest()
    if path is None:
        sys.stderr.write("no figures yet: make bench BENCH_ARGS='--only read_path'\n")
        return 1
    figures = json.loads(path.read_text("utf-8"))["read_path"]
    PICTURES.mkdir(parents=True, exist_ok=True)
    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "overview", "font.size": 10, "axes.grid": True})
    for name, draw in (("before-and-after", draw_lists), ("growth", draw_growth)):
        draw(figures)
        plt.savefig(PICTURES / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
        plt.close()
    return 0


def _newest() -> Path | None:
    found = sorted(RESULTS.glob("*-services.json"), reverse=True)
    return next((path for path in found if _is_whole(json.loads(path.read_text("utf-8")))), None)


def _is_whole(document: Mapping[str, Any]) -> bool:
    return {"lists", "course_growth"} <= set(document.get("read_path", {}))


def draw_lists(figures: Figures) -> None:
    """Draw what a learner with 20 courses waits for: one group of bars a list, on a logarithmic axis."""
    lists = [each for each in figures["lists"] if each["enrollments"] == 20]
    _, axes = plt.subplots(figsize=(7, 3.5))
    for offset, kind in enumerate(WORDS):
        heights = [each[kind]["p50_ms"] for each in lists]
        places = [index + (offset - 1) * 0.27 for index in range(len(lists))]
        bars = axes.bar(places, heights, width=0.25, color=COLOURS[kind], label=WORDS[kind])
        axes.bar_label(bars, fmt="%.0f ms", padding=2, fontsize=8)
    axes.set_xticks(range(len(lists)), [each["name"] for each in lists])
    axes.set_yscale("log")
    axes.set_ylabel("median, milliseconds")
    axes.set_title("A request of a learner with 20 courses of 413 blocks")
    axes.legend(frameon=False, fontsize=8)


def draw_growth(figures: Figures) -> None:
    """Draw the same for more and more enrolments, and for more and more courses on the site."""
    _, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5))
    _draw_enrollments(left, figures["lists"])
    _draw_courses(right, figures["course_growth"])
    plt.tight_layout()


def _draw_enrollments(axes: Axes, lists: Sequence[Figures]) -> None:
    for name, style in (("mobile list", "-"), ("enrolment list", "--"), ("dashboard", ":")):
        chosen = [each for each in lists if each["name"] == name]
        for kind in ("ours", "warm"):
            axes.plot(
                [each["enrollments"] for each in chosen],
                [each[kind]["p50_ms"] for each in chosen],
                style,
                color=COLOURS[kind],
                marker="o",
                markersize=3,
                label=f"{name}, {WORDS[kind]}",
            )
    axes.set(xscale="log", yscale="log", xlabel="enrolments", ylabel="median, milliseconds")
    axes.legend(frameon=False, fontsize=7)


def _draw_courses(axes: Axes, growth: Sequence[Figures]) -> None:
    for name in dict.fromkeys(each["name"] for each in growth):
        chosen = [each for each in growth if each["name"] == name]
        axes.plot(
            [each["courses"] for each in chosen],
            [each["p50_ms"] for each in chosen],
            marker="o",
            markersize=3,
            label=name,
        )
    axes.set(xscale="log", xlabel="courses on the site", ylabel="median, milliseconds")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=7)


if __name__ == "__main__":
    sys.exit(main())
