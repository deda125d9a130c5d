"""The product's beat, told to stop by SIGTERM while it reads the broker's confirm of its first job.

``python -m tests.interrupted_beat -A overview_worker beat``
"""

import os
import signal
from typing import Any

from amqp.channel import Channel
from amqp.transport import TCPTransport
from celery.bin.celery import main

# Untyped on purpose: these are py-amqp's own.
_channel: Any = Channel
_transport: Any = TCPTransport
_publish, _read_frame = _channel._basic_publish, _transport.read_frame
_published: list[str] = []


def _note_and_publish(*args: Any, **options: Any) -> Any:
    _published.append("a job")
    return _publish(*args, **options)


def _tell_and_read(*args: Any, **options: Any) -> Any:
    if _published == ["a job"]:
        _published.append("told to stop")
        os.kill(os.getpid(), signal.SIGTERM)
    return _read_frame(*args, **options)


_channel._basic_publish = _note_and_publish
_transport.read_frame = _tell_and_read
raise SystemExit(main())
