"""Messages that somebody who may publish could send to do harm, each class with a name.

Strategies give ``kombu`` messages as the intake's consumer gets them. What a class of messages needs
to be refused by is not said here: none of them may raise, and none is an event.
"""

import bz2
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st
from kombu.message import Message

from lms_integration.events import CONTENT_TYPE, EVENT_MAX_BYTES

KEY = "course-v1:TestX+Hostile+R1"
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/tests",
    "type": "org.openedx.overview_pipeline.course.published.v1",
    "time": "2026-11-22T10:00:00Z",
    "subject": KEY,
    "datacontenttype": "application/json",
    "data": {"published_version": "5f0c1d2e3b4a596877665544"},
}

#: Names under which kombu knows, or may know, a way to compress.
COMPRESSIONS = (
    *("gzip", "zlib", "bzip2", "bzip", "brotli", "lzma", "xz", "zstd", "zstandard"),
    *("application/x-gzip", "application/zlib", "application/x-bz2", "application/x-lzma"),
    *("application/x-brotli", "application/zstd"),
)
#: Names of codecs that Python knows and a header may name: some are slow, some grow, some are none.
ENCODINGS = ("utf-8", "punycode", "idna", "utf-7", "utf-16", "rot13", "zlib", "base64", "none", "")


def message_of(
    body: Any,
    *,
    headers: Any = None,
    content_type: Any = CONTENT_TYPE,
    content_encoding: Any = "utf-8",
    exchange: Any = "course-authoring",
) -> Message:
    """Make a message as kombu does when one is delivered."""
    return Message(
        body=body,
        headers=headers,
        content_type=content_type,
        content_encoding=content_encoding,
        delivery_info={"exchange": exchange, "routing_key": "course.published"},
    )


def encoded(changes: Mapping[str, Any]) -> bytes:
    """Return an event's JSON with attributes replaced; a value may be raw JSON already."""
    attributes = {name: json.dumps(value) for name, value in EVENT.items()}
    attributes |= {
        name: value.text if isinstance(value, RawJson) else json.dumps(value)
        for name, value in changes.items()
    }
    inside = ",".join(f"{json.dumps(name)}:{value}" for name, value in attributes.items())
    return f"{{{inside}}}".encode("utf-8", "surrogatepass")


class RawJson:
    """Text that stands in the JSON as it is."""

    def __init__(self, text: str) -> None:
        self.text = text


_ATTRIBUTES = ("specversion", "id", "type", "time", "subject", "data")
_REQUIRED = ("specversion", "id", "type", "subject")

_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
_not_text = _json_values.filter(lambda value: not isinstance(value, str))


def _compress(name: str, body: bytes) -> bytes:
    ways: dict[str, Callable[[bytes], bytes]] = {"bz": bz2.compress, "lzma": lzma.compress}
    way = next((ways[each] for each in ways if each in name), None)
    if "xz" in name:
        way = lzma.compress
    return way(body) if way else (gzip if "gzip" in name else zlib).compress(body)


def _bomb(name: str, size: int) -> Message:
    return message_of(_compress(name, b"0" * size), headers={"compression": name})


compressed = st.builds(
    lambda name, payload: message_of(_compress(name, payload), headers={"compression": name}),
    st.sampled_from(COMPRESSIONS),
    st.binary(max_size=200) | st.just(encoded({})),
) | st.builds(_bomb, st.sampled_from(COMPRESSIONS), st.integers(1, 100_000))

oversized = st.builds(
    lambda padding, extra: message_of(encoded({"padding": padding * (EVENT_MAX_BYTES + extra)})),
    st.sampled_from(["x", "é", "\\", '"']),
    st.integers(0, 60_000),
)

nested = st.builds(
    lambda opening, depth, name: message_of(
        encoded({name: RawJson(opening * depth)})[:EVENT_MAX_BYTES]
    ),
    st.sampled_from(["[", '{"a":', "[[[", '[{"a":']),
    st.integers(100, EVENT_MAX_BYTES),
    st.sampled_from(_ATTRIBUTES),
) | st.builds(
    lambda depth, name: message_of(encoded({name: RawJson("[" * depth + "]" * depth)})),
    st.integers(1, 1_800),
    st.sampled_from(_REQUIRED),
)

huge_numbers = st.builds(
    lambda digits, shape, name: message_of(encoded({name: RawJson(shape.format("9" * digits))})),
    st.integers(20, 3_800),
    st.sampled_from(["{}", "-{}", "{}.5", "1e{}", "0.{}", "-1e-{}"]),
    st.sampled_from(_REQUIRED),
)

_CUTS = (
    b"\xff",
    b"\xfe\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\x80",
    b"\xf5\x80\x80\x80",
    b"\xe2\x82",
)
not_utf8 = st.builds(
    lambda cut, position: message_of(encoded({})[:position] + cut + encoded({})[position:]),
    st.sampled_from(_CUTS),
    st.integers(0, len(encoded({}))),
) | st.builds(
    lambda codec: message_of(encoded({}).decode().encode(codec)),
    st.sampled_from(["utf-16", "utf-16-be", "utf-32", "utf-32-le"]),
)

key_bombs = st.builds(
    lambda part, count, shape: message_of(encoded({"subject": shape.format(part * count)})),
    st.sampled_from(["a", "+", "a+", "branch@", "type@", "block@", "é", "ａ", ".", "-", "_", "~"]),  # noqa: RUF001
    st.integers(256, 1_500),
    st.sampled_from(["course-v1:{}", "course-v1:a+b+{}", "{}", "course-v1:{}+b+c", "a/b/{}"]),
)

