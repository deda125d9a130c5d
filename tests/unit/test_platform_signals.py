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


#: What it uses of ``course_overviews/signals.py`` and ``models.py``; a release may lack some of it.
OVERVIEW_SIGNALS = """
from django.dispatch import Signal
COURSE_START_DATE_CHANGED = Signal()
COURSE_PACING_CHANGED = Signal()
IMPORT_COURSE_DETAILS = Signal()
"""
OVERVIEW_MODELS = """
class _Rows:
    def filter(self, id):
        self.row = type("Row", (), {"id": id, "start": "now"})
        return self
    def first(self):
        return self.row

class CourseOverview:
    objects = _Rows()
"""
CHANGE_SCRIPT = """
import django
django.setup()
from openedx.core.djangoapps.content.course_overviews import signals
from lms_integration.change_signals import due_signals, row_of
from lms_integration.models import OverviewChange
heard = lambda **named: print(sorted(named), named["updated_course_overview"].start)
signals.COURSE_START_DATE_CHANGED.connect(heard)
change = OverviewChange(
    course_key="course-v1:A+B+C",
    kind="changed",
    columns={"start": ["2030-01-01T00:00:00Z", None], "certificate_available_date": [None, "x"]},
)
for due in due_signals(change, overview=lambda: row_of(change.course_key)):
    print(due.name, len(due.signal.send_robust(sender=None, **due.arguments)))
"""


def run_beside(platform: Path, script: str = SCRIPT) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", script],
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


def test_changes_are_told_by_the_platforms_signals_with_the_platforms_rows(tmp_path):
    package = tmp_path / "openedx" / "core" / "djangoapps" / "content" / "course_overviews"
    package.mkdir(parents=True)
    (package / "signals.py").write_text(OVERVIEW_SIGNALS)
    (package / "models.py").write_text(OVERVIEW_MODELS)

    printed = run_beside(tmp_path, CHANGE_SCRIPT)

    assert printed.splitlines() == [
        "['previous_start_date', 'sender', 'signal', 'updated_course_overview'] now",
        "COURSE_START_DATE_CHANGED 1",
        "COURSE_CERT_DATE_CHANGE 0",
    ]
