"""What the store must know of its deployment."""

from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreConf:
    """What the store must know of its deployment."""

    builder_version: int
    #: The course catalog owns the column ``language``: keep what it wrote.
    catalog_owns_language: bool = False
    using: str = DEFAULT_DB_ALIAS
