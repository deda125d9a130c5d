"""Django settings of the stand-alone pipeline; every environment variable Django needs is read here.

Alongside Open edX, the platform's own settings modules are used instead.
"""

import os
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

import dj_database_url

from lms_integration.hosts import is_loopback

#: Set ``OVERVIEW_DEBUG=1`` for development only.
DEBUG = os.environ.get("OVERVIEW_DEBUG", "") == "1"
#: What stands for a secret key where none is needed; the web process refuses it.
UNSET_SECRET_KEY = "unset-outside-the-web-process"  # noqa: S105 - no secret, that is the point
#: Needed by the web process; workers and commands sign nothing.
SECRET_KEY = os.environ.get("OVERVIEW_SECRET_KEY", "") or UNSET_SECRET_KEY
ALLOWED_HOSTS = os.environ.get("OVERVIEW_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

#: On this machine's own loopback address plain HTTP is good enough; anywhere else it is not.
_IS_PUBLIC = not all(is_loopback(host) for host in ALLOWED_HOSTS)
#: Browsers send the cookies over HTTPS only; ``OVERVIEW_SECURE_COOKIES=0`` or ``1`` says otherwise.
SESSION_COOKIE_SECURE = os.environ.get("OVERVIEW_SECURE_COOKIES", str(int(_IS_PUBLIC))) == "1"
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE
#: For so long after an answer over HTTPS browsers come back by HTTPS only; 30 days unless set.
SECURE_HSTS_SECONDS = int(
    os.environ.get("OVERVIEW_HSTS_SECONDS", str(30 * 86_400 if _IS_PUBLIC else 0))
)
_PROXY_SSL_HEADER = os.environ.get("OVERVIEW_PROXY_SSL_HEADER", "")
#: The header in which a proxy says ``https``, such as ``X-Forwarded-Proto``; it must overwrite what
#: clients send in it. Unset believes none.
SECURE_PROXY_SSL_HEADER = (
    (f"HTTP_{_PROXY_SSL_HEADER.upper().replace('-', '_')}", "https") if _PROXY_SSL_HEADER else None
)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "oauth2_provider",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "lms_integration",
    "lms_integration.platform_tables",
    "overview_worker",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "lms_integration.http.guard.RequestPathGuard",
    "lms_integration.http.conditional.RevalidateMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "lms_integration.http.language.LanguageCookieMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
if DEBUG and find_spec("pyinstrument"):
    # Last, so that the asker is known and the view alone is measured.
    MIDDLEWARE.append("pyinstrument.middleware.ProfilerMiddleware")
PYINSTRUMENT_URL_ARGUMENT = "profile"
PYINSTRUMENT_SHOW_CALLBACK = "lms_integration.http.profiling.may_profile"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "lms_integration.urls"
WSGI_APPLICATION = "lms_integration.wsgi.application"
STATIC_URL = "/static/"
#: Where ``collectstatic`` gathers what the pages need; without it the files are served from the package.
STATIC_ROOT = os.environ.get("OVERVIEW_STATIC_ROOT", "") or None
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
MEDIA_URL = "/media/"
LANGUAGE_CODE = "en"
LANGUAGE_COOKIE_NAME = "openedx-language-preference"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "login"
# As in Open edX: an account that has not been activated is served all the same.
AUTHENTICATION_BACKENDS = [
    "lms_integration.http.sign_in_limit.SignInLimit",
    "lms_integration.http.sessions.Accounts",
]
SESSION_ENGINE = "lms_integration.http.sessions"

#: After so many wrong passwords an account cannot be signed in to from that address for a while; 0 is
#: no limit. Minutes that the while lasts.
OVERVIEW_SIGN_IN_FAILURES = int(os.environ.get("OVERVIEW_SIGN_IN_FAILURES", "10"))
OVERVIEW_SIGN_IN_PAUSE_MINUTES = int(os.environ.get("OVERVIEW_SIGN_IN_PAUSE_MINUTES", "15"))
AXES_ENABLED = OVERVIEW_SIGN_IN_FAILURES > 0
AXES_FAILURE_LIMIT = OVERVIEW_SIGN_IN_FAILURES
AXES_COOLOFF_TIME = timedelta(minutes=OVERVIEW_SIGN_IN_PAUSE_MINUTES)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_HANDLER = "lms_integration.http.sign_in_limit.SignInFailures"
AXES_CLIENT_IP_CALLABLE = "lms_integration.http.addresses.client_address"
AXES_USERNAME_CALLABLE = "lms_integration.http.sign_in_limit.counted_name"
AXES_LOCKOUT_CALLABLE = "lms_integration.dashboard.errors.too_many_sign_ins"
AXES_RESET_ON_SUCCESS = True
# What comes while it lasts does not make it last longer: else anybody could keep a neighbour out.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
# Who signed in when, and from where, is nobody's business; what is counted goes when the while is over.
AXES_DISABLE_ACCESS_LOG = True
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "csrfmiddlewaretoken"]
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

