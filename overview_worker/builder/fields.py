"""Conversions of stored field values to column values, one function for each kind of field.

Each takes a value as the modulestore keeps it (BSON, or JSON that an import left behind) and returns
what the column holds, or raises ``BadValue``. The rules are those of the XBlock field classes, with
the limits of the SQL columns added. Does no I/O and knows no framework.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

#: Range of a signed 32-bit SQL ``int``.
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
#: Range of the whole numbers that BSON and MySQL's JSON hold.
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
#: Levels of lists and objects in a JSON column: MariaDB takes 32, MySQL 100.
DEEPEST_JSON = 20
#: Characters of a name in a JSON object: MySQL takes 65,535 bytes.
LONGEST_JSON_NAME = 1000

_FORBIDDEN_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class BadValue(ValueError):
    """A stored value that its field or its column cannot take; the message says why."""


def to_text(value: object) -> str | None:
    """Return a text or null as it is stored; anything else is refused (XBlock ``String``).

    Nothing is trimmed or escaped, but characters that XML forbids are left out, as XBlock does when
    it reads a field: control characters other than tab and line ends, surrogates, U+FFFE, U+FFFF.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadValue("not a text")
    return storable_text(_FORBIDDEN_IN_XML.sub("", value))


def to_required_text(value: object) -> str:
    """Return a text for a NOT NULL column; null is refused too."""
    text = to_text(value)
    if text is None:
        raise BadValue("null where the column is NOT NULL")
    return text


def storable_text(text: str) -> str:
    """Return ``text`` as a plain ``str``, refusing what ``utf8mb4`` cannot hold."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BadValue("a lone surrogate, which UTF-8 cannot hold") from error
    return text if type(text) is str else str.__str__(text)


def to_boolean(value: object) -> bool:
    """Return whether a text says 'true' in any case, or any other value is truthy; never refuses.

    ``'yes'``, ``'1'`` and null are false, as in XBlock's ``Boolean``.
    """
    if isinstance(value, bytes):
        return value.lower() == b"true"
    if isinstance(value, str):
        return value.lower() == "true"
    return bool(value)


def to_integer(value: object) -> int | None:
    """Return ``int(value)`` (12.9 gives 12), or None for null and ''; refuses what int32 cannot hold."""
    if value is None or value == "":
        return None
    if not isinstance(value, int | float | str):
        raise BadValue("not a number")
    try:
        number = int(value)
    except (ValueError, OverflowError) as error:
        raise BadValue("not a whole number") from error
    if not INT32_MIN <= number <= INT32_MAX:
        raise BadValue("outside the 32 bits of its column")
    return number


def to_float(value: object) -> float | None:
    """Return ``float(value)``, or None for null and ''; refuses NaN and the infinities."""
    if value is None or value == "":
        return None
    if not isinstance(value, int | float | str):
        raise BadValue("not a number")
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise BadValue("not a number") from error
    if not math.isfinite(number):
        raise BadValue("not a finite number")
    return number


def to_required_float(value: object) -> float:
    """Return ``float(value)`` for a NOT NULL column; null and '' are refused too."""
    number = to_float(value)
    if number is None:
        raise BadValue("null where the column is NOT NULL")
    return number


def to_list(value: object) -> list[object]:
    """Return a list as it is stored, an empty one for null (XBlock ``List``)."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadValue("not a list")
    return value


def to_json_list(value: object) -> str:
    """Return a list or null as JSON with ASCII escapes; refuses what JSON has no form for."""
    if value == []:
        return "[]"
    if value is not None and not isinstance(value, list):
        raise BadValue("not a list")
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadValue("not writable as JSON") from error


def to_plain_list(value: object) -> list[Any]:
    """Return a list of anything that JSON has a form for, an empty one for null (XBlock ``List``).

    Refused are lists that a JSON column or its readers could not take: other types than JSON's, NaN,
    numbers beyond 64 bits, lone surrogates, and nesting of more than ``DEEPEST_JSON`` levels.
    """
    plain: list[Any] = _plain(to_list(value), DEEPEST_JSON)
    return plain


def _plain(value: object, depth: int) -> Any:
    if isinstance(value, str):
        return storable_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _plain_integer(value)
    if isinstance(value, float):
        return to_float(value)
    if depth and isinstance(value, list | tuple):
        return [_plain(each, depth - 1) for each in value]
    if depth and isinstance(value, Mapping):
        return {_plain_name(name): _plain(each, depth - 1) for name, each in value.items()}
    raise BadValue("not writable as JSON" if depth else "nested too deeply")


def _plain_integer(value: int) -> int:
    if not INT64_MIN <= value <= INT64_MAX:
        raise BadValue("a number of more than 64 bits")
    return int(value)


def _plain_name(name: object) -> str:
    if not isinstance(name, str) or len(name) > LONGEST_JSON_NAME:
        raise BadValue("an object with a name that is no text, or too long")
    return storable_text(name)


def to_mapping(value: object) -> Mapping[str, object]:
    """Return an object as it is stored; null is refused, because its readers look into it."""
    if not isinstance(value, Mapping):
        raise BadValue("null" if value is None else "not an object")
    return value
