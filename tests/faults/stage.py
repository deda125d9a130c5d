"""Where a module's faults are tried: one scene for all of its tests, and a new one after a failure."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from dev.servers.folder import RunFolder, open_folder
from dev.servers.group import servers_of, start_all, stop_all
from tests.faults.scene import Scene


@contextmanager
def private_servers() -> Iterator[RunFolder]:
    """Run servers that nobody else uses, beside those of the suite; a kill hurts no other test."""
    folder = Path(os.environ["OVERVIEW_TEST_SERVERS"])
    mode = open_folder(folder).mode
    mine = open_folder(folder.with_name(f"{folder.name}-faults"), mode=mode)
    _start(mine)
    try:
        yield mine
    finally:
        _stop(mine)


class Stage:
    """Sets up a scene when it is asked for one.

    Setting up takes longer than most short faults, so the scene stays for the tests that follow. What
    a failed test leaves behind, such as a broken course or a stopped server, is none of their business.
    """

    def __init__(self, folder: RunFolder, log_folder: Path, *, on_redis: bool = False) -> None:
        self._folder = folder
        self._log_folder = log_folder
        self._on_redis = on_redis
        self._scene: Scene | None = None
        self._scene_count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()

    def scene(self) -> Scene:
        """Return the scene, whole and at work; set it up where there is none."""
        if self._scene is None:
            self._scene_count += 1
            log_folder = self._log_folder / str(self._scene_count)
            scene = Scene(self._folder, log_folder, on_redis=self._on_redis)
            scene.__enter__()
            self._scene = scene
        return self._scene

    def clear(self) -> None:
        """Take the scene down and start every server anew: a stopped, paused or misled one as well."""
        try:
            self._close()
        finally:
            _stop(self._folder)
            _start(self._folder)

    def _close(self) -> None:
        if self._scene is not None:
            scene, self._scene = self._scene, None
            scene.__exit__(None, None, None)


def _start(folder: RunFolder) -> None:
    start_all(servers_of(folder), report=_silent)


def _stop(folder: RunFolder) -> None:
    """Stop the servers, the paused ones too."""
    servers = servers_of(folder)
    for server in servers:
        if server.is_running():
            server.resume()
    stop_all(servers, report=_silent)


def _silent(line: str) -> None:
    """Say nothing."""
