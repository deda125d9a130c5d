"""Column types with a collation of their own: byte by byte for keys, ignoring case for lists."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from lms_integration.course_keys import COURSE_KEY_MAX_LENGTH

#: MySQL's default collations find ``a``, ``A`` and a full-width ``a`` equal; course keys are not.
MYSQL_KEY_COLLATION = "utf8mb4_bin"
#: How Open edX's own tables compare and order text, whatever the database's default is.
MYSQL_LIST_COLLATION = "utf8mb4_unicode_ci"

# SQLite compares text byte by byte unless told otherwise.
_BYTE_BY_BYTE: Mapping[str, str] = {"mysql": MYSQL_KEY_COLLATION}
_IGNORING_CASE: Mapping[str, str] = {"mysql": MYSQL_LIST_COLLATION, "sqlite": "NOCASE"}


if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
    _NullableCharField = models.CharField[str | None, str | None]
    _TextField = models.TextField[str, str]
else:  # at run time Django's fields take no type parameters
    _CharField = _NullableCharField = models.CharField
    _TextField = models.TextField


class CourseKeyCharField(_CharField):
    """A course key as text of at most 255 characters, compared byte by byte on every database."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", COURSE_KEY_MAX_LENGTH)
        super().__init__(*args, **kwargs)

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        """Return the column parameters, with the binary collation on MySQL and MariaDB."""
        return _collated(super().db_parameters(connection), connection, _BYTE_BY_BYTE)


class ByteByByteCharField(_NullableCharField):
    """A short text, or null, of which every letter's case counts."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        """Return the column parameters, with the binary collation on MySQL and MariaDB."""
        return _collated(super().db_parameters(connection), connection, _BYTE_BY_BYTE)


class IgnoringCaseCharField(_CharField):
    """A short text that is compared and ordered without case, as in Open edX's tables."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        """Return the column parameters, with the collation of each database."""
        return _collated(super().db_parameters(connection), connection, _IGNORING_CASE)


class IgnoringCaseTextField(_TextField):
    """A text that is searched without case, as in Open edX's tables."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        """Return the column parameters, with the collation of each database."""
        return _collated(super().db_parameters(connection), connection, _IGNORING_CASE)


def _collated(
    parameters: Mapping[str, Any], connection: BaseDatabaseWrapper, collations: Mapping[str, str]
) -> dict[str, Any]:
    """Return column parameters with the collation that the database has to use, if any."""
    collation = collations.get(connection.vendor)
    return dict(parameters) if collation is None else {**parameters, "collation": collation}
