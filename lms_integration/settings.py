"""Django settings of the stand-alone pipeline; every environment variable Django needs is read here.

Alongside Open edX, the platform's own settings modules are used instead.
"""

import os
from typing import Any

import dj_database_url

#: Set ``OVERVIEW_DEBUG=1`` for development only.
DEBUG = os.environ.get("OVERVIEW_DEBUG", "") == "1"
#: Needed by the web process; workers and commands sign nothing.
SECRET_KEY = os.environ.get("OVERVIEW_SECRET_KEY", "") or "unset-outside-the-web-process"
ALLOWED_HOSTS = os.environ.get("OVERVIEW_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "lms_integration",
    "overview_worker",
]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
ROOT_URLCONF = "lms_integration.urls"
WSGI_APPLICATION = "lms_integration.wsgi.application"
STATIC_URL = "/static/"
LANGUAGE_CODE = "en"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


def database_settings(url: str) -> dict[str, Any]:
    """Return Django's settings for a ``mysql://`` or ``sqlite:///`` URL, with what correctness needs.

    MySQL and MariaDB: READ COMMITTED (a plain read must not pin an old snapshot), strict mode, a
    short lock wait. SQLite: write transactions take the lock at BEGIN, write-ahead log.
    """
    parsed: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=600))
    options: dict[str, Any] = dict(parsed.get("OPTIONS", {}))
    if parsed["ENGINE"] == "django.db.backends.mysql":
        options |= {
            "charset": "utf8mb4",
            "isolation_level": "read committed",
            "connect_timeout": 5,
            "read_timeout": 60,
            "write_timeout": 60,
            "init_command": "SET SESSION sql_mode = 'TRADITIONAL,ONLY_FULL_GROUP_BY', "
            "innodb_lock_wait_timeout = 5",
        }
    if parsed["ENGINE"] == "django.db.backends.sqlite3":
        options |= {
            "transaction_mode": "IMMEDIATE",
            # Seconds to wait for the one writer; less than a task's soft time limit.
            "timeout": 10,
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
        }
    return {**parsed, "OPTIONS": options}


#: Where the overview tables are.
DATABASES = {
    "default": database_settings(
        os.environ.get("OVERVIEW_DATABASE_URL", "sqlite:///overview.sqlite3")
    )
}

#: The broker that publish events go to: amqp(s):// or redis(s)://.
OVERVIEW_BROKER_URL = os.environ.get("OVERVIEW_BROKER_URL", "")
#: The MongoDB deployment that holds the modulestore, and its database.
OVERVIEW_MONGODB_URL = os.environ.get("OVERVIEW_MONGODB_URL", "mongodb://127.0.0.1:27017")
OVERVIEW_MONGODB_DATABASE = os.environ.get("OVERVIEW_MONGODB_DATABASE", "edxapp")
#: Which course index is the truth: "mongodb" (active_versions) or "mysql" (current Open edX).
OVERVIEW_COURSE_INDEX = os.environ.get("OVERVIEW_COURSE_INDEX", "mongodb")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": os.environ.get("OVERVIEW_LOG_LEVEL", "INFO")},
    # Celery's two lines a task say nothing that the rebuild's own line does not.
    "loggers": {
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}
