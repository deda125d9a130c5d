"""The column type of course keys: binary collation, so that case and look-alikes stay apart."""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from lms_integration.course_keys import COURSE_KEY_MAX_LENGTH

#: MySQL's default collations find ``a``, ``A`` and a full-width ``a`` equal; course keys are not.
MYSQL_KEY_COLLATION = "utf8mb4_bin"


if TYPE_CHECKING:
    _TextField = models.CharField[str, str]
else:  # at run time Django's fields take no type parameters
    _TextField = models.CharField


class CourseKeyCharField(_TextField):
    """A course key as text of at most 255 characters, compared byte by byte on every database."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", COURSE_KEY_MAX_LENGTH)
        super().__init__(*args, **kwargs)

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        """Return the column parameters, with the binary collation on MySQL and MariaDB.

        SQLite compares text byte by byte unless told otherwise.
        """
        parameters: dict[str, Any] = dict(super().db_parameters(connection))
        if connection.vendor == "mysql":
            parameters["collation"] = MYSQL_KEY_COLLATION
        return parameters
