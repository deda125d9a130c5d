"""The rules for production, case by case; and the rights that ``SHOW GRANTS`` tells of."""

from dataclasses import replace

import pytest

from lms_integration.deploy_rules import (
    DeploySettings,
    PrivateFile,
    broker_access,
    find_problems,
    mongodb_access,
)
from lms_integration.deployment import database_access
from lms_integration.hosts import is_loopback
from lms_integration.settings import database_settings
from lms_integration.sql_grants import excess_rights

GOOD_KEY = "k3y-with-more-than-fifty-characters-and-no-pattern-0123456789"
SAFE = DeploySettings(
    serves_web=True,
    debug=False,
    secret_key=GOOD_KEY,
    unset_secret_keys=frozenset({"", "unset"}),
    allowed_hosts=("lms.example.org",),
    servers=(),
)
NO_TLS, NOT_VERIFIED, CREDENTIALS = "overview.E105", "overview.E106", "overview.E104"


def ids(settings: DeploySettings) -> list[str]:
    return [problem.id for problem in find_problems(settings)]


def test_safe_settings_have_no_problem():
    assert find_problems(SAFE) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"debug": True}, ["overview.E101"]),
        ({"secret_key": ""}, ["overview.E102"]),
        ({"secret_key": "unset"}, ["overview.E102"]),
        ({"secret_key": "too-short"}, ["overview.E102"]),
        ({"secret_key": "ab" * 40}, ["overview.E102"]),
        ({"secret_key": "", "serves_web": False}, []),
        ({"allowed_hosts": ("a.example.org", "*")}, ["overview.E103"]),
        ({"allowed_hosts": ("*",), "serves_web": False}, []),
        ({"has_secure_cookies": False}, ["overview.E120"]),
        ({"has_secure_cookies": False, "serves_web": False}, []),
        ({"has_secure_cookies": False, "allowed_hosts": ("localhost", "127.0.0.1", "[::1]")}, []),
        ({"has_secure_cookies": False, "allowed_hosts": ("localhost", "a.org")}, ["overview.E120"]),
        ({"jwt_secret": "0123456789abcdefghijklmnopqrstu"}, ["overview.E121"]),
        ({"jwt_secret": "0123456789abcdefghijklmnopqrstuv"}, []),
        ({"jwt_secret": "ab" * 40}, ["overview.E121"]),
        ({"jwt_secret": "weak", "serves_web": False}, []),
        ({"api_key": "0123456789abcdefghi"}, ["overview.E122"]),
        ({"api_key": "0123456789abcdefghij"}, []),
        ({"api_key": "PUT_YOUR_API_KEY_HERE"}, ["overview.E122"]),
        ({"api_key": "aaaaaaaaaaaaaaaaaaaaaaaaa"}, ["overview.E122"]),
        ({"api_key": "weak", "serves_web": False}, []),
        ({"serializers": ("json", "pickle")}, ["overview.E107"]),
        ({"serializers": ("application/x-yaml",)}, ["overview.E107"]),
        ({"serializers": ("json",)}, []),
        ({"private_files": (PrivateFile(path=".env", mode=0o100644),)}, ["overview.E108"]),
        ({"private_files": (PrivateFile(path=".env", mode=0o100660),)}, ["overview.E108"]),
        ({"private_files": (PrivateFile(path=".env", mode=0o100640),)}, []),
        ({"private_files": (PrivateFile(path=".env", mode=0o100600),)}, []),
    ],
)
def test_each_setting_has_its_rule(changes, expected):
    assert ids(replace(SAFE, **changes)) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://127.0.0.1:5672/overview", []),
        ("amqp://guest:guest@localhost/overview", []),
        ("amqp://", []),
        ("amqps://studio:S7-xv9qP@mq.example.org/overview", []),
        ("amqps://studio:S7-xv9qP@mq.example.org/overview?ssl_ca_certs=/ca.pem", []),
        ("amqp://studio:S7-xv9qP@mq.example.org/overview", [NO_TLS]),
        ("amqps://studio:S7-xv9qP@mq.example.org/v?ssl_cert_reqs=none", [NOT_VERIFIED]),
        ("amqps://guest:guest@mq.example.org/overview", [CREDENTIALS]),
        ("amqps://guest:S7-xv9qP@mq.example.org/overview", [CREDENTIALS]),
        ("amqps://celery:celery@mq.example.org/overview", [CREDENTIALS]),
        ("amqps://studio:studio@mq.example.org/overview", [CREDENTIALS]),
        ("amqps://mq.example.org/overview", [CREDENTIALS]),
        ("amqp://mq.example.org/overview", [CREDENTIALS, NO_TLS]),
        ("redis://127.0.0.1:6379/0", []),
        ("redis://[::1]:6379/0", []),
        ("redis://cache.example.org/0", [CREDENTIALS, NO_TLS]),
        ("rediss://cache.example.org/0", [CREDENTIALS]),
        ("rediss://:S7-xv9qP@cache.example.org/0", []),
        ("rediss://:redis@10.0.0.5/0", [CREDENTIALS]),
    ],
)
def test_the_broker_needs_tls_and_an_account_of_its_own_off_this_machine(url, expected):
    assert ids(replace(SAFE, servers=(broker_access(url),))) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mongodb://127.0.0.1:27017/?replicaSet=rs", []),
        ("mongodb://reader:S7-xv9qP@db.example.org/?tls=true&tlsCAFile=/ca.pem", []),
        ("mongodb+srv://reader:S7-xv9qP@db.example.org/", []),
        ("mongodb+srv://reader:S7-xv9qP@db.example.org/?tls=false", [NO_TLS]),
        ("mongodb://reader:S7-xv9qP@db.example.org/", [NO_TLS]),
        ("mongodb://reader:S7-xv9qP@127.0.0.1,db.example.org:27018/?replicaSet=rs", [NO_TLS]),
        ("mongodb://db.example.org/?tls=true", [CREDENTIALS]),
        ("mongodb://edxapp:edxapp@db.example.org/?tls=true", [CREDENTIALS]),
        ("mongodb://db.example.org/?tls=true&authMechanism=MONGODB-X509", []),
        ("mongodb://r:S7-xv9qP@db.example.org/?tls=true&tlsInsecure=true", [NOT_VERIFIED]),
        (
            "mongodb://r:S7-xv9qP@db.example.org/?tls=true&tlsAllowInvalidHostnames=true",
            [NOT_VERIFIED],
        ),
    ],
)
def test_the_modulestore_needs_them_too(url, expected):
    assert ids(replace(SAFE, servers=(mongodb_access(url),))) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://root:@127.0.0.1:3306/overview", []),
        ("mysql://o:x@localhost/overview?unix_socket=/run/m.sock", []),
        ("mysql://worker:S7-xv9qP@db.example.org/overview?ssl-ca=/ca.pem", []),
        ("mysql://worker:S7-xv9qP@db.example.org/overview", [NO_TLS]),
        ("mysql://worker:S7-xv9qP@db.example.org/o?ssl_mode=REQUIRED", [NOT_VERIFIED]),
        ("mysql://root:@db.example.org/overview?ssl-ca=/ca.pem", [CREDENTIALS]),
        ("mysql://root:S7-xv9qP@db.example.org/overview?ssl-ca=/ca.pem", [CREDENTIALS]),
        ("mysql://edxapp001:password@db.example.org/overview", [CREDENTIALS, NO_TLS]),
        ("sqlite:////srv/overview.sqlite3", []),
    ],
)
def test_the_database_needs_them_too(url, expected):
    access = database_access(database_settings(url))
    servers = () if access is None else (access,)

    assert ids(replace(SAFE, servers=servers)) == expected


