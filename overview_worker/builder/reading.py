"""Reads the fields of one block, keeping note of what could not be read. Does no I/O."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from overview_worker.builder.fields import BadValue
from overview_worker.documents import Block, Degradation
from overview_worker.errors import MalformedCourse, shown_value

T = TypeVar("T")
D = TypeVar("D")

_ABSENT = object()


class BuildNotes:
    """Collects the degradations of one build, and words its refusals."""

    def __init__(self, course_key: str) -> None:
        self._course_key = course_key
        self._degradations: list[Degradation] = []

    def degrade(self, field: str, value: object, reason: str) -> None:
        """Record that ``field`` took its default instead of ``value``."""
        self._degradations.append(Degradation(field=field, value=shown_value(value), reason=reason))

    def refusal(self, field: str, value: object, reason: str) -> MalformedCourse:
        """Return the error that ends the build because of ``field``."""
        return MalformedCourse(self._course_key, field=field, value=value, reason=reason)

    @property
    def degradations(self) -> tuple[Degradation, ...]:
        """Everything that was degraded so far, in the order in which it was met."""
        return tuple(self._degradations)


class FieldReader:
    """The fields of one block: its definition's over its structure's over its ``defaults``.

    Raises ``BadValue`` when one of the three is not an object.
    """

    def __init__(self, block: Block, notes: BuildNotes, *, prefix: str = "") -> None:
        self._defaults = _fields(block.defaults)
        self._values: dict[str, Any] = {
            **self._defaults,
            **_fields(block.fields),
            **_fields(block.definition_fields),
        }
        self._prefix = prefix  #: goes before field names in degradations
        self.notes = notes

    def has(self, name: str) -> bool:
        """Return whether the field is stored, be it as null."""
        return name in self._values

    def read(self, name: str, convert: Callable[[object], T], default: D) -> T | D:
        """Return the converted field; where it is absent or bad, ``default``. Bad ones are noted."""
        value = self._values.get(name, _ABSENT)
        if value is _ABSENT:
            return default
        try:
            return convert(value)
        except BadValue as bad:
            self.degrade(name, value, str(bad))
            return self._read_defaults(name, convert, default)

    def read_access(self, name: str, convert: Callable[[object], T], default: D) -> T | D:
        """Return a converted field that decides access; raises ``MalformedCourse`` for a bad one."""
        value = self._values.get(name, _ABSENT)
        if value is _ABSENT:
            return default
        try:
            return convert(value)
        except BadValue as bad:
            raise self.notes.refusal(self._prefix + name, value, str(bad)) from bad

    def degrade(self, name: str, value: object, reason: str) -> None:
        """Record that field ``name`` of this block took its default instead of ``value``."""
        self.notes.degrade(self._prefix + name, value, reason)

    def _read_defaults(self, name: str, convert: Callable[[object], T], default: D) -> T | D:
        """Return what the field would be if its explicit value were absent."""
        try:
            return convert(self._defaults[name]) if name in self._defaults else default
        except BadValue:
            return default


def _fields(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadValue("fields that are not an object")
    return value
