"""What becomes of a task that fails: nothing of it is lost, and nothing is tried for ever.

Celery acknowledges it and forgets it. Its courses stay marked, so the sweeper has them tried again;
what goes on crashing becomes a dead letter. A task whose arguments are none of ours becomes one at
once.
"""

import json
import logging
from collections.abc import Sequence
from typing import Any

from celery import Task
from django.db import connections
from kombu.exceptions import KombuError

from lms_integration.course_keys import is_course_key
from lms_integration.log_lines import one_line
from overview_worker.dead_letters import record_dead_letter
from overview_worker.documents import DeadLetterEntry, DeadLetterSource
from overview_worker.errors import RetryableError
from overview_worker.store.crashes import record_crash

logger = logging.getLogger(__name__)

_REASON_LENGTH = 500


class RebuildTask(Task):  # type: ignore[type-arg]  # the parameters exist in the stubs only
    """A task about courses: the first argument is one course key, or a list of them."""

    def on_failure(
        self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: object
    ) -> None:
        """Record the failure; in the worker's parent process where the task was killed for its time."""
        record_failure(str(self.name), args, kwargs, exc)


def record_failure(task_name: str, args: Any, kwargs: Any, error: Exception) -> None:
    """Count the failure of a task's courses, or keep it as a dead letter where it names none.

    A server that did not answer is nobody's fault: the marks stand, and that is enough.
    """
    if isinstance(error, RetryableError | KombuError | OSError):
        return
    reason = one_line(f"{task_name} failed: {type(error).__name__}: {error}")[:_REASON_LENGTH]
    # The error may have come in the middle of a statement.
    connections.close_all()
    try:
        _record(courses_of_arguments(args), reason, args, kwargs)
    except Exception:
        # The last thing that is done for a task: Celery would only print it less clearly.
        logger.exception("not recorded: %s", reason)
    finally:
        connections.close_all()


def courses_of_arguments(args: Any) -> list[str]:
    """Return the courses that a task's arguments name; none where they are no arguments of ours."""
    first = args[0] if isinstance(args, Sequence) and args else None
    keys = first if isinstance(first, list) else [first]
    if not all(isinstance(key, str) and is_course_key(key) for key in keys):
        return []
    return list(dict.fromkeys(keys))


def _record(course_keys: Sequence[str], reason: str, args: Any, kwargs: Any) -> None:
    if not course_keys:
        body = json.dumps([args, kwargs, {}], default=str).encode()
        record_dead_letter(
            DeadLetterEntry(
                source=DeadLetterSource.TASK,
                reason=reason,
                body=body,
                content_type="application/json",
            )
        )
        return
    for course_key in record_crash(course_keys, reason):
        logger.error("%s given up: %s", course_key, reason, extra={"course_key": course_key})
