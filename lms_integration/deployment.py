"""The settings of this process as ``deploy_rules`` wants them, and the rights of its SQL account."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from lms_integration.deploy_rules import (
    DeploySettings,
    PrivateFile,
    Problem,
    ServerAccess,
    broker_access,
    mongodb_access,
)
from lms_integration.sql_grants import excess_rights, held_grants
from lms_integration.sql_roles import overview_tables

_SERIALIZER_SETTINGS = (
    *("CELERY_ACCEPT_CONTENT", "CELERY_RESULT_ACCEPT_CONTENT"),
    *("CELERY_TASK_SERIALIZER", "CELERY_RESULT_SERIALIZER"),
)
#: Files with settings that lie beside the Procfile, as process managers read them.
_ENVIRONMENT_FILES = (".env", "env")


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedFor:
    """What a caller knows better than the settings."""

    serves_web: bool = True
    serializers: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def deploy_settings(asked: AskedFor) -> DeploySettings:
    """Return the settings of this process; looks at files' permissions, and connects to nothing."""
    broker_url = getattr(settings, "OVERVIEW_BROKER_URL", "")
    mongodb_url = getattr(settings, "OVERVIEW_MONGODB_URL", "")
    servers = [database_access(values) for values in settings.DATABASES.values()]
    servers += [broker_access(broker_url)] if broker_url else []
    servers += [mongodb_access(mongodb_url)] if mongodb_url else []
    servers += list(_cache_servers())
    return DeploySettings(
        serves_web=asked.serves_web,
        debug=settings.DEBUG,
        secret_key=str(settings.SECRET_KEY),
        unset_secret_keys=frozenset({"", getattr(settings, "UNSET_SECRET_KEY", "")}),
        allowed_hosts=tuple(settings.ALLOWED_HOSTS),
        servers=tuple(server for server in servers if server is not None),
        has_secure_cookies=settings.SESSION_COOKIE_SECURE and settings.CSRF_COOKIE_SECURE,
        jwt_secret=_jwt_secret(),
        api_key=str(getattr(settings, "EDX_API_KEY", None) or ""),
        serializers=(*_serializers(), *asked.serializers),
        private_files=tuple(
            _private_files(
                (*_ENVIRONMENT_FILES, *asked.files, *_key_files(broker_url, mongodb_url))
            )
        ),
    )


def _cache_servers() -> Iterable[ServerAccess]:
    """Return how our own cache is reached; a platform's caches are its own affair."""
    if url := getattr(settings, "OVERVIEW_CACHE_URL", ""):
        yield broker_access(url, what="the cache", setting="OVERVIEW_CACHE_URL")


def _jwt_secret() -> str:
    """Return the secret of JSON Web Tokens; '' where there is none, or a public key instead."""
    values = getattr(settings, "SIMPLE_JWT", {})
    is_secret = str(values.get("ALGORITHM", "")).startswith("HS")
    return str(values.get("VERIFYING_KEY") or "") if is_secret else ""


def database_access(values: Mapping[str, Any]) -> ServerAccess | None:
    """Return how one entry of ``DATABASES`` reaches its server; None for SQLite, which has none."""
    if not values.get("ENGINE", "").endswith("mysql"):
        return None
    options = values.get("OPTIONS", {})
    socket = options.get("unix_socket")
    mode = str(options.get("ssl_mode", "")).upper()
    return ServerAccess(
        what="the database",
        setting="OVERVIEW_DATABASE_URL",
        hosts=() if socket else (str(values.get("HOST") or "localhost"),),
        user=str(values.get("USER", "")),
        password=str(values.get("PASSWORD", "")),
        is_encrypted=mode in ("REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"),
        is_verified=mode == "VERIFY_IDENTITY",
        tls_example="mysql://…?ssl-ca=/path/to/ca.pem",
    )


def excess_right_problems(
    connection: BaseDatabaseWrapper, *, serves_web: bool = False
) -> list[Problem]:
    """Return what the SQL account of ``connection`` may do and should not; asks the database.

    Raises:
        django.db.DatabaseError: it did not answer.
    """
    if connection.vendor != "mysql":
        return []
    with connection.cursor() as cursor:
        grants = held_grants(cursor, is_mariadb=getattr(connection, "mysql_is_mariadb", False))
    excess = excess_rights(grants, read_only_tables=overview_tables() if serves_web else ())
    if not excess:
        return []
    shown = ", ".join(excess[:8]) + (f" and {len(excess) - 8} more" if len(excess) > 8 else "")
    return [
        Problem(
            id="overview.E109",
            what=f"the SQL account {connection.settings_dict['USER']!r} may do more than it needs: "
            f"{shown}",
            todo="Give each process an account of its own: overview grants prints the SQL.",
        )
    ]


def _serializers() -> tuple[str, ...]:
    values: list[str] = []
    for name in _SERIALIZER_SETTINGS:
        value = getattr(settings, name, ())
        values += [value] if isinstance(value, str) else list(value)
    return tuple(values)


def _key_files(*urls: str) -> list[str]:
    """Return the private keys that URLs of servers name."""
    names = {"ssl_keyfile", "tlsCertificateKeyFile"}
    return [
        value for url in urls for name, value in parse_qsl(urlsplit(url).query) if name in names
    ]


def _private_files(paths: Iterable[str]) -> Iterable[PrivateFile]:
    for path in dict.fromkeys(paths):
        if Path(path).is_file():
            yield PrivateFile(path=path, mode=os.stat(path).st_mode)
