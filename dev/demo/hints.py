"""What to try after the demo, as commands to be copied."""

import shlex
import sys
from pathlib import Path

from dev.demo.cast import Cast
from dev.demo.places import default_folder, typed_path
from dev.servers.folder import RunFolder


def closing_hints(folder: RunFolder, cast: Cast, *, stay: bool) -> str:
    """Return some lines of commands; with ``stay`` they are for another terminal."""
    run = " ".join([_python(), "-m dev.servers run --folder", typed_path(folder.path), "--"])
    overview = typed_path(Path(sys.executable).parent / "overview")
    broken, renamed = (shlex.quote(each.course_key) for each in (cast.broken, cast.renamed))
    if stay:
        return (
            "Everything stays up until Ctrl-C; publishes are shown here. In another terminal:\n"
            f"  {run} {overview} publish {renamed} --wait 5\n"
            f"  {run} {overview} reindex --all\n"
            f"  {run} {overview} explain {broken}\n"
            f"  {run} {overview} doctor"
        )
    return (
        "Try (each command starts the servers and stops them again):\n"
        f"  {run} {overview} explain {broken}\n"
        f"  {run} {overview} status\n"
        "Publish by hand and watch:\n"
        f"  {_python()} -m dev.demo {_options(folder)} --stay"
    )


def _options(folder: RunFolder) -> str:
    mode = f"--mode {folder.mode.value}"
    is_default = folder.path == default_folder(folder.mode)
    return mode if is_default else f"{mode} --folder {typed_path(folder.path)}"


def _python() -> str:
    return typed_path(Path(sys.executable))
