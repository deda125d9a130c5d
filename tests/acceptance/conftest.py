"""The pipeline as processes, on the test's own databases and queues, with the accounts of production."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pymongo.database import Database

from tests.acceptance.processes import ROLES, Pipeline
from tests.sql_accounts import PROCESS_PREFIX, printed_accounts


@pytest.fixture
def process_passwords(transactional_db: None) -> Iterator[Mapping[str, str]]:
    """The passwords of the processes' SQL accounts, which have the rights that they need and no others."""
    with printed_accounts(*ROLES, prefix=PROCESS_PREFIX) as passwords:
        yield passwords


@pytest.fixture
def pipeline(
    process_passwords: Mapping[str, str],
    mongo_database: Database[dict[str, Any]],
    broker_url: str,
    tmp_path: Path,
) -> Iterator[Pipeline]:
    """Starts and stops intake, workers and beat by name; stops what runs at the end."""
    name = str(connection.settings_dict["NAME"])
    with Pipeline(
        sql_database=name,
        mongo_database=mongo_database.name,
        log_folder=tmp_path / "logs",
        passwords=process_passwords,
    ) as running:
        yield running
