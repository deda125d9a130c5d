"""What the store must know of its deployment."""

import os
import socket
from dataclasses import dataclass, field

from django.db import DEFAULT_DB_ALIAS


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreConf:
    """What the store must know of its deployment."""

    builder_version: int
    #: The course catalog owns the column ``language``: keep what it wrote.
    catalog_owns_language: bool = False
    #: Leave a row of Open edX's own history at each real change of a row.
    writes_platform_history: bool = False
    using: str = DEFAULT_DB_ALIAS
    #: Names the process in rebuild records.
    worker: str = field(default_factory=lambda: f"{socket.gethostname()} {os.getpid()}")
