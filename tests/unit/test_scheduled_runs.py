"""What an entry of the schedule may say."""

import json

import pytest

from lms_integration.models import RunDepth, RunScope
from overview_worker.store.scheduled_runs import DEFAULT_JITTER_SECONDS, ScheduledRun


def test_an_entry_that_says_nothing_looks_at_all_courses_and_rebuilds_what_is_stale():
    order = ScheduledRun.from_arguments({})

    assert order.scope == RunScope.ALL
    assert order.depth == RunDepth.STALE
    assert order.rate is None
    assert order.jitter_seconds == DEFAULT_JITTER_SECONDS == 900


def test_what_an_entry_says_survives_json():
    order = ScheduledRun(
        depth=RunDepth.BUILD, org="TidesX", rate=2.5, jitter_seconds=0, reason="weekly"
    )

    assert ScheduledRun.from_arguments(json.loads(json.dumps(order.as_arguments()))) == order


def test_an_entry_of_an_organisation_is_about_its_courses():
    assert ScheduledRun.from_arguments({"org": "TidesX"}).scope == RunScope.ORG


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"depth": "deep"}, "depth 'deep' is none of"),
        ({"depth": ["stale"]}, "is none of"),
        ({"org": 5}, "org 5 is no text"),
        ({"rate": 0}, "would never end"),
        ({"rate": -1.0}, "would never end"),
        ({"rate": float("nan")}, "would never end"),
        ({"rate": float("inf")}, "would never end"),
        ({"rate": "fast"}, "is no number"),
        ({"rate": True}, "is no number"),
        ({"jitter_seconds": -1}, "is not from 0 to 86400"),
        ({"jitter_seconds": 86_401}, "is not from 0 to 86400"),
        ({"jitter_seconds": 1.5}, "is not from 0 to 86400"),
        ({"jitter_seconds": True}, "is not from 0 to 86400"),
        ({"countdown": 5}, "unknown: countdown"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        ScheduledRun.from_arguments(arguments)
