"""Sending the signals of what has changed, in a process of the LMS: in order, at least once.

The changes of one course are told one after the other; one whose receiver fails waits and is told
again, to those receivers that have not taken it, and with it the later changes of its course, but nobody
else's. After ``MAX_ATTEMPTS`` it is
given up, and the error kept. One process sends at a time: it holds a lease that it renews before each
change, and another takes over when it has not for ``LEASE_SECONDS``.
"""

import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Q
from django.dispatch import Signal

from lms_integration.change_history import SIGNAL_JOB
from lms_integration.change_signals import DueSignal, due_signals, row_of
from lms_integration.database_clock import DatabaseNow
from lms_integration.log_lines import one_line
from lms_integration.models import OverviewChange, OverviewJob

logger = logging.getLogger(__name__)
#: Where Django's ``send_robust`` puts the traceback of a receiver.
_django_logger = logging.getLogger("django.dispatch")

#: A holder that has been silent for so long has died, or hangs in a receiver.
LEASE_SECONDS = 120
#: Times that the signals of one change are tried.
MAX_ATTEMPTS = 5
#: Before the second attempt, in seconds; doubled with each.
RETRY_SECONDS = 10
BATCH_SIZE = 100
_ERROR_LENGTH = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalReport:
    """What one turn did."""

    told_count: int = 0  #: changes whose signals were sent, or that need none
    failed_count: int = 0  #: changes one of whose receivers failed
    given_up_count: int = 0  #: of those, changes that are not tried again
    is_busy: bool = False  #: another process sends the signals


class Signaller:
    """One process that sends signals; ``sent`` hears of each signal, ``stopping`` ends a turn early."""

    def __init__(
        self,
        *,
        sent: Callable[[OverviewChange, DueSignal], None] = lambda change, due: None,
        stopping: Callable[[], bool] = lambda: False,
        using: str = DEFAULT_DB_ALIAS,
    ) -> None:
        self._sent = sent
        self._stopping = stopping
        self._using = using
        self._holder = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}"

    def register(self, *, from_now: bool = True) -> int | None:
        """Make this deployment one that sends signals; None if it is one already.

        Else, ``from_now``, what has changed before is not told any more: a first start must not tell
        of every course there is. Returns how many changes that were.
        """
        if self._jobs().filter(started_at__isnull=False).exists():
            return None
        OverviewJob.objects.using(self._using).bulk_create(
            [OverviewJob(name=SIGNAL_JOB)], ignore_conflicts=True
        )
        if not self._take_lease():
            return None
        return self._skip_all() if from_now else 0

    def tell_waiting(self) -> SignalReport:
        """Send the signals of all that waits and is due, oldest first.

        Raises:
            django.db.DatabaseError: the database refused or did not answer.
        """
        told = failed = given_up = 0
        while not self._stopping():
            if not self._take_lease():
                return SignalReport(
                    told_count=told, failed_count=failed, given_up_count=given_up, is_busy=True
                )
            batch = self._due_changes()
            if not batch:
                break
            behind: set[str] = set()
            for change in batch:
                if self._stopping() or not self._take_lease():
                    break
                if change.course_key in behind:
                    continue
                telling = self._tell(change)
                told += not telling.errors
                if telling.errors:
                    failed += 1
                    given_up += self._note_failure(change, telling)
                    behind.add(change.course_key)
        return SignalReport(told_count=told, failed_count=failed, given_up_count=given_up)

    def release(self) -> None:
        """Let another process take over at once."""
        self._jobs().filter(after_key=self._holder).update(after_key="")

    def _due_changes(self) -> Sequence[OverviewChange]:
        """Return the oldest changes that may be told, none behind an earlier one of its course."""
        waiting = self._changes().filter(signalled_at__isnull=True)
        held_up = waiting.filter(signal_retry_at__gt=DatabaseNow()).values("course_key")
        keys = list(held_up.values_list("course_key", flat=True).distinct())
        return list(waiting.exclude(course_key__in=keys).order_by("id")[:BATCH_SIZE])

    def _tell(self, change: OverviewChange) -> "_Telling":
        """Send a change's signals to those who have not taken them, and mark it if all have now."""
        rows: list[Any] = []

        def overview() -> Any:
            if not rows:
                rows.append(row_of(change.course_key))
            return rows[0]

        telling = _Telling(taken=dict(change.signal_told or {}))
        for due in due_signals(change, overview=overview):
            self._send(change, due, telling)
        if not telling.errors:
            self._changes().filter(pk=change.pk).update(signalled_at=DatabaseNow())
        return telling

    def _send(self, change: OverviewChange, due: DueSignal, telling: "_Telling") -> None:
        receivers = telling.receivers_left(due)
        if not receivers and due.name in telling.taken:
            return
        self._sent(change, due)
        failed: set[str] = set()
        names: set[str] = set()
        for receiver, answer in _call(receivers, due):
            name = _name_of(receiver)
            names.add(name)
            if isinstance(answer, Exception):
                failed.add(name)
                # The traceback is in the line of Django's logger.
                telling.errors.append(f"{due.name}: {name}: {type(answer).__name__}: {answer}")
                logger.error(
                    "receiver %s of %s failed for %s: %s: %s",
                    name,
                    due.name,
                    change.course_key,
                    type(answer).__name__,
                    one_line(str(answer)),
                    extra={"course_key": change.course_key},
                )
        # Of several receivers of one name, all or none.
        telling.taken[due.name] = sorted({*telling.taken.get(due.name, ()), *names} - failed)

    def _note_failure(self, change: OverviewChange, telling: "_Telling") -> bool:
        """Have a change told again later, or give it up; return whether it was given up."""
        attempts = change.signal_attempts + 1
        is_last = attempts >= MAX_ATTEMPTS
        later = DatabaseNow(offset_seconds=RETRY_SECONDS * 2 ** (attempts - 1))
        self._changes().filter(pk=change.pk).update(
            signal_attempts=attempts,
            signal_error=one_line("; ".join(telling.errors))[:_ERROR_LENGTH],
            signal_told=telling.taken,
            signal_retry_at=None if is_last else later,
            **({"signalled_at": DatabaseNow()} if is_last else {}),
        )
        if is_last:
            logger.error(
                "signals of change %s of %s given up after %d attempts",
                *(change.pk, change.course_key, attempts),
                extra={"course_key": change.course_key},
            )
        return is_last

    def _take_lease(self) -> bool:
        """Take or renew the lease; receivers may have closed the connection meanwhile."""
        connections[self._using].close_if_unusable_or_obsolete()
        is_free = (
            Q(after_key__in=["", self._holder])
            | Q(started_at__isnull=True)
            | Q(started_at__lt=DatabaseNow(offset_seconds=-LEASE_SECONDS))
        )
        taken = self._jobs().filter(is_free)
        return bool(taken.update(after_key=self._holder, started_at=DatabaseNow()))

    def _skip_all(self) -> int:
        newest = self._changes().order_by("-id").values_list("id", flat=True).first()
        skipped = 0
        while newest is not None:
            old = self._changes().filter(signalled_at__isnull=True, id__lte=newest)
            ids = list(old.order_by("id").values_list("id", flat=True)[:1000])
            if not ids:
                break
            skipped += self._changes().filter(id__in=ids).update(signalled_at=DatabaseNow())
        return skipped

    def _changes(self) -> Any:
        return OverviewChange.objects.using(self._using)

    def _jobs(self) -> Any:
        return OverviewJob.objects.using(self._using).filter(name=SIGNAL_JOB)


