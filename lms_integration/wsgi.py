"""The web process: ``gunicorn lms_integration.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lms_integration.settings")

application = get_wsgi_application()

# What it stands in imports models, which only exist from here on.
from lms_integration.http.authentication import refuse_unset_secret  # noqa: E402
from lms_integration.http.tokens import verifiers  # noqa: E402

refuse_unset_secret()
verifiers()  # a key that cannot be read ends the process now, not at the first token
