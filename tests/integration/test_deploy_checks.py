"""``overview doctor --deploy`` and ``check --deploy``: the same rules, on a real process's settings."""

from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core import checks
from django.core.management import call_command
from django.test import override_settings

from tests.sql_accounts import printed_accounts, signed_in

pytestmark = pytest.mark.django_db(transaction=True)

UNSAFE = {
    "DEBUG": True,
    "SECRET_KEY": "weak",
    "ALLOWED_HOSTS": ["*"],
    "OVERVIEW_BROKER_URL": "amqp://celery:celery@mq.example.org/overview",
    "OVERVIEW_MONGODB_URL": "mongodb://db.example.org/",
    "CELERY_ACCEPT_CONTENT": ["json", "pickle"],
    "SESSION_COOKIE_SECURE": False,
    "EDX_API_KEY": "weak",
    "SIMPLE_JWT": {"ALGORITHM": "HS256", "VERIFYING_KEY": "weak"},
    "OVERVIEW_CACHE_URL": "redis://cache.example.org/0",
}
SAFE = {
    "DEBUG": False,
    "SECRET_KEY": "k3y-with-more-than-fifty-characters-and-no-pattern-0123456789",
    "ALLOWED_HOSTS": ["lms.example.org"],
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
}


def doctor(*arguments: str) -> tuple[int, list[str]]:
    """Return the exit code and the lines of what is wrong for production."""
    output = StringIO()
    code = 0
    try:
        call_command("overview", "doctor", "--deploy", *arguments, stdout=output)
    except SystemExit as exited:
        code = int(exited.code or 0)
    return code, [line for line in output.getvalue().splitlines() if "overview.E1" in line]


def found_by_django(*, databases=None) -> list[str]:
    messages = checks.run_checks(include_deployment_checks=True, databases=databases)
    return sorted(str(each.id) for each in messages if str(each.id).startswith("overview.E1"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch) -> Path:
    """Where no file with secrets of this machine lies."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_unsafe_settings_fail_with_one_line_each_that_says_what_to_do():
    with override_settings(**UNSAFE):
        code, lines = doctor("--role", "web")

    assert code == 1
    for expected in (
        "overview.E101: DEBUG is on",
        "overview.E102: SECRET_KEY is too easy to guess",
        "overview.E103: ALLOWED_HOSTS has '*'",
        "overview.E104: the broker at mq.example.org",
        "overview.E104: the modulestore at db.example.org",
        "overview.E104: the cache at cache.example.org",
        "overview.E120: cookies are sent without HTTPS too",
        "overview.E121: the secret of JSON Web Tokens is too easy to guess",
        "overview.E122: the API key is too easy to guess",
        "overview.E105: the broker at mq.example.org is reached without TLS",
        "overview.E105: the modulestore at db.example.org is reached without TLS",
        "overview.E107: messages may be pickle",
        "overview.E109: the SQL account",
    ):
        assert sum(expected in line for line in lines) == 1, expected
    assert not any("weak" in line or ":celery@" in line for line in lines)


def test_a_worker_with_an_account_of_its_own_is_fit_for_production(broker_url):
    with (
        printed_accounts("worker") as passwords,
        override_settings(**SAFE),
        signed_in("worker", passwords["worker"]),
    ):
        _, lines = doctor()

    assert lines == []


def test_workers_need_neither_key_nor_hosts(broker_url):
    with override_settings(**SAFE | {"SECRET_KEY": settings.UNSET_SECRET_KEY}):
        _, lines = doctor()

    assert not any("SECRET_KEY" in line for line in lines)


def test_a_file_with_secrets_that_others_may_read_is_named(folder: Path):
    for name in (".env", "given.env"):
        (folder / name).write_text("OVERVIEW_SECRET_KEY=x")
        (folder / name).chmod(0o644)

    _, lines = doctor("--env-file", "given.env")

    assert sum("overview.E108" in line for line in lines) == 2
    assert any(".env holds secrets and has the permissions 644" in line for line in lines)


def test_djangos_own_check_finds_the_same():
    with override_settings(**UNSAFE):
        found = found_by_django()

    assert set(found) == {
        *("overview.E101", "overview.E102", "overview.E103"),
        *("overview.E104", "overview.E105", "overview.E107"),
        *("overview.E120", "overview.E121", "overview.E122"),
    }


def test_djangos_own_check_looks_at_sql_rights_where_a_database_is_named():
    with override_settings(**SAFE):
        assert found_by_django() == []
        assert found_by_django(databases=["default"]) == ["overview.E109"]


def test_without_deploy_none_of_it_is_looked_at():
    with override_settings(**UNSAFE):
        messages = checks.run_checks(include_deployment_checks=False)

    assert not [each for each in messages if str(each.id).startswith("overview.E1")]