#: Set ``OVERVIEW_PLATFORM_TABLES=existing`` where the database is a platform's: then ``migrate`` makes
#: our own tables only.
OVERVIEW_PLATFORM_TABLES_EXIST = os.environ.get("OVERVIEW_PLATFORM_TABLES", "") == "existing"
if not OVERVIEW_PLATFORM_TABLES_EXIST:
    # There its tables might be the platform's; without it beat has the internal jobs alone.
    INSTALLED_APPS.insert(INSTALLED_APPS.index("lms_integration"), "django_celery_beat")
DATABASE_ROUTERS = ["lms_integration.migration_router.MigrationRouter"]

#: Absolute URL of the LMS, for links in answers.
LMS_ROOT_URL = os.environ.get("OVERVIEW_LMS_ROOT_URL", "http://localhost:8000")
#: What other servers send as ``X-Edx-Api-Key``; unset refuses all.
EDX_API_KEY = os.environ.get("OVERVIEW_API_KEY", "") or None
PLATFORM_NAME = os.environ.get("OVERVIEW_PLATFORM_NAME", "Open edX")
#: Before the path of course images on the pages; '' is their own host, unset the LMS.
OVERVIEW_IMAGE_BASE_URL = os.environ.get("OVERVIEW_IMAGE_BASE_URL")
CSRF_FAILURE_VIEW = "lms_integration.dashboard.errors.csrf_failure"

#: Raise where a request reaches MongoDB or the broker, or writes an overview: for tests and staging.
OVERVIEW_GUARD_REQUESTS = os.environ.get("OVERVIEW_GUARD_REQUESTS", "") == "1"

#: How many proxies of ours stand before the web process, each of which adds an address to
#: X-Forwarded-For; 0 believes nothing of that header.
OVERVIEW_NUM_PROXIES = int(os.environ.get("OVERVIEW_NUM_PROXIES", "0"))
REST_FRAMEWORK = {
    "NUM_PROXIES": OVERVIEW_NUM_PROXIES,
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "lms_integration.http.authentication.JwtAuthentication",
        "lms_integration.http.authentication.OAuth2BearerAuthentication",
        "lms_integration.http.authentication.RestTokenAuthentication",
        "lms_integration.http.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
#: JSON Web Tokens are verified with this secret (HS256); a PEM public key is one of those below.
_JWT_KEY = os.environ.get("OVERVIEW_JWT_KEY", "")
_JWT_SECRET = "" if _JWT_KEY.startswith("-----BEGIN") else _JWT_KEY
#: … and with these public keys (RS512): PEM, or Open edX's ``JWT_PUBLIC_SIGNING_JWK_SET``.
OVERVIEW_JWT_PUBLIC_KEYS = os.environ.get("OVERVIEW_JWT_PUBLIC_KEYS", "") or (
    "" if _JWT_SECRET else _JWT_KEY
)
SIMPLE_JWT: dict[str, Any] = {
    "ALGORITHM": "HS256",
    # Nothing is signed here; the library verifies HS256 with the key that it would sign with.
    "SIGNING_KEY": _JWT_SECRET,
    "VERIFYING_KEY": _JWT_SECRET,
    "ISSUER": os.environ.get("OVERVIEW_JWT_ISSUER", "") or None,
    "AUDIENCE": os.environ.get("OVERVIEW_JWT_AUDIENCE", "") or None,
    "AUTH_HEADER_TYPES": ("JWT",),
    "USER_ID_FIELD": "username",
    "USER_ID_CLAIM": "preferred_username",
    "TOKEN_TYPE_CLAIM": None,
    "JTI_CLAIM": None,
    "CHECK_USER_IS_ACTIVE": False,
}
#: Origins of front ends, with commas between them, whose pages may ask with the learner's cookies and
#: write with the CSRF token (``https://apps.example.org``); none by default.
CORS_ALLOWED_ORIGINS = [
    origin.strip().rstrip("/")
    for origin in os.environ.get("OVERVIEW_CORS_ORIGINS", "").split(",")
    if origin.strip()
]
CSRF_TRUSTED_ORIGINS = [*CORS_ALLOWED_ORIGINS]
CORS_ALLOW_CREDENTIALS = True
CORS_URLS_REGEX = r"^/(api/|csrf/|change_enrollment$)"
CORS_ALLOW_HEADERS = [
    *("accept", "authorization", "content-type", "if-none-match", "use-jwt-cookie"),
    *("user-agent", "x-csrftoken", "x-requested-with"),
]
CORS_EXPOSE_HEADERS = ["ETag", "Retry-After"]
if CORS_ALLOWED_ORIGINS:
    INSTALLED_APPS.append("corsheaders")
    # Outside of what answers 304, which leaves out the headers that a browser has to see with it.
    MIDDLEWARE.insert(
        MIDDLEWARE.index("lms_integration.http.guard.RequestPathGuard"),
        "corsheaders.middleware.CorsMiddleware",
    )
SPECTACULAR_SETTINGS = {
    "TITLE": "Overview Pipeline",
    "DESCRIPTION": "Open edX's mobile, enrolment, courses and learner home endpoints, from SQL alone.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "lms_integration.http.openapi.describe_addresses",
    ],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    # The pages of the browsable document come from this server, not from a stranger's.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}


#: After so long without an answer a statement is given up. Longer than any of ours takes, and than a
#: worker's soft time limit lets it take; short enough for an intake whose connection has died in silence
#: to be back in a minute. A migration that makes an index of a large table may need more.
_SQL_TIMEOUT_SECONDS = int(os.environ.get("OVERVIEW_SQL_TIMEOUT_SECONDS", "20"))


def database_settings(url: str) -> dict[str, Any]:
    """Return Django's settings for a ``mysql://`` or ``sqlite:///`` URL, with what correctness needs.

    MySQL and MariaDB: READ COMMITTED (a plain read must not pin an old snapshot), strict mode, a
    short lock wait; MariaDB also lets go of the locks of whoever fell silent in a transaction; with ``?ssl-ca=/path`` TLS with the server's certificate and name verified,
    unless ``ssl_mode`` says otherwise. SQLite: write transactions take the lock at BEGIN, write-ahead log.
    """
    parsed: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=600))
    options: dict[str, Any] = dict(parsed.get("OPTIONS", {}))
    if parsed["ENGINE"] == "django.db.backends.mysql":
        options |= {
            "charset": "utf8mb4",
            "isolation_level": "read committed",
            "connect_timeout": 5,
            "read_timeout": _SQL_TIMEOUT_SECONDS,
            "write_timeout": _SQL_TIMEOUT_SECONDS,
            "init_command": "SET SESSION sql_mode = 'TRADITIONAL,ONLY_FULL_GROUP_BY', "
            # The longest that a task may take. Else the lock of a course whose worker's connection has
            # died in silence is held for hours. MySQL knows no such limit, and reads no such comment.
            "innodb_lock_wait_timeout = 5 /*M!100300 , idle_transaction_timeout = 30 */",
        }
        if "ssl" in options:  # ?ssl-ca=…: else the driver takes any certificate, or none
            options.setdefault("ssl_mode", "VERIFY_IDENTITY")
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


