"""Atheris target: any bytes as body and properties of a message, read as the intake reads them.

    pip install --require-hashes -r requirements/fuzz.txt
    python -m fuzz.fuzz_intake -max_total_time=60 [CORPUS_FOLDER]

The options are libFuzzer's. It ends with an error, and keeps the input as ``crash-…``, where reading
raises, gives neither exactly one event nor exactly one dead letter, or a reason that is not one
printable line. Without an installed atheris it says so, and ends with exit code 2. ``make fuzz``
installs it where there is a wheel, and tries hostile messages by the ten thousands everywhere.
"""

import struct
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from amqp.basic_message import Message as AmqpMessage
from kombu.message import Message

from lms_integration.events import CONTENT_TYPE, decode_event, encode_event
from overview_worker.compression import refuse_compressed_messages
from overview_worker.intake import sort_messages
from overview_worker.tolerant_amqp import tolerate_unreadable_messages

_BASIC_CLASS = 60
#: The first byte of an input says what the rest is.
_AS_BODY, _AS_PROPERTIES = 0, 1

SEEDS = (
    b"\x00"
    + b'{"specversion":"1.0","id":"1","type":"org.openedx.overview_pipeline.course.published.v1",'
    b'"subject":"course-v1:a+b+c","time":"2026-11-22T10:00:00Z","data":{"published_version":null}}',
    b"\x01\x20\x00\x00\x00\x00\x16\x0bcompressionS\x00\x00\x00\x04gzip{}",
    b"\x01\x80\x00\x10application/json{}",
)


def check(data: bytes) -> None:
    """Read one input.

    Raises:
        AssertionError: what came of it is no event and no dead letter that can be kept.
    """
    message = _message_of(data)
    batch = sort_messages([message])
    assert len(batch.events) + len(batch.dead_letters) == 1  # noqa: S101
    for letter in batch.dead_letters:
        assert letter.reason  # noqa: S101
        assert letter.reason.isprintable()  # noqa: S101
    for event in batch.events:
        assert decode_event(encode_event(event)) == event  # noqa: S101


def _message_of(data: bytes) -> Message:
    if data[:1] == bytes([_AS_PROPERTIES]):
        return _with_properties(data[1:])
    body: Any = data[1:]  # its stubs know text only
    return Message(
        body=body,
        content_type=CONTENT_TYPE,
        delivery_info={"exchange": "course-authoring", "routing_key": "course.published"},
    )


def _with_properties(data: bytes) -> Message:
    """Make a message whose properties are read from the wire by py-amqp, as RabbitMQ would send them."""
    raw: Any = AmqpMessage()
    header = struct.pack(">HHQ", _BASIC_CLASS, 0, 2)
    raw.inbound_header(header + data)
    properties: Any = raw.properties
    body: Any = b"{}"
    return Message(
        body=body,
        content_type=properties.get("content_type"),
        content_encoding=properties.get("content_encoding"),
        headers=properties.get("application_headers") or {},
        properties=properties,
        delivery_info={"exchange": "course-authoring", "routing_key": "course.published"},
    )


def main(arguments: Sequence[str]) -> int:
    """Fuzz until told to stop; libFuzzer ends the process itself."""
    refuse_compressed_messages()
    tolerate_unreadable_messages()
    try:
        atheris = import_module("atheris")
    except ImportError:
        sys.stderr.write(
            "Not fuzzed by coverage: atheris is not installed. There are wheels for Python 3.11 to 3.13 "
            "on Linux (x86_64) and macOS: pip install --require-hashes -r requirements/fuzz.txt\n"
        )
        return 2
    for folder in (each for each in arguments[1:] if not each.startswith("-")):
        _plant_seeds(Path(folder))
    _instrument(atheris)
    atheris.Setup(list(arguments), check)
    atheris.Fuzz()
    return 0


def _plant_seeds(corpus: Path) -> None:
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS):
        (corpus / f"seed-{number}").write_bytes(seed)


def _instrument(atheris: ModuleType) -> None:
    """Let the fuzzer see which branches of the readers an input takes."""
    instrument: Callable[[Any], Any] = atheris.instrument_func
    for name in ("lms_integration.events", "overview_worker.intake", "amqp.serialization"):
        module = import_module(name)
        for attribute, value in list(vars(module).items()):
            if (
                callable(value)
                and getattr(value, "__module__", "") == name
                and hasattr(value, "__code__")
            ):
                setattr(module, attribute, instrument(value))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
