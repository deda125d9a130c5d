"""No process waits for ever for a broker's answer on a connection that has died in silence.

py-amqp sets no limit to the wait for the answer to a method, such as the declaration of a queue, the
opening of a channel or the end of a connection; kombu gives one for the confirm of a message alone. Beat
and the intake do nothing else meanwhile, so one lost answer would end all sweeps until somebody starts
them anew. Seen with py-amqp 5.4.2, as beat declared a queue that it had not used before.
"""

from typing import Any

import amqp.abstract_channel

#: Longest wait for the answer to one method, where whoever asks sets no limit.
REPLY_SECONDS = 10.0

# Untyped on purpose: what is replaced here is py-amqp's own, not meant for others.
_channel: Any = amqp.abstract_channel.AbstractChannel
_wait: Any = _channel.wait


def bound_waits() -> None:
    """Bound every wait for an answer in this process; more than once does no harm.

    After that such a wait raises TimeoutError, which kombu takes for a lost connection.
    """
    _channel.wait = _bounded_wait


def _bounded_wait(
    channel: Any, method: Any, callback: Any = None, timeout: Any = None, **options: Any
) -> Any:
    return _wait(channel, method, callback, timeout or REPLY_SECONDS, **options)
