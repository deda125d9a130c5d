"""Celery's configuration: broker, queues, limits, schedule. ``celery -A overview_worker worker``.

No countdown, no ETA, no ``retry`` anywhere: what has to be tried again is marked in SQL and the
sweeper enqueues it. Why each value is what it is: ``docs/decisions/0003-broker-settings.md``.
"""

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.schedules import schedule
from kombu import Exchange, Queue

from lms_integration.broker import tls_options, without_tls_options
from lms_integration.topology import quorum_arguments

LIVE_QUEUE = "overview.live"
BULK_QUEUE = "overview.bulk"

#: The broker as it was configured: ``broker_connection`` takes its TLS options from here.
BROKER_ADDRESS = os.environ.get("OVERVIEW_BROKER_URL", "amqp://127.0.0.1:5672/overview")
broker_url = without_tls_options(BROKER_ADDRESS)
broker_use_ssl = tls_options(BROKER_ADDRESS)
broker_heartbeat = 20
broker_connection_timeout = 4
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_channel_error_retry = True
broker_pool_limit = 10
broker_pool_acquire_timeout = 5

_REDIS_OPTIONS: dict[str, Any] = {
    "visibility_timeout": 120,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "retry_on_timeout": False,
}
_AMQP_OPTIONS: dict[str, Any] = {"confirm_publish": True, "write_timeout": 10}
_uses_redis = broker_url.startswith("redis")
broker_transport_options = _REDIS_OPTIONS if _uses_redis else _AMQP_OPTIONS

# JSON on both ends: a pickled message is a command to run.
task_serializer = "json"
accept_content = ["json"]
result_accept_content = ["json"]
task_compression = None
task_ignore_result = True
result_backend = None

# A killed worker's message comes back, bounded by the queue's delivery limit. A task that fails or
# takes too long is acknowledged: its course is still marked, and the sweeper tries again.
task_acks_late = True
task_reject_on_worker_lost = not _uses_redis
task_acks_on_failure = True
task_acks_on_timeout = True
task_publish_retry_policy = {
    "max_retries": 3,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 1,
}
task_soft_time_limit = 20
task_time_limit = 30

#: Refuses what cannot be read, so that the broker dead-letters it.
worker_consumer = "overview_worker.refusals:RefusingConsumer"
worker_prefetch_multiplier = 1
worker_max_tasks_per_child = 20_000
worker_max_memory_per_child = 400_000  # KiB
worker_soft_shutdown_timeout = 20
worker_cancel_long_running_tasks_on_connection_loss = False
worker_detect_quorum_queues = True
worker_send_task_events = False
worker_hijack_root_logger = False
task_create_missing_queues = False

_exchange = Exchange("overview", type="topic", durable=True)
task_queues = [
    Queue(name, exchange=_exchange, routing_key=name, queue_arguments=quorum_arguments())
    for name in (LIVE_QUEUE, BULK_QUEUE)
]
task_default_queue = LIVE_QUEUE
task_default_exchange = "overview"
task_default_exchange_type = "topic"
task_default_routing_key = LIVE_QUEUE
task_routes = {
    "overview.rebuild_overview": {"queue": LIVE_QUEUE, "routing_key": LIVE_QUEUE},
    "overview.sweep": {"queue": LIVE_QUEUE, "routing_key": LIVE_QUEUE},
    "overview.tend_runs": {"queue": LIVE_QUEUE, "routing_key": LIVE_QUEUE},
    "overview.work_on_run": {"queue": BULK_QUEUE, "routing_key": BULK_QUEUE},
    "overview.announce_changes": {"queue": LIVE_QUEUE, "routing_key": LIVE_QUEUE},
    "overview.ask_for_full_run": {"queue": LIVE_QUEUE, "routing_key": LIVE_QUEUE},
    "overview.ask_nightly": {"queue": LIVE_QUEUE, "routing_key": LIVE_QUEUE},
    "overview.rebuild_overviews": {"queue": BULK_QUEUE, "routing_key": BULK_QUEUE},
    "overview.inspect": {"queue": BULK_QUEUE, "routing_key": BULK_QUEUE},
    "overview.keep_house": {"queue": BULK_QUEUE, "routing_key": BULK_QUEUE},
    "overview.keep_up": {"queue": BULK_QUEUE, "routing_key": BULK_QUEUE},
    "overview.tend_thumbnails": {"queue": BULK_QUEUE, "routing_key": BULK_QUEUE},
    "overview.make_thumbnails": {"queue": BULK_QUEUE, "routing_key": BULK_QUEUE},
}

