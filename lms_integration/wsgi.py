"""The web process: ``gunicorn lms_integration.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application

from lms_integration.http.authentication import refuse_unset_secret

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lms_integration.settings")

application = get_wsgi_application()
refuse_unset_secret()
