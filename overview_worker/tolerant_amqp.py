"""What py-amqp cannot read must reach the intake as a dead letter, not as an exception of the reader.

A message whose properties are no UTF-8 or nested thousands deep, or whose routing key is no UTF-8,
makes py-amqp raise while it reads from the socket: outside of every handler, before there is a
message to refuse. The connection is lost, the broker delivers the message again, and with it all
that were on their way; it ends in the dead-letter queue, where it is read again, for ever. So one
forged message would hold up all events. Tried on RabbitMQ 3.10 with py-amqp 5.4.2.
"""

from struct import unpack_from
from typing import Any

import amqp.abstract_channel
import amqp.basic_message
import amqp.serialization

#: The header that stands for properties that could not be read; its value says why.
UNREADABLE_HEADER = "overview-unreadable"

#: ``basic.deliver``: consumer tag, delivery tag, redelivered, exchange, routing key.
_DELIVER_FORMAT = "sLbss"
_INTEGER_BYTES = 9  #: the delivery tag and the bit behind it

# Untyped on purpose: what is replaced here is py-amqp's own, not meant for others.
_message: Any = amqp.basic_message.Message
_channel_module: Any = amqp.abstract_channel
_read_properties: Any = _message._load_properties
_read_arguments: Any = amqp.serialization.loads


def tolerate_unreadable_messages() -> None:
    """Make py-amqp give messages that it cannot read, in this process; more than once does no harm."""
    _message._load_properties = _load_properties
    _channel_module.loads = _loads


def _load_properties(message: Any, class_id: int, buffer: bytes, offset: int) -> int:
    try:
        return int(_read_properties(message, class_id, buffer, offset))
    except Exception as error:  # noqa: BLE001 - it is named in the dead letter that this becomes
        reason = f"{type(error).__name__}: {error}"[:200]
        message.properties = {"application_headers": {UNREADABLE_HEADER: reason}}
        return offset


def _loads(layout: str, buffer: bytes, offset: int) -> Any:
    try:
        return _read_arguments(layout, buffer, offset)
    except UnicodeDecodeError:
        if layout != _DELIVER_FORMAT:
            raise
        return _read_arguments(layout, _with_readable_names(bytes(buffer), offset), offset)


def _with_readable_names(buffer: bytes, offset: int) -> bytes:
    """Return the arguments of a delivery with a question mark for each byte that is not ASCII.

    In the three names only, and without a change of length.
    """
    readable = bytearray(buffer)
    for skipped in (0, _INTEGER_BYTES, 0):
        offset += skipped
        (length,) = unpack_from("B", buffer, offset)
        for index in range(offset + 1, offset + 1 + length):
            if readable[index] >= 0x80:
                readable[index] = ord("?")
        offset += 1 + length
    return bytes(readable)