def test_every_problem_says_what_to_do_and_shows_no_password():
    settings = replace(
        SAFE,
        debug=True,
        secret_key="weak",
        allowed_hosts=("*",),
        servers=(broker_access("amqp://celery:celery@mq.example.org/"),),
        serializers=("pickle",),
        private_files=(PrivateFile(path="/srv/env", mode=0o644),),
        has_secure_cookies=False,
        jwt_secret="weak",
        api_key="weak",
    )
    problems = find_problems(settings)

    assert len({problem.id for problem in problems}) == len(problems) == 10
    assert all(problem.what and problem.todo.endswith((".", "'", ".pem")) for problem in problems)
    assert "weak" not in " ".join(problem.what for problem in problems)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("/run/redis.sock", True),
        ("db.localhost", True),
        ("10.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - nothing is bound to it here
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_this_machine_is_told_from_others(host, expected):
    assert is_loopback(host) is expected


TO = "TO `worker`@`%` IDENTIFIED BY PASSWORD '*00'"


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        (f"GRANT USAGE ON *.* {TO}", ()),
        (f"GRANT SELECT, INSERT, UPDATE, DELETE ON `overview`.`overview_mark` {TO}", ()),
        (f"GRANT SELECT, UPDATE (`last_login`, `password`) ON `overview`.`auth_user` {TO}", ()),
        (f"GRANT ALL PRIVILEGES ON `overview`.* {TO}", ("ALL PRIVILEGES on overview.*",)),
        (
            f"GRANT ALL PRIVILEGES ON *.* {TO} WITH GRANT OPTION",
            ("GRANT OPTION on *.*", "ALL PRIVILEGES on *.*"),
        ),
        (
            f"GRANT SELECT, FILE, SUPER ON *.* {TO}",
            ("SELECT on *.*", "FILE on *.*", "SUPER on *.*"),
        ),
        (f"GRANT SELECT, DROP ON `over\\_view`.* {TO}", ("DROP on over_view.*",)),
        (
            f"GRANT CREATE, ALTER ON `overview`.* {TO}",
            ("CREATE on overview.*", "ALTER on overview.*"),
        ),
        (f"GRANT PROCESS ON *.* {TO}", ("PROCESS on *.*",)),
        ("GRANT `some_role` TO `worker`@`%`", ()),
        (
            "GRANT `a`@`%`,`b`@`%` TO `worker`@`%` WITH ADMIN OPTION",
            ("ADMIN OPTION on `a`@`%`,`b`@`%`",),
        ),
        ("GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION", ()),
    ],
)
def test_rights_that_no_process_needs_are_found(grant, expected):
    assert excess_rights([grant]) == expected


def test_writes_on_tables_that_are_only_read_are_found():
    grants = [
        f"GRANT SELECT, INSERT ON `overview`.`overview_mark` {TO}",
        f"GRANT SELECT, INSERT ON `overview`.`django_session` {TO}",
        f"GRANT SELECT, DELETE ON `overview`.* {TO}",
    ]

    found = excess_rights(grants, read_only_tables={"overview_mark"})

    assert found == ("INSERT on overview.overview_mark", "DELETE on overview.*")
