"""How the history and its events write a column's value: as JSON, and cut if it is long.

A value that is too long is an object of three: the beginning of its text, how many characters that has
in all, and the SHA-256 of the whole in UTF-8. Of a list or an object the text is its JSON, names in
order. Does no I/O and knows no framework.
"""

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

_NAMES = frozenset({"cut", "characters", "sha256"})


def recorded_value(value: Any, *, length: int) -> Any:
    """Return a value as JSON has it: times in UTC, decimals as text, cut to ``length`` characters."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Decimal():
            return str(value)
    return shortened(value, length=length)


def shortened(value: Any, *, length: int) -> Any:
    """Return a JSON value, cut to ``length`` characters of its text; also one that was cut before."""
    if is_cut(value):
        return {**value, "cut": value["cut"][:length]}
    if not isinstance(value, str | list | tuple | dict):
        return value
    text = value if isinstance(value, str) else as_json(value)
    if len(text) <= length:
        return value
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return {"cut": text[:length], "characters": len(text), "sha256": digest}


def is_cut(value: Any) -> bool:
    """Whether ``value`` stands for a longer one."""
    return isinstance(value, dict) and value.keys() == _NAMES


def as_json(value: Any) -> str:
    """Return the text of a list or an object."""
    return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)


def shown_text(value: Any, *, indent: int | None = None) -> str:
    """Return a recorded value as a person reads it; lists and objects over several lines if indented."""
    if is_cut(value):
        return f"{value['cut']}… ({value['characters']} characters, SHA-256 {value['sha256']})"
    if isinstance(value, str):
        return value
    return "none" if value is None else json.dumps(value, ensure_ascii=False, indent=indent)
