"""Real processes, and an author who means them ill."""

import re

from dev.authoring.author import SplitAuthor
from dev.authoring.studio import Studio
from lms_integration.events import CONTENT_TYPE
from lms_integration.models import DeadLetter, OverviewState
from tests.acceptance.processes import Pipeline, wait_for, wait_for_row, wait_until_clean
from tests.running_intake import publish

KEY = "course-v1:TestX+Hostile+R1"
FORGED = "2026-01-01 00:00:00,000 INFO FORGED ENTRY"
NAME = f"[red]Red[/]\r\n{FORGED}\x1b[2J\x00\u202e"
#: What the processes write besides entries: Celery's banner, and warnings of the interpreter.
_ENTRY = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")


def test_processes_with_the_workers_account_rebuild_hostile_courses_and_forge_no_log_line(
    pipeline: Pipeline, author: SplitAuthor, broker_url: str
):
    studio = Studio(author)
    pipeline.start("intake", "live", "beat")

    row = wait_for_row(
        studio.save(author.create_course, KEY, settings={"display_name": NAME, "language": [NAME]})
    )
    studio.save(author.edit_settings, KEY, {"start": NAME})
    wait_for(lambda: OverviewState.objects.get(course_key=KEY).fault is not None, what="the fault")
    publish(broker_url, NAME.encode(), content_type=CONTENT_TYPE)
    publish(broker_url, b"{}", content_type=f"text/{FORGED}")
    wait_for(lambda: DeadLetter.objects.filter(origin="intake").count() == 2, what="letters")
    studio.save(author.edit_settings, KEY, {"start": None})
    wait_until_clean()
    pipeline.stop_all()

    assert str(row.display_name).startswith("[red]Red")
    logs = {name: pipeline.log(name) for name in ("intake", "live", "beat")}
    assert "degraded: language" in logs["live"]
    assert "not rebuilt, last good row kept" in logs["live"]
    assert "dead letter" in logs["intake"]
    for name, log in logs.items():
        assert "denied" not in log, name
        for line in log.split("\n"):
            assert line.isprintable() or not _ENTRY.match(line), (name, line)
            assert not line.startswith(FORGED), (name, line)
            assert "\x1b[2J" not in line, (name, line)
            assert "\r" not in line, (name, line)
