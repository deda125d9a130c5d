"""What every session of MySQL or MariaDB is told at its beginning."""

import pytest
from django.db import connection

pytestmark = pytest.mark.django_db


def value_of(variable: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT @@SESSION.{variable}")
        return cursor.fetchone()[0]


def test_a_session_waits_for_a_lock_for_five_seconds():
    assert value_of("innodb_lock_wait_timeout") == 5


def test_a_session_that_is_silent_in_a_transaction_is_ended_before_its_lock_is_missed():
    if not connection.mysql_is_mariadb:  # type: ignore[attr-defined]  # only MySQL's connection has it
        pytest.skip("MySQL has no such limit")

    assert value_of("idle_transaction_timeout") == 30
