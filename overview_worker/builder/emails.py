"""Conversion of stored e-mail addresses.

Open edX validates them with Django's ``validate_email``; this accepts and refuses the same
addresses without needing Django. Does no I/O.
"""

import ipaddress
import re

from overview_worker.builder.fields import BadValue, storable_text

#: 64 for the local part, '@', 255 for the domain (RFC 3696, erratum 1690).
LONGEST_ADDRESS = 320

_ATOM = r"[A-Z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*", re.IGNORECASE)
_QUOTED_LOCAL_PART = re.compile(
    r'"(?:[\x01-\x08\x0b\x0c\x0e-\x1f!#-\[\]-\x7f]|\\[\x01-\x09\x0b\x0c\x0e-\x7f])*"'
)
_LABEL = r"[A-Z0-9](?:[A-Z0-9-]{0,61}[A-Z0-9])?"
_HOST_NAME = re.compile(rf"(?:{_LABEL}\.)+[A-Z0-9-]{{2,63}}(?<!-)", re.IGNORECASE)
_BRACKETED = re.compile(r"\[([A-F0-9:.]+)\]", re.IGNORECASE)


def to_email(value: object) -> str | None:
    """Return a valid address as it is stored, None for anything falsy; refuses the rest."""
    if not value:
        return None
    if not isinstance(value, str):
        raise BadValue("not a text")
    local_part, at, domain = value.rpartition("@")
    if not at or len(value) > LONGEST_ADDRESS:
        raise BadValue("not an e-mail address")
    if not (_is_local_part(local_part) and _is_domain(domain)):
        raise BadValue("not an e-mail address")
    return storable_text(value)


def _is_local_part(text: str) -> bool:
    return bool(_PLAIN_LOCAL_PART.fullmatch(text) or _QUOTED_LOCAL_PART.fullmatch(text))


def _is_domain(text: str) -> bool:
    if text == "localhost" or _is_ascii_domain(text):
        return True
    try:
        return _is_ascii_domain(text.encode("idna").decode("ascii"))
    except UnicodeError:
        return False


def _is_ascii_domain(text: str) -> bool:
    if _HOST_NAME.fullmatch(text):
        return True
    bracketed = _BRACKETED.fullmatch(text)
    return bracketed is not None and _is_ip_address(bracketed[1])


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
