"""The ``overview`` console script: the Django command ``overview`` without ``manage.py`` before it."""

import os
import sys

import django
from django.core.management import load_command_class


def main() -> None:
    """Run ``overview`` with the arguments of this process; exits with its code."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lms_integration.settings")
    sys.path.insert(0, os.getcwd())  # a deployment's own celeryconfig.py, as ``celery`` finds it
    django.setup()
    load_command_class("overview_worker", "overview").run_from_argv(["overview", "", *sys.argv[1:]])
