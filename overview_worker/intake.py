"""The intake: publish events in, marks and rebuild tasks out.

A process of its own (``overview intake``): inside a Celery worker a consumer would run in the main
loop, where blocking stalls heartbeats. Messages are taken in batches: all that is waiting, up to
the prefetch limit. A batch is marked with one statement and has each of its courses rebuilt once, however
many events the course had in it. Messages are acknowledged after mark and task; while the database is away
the batch is kept and tried again. What is no event of ours becomes a dead letter, after the events.
"""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from kombu import Connection, Consumer, Queue
from kombu.message import Message

from lms_integration.course_keys import is_course_key
from lms_integration.events import CONTENT_TYPE, EVENT_MAX_BYTES, Event, InvalidEvent, decode_event
from lms_integration.log_lines import one_line
from lms_integration.topology import (
    DEAD_LETTER_EXCHANGE_NAME,
    dead_letter_queue,
    event_queue,
)
from overview_worker.arrival_rate import ArrivalRate
from overview_worker.documents import DeadLetterEntry, DeadLetterSource
from overview_worker.errors import SHOWN_VALUE_LENGTH, RetryableError, shown_value
from overview_worker.tolerant_amqp import UNREADABLE_HEADER
from overview_worker.waiting_letters import RefusedMessage, WaitingLetters

logger = logging.getLogger(__name__)

#: Most messages in one batch, and so unacknowledged at one time.
PREFETCH_COUNT = 1000
#: A batch is closed when no message has come for so long, or after ``BATCH_MAX_SECONDS``. In a flood a
#: longer wait saves rebuilds: many events are of the same courses, and courses that are rebuilt
#: together cost a tenth.
BATCH_GAP_SECONDS = 0.0005
FLOOD_GAP_SECONDS = 0.03
FLOOD_MESSAGE_COUNT = 100
FLOOD_PER_SECOND = 200.0
BATCH_MAX_SECONDS = 0.2
#: How long to wait for a first message before looking at the stop flag and the heartbeat.
IDLE_SECONDS = 0.5
RETRY_SECONDS = 1.0
HEARTBEAT_SECONDS = 20
BIND_SECONDS = 5.0

#: Of so many courses the intake remembers that their task is on its way; then it begins anew.
REMEMBERED_COURSES = 20_000

_JSON_CONTENT_TYPES = frozenset({CONTENT_TYPE, "application/json"})


