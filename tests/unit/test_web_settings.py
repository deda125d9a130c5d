"""What the environment makes of the web process's settings, each in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    "SESSION_COOKIE_SECURE",
    "CSRF_COOKIE_SECURE",
    "SECURE_HSTS_SECONDS",
    "SECURE_PROXY_SSL_HEADER",
    "AXES_ENABLED",
    "AXES_FAILURE_LIMIT",
    "OVERVIEW_NUM_PROXIES",
)
PUBLIC = {"OVERVIEW_ALLOWED_HOSTS": "lms.example.org"}


def settings_with(**environment: str) -> dict[str, Any]:
    program = (
        "import json; from lms_integration import settings; "
        f"print(json.dumps({{name: getattr(settings, name) for name in {NAMES!r}}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("hosts", "is_secure"),
    [
        ("", False),
        ("localhost,127.0.0.1", False),
        ("lms.example.org", True),
        ("localhost,lms.example.org", True),
        ("*", True),
    ],
)
def test_cookies_are_secure_unless_this_machine_alone_is_served(hosts: str, is_secure: bool):
    found = settings_with(**({"OVERVIEW_ALLOWED_HOSTS": hosts} if hosts else {}))

    assert found["SESSION_COOKIE_SECURE"] is found["CSRF_COOKIE_SECURE"] is is_secure
    assert (found["SECURE_HSTS_SECONDS"] > 0) is is_secure


def test_the_environment_overrules_it():
    found = settings_with(
        **PUBLIC,
        OVERVIEW_SECURE_COOKIES="0",
        OVERVIEW_HSTS_SECONDS="0",
        OVERVIEW_PROXY_SSL_HEADER="X-Forwarded-Proto",
        OVERVIEW_SIGN_IN_FAILURES="0",
        OVERVIEW_NUM_PROXIES="2",
    )

    assert found == {
        "SESSION_COOKIE_SECURE": False,
        "CSRF_COOKIE_SECURE": False,
        "SECURE_HSTS_SECONDS": 0,
        "SECURE_PROXY_SSL_HEADER": ["HTTP_X_FORWARDED_PROTO", "https"],
        "AXES_ENABLED": False,
        "AXES_FAILURE_LIMIT": 0,
        "OVERVIEW_NUM_PROXIES": 2,
    }


def test_no_header_of_a_client_makes_a_request_secure_by_itself():
    assert settings_with(**PUBLIC)["SECURE_PROXY_SSL_HEADER"] is None
