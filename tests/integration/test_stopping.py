"""Processes that are told to stop while they have something else to do."""

import os
import subprocess
import sys
from pathlib import Path

PATIENCE_SECONDS = 30
_BEAT = ("-A", "overview_worker", "beat", "--loglevel", "INFO")


def interrupted_beat(broker_url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a beat that is told to stop while it sends its first job."""
    return subprocess.run(
        [sys.executable, "-m", "tests.interrupted_beat", *_BEAT],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OVERVIEW_BROKER_URL": broker_url, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_a_beat_that_is_told_to_stop_while_it_sends_a_job_has_sent_it_and_stops(broker_url: str):
    stopped = interrupted_beat(broker_url)

    assert stopped.returncode == 0, stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert stopped.stderr.count("Sending due task") == 1


def test_a_beat_whose_broker_has_fallen_silent_leaves_all_the_same(broker_url: str):
    stopped = interrupted_beat(broker_url, INTERRUPTED_FOR_EVER="yes")

    assert stopped.returncode == 1, stopped.stderr
    assert "waits for a broker that does not answer: it leaves" in stopped.stderr


def test_a_beat_that_waits_for_a_broker_is_stopped_at_once():
    beat = subprocess.Popen(
        [sys.executable, "-m", "celery", *_BEAT],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OVERVIEW_BROKER_URL": "amqp://127.0.0.1:1/nowhere"},
        stderr=subprocess.PIPE,
        text=True,
    )
    with beat:
        try:
            assert beat.stderr is not None
            assert any("Connection error" in line for line in beat.stderr)
            beat.terminate()

            assert beat.wait(PATIENCE_SECONDS) == 0
            assert "Traceback" not in beat.stderr.read()
        finally:
            beat.kill()