class IntakeStore(Protocol):
    """What the intake writes: marks and dead letters, each in a transaction of its own."""

    def mark_events(self, events: Sequence[Event]) -> Mapping[str, datetime | None]:
        """Mark the events' courses, but for those marked by their publisher in this database.

        Returns the courses, of all the events, that are dirty now, with since when they are.

        Raises:
            RetryableError: the database did not answer; nothing may be acknowledged.
        """
        ...

    def hold_back(self, entries: Sequence[DeadLetterEntry]) -> None:
        """Hold back the courses whose tasks the broker gave up.

        Raises:
            RetryableError: the database did not answer; nothing may be acknowledged.
        """
        ...

    def record_dead_letters(
        self, entries: Sequence[DeadLetterEntry], *, dropped_count: int = 0
    ) -> None:
        """Keep what could not be read, and count ``dropped_count`` more that are not kept.

        Raises:
            RetryableError: the database did not answer; none of them may be acknowledged.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SortedBatch:
    """A batch of messages, read: events on one side, dead letters on the other."""

    events: tuple[Event, ...]
    refused: tuple[RefusedMessage, ...]

    @property
    def dead_letters(self) -> tuple[DeadLetterEntry, ...]:
        """What is to be kept of the messages that are no events."""
        return tuple(refused.entry for refused in self.refused)


class Intake:
    """Consumes until told to stop, and comes back by itself when broker or database were away."""

    def __init__(
        self,
        *,
        connect: Callable[[], Connection],
        store: IntakeStore,
        enqueue: Callable[[Sequence[str]], None],
        task_queues: Sequence[Queue] = (),
    ) -> None:
        self._connect = connect
        self._store = store
        self._enqueue = enqueue
        #: Beside its own, the queues whose bindings it looks after on Redis.
        self._task_queues = task_queues
        self._stopping = threading.Event()
        self._batch: list[Message] = []
        self._letters = WaitingLetters(store.record_dead_letters)
        #: ``{course: since when it was dirty as its last task was enqueued}``.
        self._enqueued: dict[str, datetime | None] = {}
        self._rate = ArrivalRate()
        self._last_heartbeat = 0.0
        self._bound_at = 0.0

    def stop(self) -> None:
        """Finish the current batch and return from ``run``; safe to call from a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Consume until ``stop``; a lost connection or an unforeseen error is logged and outlived."""
        while not self._stopping.is_set():
            connection = self._connect()
            try:
                with connection:
                    self._consume(connection)
            except connection.connection_errors as error:
                logger.warning("broker away, reconnecting in %s s: %s", RETRY_SECONDS, error)
            except Exception:
                # The outermost loop: whatever it was, unacknowledged messages come again.
                logger.exception("intake interrupted, reconnecting in %s s", RETRY_SECONDS)
            self._batch = []
            self._letters.forget()
            self._stopping.wait(RETRY_SECONDS)

    def _consume(self, connection: Connection) -> None:
        connection.connect()
        channel: Any = connection.channel()
        channel.basic_qos(0, PREFETCH_COUNT, False)
        # Else py-amqp decodes a body with whatever codec its sender names; punycode is quadratic.
        channel.auto_decode = False
        consumer = Consumer(
            channel,
            queues=[event_queue(), dead_letter_queue()],
            on_message=self._batch.append,
            accept=None,
        )
        # A message that kombu cannot even unpack (compressed, say) is collected like any other.
        consumer.on_decode_error = self._collect_undecodable
        with consumer:
            bound = self._look_after(connection, channel)
            logger.info("intake ready on %s", connection.as_uri())
            while not self._stopping.is_set():
                self._keep_bound(channel, bound)
                self._collect(connection)
                if self._batch:
                    self._process(connection)
                self._letters.write()

    def _look_after(self, connection: Connection, channel: Any) -> Sequence[Queue]:
        """Return the queues whose bindings are kept in a database that may be emptied: Redis."""
        if connection.transport.driver_type != "redis":
            return ()
        for queue in self._task_queues:
            queue(channel).declare()
        return (event_queue(), dead_letter_queue(), *self._task_queues)

    def _keep_bound(self, channel: Any, queues: Sequence[Queue]) -> None:
        """Write the bindings again, every few seconds.

        A Redis that was flushed, or failed over to an empty one, has forgotten them: whatever is sent
        then goes nowhere, and nobody is told. kombu writes them once a process.
        """
        if not queues or time.monotonic() - self._bound_at < BIND_SECONDS:
            return
        self._bound_at = time.monotonic()
        for queue in queues:
            exchange = queue.exchange.name
            kind = channel.typeof(exchange)
            binding = kind.prepare_bind(queue.name, exchange, queue.routing_key, None)
            channel._queue_bind(exchange, *binding)

    def _collect_undecodable(self, message: Message, error: Exception) -> None:
        logger.warning("undecodable message: %s", one_line(str(error)))
        self._batch.append(message)

    def _collect(self, connection: Connection) -> None:
        """Wait for a message, then take all that are waiting behind it."""
        self._beat(connection)
        timeout = IDLE_SECONDS
        deadline = None
        comes_fast = self._rate.per_second() >= FLOOD_PER_SECOND
        while len(self._batch) < PREFETCH_COUNT:
            try:
                connection.drain_events(timeout=timeout)
            except (TimeoutError, socket.timeout):  # noqa: UP041 - kombu's transports raise either
                return
            deadline = deadline or time.monotonic() + BATCH_MAX_SECONDS
            if time.monotonic() >= deadline:
                return
            is_flood = comes_fast or len(self._batch) >= FLOOD_MESSAGE_COUNT
            timeout = FLOOD_GAP_SECONDS if is_flood else BATCH_GAP_SECONDS

    def _process(self, connection: Connection) -> None:
        """Mark the batch, enqueue its courses, acknowledge its events: in this order."""
        self._rate.note(len(self._batch))
        batch = sort_messages(self._batch)
        while not self._stopping.is_set():
            try:
                self._store.hold_back(batch.dead_letters)
                dirty = self._store.mark_events(batch.events)
                break
            except RetryableError as error:
                logger.warning(
                    "intake holds %d messages until the database answers: %s",
                    len(self._batch),
                    error,
                )
                self._beat(connection)
                self._stopping.wait(RETRY_SECONDS)
        else:
            return  # stopped: unacknowledged messages go back to the queue
        self._enqueue_once(dirty)
        refused = {id(each.message) for each in batch.refused}
        for message in self._batch:
            if id(message) not in refused:
                message.ack()
        self._letters.add(batch.refused)
        logger.debug("%d events, %d courses", len(batch.events), len(dirty))
        self._batch.clear()

    def _enqueue_once(self, dirty: Mapping[str, datetime | None]) -> None:
        """Enqueue the courses whose task is not on its way already.

        A course that has been dirty since its last task was enqueued is rebuilt by that task; if it
        was lost or came to nothing, the sweeper sends another. Else more events than the workers can
        take would make a queue of tasks that grows without end, most of them for clean courses.
        """
        fresh = [
            key for key, since in dirty.items() if since is None or self._enqueued.get(key) != since
        ]
        if fresh:
            self._enqueue(fresh)
        if len(self._enqueued) > REMEMBERED_COURSES:
            self._enqueued.clear()
        self._enqueued |= {key: dirty[key] for key in fresh}

    def _beat(self, connection: Connection) -> None:
        now = time.monotonic()
        if connection.supports_heartbeats and now - self._last_heartbeat > HEARTBEAT_SECONDS / 4:
            self._last_heartbeat = now
            connection.heartbeat_check()


def sort_messages(messages: Sequence[Message]) -> SortedBatch:
    """Read each message; none of them raises."""
    events: list[Event] = []
    refused: list[RefusedMessage] = []
    for message in messages:
        body = _body_of(message)
        if _came_from_dead_letter_queue(message):
            if not _expired(message):
                entry = _broker_dead_letter(message, body)
                refused.append(RefusedMessage(message=message, entry=entry))
            continue
        try:
            _refuse_encoding(message)
            events.append(decode_event(body))
        except InvalidEvent as error:
            reason = one_line(str(error))
            logger.warning("dead letter: %s", reason)
            entry = _intake_dead_letter(message, body, reason)
            refused.append(RefusedMessage(message=message, entry=entry))
    return SortedBatch(events=tuple(events), refused=tuple(refused))


def _body_of(message: Message) -> bytes:
    body = message.body
    return body if isinstance(body, bytes) else str(body).encode("utf-8", "surrogatepass")


def _refuse_encoding(message: Message) -> None:
    headers = _headers_of(message)
    if UNREADABLE_HEADER in headers:
        raise InvalidEvent(f"unreadable properties: {shown_value(headers[UNREADABLE_HEADER])}")
    if message.errors:
        raise InvalidEvent(f"message could not be unpacked: {str(message.errors[0][1])[:200]}")
    if headers.get("compression"):
        raise InvalidEvent("compressed messages are refused")
    content_type = str(message.content_type or "").partition(";")[0].strip()
    if content_type not in _JSON_CONTENT_TYPES:
        raise InvalidEvent(f"content type {content_type[:80]!r}: only JSON is accepted")


def _intake_dead_letter(message: Message, body: bytes, reason: str) -> DeadLetterEntry:
    return DeadLetterEntry(
        source=DeadLetterSource.INTAKE,
        reason=reason,
        course_key=_subject_of(body),
        body=body,
        content_type=str(message.content_type or ""),
    )


def _subject_of(body: bytes) -> str:
    """Return the course that an unreadable event seems to be about, '' if none can be told."""
    if len(body) > EVENT_MAX_BYTES:
        return ""
    try:
        subject = json.loads(body).get("subject")
    except (ValueError, RecursionError, AttributeError):
        return ""
    return subject if isinstance(subject, str) and is_course_key(subject) else ""


def _came_from_dead_letter_queue(message: Message) -> bool:
    # Not told from the x-death header: whoever may publish events may write that too.
    return bool((message.delivery_info or {}).get("exchange") == DEAD_LETTER_EXCHANGE_NAME)


def _headers_of(message: Message) -> Mapping[str, Any]:
    """Return the headers; none where what stands in their place is something else."""
    headers = message.headers
    return headers if isinstance(headers, Mapping) else {}


def _death_of(message: Message) -> Mapping[str, Any]:
    """Return the broker's newest note on why it gave the message up; empty if it left none."""
    deaths = _headers_of(message).get("x-death")
    newest = deaths[0] if isinstance(deaths, list) and deaths else None
    return newest if isinstance(newest, Mapping) else {}


def _expired(message: Message) -> bool:
    """Whether it outlived its time in the queue: a sweep, while no worker ran, and nothing else."""
    return bool(_death_of(message).get("reason") == "expired")


def _broker_dead_letter(message: Message, body: bytes) -> DeadLetterEntry:
    death = _death_of(message)
    task = _shown_header(_headers_of(message).get("task", ""))
    what = f"task {task}" if task else "message"
    queue, reason = (_shown_header(death.get(name)) for name in ("queue", "reason"))
    return DeadLetterEntry(
        source=DeadLetterSource.BROKER,
        reason=f"{what} dead-lettered from {queue}: {reason}",
        course_key=_task_course(body) if task else _subject_of(body),
        body=body,
        content_type=str(message.content_type or ""),
    )


def _shown_header(value: object) -> str:
    return one_line(value[:SHOWN_VALUE_LENGTH]) if isinstance(value, str) else shown_value(value)


def _task_course(body: bytes) -> str:
    """Return the course of a single-course rebuild task, '' for any other message."""
    try:
        first = json.loads(body)[0][0]
    except (ValueError, RecursionError, LookupError, TypeError):
        return ""
    return first if isinstance(first, str) and is_course_key(first) else ""