@dataclass(frozen=True, slots=True)
class _Telling:
    """What came of sending the signals of one change, attempts before included."""

    taken: dict[str, Sequence[str]]  #: ``{signal: names of the receivers that have taken it}``
    errors: list[str] = field(default_factory=list)  #: of this attempt

    def receivers_left(self, due: DueSignal) -> list[Any]:
        """Return the receivers that have not taken a signal.

        One that is new since the attempt before, or has another name now, is among them.
        """
        taken = self.taken.get(due.name, ())
        return [each for each in _connected(due.signal) if _name_of(each) not in taken]


def _connected(signal: Signal) -> list[Any]:
    """Return the receivers that ``signal.send`` would call, those that are coroutines last."""
    live: Any = signal._live_receivers(sender=None)  # two lists, as Django 5 has them
    plain, coroutines = live
    return [*plain, *coroutines]


def _call(receivers: Iterable[Any], due: DueSignal) -> Iterator[tuple[Any, Any]]:
    """Call receivers of a signal, each in turn; yield each with its answer, or what it raised.

    Django's ``send_robust`` calls all or none, and itself fails over one that fails and has no
    ``__qualname__``, as an object that can be called has none.
    """
    for receiver in receivers:
        call = async_to_sync(receiver) if iscoroutinefunction(receiver) else receiver
        try:
            answer = call(signal=due.signal, sender=None, **due.arguments)
        except Exception as error:
            _django_logger.error("Error calling %s", _name_of(receiver), exc_info=error)
            answer = error
        yield receiver, answer


def _name_of(receiver: Any) -> str:
    module = getattr(receiver, "__module__", type(receiver).__module__)
    return f"{module}.{getattr(receiver, '__qualname__', type(receiver).__qualname__)}"
