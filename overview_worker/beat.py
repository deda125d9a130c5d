"""Beat: the internal jobs as ``celeryconfig`` has them, and beside them what operators have scheduled.

The internal jobs are no rows that anybody could break, and they run on by the steady clock whatever
becomes of the database: the operators' schedule is looked at in a thread of its own.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry, Scheduler
from celery.signals import beat_init
from django.db import DEFAULT_DB_ALIAS, connections

from lms_integration.log_lines import one_line
from overview_worker.queueing import CONFIRM_TIMEOUT_SECONDS
from overview_worker.store.operator_schedule import (
    DueEntry,
    claim,
    give_back,
    is_schedule_installed,
    look_at_schedule,
)
from overview_worker.store.scheduled_runs import ASK_FOR_FULL_RUN, ScheduledRun

logger = logging.getLogger(__name__)

#: How often the schedule is looked at.
LOOK_PERIOD_SECONDS = 5.0
#: How often the same trouble is logged.
COMPLAINT_PERIOD_SECONDS = 60.0
#: A run that no worker could be told of for so long is not worth having any more.
_EXPIRES_SECONDS = 12 * 3600.0
_STOP_SECONDS = 2.0
#: Beat, told to stop, leaves after so long whatever it waits for: a confirm takes half of it at most.
GIVE_UP_SECONDS = 10.0

Send = Callable[[ScheduledRun], None]


class OverviewScheduler(Scheduler):
    """``beat_scheduler`` in ``celeryconfig.py``; without django-celery-beat it has the internal jobs alone."""

    _watch: "ScheduleWatch | None" = None
    _is_sending = False
    _is_told_to_stop = False

    def setup_schedule(self) -> None:
        """Take the internal jobs, and begin to look at the schedule."""
        super().setup_schedule()
        beat_init.connect(self._listen_to_signals)
        if is_schedule_installed():
            self._watch = ScheduleWatch(sender(self.app))
            self._watch.start()
        else:
            logger.info(
                "django_celery_beat is not installed: there are the internal jobs alone, one of which "
                "asks for the nightly run (OVERVIEW_NIGHTLY_HOUR)"
            )

    def apply_async(self, entry: ScheduleEntry, *args: Any, **options: Any) -> Any:
        """Send a job.

        Raises:
            SchedulingError: the broker did not take it.
            SystemExit: told to stop meanwhile.
        """
        self._is_sending = True
        try:
            return super().apply_async(entry, *args, **options)
        finally:
            self._is_sending = False
            if self._is_told_to_stop:
                raise SystemExit

    def close(self) -> None:
        """Stop looking, and let go of the broker."""
        if self._watch is not None:
            self._watch.stop()
        super().close()

    def _listen_to_signals(self, **_: Any) -> None:
        """Take the place of Celery's handler, which closes the broker's connection then and there.

        Where a job is just being sent on it, the sending fails for want of a connection, is done again on
        a new one, and the wish to stop is forgotten; or the handler waits for the broker for ever. Seen with
        Celery 5.7 in one of four stops that met a sending. Ours lets the sending end; waiting for a broker
        that is away is ended at once, and for one that has fallen silent after ``GIVE_UP_SECONDS``.
        """
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._stop)

    def _stop(self, *_: object) -> None:
        if not self._is_told_to_stop:
            self._is_told_to_stop = True
            watchdog = threading.Timer(GIVE_UP_SECONDS, _leave)
            watchdog.daemon = True
            watchdog.start()
        if not self._is_sending:
            raise SystemExit


def _leave() -> None:
    """End this process, which has nothing to lose: what was being sent is sent again by the next beat."""
    logger.error("beat was told to stop and waits for a broker that does not answer: it leaves")
    logging.shutdown()
    os._exit(1)


class ScheduleWatch(threading.Thread):
    """Looks at the schedule every few seconds and sends what is due."""

    def __init__(
        self,
        send: Send,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        using: str = DEFAULT_DB_ALIAS,
    ) -> None:
        super().__init__(name="operator-schedule", daemon=True)
        self._send = send
        self._monotonic = monotonic
        self._using = using
        self._stopped = threading.Event()
        self._complained_at: dict[str, float] = {}

    def run(self) -> None:
        """Look until stopped."""
        while not self._stopped.wait(LOOK_PERIOD_SECONDS):
            self.look()
        connections[self._using].close()

    def stop(self) -> None:
        """Look no more; what is being sent just now may still be."""
        self._stopped.set()
        self.join(_STOP_SECONDS)

    def look(self) -> None:
        """Send what is due; raises nothing, says what went wrong, and is tried again."""
        try:
            found = look_at_schedule(using=self._using)
            for problem in found.problems:
                self._complain("%s", problem)
            for entry in found.due:
                self._deal_with(entry)
        except Exception as error:  # noqa: BLE001 - the outermost loop of the thread
            # Whatever it was, a new connection may mend it.
            connections[self._using].close()
            self._complain("the schedule cannot be read; the internal jobs go on: %s", str(error))

    def _deal_with(self, entry: DueEntry) -> None:
        if not claim(entry, using=self._using):
            return  # another beat sends it
        try:
            self._send(entry.order)
        except Exception as error:  # noqa: BLE001 - it is due again, whatever kept it back
            give_back(entry, using=self._using)
            self._complain(f"{entry.name!r} could not be sent: %s", str(error))
        else:
            logger.info("periodic task %s is sent", one_line(repr(entry.name)))

    def _complain(self, template: str, words: str) -> None:
        """Log, unless the same kind of trouble has been logged within the period."""
        kind = words if template == "%s" else template
        now = self._monotonic()
        if (
            now - self._complained_at.get(kind, -COMPLAINT_PERIOD_SECONDS)
            < COMPLAINT_PERIOD_SECONDS
        ):
            return
        self._complained_at = {
            each: at
            for each, at in self._complained_at.items()
            if now - at < COMPLAINT_PERIOD_SECONDS
        }
        self._complained_at[kind] = now
        logger.error(template, one_line(words))


def sender(app: Celery) -> Send:
    """Return what sends an order to the workers.

    It raises kombu.exceptions.OperationalError where the broker did not take it in time.
    """

    def send(order: ScheduledRun) -> None:
        app.send_task(
            ASK_FOR_FULL_RUN,
            kwargs=order.as_arguments(),
            ignore_result=True,
            confirm_timeout=CONFIRM_TIMEOUT_SECONDS,
            expires=_EXPIRES_SECONDS,
        )

    return send
