"""The product's worker, but rebuilds of some courses crash, hang or kill it: by the run of the key.

``celery -A tests.misbehaving_worker worker``. The time limits are short, unless ``MISBEHAVING_SECONDS`` says
otherwise: Celery takes some seconds to see that a child was killed.
"""

import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import django
from celery.exceptions import SoftTimeLimitExceeded
from django.db.models import F

from overview_worker.celery import app

# Celery would set Django up later than what is changed here is imported.
django.setup()

from lms_integration.models import OverviewMark  # noqa: E402
from overview_worker import tasks  # noqa: E402
from overview_worker.rebuild import RebuildReport  # noqa: E402
from overview_worker.store import crashes  # noqa: E402

SOFT_LIMIT_SECONDS = int(os.environ.get("MISBEHAVING_SECONDS", "1"))
HARD_LIMIT_SECONDS = SOFT_LIMIT_SECONDS + 1

app.conf.task_soft_time_limit = SOFT_LIMIT_SECONDS
app.conf.task_time_limit = HARD_LIMIT_SECONDS
crashes.GIVE_UP_AFTER_ATTEMPTS = 2


def misbehave(course_keys: Sequence[str], **_: Any) -> RebuildReport:
    """Do to the worker what the key says."""
    for key in course_keys:
        match key.rpartition("+")[2]:
            case "Crashes":
                raise KeyError("a bug")
            case "Slow":
                time.sleep(HARD_LIMIT_SECONDS * 10)
            case "Hangs":
                _hang()
            case "Kills":
                os.kill(os.getpid(), signal.SIGKILL)
    OverviewMark.objects.filter(course_key__in=course_keys).update(
        done=F("wanted"), dirty_since=None
    )
    return RebuildReport(outcomes={})


def _hang() -> None:
    while True:
        try:
            time.sleep(HARD_LIMIT_SECONDS * 10)
        except SoftTimeLimitExceeded:
            continue


setattr(tasks, "rebuild_overviews", misbehave)  # noqa: B010 - the module does not export it
