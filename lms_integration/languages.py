"""Which of the languages that a site offers is nearest to a course's. Does no I/O."""

import re
from collections.abc import Iterable

_SEPARATORS = re.compile("[-_]")


def closest_language(language: str | None, released: Iterable[str]) -> str | None:
    """Return the same code, else the first of ``released`` that differs in its region only, else None.

    Letters count as they are written: ``EN`` is near neither ``en`` nor ``en-gb``.
    """
    if not language:
        return None
    offered = list(released)
    if language in offered:
        return language
    return next((code for code in offered if _primary(code) == _primary(language)), None)


def _primary(code: str) -> str:
    return _SEPARATORS.split(code)[0]
