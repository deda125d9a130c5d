"""On a platform's database ``migrate`` makes our own tables and leaves all others alone."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def migrate(database: Path, *, tables: str) -> set[str]:
    """Run ``migrate`` in a process of its own and return the tables that it made."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "lms_integration.settings",
        "OVERVIEW_DATABASE_URL": f"sqlite:///{database}",
        "OVERVIEW_PLATFORM_TABLES": tables,
    }
    command = [sys.executable, "manage.py", "migrate", "--noinput", "-v", "0"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {name for (name,) in rows} - {"sqlite_sequence"}


def test_a_platforms_tables_are_left_alone(tmp_path: Path):
    tables = migrate(tmp_path / "platform.sqlite3", tables="existing")

    assert tables - {"django_migrations"} == {
        name for name in tables if name.startswith(("overview_", "axes_"))
    }
    assert {"overview_mark", "overview_state", "overview_projection"} <= tables
    assert "axes_accessattempt" in tables


def test_a_database_of_our_own_gets_all_tables(tmp_path: Path):
    tables = migrate(tmp_path / "own.sqlite3", tables="")

    assert {
        "course_overviews_courseoverview",
        "student_courseenrollment",
        "auth_user",
        "overview_state",
    } <= tables
