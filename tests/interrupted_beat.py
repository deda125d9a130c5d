"""The product's beat, told to stop by SIGTERM while it reads the broker's confirm of its first job.

``python -m tests.interrupted_beat -A overview_worker beat``. With ``INTERRUPTED_FOR_EVER`` in its environment
that confirm never comes, whatever time-out the reader has set.
"""

import os
import signal
import threading
from typing import Any

import django
from amqp.channel import Channel
from amqp.transport import TCPTransport
from celery.bin.celery import main

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lms_integration.settings")
django.setup()

from overview_worker import beat  # noqa: E402

# Untyped on purpose: these are py-amqp's own.
_channel: Any = Channel
_transport: Any = TCPTransport
_publish, _read_frame = _channel._basic_publish, _transport.read_frame
_published: list[str] = []
_IS_FOR_EVER = "INTERRUPTED_FOR_EVER" in os.environ


def _note_and_publish(*args: Any, **options: Any) -> Any:
    _published.append("a job")
    return _publish(*args, **options)


def _tell_and_read(*args: Any, **options: Any) -> Any:
    if _published == ["a job"]:
        _published.append("told to stop")
        beat.GIVE_UP_SECONDS = 1.0 if _IS_FOR_EVER else beat.GIVE_UP_SECONDS
        os.kill(os.getpid(), signal.SIGTERM)
        if _IS_FOR_EVER:
            threading.Event().wait()
    return _read_frame(*args, **options)


_channel._basic_publish = _note_and_publish
_transport.read_frame = _tell_and_read
raise SystemExit(main())