def cache_settings(url: str) -> dict[str, Any]:
    """Return Django's settings for a ``redis(s)://`` URL: short timeouts, because requests wait for it.

    ``rediss://`` verifies the server's certificate and name, unless the URL says otherwise.
    """
    options: dict[str, Any] = {"socket_connect_timeout": 0.25, "socket_timeout": 0.25}
    if url.startswith("rediss"):
        options["ssl_check_hostname"] = True
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": url,
        "KEY_PREFIX": "overview",
        "OPTIONS": options,
    }


#: A Redis in which all web processes count calls together: redis(s)://, a cache and not the broker.
OVERVIEW_CACHE_URL = os.environ.get("OVERVIEW_CACHE_URL", "")
if OVERVIEW_CACHE_URL:
    CACHES = {"default": cache_settings(OVERVIEW_CACHE_URL)}

#: The broker that publish events go to: amqp(s):// or redis(s)://.
OVERVIEW_BROKER_URL = os.environ.get("OVERVIEW_BROKER_URL", "")
#: The MongoDB deployment that holds the modulestore, and its database.
OVERVIEW_MONGODB_URL = os.environ.get("OVERVIEW_MONGODB_URL", "mongodb://127.0.0.1:27017")
OVERVIEW_MONGODB_DATABASE = os.environ.get("OVERVIEW_MONGODB_DATABASE", "edxapp")
#: Which course index is the truth: "mongodb" (active_versions) or "mysql" (current Open edX).
OVERVIEW_COURSE_INDEX = os.environ.get("OVERVIEW_COURSE_INDEX", "mongodb")

#: How many bulk processes work on a rebuild run at a time: as many as the Procfile's bulk lines start.
OVERVIEW_BULK_LANES = int(os.environ.get("OVERVIEW_BULK_LANES", "2"))
#: The hour in UTC when the nightly run may begin where no schedule can be edited; '' is never.
_NIGHTLY_HOUR = os.environ.get("OVERVIEW_NIGHTLY_HOUR", "3")
OVERVIEW_NIGHTLY_HOUR = int(_NIGHTLY_HOUR) if _NIGHTLY_HOUR else None

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        # Names of courses and words of errors are others': they must not break or forge a line.
        "line": {
            "()": "lms_integration.log_lines.OneLineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": os.environ.get("OVERVIEW_LOG_LEVEL", "INFO")},
    # Celery's two lines a task say nothing that the rebuild's own line does not.
    "loggers": {
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
    },
}
