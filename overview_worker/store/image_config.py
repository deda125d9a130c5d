"""Open edX's configuration of image sets, as the platform's table has it (``CourseOverviewImageConfig``)."""

from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from lms_integration.sql_roles import IMAGE_CONFIG_TABLE
from overview_worker.store.failures import errors_translated, is_missing_table

#: Every change of the configuration is another row; the newest one counts.
_NEWEST = f"""
SELECT enabled, small_width, small_height, large_width, large_height
FROM {IMAGE_CONFIG_TABLE} ORDER BY change_date DESC, id DESC LIMIT 1
"""  # noqa: S608 - the name above


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredImageConfig:
    """The newest row."""

    enabled: bool
    small_width: int
    small_height: int
    large_width: int
    large_height: int


def read_image_config(*, using: str = DEFAULT_DB_ALIAS) -> StoredImageConfig | None:
    """Return the configuration in force; None where the table has no row, or is not there.

    Raises:
        StoreUnavailable: the database did not answer.
    """
    connection = connections[using]
    with errors_translated(connection):
        try:
            with connection.cursor() as cursor:
                cursor.execute(_NEWEST)
                row = cursor.fetchone()
        except DatabaseError as error:
            if is_missing_table(error):
                return None
            raise
    if row is None:
        return None
    enabled, *sizes = row
    small_width, small_height, large_width, large_height = sizes
    return StoredImageConfig(
        enabled=bool(enabled),
        small_width=small_width,
        small_height=small_height,
        large_width=large_width,
        large_height=large_height,
    )
