"""The pipeline as processes, on the test's own databases and queues."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pymongo.database import Database

from tests.acceptance.processes import Pipeline


@pytest.fixture
def pipeline(
    transactional_db: None,
    mongo_database: Database[dict[str, Any]],
    broker_url: str,
    tmp_path: Path,
) -> Iterator[Pipeline]:
    """Starts and stops intake, workers and beat by name; stops what runs at the end."""
    name = str(connection.settings_dict["NAME"])
    with Pipeline(
        sql_database=name, mongo_database=mongo_database.name, log_folder=tmp_path / "logs"
    ) as running:
        yield running
