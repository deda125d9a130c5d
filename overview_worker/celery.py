"""The Celery app: ``celery -A overview_worker worker`` finds it by this name."""

import os

from celery import Celery

from overview_worker.compression import refuse_compressed_messages
from overview_worker.impatient_amqp import bound_waits
from overview_worker.prompt_stop import stop_promptly
from overview_worker.tolerant_amqp import tolerate_unreadable_messages

# Celery's Django fix-up looks for this when the app is made, and runs django.setup() before the
# tasks are imported. In an Open edX deployment it is set already.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lms_integration.settings")
# The fix-up would run Django's system checks as a worker starts, and tell nobody what they found; for their
# sake every page and API would be imported. `manage.py check` runs them.
os.environ.setdefault("CELERY_SKIP_CHECKS", "true")

app = Celery("overview_worker")
app.config_from_object("celeryconfig")
app.autodiscover_tasks(["overview_worker"])
refuse_compressed_messages()
tolerate_unreadable_messages()
bound_waits()
stop_promptly()
