"""Messages that no worker can read go to the dead-letter queue; Celery would forget some of them.

Celery refuses unknown tasks, so that the broker dead-letters them. But a body that is not JSON, or is
compressed, it acknowledges with a line in the log; one that is not a list of three ends the whole
worker, again and again; and keyword arguments that are no mapping count as a success. Tried on
Celery 5.7. Redis has no dead-letter queue: there a refused message is a line in the log.

While a release is rolled out, its beat may send a job that older workers have never heard of, every
second: that is dropped. What such a job does is written in SQL, and the next one finds it.
"""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.consumer import Consumer

from lms_integration.log_lines import one_line

logger = logging.getLogger(__name__)

#: Celery's beat puts it on what it sends by itself: our internal jobs, nothing that an operator schedules.
_BEAT_HEADER = "celery_beat_task"
_JOB_NAME = re.compile(r"overview\.[a-z_]{1,60}")


class RefusingConsumer(Consumer):
    """Celery's consumer; ``worker_consumer`` in ``celeryconfig.py``."""

    connection_errors: tuple[type[Exception], ...]
    _dropped: frozenset[str] = frozenset()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Return what takes each message; it refuses what Celery's own would choke on."""
        take = super().create_task_handler(*args, **kwargs)

        def take_or_refuse(message: Any) -> None:
            try:
                if isinstance(message.headers, Mapping) and "task" in message.headers:
                    check_task(message.decode())
            except Exception as error:  # noqa: BLE001 - whatever a stranger's message makes it raise
                self.on_decode_error(message, error)
            else:
                take(message)

        return take_or_refuse

    def on_unknown_task(self, body: object, message: Any, exc: Exception) -> None:
        """Drop a job of a newer release's beat, with one line for each name; refuse any other task."""
        name = periodic_job_of(message.headers)
        if name is None:
            super().on_unknown_task(body, message, exc)
            return
        if name not in self._dropped:
            self._dropped |= {name}
            logger.warning(
                "%s is unknown to this release and dropped: a newer one's beat sends it", name
            )
        message.ack_log_error(logger, self.connection_errors)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Refuse a message whose body cannot be read."""
        logger.error("unreadable task refused: %s", one_line(f"{type(exc).__name__}: {exc}"))
        message.reject_log_error(logger, self.connection_errors)


def periodic_job_of(headers: object) -> str | None:
    """Return the name of the periodic job of ours that a message asks for; None where it is none."""
    if not isinstance(headers, Mapping) or headers.get(_BEAT_HEADER) is not True:
        return None
    name = headers.get("task")
    return name if isinstance(name, str) and _JOB_NAME.fullmatch(name) else None


def check_task(payload: object) -> None:
    """Accept the arguments of a task as the pipeline sends it: ``[[…], {…}, {…: null}]``.

    Raises:
        InvalidTaskError: it is none; the message says in what.
    """
    if not isinstance(payload, list) or len(payload) != 3:
        raise InvalidTaskError("a list of arguments, keyword arguments and options is expected")
    arguments, keywords, options = payload
    if not isinstance(arguments, list) or not isinstance(keywords, dict):
        raise InvalidTaskError("arguments must be a list, keyword arguments an object")
    if not isinstance(options, dict) or any(value is not None for value in options.values()):
        raise InvalidTaskError("no callbacks, chains or chords are accepted")