#: Keeps a worker's database connection from task to task: Celery's Django fix-up would close it
#: around every single one.
CELERY_DB_REUSE_MAX = 10_000

SWEEP_PERIOD_SECONDS = 2.0
ANNOUNCE_PERIOD_SECONDS = 1.0
#: How often it is asked whether the minute of the inspector, or the day of the daily work, is over: a beat
#: that was started anew has forgotten when it asked last.
ASK_TO_INSPECT_PERIOD_SECONDS = 15.0
KEEP_HOUSE_PERIOD_SECONDS = 3600.0
#: How often it is asked whether the nightly run is due, where operators have no schedule to edit.
ASK_NIGHTLY_PERIOD_SECONDS = 900.0
KEEP_UP_PERIOD_SECONDS = 20.0
TEND_THUMBNAILS_PERIOD_SECONDS = 5.0
#: The jobs below as ``celery.beat:Scheduler`` has them (intervals only: nothing to remember in a file),
#: and beside them what operators have scheduled in the admin.
beat_scheduler = "overview_worker.beat:OverviewScheduler"


def _steady_now() -> datetime:
    """Return a time that nobody sets: a clock put back by five minutes must not stop beat for five."""
    return datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=time.monotonic())


def _every(seconds: float) -> schedule:
    return schedule(seconds, nowfun=_steady_now)


#: Seconds that beat waits for the confirm of a task: left alone, it would wait for ever on a connection
#: that has died in silence, and with it every sweep.
_confirmed: dict[str, Any] = {"confirm_timeout": 5}
# With no worker running, sweeps must not pile up. RabbitMQ counts the seconds itself; Celery's own
# "expires" is a moment by beat's clock, looked at by the worker's, which may be minutes ahead.
_sweep_life: dict[str, Any] = (
    {"expires": 3600.0} if _uses_redis else {"expiration": 5 * SWEEP_PERIOD_SECONDS}
)
_announce_life: dict[str, Any] = (
    {"expires": 3600.0} if _uses_redis else {"expiration": 5 * ANNOUNCE_PERIOD_SECONDS}
)
_tend_life: dict[str, Any] = (
    {"expires": 3600.0} if _uses_redis else {"expiration": 10 * TEND_THUMBNAILS_PERIOD_SECONDS}
)
beat_schedule = {
    "sweep": {
        "task": "overview.sweep",
        "schedule": _every(SWEEP_PERIOD_SECONDS),
        "options": _confirmed | _sweep_life,
    },
    "announce_changes": {
        "task": "overview.announce_changes",
        "schedule": _every(ANNOUNCE_PERIOD_SECONDS),
        "options": _confirmed | _announce_life,
    },
    "tend_runs": {
        "task": "overview.tend_runs",
        "schedule": _every(SWEEP_PERIOD_SECONDS),
        "options": _confirmed | _sweep_life,
    },
    "inspect": {
        "task": "overview.inspect",
        "schedule": _every(ASK_TO_INSPECT_PERIOD_SECONDS),
        # Behind a full reindex it may have to wait; of those that waited one finds its minute over. And a
        # worker's clock may be minutes ahead.
        "options": _confirmed | {"expires": 600.0},
    },
    "keep_up": {
        "task": "overview.keep_up",
        "schedule": _every(KEEP_UP_PERIOD_SECONDS),
        "options": _confirmed | {"expires": 10 * KEEP_UP_PERIOD_SECONDS},
    },
    "tend_thumbnails": {
        "task": "overview.tend_thumbnails",
        "schedule": _every(TEND_THUMBNAILS_PERIOD_SECONDS),
        "options": _confirmed | _tend_life,
    },
    "ask_nightly": {
        "task": "overview.ask_nightly",
        "schedule": _every(ASK_NIGHTLY_PERIOD_SECONDS),
        "options": _confirmed | {"expires": ASK_NIGHTLY_PERIOD_SECONDS},
    },
    "keep_house": {
        "task": "overview.keep_house",
        "schedule": _every(KEEP_HOUSE_PERIOD_SECONDS),
        "options": _confirmed | {"expires": KEEP_HOUSE_PERIOD_SECONDS},
    },
}
