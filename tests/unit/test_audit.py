"""The dependency audit: it fails on a vulnerability, and never takes silence for health."""

import json
import subprocess

import pytest

from dev import audit

VULNERABLE = {
    "name": "example",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.1"], "aliases": [], "description": ""}],
}
HEALTHY = {"name": "other", "version": "2.0", "vulns": []}
SKIPPED = {"name": "unknown", "skip_reason": "Dependency not found on PyPI"}


def answer(monkeypatch, stdout: str, stderr: str = "") -> None:
    monkeypatch.setattr(audit, "find_spec", lambda name: object())
    done = subprocess.CompletedProcess([], 0, stdout, stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)


def report(*packages) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_a_known_vulnerability_fails_and_is_named(monkeypatch, capsys):
    answer(monkeypatch, report(HEALTHY, VULNERABLE))

    assert audit.main() == 1
    assert "example 1.0: PYSEC-2026-1 (mended in 1.1)" in capsys.readouterr().out


def test_packages_without_a_vulnerability_pass(monkeypatch, capsys):
    answer(monkeypatch, report(HEALTHY, SKIPPED))

    assert audit.main() == 0
    assert "No known vulnerability in 1 packages (1 skipped)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stdout", "stderr", "reason"),
    [
        (report(SKIPPED, SKIPPED), "", "no advisories for any of 2 packages"),
        ("", "ServiceError: no route to host", "no route to host"),
        ("", "", "no output"),
    ],
    ids=["a mirror without advisories", "no network", "silence"],
)
def test_where_nobody_can_be_asked_it_warns_and_passes(monkeypatch, capsys, stdout, stderr, reason):
    answer(monkeypatch, stdout, stderr)

    assert audit.main() == 0
    shown = capsys.readouterr().out
    assert shown.startswith("WARNING: dependencies not audited")
    assert reason in shown


def test_an_answer_that_does_not_come_is_a_warning(monkeypatch, capsys):
    def silent(*_, **__):
        raise subprocess.TimeoutExpired("pip-audit", 1)

    monkeypatch.setattr(audit, "find_spec", lambda name: object())
    monkeypatch.setattr(subprocess, "run", silent)

    assert audit.main() == 0
    assert "no answer in time" in capsys.readouterr().out


def test_without_pip_audit_it_is_a_warning(monkeypatch, capsys):
    monkeypatch.setattr(audit, "find_spec", lambda name: None)

    assert audit.main() == 0
    assert "not installed" in capsys.readouterr().out
