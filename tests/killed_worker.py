"""A worker process that dies by SIGKILL before the nth step of a rebuild.

Reads one JSON request a line: ``database`` (of MongoDB), ``course_keys`` and ``die_before`` (a step
counted from 1). Each is served by a fork, which connects for itself, as workers do. Answers with the
``step`` that the fork died before, or null if the rebuild ended before it came to that.
"""

import json
import os
import signal
import sys
from typing import Any

from pymongo import MongoClient

from tests.race_scene import Worker, real_modulestore, real_store
from tests.race_steps import SteppingModulestore, sql_steps


def serve() -> None:
    """Serve requests until there are no more; no connection is opened in this process."""
    for line in sys.stdin:
        print(json.dumps({"step": _step_of_death(json.loads(line))}), flush=True)  # noqa: T201


def _step_of_death(request: dict[str, Any]) -> str | None:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _rebuild_and_exit(request, write_end)
    os.close(write_end)
    with os.fdopen(read_end) as steps:
        names = steps.read().splitlines()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return names[-1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        return None
    raise RuntimeError(f"the worker ended with status {status} after {names}")


def _rebuild_and_exit(request: dict[str, Any], write_end: int) -> None:
    status = 1
    try:
        _rebuild(request, write_end)
        status = 0
    finally:
        os._exit(status)


def _rebuild(request: dict[str, Any], write_end: int) -> None:
    step_count = 0

    def die_in_time(name: str) -> None:
        nonlocal step_count
        step_count += 1
        os.write(write_end, f"{name}\n".encode())
        if step_count == request["die_before"]:
            os.kill(os.getpid(), signal.SIGKILL)

    client: MongoClient[dict[str, Any]] = MongoClient(os.environ["OVERVIEW_MONGODB_URL"])
    modulestore = real_modulestore(client, request["database"])
    worker = Worker(modulestore=SteppingModulestore(modulestore, die_in_time), store=real_store())
    with sql_steps(die_in_time):
        worker.rebuild(*request["course_keys"])