#: Texts that look like the key and are none: other kinds, other dashes, signs without width.
_NOT_KEYS = (
    *("course-v1:TestX+Hostile", "course-v1:TestX+Hostile+R1+R2", "Course-v1:TestX+Hostile+R1"),
    *("course‑v1:TestX+Hostile+R1", "course-v1：TestX+Hostile+R1", "course-v1:TestX＋Hostile＋R1"),  # noqa: RUF001
    *("course-v1:TestX+Hostile+R1\u200b", "\u202ecourse-v1:TestX+Hostile+R1", " " + KEY, KEY + " "),
    *(
        KEY + "\n",
        KEY + "\r\nFORGED",
        KEY + "\x00",
        KEY + "\x1b[31m",
        "course-v1:Test X+Hostile+R1",
    ),
    *("library-v1:TestX+Hostile", "ccx-v1:TestX+Hostile+R1+ccx@1", "TestX/Hostile/R1"),
    *(KEY + "+branch@draft-branch", KEY + "/../../etc/passwd", KEY + "'; DROP TABLE x; --"),
    *("block-v1:TestX+Hostile+R1+type@course+block@course", KEY + "<script>", "%63ourse-v1:a+b+c"),
)
look_alike_keys = st.builds(
    lambda text: message_of(encoded({"subject": text})), st.sampled_from(_NOT_KEYS)
) | st.builds(
    lambda sign, position: message_of(
        encoded({"subject": KEY[: position % len(KEY)] + sign + KEY[position % len(KEY) :]})
    ),
    st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Zs", "Cs", "Sm", "Po"]).filter(
        lambda sign: sign not in "+.:~-_/"
    ),
    st.integers(0, 100),
)

wrong_types = st.builds(
    lambda name, value: message_of(encoded({name: value})), st.sampled_from(_REQUIRED), _not_text
) | st.builds(
    lambda value: message_of(json.dumps(value).encode()),
    _json_values.filter(lambda value: not isinstance(value, dict)),
)

duplicate_keys = st.builds(
    lambda name, value, shape: message_of(
        shape.format(
            event=encoded({}).decode()[:-1], name=json.dumps(name), value=json.dumps(value)
        ).encode("utf-8", "surrogatepass")
    ),
    st.sampled_from(tuple(EVENT)),
    _json_values,
    st.sampled_from(
        [
            "{event},{name}:{value}}}",
            '{event},"extra":{{"a":{value},"a":1}}}}',
            '{event},"extra":[{{"a":[{{{name}:1,{name}:{value}}}]}}]}}',
        ]
    ),
)

not_numbers = st.builds(
    lambda name, text: message_of(encoded({name: RawJson(text)})),
    st.sampled_from((*_ATTRIBUTES, "extra")),
    st.sampled_from(
        ["NaN", "Infinity", "-Infinity", "[NaN]", '{"a":-Infinity}', "nan", "+1", "01"]
    ),
)

marks_and_nuls = st.builds(
    lambda mark: message_of(mark + encoded({})),
    st.sampled_from([b"\xef\xbb\xbf", b"\x00", b"\x1e", b"\x00\x00\x00", b"\x0c"]),
) | st.builds(
    lambda sign, name: message_of(encoded({name: f"a{sign}b"})),
    st.characters(categories=["Cc", "Cs", "Zl", "Zp"]),
    st.sampled_from(["id", "subject", "type"]),
)

_header_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.binary(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
_header_names = st.sampled_from(
    ["compression", "x-death", "task", "id", "lang", "x-delivery-count", "overview-unreadable"]
)
header_abuse = (
    st.builds(
        lambda content_type: message_of(encoded({}), content_type=content_type),
        st.sampled_from(
            [
                *("application/x-python-serialize", "application/x-yaml", "application/x-msgpack"),
                *("application/data", "text/plain", "", None, "application/jsonp", "x" * 10_000),
                *(
                    "APPLICATION/JSON\r\nFORGED",
                    "pickle",
                    5,
                    b"application/json",
                    ["application/json"],
                ),
            ]
        ),
    )
    | st.builds(
        lambda headers, encoding: message_of(
            b"no event", headers=headers, content_encoding=encoding
        ),
        st.dictionaries(_header_names, _header_values, max_size=4)
        | st.sampled_from(
            [[], [1], "text", 5, {"compression": {"a": 1}}, {"compression": ["gzip"]}]
        ).map(lambda headers: headers if isinstance(headers, dict) else {"x-death": headers}),
        st.sampled_from(ENCODINGS),
    )
    | st.builds(
        lambda headers: message_of(b"[[1],{},{}]", headers=headers, exchange="overview.dlx"),
        st.dictionaries(_header_names.filter(lambda name: name != "x-death"), _header_values),
    )
)

garbage = st.builds(
    message_of,
    st.binary(max_size=400) | st.text(max_size=200),
    content_type=st.sampled_from([CONTENT_TYPE, "application/json"]),
).filter(lambda message: message.body not in (b"", ""))

#: Every class by its name.
CLASSES: Mapping[str, st.SearchStrategy[Message]] = {
    "compressed": compressed,
    "oversized": oversized,
    "deeply nested": nested,
    "huge numbers": huge_numbers,
    "not UTF-8": not_utf8,
    "key bombs": key_bombs,
    "look-alike keys": look_alike_keys,
    "wrong types": wrong_types,
    "duplicate JSON keys": duplicate_keys,
    "NaN and Infinity": not_numbers,
    "byte order marks and NULs": marks_and_nuls,
    "header abuse": header_abuse,
    "garbage": garbage,
}
