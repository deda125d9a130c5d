"""``python -m benchmarks.load``: many learners at once against the web process, on private servers.

``make load`` runs it. Courses and learners are made first; then Locust sends the journeys of
``locustfile.py`` and writes a report with pictures to ``benchmarks/results/load/``.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from rich.console import Console

from dev.procfile import ProcfileProcesses

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "load"
PORT = 8123
PASSWORD = "load"  # noqa: S105 - of learners who exist for one run
COURSE_COUNT = 200


def main() -> int:
    """Prepare, load, report; returns Locust's exit code: 1 where a request failed."""
    parser = argparse.ArgumentParser(
        prog="make load LOAD_ARGS=…",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--users", type=int, default=50, help="learners at once (%(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="for so long (%(default)s)")
    parser.add_argument("--learners", type=int, default=1000, help="to choose from (%(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="of the web process (%(default)s)")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lms_integration.settings")
    django.setup()
    console = Console(soft_wrap=True)
    _prepare(options, console)
    RESULTS.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PORT": str(options.port)}
    with ProcfileProcesses(RESULTS / "logs", environment=environment) as processes:
        processes.start("web")
        console.print(f"{options.users} learners for {options.seconds} s")
        exit_code = _locust(options)
    console.print(f"report: {(RESULTS / 'report.html').relative_to(HERE.parent.parent)}")
    return exit_code


def _prepare(options: argparse.Namespace, console: Console) -> None:
    # Needs Django to be set up before models are imported.
    from pymongo import MongoClient

    from dev.authoring.author import SplitAuthor
    from dev.authoring.index import MongoCourseIndex
    from dev.authoring.new_course import NewCourse

    call_command("migrate", verbosity=0)
    client: MongoClient[dict[str, Any]] = MongoClient(settings.OVERVIEW_MONGODB_URL)
    database = client[settings.OVERVIEW_MONGODB_DATABASE]
    author = SplitAuthor(database, index=MongoCourseIndex(database))
    keys = {f"course-v1:Load+C{number:04}+R1" for number in range(COURSE_COUNT)}
    missing = sorted(keys - set(author.course_keys()))
    console.print(f"{len(missing)} courses to be written")
    open_now = {"mobile_available": True, "start": "2020-01-01T00:00:00Z"}
    author.create_courses(
        [
            NewCourse(course_key=key, settings={"display_name": key, **open_now}, block_count=50)
            for key in missing
        ]
    )
    client.close()
    if missing:
        call_command("overview", "reindex", "--all", "--here")
    call_command("overview", "seed", "--learners", str(options.learners), "--password", PASSWORD)


def _locust(options: argparse.Namespace) -> int:
    command = [
        str(Path(sys.executable).parent / "locust"),
        "--headless",
        "--locustfile",
        str(HERE / "locustfile.py"),
        "--host",
        f"http://127.0.0.1:{options.port}",
        "--users",
        str(options.users),
        "--spawn-rate",
        "10",
        "--run-time",
        f"{options.seconds}s",
        "--only-summary",
        "--html",
        str(RESULTS / "report.html"),
        "--csv",
        str(RESULTS / "figures"),
    ]
    environment = {
        **os.environ,
        "LOAD_PASSWORD": PASSWORD,
        "LOAD_LEARNERS": str(options.learners),
    }
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - our own


if __name__ == "__main__":
    sys.exit(main())
