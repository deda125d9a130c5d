"""Django settings of the tests: the stand-alone settings on whatever database ``make test`` started."""

from tests.own_servers import use_own_servers

use_own_servers()  # before the settings read where the servers are

from lms_integration.settings import *  # noqa: E402, F403

INSTALLED_APPS += ["tests.tables"]  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Tests look at logs through caplog; nothing is printed.
LOGGING = {"version": 1, "disable_existing_loggers": False}
# Short, so that a test of a silent broker is short too.
OVERVIEW_PUBLISH_TIMEOUT_SECONDS = 1.0
# Every request of every test is held to the promise that request paths read SQL only.
OVERVIEW_GUARD_REQUESTS = True
