"""Servers of its own for each process of a test run: no test meets another's, nor what it breaks.

``make test`` starts one set of servers for each process of pytest and lists their folders.
"""

import os
from pathlib import Path

from dev.servers.catalogue import environment_of
from dev.servers.folder import open_folder

_VARIABLE = "OVERVIEW_TEST_SERVERS_ALL"


def use_own_servers() -> None:
    """Point this process's environment at the servers of its number, where several work on one run.

    Raises:
        RuntimeError: there are more processes than sets of servers.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")  # gw0, gw1, …
    if worker is None or _VARIABLE not in os.environ:
        return
    # Taken away: a process that a test starts goes by the environment that the test gives it.
    folders = os.environ.pop(_VARIABLE).split(os.pathsep)
    number = int(worker.removeprefix("gw"))
    if number >= len(folders):
        raise RuntimeError(
            f"{worker} has no servers: there are {len(folders)} (make test PROCESSES=…)"
        )
    os.environ.update(environment_of(open_folder(Path(folders[number]))))
