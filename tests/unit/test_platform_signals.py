"""Inside Open edX the receivers listen to the platform's own signals."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

#: What the pipeline uses of the platform's ``xmodule/modulestore/django.py``.
PLATFORM_MODULE = """
from django.dispatch import Signal


class SignalHandler:
    course_published = Signal()
    course_deleted = Signal()
"""

SCRIPT = """
import django
django.setup()
from xmodule.modulestore.django import SignalHandler
for signal in (SignalHandler.course_published, SignalHandler.course_deleted):
    responses = signal.send_robust(sender=None, course_key="library-v1:LibOrg+LIB0")
    for receiver, response in responses:
        print(receiver.__name__, response)
"""


def run_beside(platform: Path) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=PROJECT,
        env={
            **os.environ,
            "PYTHONPATH": f"{platform}:{PROJECT}",
            "DJANGO_SETTINGS_MODULE": "lms_integration.settings",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_receivers_are_connected_to_the_platforms_signals(tmp_path):
    package = tmp_path / "xmodule" / "modulestore"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "django.py").write_text(PLATFORM_MODULE)

    printed = run_beside(tmp_path)

    # A library is heard of and left alone; each receiver answers once, without an error.
    assert printed.splitlines() == ["receive_course_published None", "receive_course_deleted None"]
