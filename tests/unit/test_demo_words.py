"""What the demo says before it starts and after it has ended."""

import shlex
from pathlib import Path

from dev.authoring.catalogue import sample_catalogue
from dev.demo import needs
from dev.demo.cast import choose_cast
from dev.demo.hints import closing_hints
from dev.demo.places import default_folder, typed_path
from dev.machine import Lack
from dev.servers.folder import PROJECT, Mode, RunFolder

CAST = choose_cast(sample_catalogue())


def test_a_path_is_written_from_where_we_are(monkeypatch):
    monkeypatch.chdir(PROJECT)

    assert typed_path(PROJECT / "dev" / "bootstrap.py") == "dev/bootstrap.py"
    assert typed_path(Path("/srv/over view/run")) == "'/srv/over view/run'"


def test_hints_are_commands_that_name_the_run_folder(tmp_path):
    folder = RunFolder(tmp_path / "a run", Mode.EMBEDDED)

    hints = closing_hints(folder, CAST, stay=False).splitlines()

    explain = shlex.split(hints[1])
    assert explain[explain.index("--folder") + 1] == str(tmp_path / "a run")
    assert explain[-2:] == ["explain", CAST.broken.course_key]
    assert hints[-1].endswith("--stay")
    assert "--folder" in hints[-1]


def test_the_usual_run_folder_need_not_be_named_to_stay():
    folder = RunFolder(default_folder(Mode.SERVICES), Mode.SERVICES)

    hints = closing_hints(folder, CAST, stay=False).splitlines()

    assert hints[-1].endswith("-m dev.demo --mode services --stay")


def test_with_stay_a_publish_by_hand_is_proposed(tmp_path):
    folder = RunFolder(tmp_path, Mode.EMBEDDED)

    hints = closing_hints(folder, CAST, stay=True)

    assert f"publish {CAST.renamed.course_key} --wait 5" in hints


def test_nothing_is_needed_where_the_tests_run(tmp_path):
    assert needs.find_needs(Mode.EMBEDDED, tmp_path) == []


def test_what_the_machine_lacks_is_named_with_the_command_that_mends_it(monkeypatch, tmp_path):
    lack = Lack("libcurl.so.4, which MongoDB's wheel needs", "libcurl4")
    monkeypatch.setattr("dev.machine.find_lacks", lambda **_: [lack])
    monkeypatch.setattr("dev.machine.install_command", lambda names: ["apt-get", *names])
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    lines = needs.find_needs(Mode.EMBEDDED, tmp_path)

    assert lines == [
        "this machine lacks libcurl.so.4, which MongoDB's wheel needs",
        "mend it with: sudo apt-get update && sudo apt-get libcurl4",
    ]


def test_a_missing_package_is_named_with_the_command_that_mends_it(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("dev.machine.find_lacks", lambda **_: [])
    monkeypatch.chdir(PROJECT)

    lines = needs.find_needs(Mode.SERVICES, tmp_path)

    assert lines == [
        "the Python environment lacks mysqlclient",
        "mend it with: python3 dev/bootstrap.py services",
    ]
